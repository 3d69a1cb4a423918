import { posix } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isPattern, patternCover } from '../../../../protocols/lease/path-patterns.ts'
import { areNormalised, foldCase, normalisePath, overlaps } from '../../../../protocols/lease/resources.ts'

const subtree = (key: string) => ({ kind: 'path', key, mode: 'subtree' }) as const
const coverOf = (pattern: string): string => {
  const cover = patternCover(pattern)
  if (!cover.ok) throw new Error(cover.error)
  return cover.value
}

describe('[L2.9] a pattern', () => {
  it.each([
    ['src/*.ts', 'src'],
    ['src/**', 'src'],
    ['./src//**/*.ts', 'src'],
    ['src/api/v*/index.ts', 'src/api'],
    ['**/*.md', ''],
    ['*', ''],
    ['src*', ''],
    ['pages/[id]/*.tsx', 'pages'],
    ['src/{a,b}/*.ts', 'src'],
    ['src/+(a|b)/*', 'src'],
    ['!src/*', ''],
    ['cafe\u0301/*', 'caf\u00e9'],
  ])('%j covers %j', (pattern, cover) => {
    expect([isPattern(pattern), patternCover(pattern)]).toEqual([true, { ok: true, value: cover }])
  })

  it.each(['../*', 'a/*/../../b', '/etc/*', 'a\\*', 'a/{..,b}/*', 'a/@(..|b)/*'])('%j is refused', (pattern) => {
    expect(patternCover(pattern)).toEqual({ ok: false, error: expect.stringMatching(/^The .*\.$/) })
  })

  it('is known by a star: brackets and question marks are names', () => {
    expect(['app/[id].tsx', 'what?', '(group)/a.ts', 'a{b}'].map(isPattern)).toEqual([false, false, false, false])
  })

  const names = ['a', 'b', 'ab', '.x', '[a]', 'a{b}']
  const wild = fc.constantFrom('*', '**', 'a*', '*b', '?', '[ab]', '{a,b}', '{a,b/ab}', 'a**', '@(a|ab)')
  /** Most segments are those of one file, so that many patterns match it. */
  const globFor = (file: readonly string[]): fc.Arbitrary<string> =>
    fc
      .tuple(
        ...file.map((name) => fc.oneof({ arbitrary: fc.constant(name), weight: 2 }, { arbitrary: wild, weight: 1 })),
      )
      .map((segments) => segments.join('/'))
      .filter(isPattern)
  const meeting = fc
    .array(fc.constantFrom(...names), { minLength: 1, maxLength: 4 })
    .chain((file) => fc.record({ path: fc.constant(file.join('/')), a: globFor(file), b: globFor(file) }))

  it('covers everything that it matches, so that two which match one file cover a common one', () => {
    let meetings = 0
    const property = fc.property(meeting, ({ path, a, b }) => {
      const matching = [a, b].filter((glob) => posix.matchesGlob(path, glob))
      for (const glob of matching) expect(overlaps(subtree(coverOf(glob)), subtree(path))).toBe(true)
      if (matching.length < 2) return
      meetings++
      expect(overlaps(subtree(coverOf(a)), subtree(coverOf(b)))).toBe(true)
    })
    fc.assert(property, { numRuns: 3000 })
    expect(meetings).toBeGreaterThan(300)
  })
})

describe('[L2.9] folded case', () => {
  it.each([
    ['Src/Auth.TS', 'src/auth.ts'],
    ['CAFE\u0301', 'caf\u00e9'],
    ['\u00c9', '\u00e9'],
    ['\u212b', '\u00e5'],
  ])('%j is %j', (path, key) => {
    expect(foldCase(path)).toBe(key)
  })

  it('of a normalised path is one that voters take, and folding again changes nothing', () => {
    const segment = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.constantFrom('A', '\u0130', 'E\u0301', '\u03a3', 'a. '),
    )
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 4 }), (segments) => {
        const path = normalisePath(segments.join('/'))
        if (!path.ok || path.value === '') return
        const key = foldCase(path.value)
        expect([foldCase(key), areNormalised([subtree(key)])]).toEqual([key, true])
      }),
    )
  })
})
