import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  changeFrontMatter,
  FRONT_MATTER_CHARS_MAX,
  joinMarkdown,
  parseFrontMatter,
  splitMarkdown,
} from '../../../node/adapters/skills/front-matter.ts'

const WRITTEN = `# kept by hand
name: debugging   # as the folder
description: >
  Finds what is wrong,
  and mends it.

# what others know of it
metadata:
    tags: [a, b]   # two
    # its own comment
    version: "1.0" # quoted
allowed-tools: Read
`

describe('a Markdown file', () => {
  it('is its pieces, whatever is in it', () => {
    const line = fc.constantFrom('---', '--- ', 'name: x', '', '# A', '\uFEFF---', '----')
    const text = fc.tuple(fc.array(line), fc.constantFrom('\n', '\r\n')).map(([lines, eol]) => lines.join(eol))
    fc.assert(
      fc.property(fc.oneof(text, fc.string({ unit: 'grapheme' })), (whole) => {
        const pieces = splitMarkdown(whole)
        expect(pieces === null ? whole : joinMarkdown(pieces)).toBe(whole)
      }),
      { numRuns: 2000 },
    )
  })

  it.each([
    ['---\nname: x\n---\n\n# A\n', 'name: x\n', '# A\n'],
    ['---\r\nname: x\r\n---\r\n\r\n# A', 'name: x\r\n', '# A'],
    ['---\nname: x\n---', 'name: x\n', ''],
    ['---\n---\n---\n', '', '---\n'],
    ['# A\n---\nname: x\n---\n', '', '# A\n---\nname: x\n---\n'],
  ])('has front matter only at its beginning: %j', (text, yaml, body) => {
    expect(splitMarkdown(text)).toMatchObject({ yaml, body })
  })

  it('has no pieces when its front matter has no end, or none within reach', () => {
    expect(splitMarkdown('---\nname: x\n')).toBe(null)
    expect(splitMarkdown(`---\n${'a: b\n'.repeat(FRONT_MATTER_CHARS_MAX / 5)}---\n`)).toBe(null)
  })
})

describe('front matter', () => {
  it.each([
    ['flow nesting', '['.repeat(5000)],
    ['sequences in sequences', '- '.repeat(5000)],
    ['keys in keys', '? '.repeat(5000)],
    ['a map in a map', 'a: {'.repeat(2000)],
    ['many lines', 'a:\n'.repeat(5000)],
    ['one key twice', 'a: 1\na: 2'],
    ['no map', '- a'],
    ['a tab as indentation', 'a:\n\tb: 1'],
    [
      'aliases of aliases',
      Array.from({ length: 30 }, (_, i) => `b${i}: &b${i} [*b${i - 1}, *b${i - 1}]`)
        .join('\n')
        .replaceAll('*b-1', 'x'),
    ],
  ])('[A-R1] is refused with a reason: %s', (_, yaml) => {
    const parsed = parseFrontMatter(yaml)
    expect(parsed).toEqual({ ok: false, problem: expect.stringMatching(/^The front matter .{5,250}$/) })
  })

  it('[A-R1] makes nothing but data: no prototypes, no code, no dates', () => {
    const yaml = [
      '__proto__: {polluted: 1}',
      'a: !!js/function "function(){}"',
      'b: 2001-01-01',
      'c: .nan',
      'metadata: {__proto__: {polluted: 1}, constructor: 2}',
    ].join('\n')
    expect(parseFrontMatter(yaml)).toEqual({
      ok: true,
      fields: { a: 'function(){}', b: '2001-01-01', c: 'NaN', metadata: { constructor: 2 } },
    })
    expect('polluted' in {}).toBe(false)
  })

  it('keeps everything as it is written but for what changes', () => {
    const changed = changeFrontMatter(WRITTEN, [
      [['name'], 'testing'],
      [['description'], 'Short now: yes'],
      [['license'], 'MIT'],
    ])
    expect(changed.yaml).toBe(
      WRITTEN.replace('name: debugging', 'name: testing')
        .replace(/description: >[^]*?\n\n/, 'description: "Short now: yes"\n\n')
        .concat('license: MIT\n'),
    )
  })

  it('keeps the comments inside a field of which a part changes', () => {
    const { yaml } = changeFrontMatter(WRITTEN, [
      [['metadata', 'priority'], 5],
      [['metadata', 'version'], '2.0'],
    ])
    expect(yaml).toContain('tags: [ a, b ] # two')
    expect(yaml).toContain('priority: 5')
    expect(yaml).toContain('# its own comment')
    expect(yaml).toContain('version: "2.0"')
    expect([yaml?.startsWith(WRITTEN.split('metadata:')[0]!), yaml?.endsWith('allowed-tools: Read\n')]).toEqual([
      true,
      true,
    ])
  })

  it.each([
    ['nothing', '', 'metadata:\n  priority: 3\n'],
    ['one line without an end', 'name: x', 'name: x\nmetadata:\n  priority: 3\n'],
    ['lines as Windows ends them', 'name: x\r\n', 'name: x\r\nmetadata:\r\n  priority: 3\r\n'],
    ['a map in braces', '{ name: x }\n', '{ name: x, metadata: { priority: 3 } }\n'],
    ['metadata that are none', 'metadata: old # why\n', 'metadata:\n  priority: 3 # why\n'],
  ])('can be changed where there is %s', (_, before, after) => {
    const changed = changeFrontMatter(before, [[['metadata', 'priority'], 3]])
    expect([changed.ok, changed.ok && changed.fields['metadata']]).toEqual([true, { priority: 3 }])
    if (!before.includes('# why')) expect(changed.yaml).toBe(after)
  })

  it('says what it is asked to say, and nothing else changes, whatever is written', () => {
    const key = fc.constantFrom('name', 'description', 'metadata', 'license')
    const value = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.constantFrom('a: b', '# x', '- x', 'yes', '1.0', "it's", 'x\ny\n'),
    )
    fc.assert(
      fc.property(fc.dictionary(key, value), fc.constantFrom('name', 'description'), value, (fields, name, said) => {
        const written =
          Object.keys(fields).length === 0
            ? ''
            : changeFrontMatter(
                '',
                Object.entries(fields).map(([k, v]) => [[k], v] as const),
              ).yaml!
        expect(parseFrontMatter(written)).toEqual({ ok: true, fields })
        const changed = changeFrontMatter(written, [[[name], said]])
        expect(changed).toMatchObject({ ok: true, fields: { ...fields, [name]: said } })
      }),
      { numRuns: 500 },
    )
  })

  it('does not lose an alias of what changes', () => {
    const aliased = changeFrontMatter('description: &d x\nmetadata:\n    title: *d\n', [[['metadata', 'priority'], 1]])
    expect(aliased).toMatchObject({ ok: true, fields: { description: 'x', metadata: { title: 'x', priority: 1 } } })
    expect(changeFrontMatter('a: &x long\nb: *x\n', [[['a'], 'short']]).ok).toBe(false)
  })
})
