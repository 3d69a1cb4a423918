import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Resource } from '../../../../protocols/lease/messages.ts'
import { OverlapIndex } from '../../../../protocols/lease/overlap-index.ts'
import { areNormalised, normalisePath, overlaps, sortResources } from '../../../../protocols/lease/resources.ts'

const path = (key: string, mode: Resource['mode'] = 'exact'): Resource => ({ kind: 'path', key, mode })

describe('[L2.9] paths', () => {
  it.each([
    ['src/a.ts', 'src/a.ts'],
    ['./src//a.ts', 'src/a.ts'],
    ['src/./a.ts/', 'src/a.ts'],
    ['', ''],
    ['.', ''],
    ['cafe\u0301.md', 'caf\u00e9.md'],
    ['name. /file...', 'name/file'],
    ['.env', '.env'],
  ])('%j is spelled %j', (input, path) => {
    expect(normalisePath(input)).toEqual({ ok: true, value: path })
  })

  it.each([
    '/etc/passwd',
    '../x',
    'a/../b',
    'a\0b',
    'a\\b',
    'a/.../b',
    ' ',
    'x'.repeat(1025),
    'd/'.repeat(65),
    '\ud800',
  ])('%j is refused with a sentence', (input) => {
    expect(normalisePath(input)).toEqual({ ok: false, error: expect.stringMatching(/^The|^A .*\.$/) })
  })

  it('normalising twice changes nothing, and a voter accepts the result', () => {
    const segment = fc.oneof(fc.string({ unit: 'grapheme' }), fc.constantFrom('.', '', 'a', 'e\u0301', 'b. ', '..'))
    fc.assert(
      fc.property(fc.array(segment, { maxLength: 6 }), (segments) => {
        const once = normalisePath(segments.join('/'))
        if (!once.ok) return
        expect(normalisePath(once.value)).toEqual(once)
        expect(areNormalised([path(once.value, 'subtree')])).toBe(true)
      }),
    )
  })

  it.each(['a/', '/a', 'a//b', 'a/./b', 'a/../b', 'a\0', 'a.', 'e\u0301', 'a\\b'])(
    'a voter refuses the key %j',
    (key) => {
      expect(areNormalised([path(key)])).toBe(false)
    },
  )

  it('a voter refuses resources out of order or named twice', () => {
    expect(areNormalised([path('a'), path('b')])).toBe(true)
    expect(areNormalised([path('b'), path('a')])).toBe(false)
    expect(areNormalised([path('a'), path('a')])).toBe(false)
    expect(sortResources([path('b'), path('a'), path('b')])).toEqual([path('a'), path('b')])
  })

  it('a voter refuses the root as a file, and tasks as folders', () => {
    expect(areNormalised([path('')])).toBe(false)
    expect(areNormalised([{ kind: 'task', key: 't', mode: 'subtree' }])).toBe(false)
  })
})

describe('[L2.9] overlap', () => {
  it.each([
    [path('a'), path('a'), true],
    [path('a'), path('a/b'), false],
    [path('a', 'subtree'), path('a/b'), true],
    [path('a', 'subtree'), path('a'), true],
    [path('a', 'subtree'), path('ab'), false],
    [path('a', 'subtree'), path('a/b/c', 'subtree'), true],
    [path('', 'subtree'), path('x/y'), true],
    [path('a'), { kind: 'name', key: 'a', mode: 'exact' }, false],
  ] as const)('%j and %j: %s', (a, b, expected) => {
    expect(overlaps(a, b)).toBe(expected)
    expect(overlaps(b, a)).toBe(expected)
  })

  const key = fc.array(fc.constantFrom('a', 'b', 'ab'), { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'))
  const resource = fc.oneof(
    fc.record({ kind: fc.constantFrom('path', 'name'), key, mode: fc.constantFrom('exact', 'subtree') }),
    fc.constant(path('', 'subtree')),
  ) as fc.Arbitrary<Resource>

  it('a subtree overlaps exactly what shares a concrete path with it', () => {
    const covers = ({ key, mode }: Resource, file: string): boolean =>
      file === key || (mode === 'subtree' && (key === '' || `${file}/`.startsWith(`${key}/`)))
    const file = fc
      .array(fc.constantFrom('a', 'b', 'ab'), { minLength: 1, maxLength: 5 })
      .map((parts) => parts.join('/'))
    fc.assert(
      fc.property(resource, resource, file, (a, b, path) => {
        if (a.kind === b.kind && covers(a, path) && covers(b, path)) expect(overlaps(a, b)).toBe(true)
      }),
      { numRuns: 1000 },
    )
  })

  it('the index finds exactly what overlaps, also after removals', () => {
    const items = fc.array(fc.array(resource, { minLength: 1, maxLength: 3 }), { maxLength: 12 })
    fc.assert(
      fc.property(items, fc.array(resource, { minLength: 1, maxLength: 3 }), fc.nat(12), (sets, wanted, dropped) => {
        const index = new OverlapIndex<{ res: Resource[] }>()
        const all = sets.map((res) => ({ res: sortResources(res) }))
        for (const item of all) index.add(item)
        for (const item of all.slice(0, dropped)) index.remove(item)
        const expected = all.slice(dropped).filter(({ res }) => res.some((a) => wanted.some((b) => overlaps(a, b))))
        expect(new Set(index.overlapping(wanted))).toEqual(new Set(expected))
      }),
    )
  })
})
