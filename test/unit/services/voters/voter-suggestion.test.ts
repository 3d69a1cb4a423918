import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { PeerId } from '../../../../crdt/ids.ts'
import { type Candidate, isEligible, suggestVoters } from '../../../../node/services/voters/voter-suggestion.ts'

const HOURS = 60
const seen = (share: number | null, hours = 168): Pick<Candidate, 'availability'> => ({
  availability: { observedMinutes: share === null ? 0 : hours * HOURS, share },
})
/** Members by a letter each, from senior to junior: what was seen of them. */
const members = (shares: Readonly<Record<string, number | 'always' | 'new'>>): Candidate[] =>
  Object.entries(shares).map(([letter, share]) => ({
    peer: letter as PeerId,
    isAlwaysOn: share === 'always',
    ...seen(typeof share === 'number' ? share : null),
  }))
const suggest = (shares: Readonly<Record<string, number | 'always' | 'new'>>, present: string): string | null =>
  suggestVoters(members(shares), Array.from(present) as PeerId[])?.join('') ?? null

describe('a machine that others may depend on', () => {
  it.each([
    ['reached 95 % of a week', seen(0.95), true],
    ['reached less', seen(0.9499), false],
    ['reached always, for a day', seen(1, 24), true],
    ['reached always, for less than a day', seen(1, 23), false],
    ['never observed', seen(null), false],
  ])('[L2.7] is one that was %s', (_, what, isOne) => {
    expect(isEligible({ ...what, isAlwaysOn: false })).toBe(isOne)
  })

  it('[L2.7] is one whose owner says so', () => {
    expect([seen(null), seen(0.2)].map((what) => isEligible({ ...what, isAlwaysOn: true }))).toEqual([true, true])
  })
})

describe('the voters to suggest', () => {
  it.each<[string, Record<string, number | 'always' | 'new'>, string, string | null]>([
    ['three of three', { a: 1, b: 1, c: 1 }, 'a', 'abc'],
    ['the most available three of four', { a: 0.96, b: 0.97, c: 0.99, d: 0.98 }, 'a', 'acd'],
    ['five of six', { a: 1, b: 1, c: 0.96, d: 1, e: 1, f: 1 }, 'a', 'abdef'],
    ['two more where three vote and five could', { a: 1, b: 1, c: 1, d: 1, e: 1 }, 'abc', 'abcde'],
    ['nothing while only two are eligible', { a: 1, b: 1, c: 0.4 }, 'a', null],
    ['nothing where three of four vote', { a: 1, b: 1, c: 1, d: 1 }, 'abd', null],
    ['nothing where nobody was observed', { a: 'new', b: 'new', c: 'new' }, 'a', null],
    ['the box instead of the laptop', { a: 0.4, b: 'always' }, 'a', 'b'],
    ['a voter that stays, though another is more available', { a: 0.96, b: 1, c: 1, d: 1 }, 'abc', null],
    ['a box in the place of a laptop', { a: 1, b: 0.4, c: 1, d: 'always' }, 'abc', 'acd'],
    ['no fewer than vote now', { a: 1, b: 1, c: 0.4, d: 0.4, e: 0.4, f: 1 }, 'abcde', 'abfcd'],
    ['another for one that was removed', { a: 1, b: 1, c: 1 }, 'abx', 'abc'],
    ['nothing for one that was removed, where nobody could take its place', { a: 1, b: 1 }, 'abx', null],
    ['seven where seven vote', { a: 1, b: 1, c: 1, d: 1, e: 1, f: 1, g: 0.1, h: 1 }, 'abcdefg', 'abcdefh'],
  ])('[L2.7] are %s', (_, shares, present, expected) => {
    expect(suggest(shares, present)).toBe(expected)
  })

  it('[L2.7] are distinct members, more of them eligible than now, no fewer than now, and good enough themselves', () => {
    const Share = fc.oneof(fc.constantFrom('always' as const, 'new' as const), fc.constantFrom(0.3, 0.95, 0.99))
    let suggestions = 0
    fc.assert(
      fc.property(fc.array(Share, { minLength: 1, maxLength: 9 }), fc.nat(), (shares, chosen) => {
        const candidates = members(Object.fromEntries(shares.map((share, i) => [String.fromCharCode(97 + i), share])))
        const present = candidates.filter((_, i) => ((chosen >> i) & 1) === 1).map(({ peer }) => peer)
        const suggested = suggestVoters(candidates, present)
        if (!suggested) return
        suggestions++
        const eligible = candidates.filter(isEligible).map(({ peer }) => peer)
        const countEligible = (peers: readonly PeerId[]): number =>
          peers.filter((peer) => eligible.includes(peer)).length
        expect(new Set(suggested).size).toBe(suggested.length)
        expect(suggested.length).toBeGreaterThanOrEqual(present.length)
        expect(countEligible(suggested)).toBeGreaterThan(countEligible(present))
        expect(present.filter((peer) => eligible.includes(peer) && !suggested.includes(peer))).toEqual([])
        expect(suggestVoters(candidates, suggested)).toBeNull()
      }),
    )
    expect(suggestions).toBeGreaterThan(10)
  })
})
