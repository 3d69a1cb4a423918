import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Capability } from '../../../../crdt/capability.ts'
import { indexLog, standingOf } from '../../../../protocols/membership/log-index.ts'
import { isAncestor } from '../../../../protocols/membership/graph.ts'
import { attackersOf, isAuthorised } from '../../../../protocols/membership/attacks.ts'
import type { LogRecord } from '../../../../protocols/membership/records.ts'
import { graphOf, resolve } from '../../../../protocols/membership/resolver.ts'
import { crypto } from '../../../support/identity.ts'
import { ALL, createHistory, type History, peer, stateOf } from './history.ts'

/** One random act: who does it, what it knows, what it is. All numbers are taken modulo what exists. */
const Act = fc.record({
  kind: fc.constantFrom(
    'join',
    'reuse',
    'remove',
    'remove',
    'grant',
    'grant',
    'revoke',
    'leave',
    'merge',
    'seal',
    'force',
    'key',
    'recover',
    'recover',
  ),
  author: fc.nat(5),
  target: fc.nat(5),
  knows: fc.array(fc.nat(1000), { minLength: 1, maxLength: 3 }),
  capabilities: fc.subarray(['admin', 'admit', 'run', 'vote'] as const),
})
type Act = typeof Act extends fc.Arbitrary<infer T> ? T : never

/** Five members, four of them admins, a recovery key, and then whatever happens. */
function play(acts: readonly Act[], { areWordsKnown = true } = {}): History {
  const h = createHistory()
  let tip = h.genesis
  for (const n of [1, 2, 3, 4]) tip = h.join(0, [tip], n, n === 4 ? ['admit', 'run'] : [...ALL])
  const invites = [h.invite(0, [tip], ['run']), h.invite(1, [tip], ['run'])]
  const keys = [h.recoveryKey(0, [tip], KEY)]
  const base = h.records.length - 4
  for (const act of acts) perform(h, { invites, keys, base, areWordsKnown }, act)
  return h
}

/** Numbers from here on stand for the words of recovery keys. */
const KEY = 2000

type Made = {
  readonly invites: LogRecord[]
  readonly keys: LogRecord[]
  readonly base: number
  readonly areWordsKnown: boolean
}

function perform(h: History, { invites, keys, base, areWordsKnown }: Made, act: Act): void {
  const { author, target } = act
  const later = h.records.slice(base)
  const parents = [...new Set(act.knows.map((n) => later[n % later.length]!))]
  const invite = invites[act.knows[0]! % invites.length]!
  const capabilities: readonly Capability[] = act.capabilities
  switch (act.kind) {
    case 'join': {
      const fresh = h.invite(author, parents, capabilities)
      invites.push(fresh)
      h.admit(author, [fresh], fresh, 4 + target)
      break
    }
    case 'reuse':
      h.admit(
        invites.indexOf(invite) < 2 ? invites.indexOf(invite) : author,
        [...new Set([...parents, invite])],
        invite,
        4 + target,
      )
      break
    case 'remove':
      h.remove(author, parents, target, act.knows[0])
      break
    case 'grant':
      h.grant(author, parents, target, capabilities)
      break
    case 'revoke':
      h.revoke(author, parents, invite)
      break
    case 'leave':
      h.remove(author, parents, author)
      break
    case 'key':
      keys.push(h.recoveryKey(author, parents, KEY + target, ['admin', ...capabilities]))
      break
    case 'recover': {
      const key = keys[target % keys.length]!
      h.recover(author, [...parents, key], key, areWordsKnown ? {} : { words: KEY - 1 })
      break
    }
    case 'seal':
      h.seal(author, parents, target)
      break
    case 'force':
      h.force(author, parents, target)
      break
    case 'merge':
      h.grant(0, later.slice(-8), 0, [...ALL])
      break
  }
}

const Histories = fc.record({ acts: fc.array(Act, { minLength: 1, maxLength: 25 }), seed: fc.integer() })

/** The same records in an order that `seed` decides. */
function shuffled(records: readonly LogRecord[], seed: number): LogRecord[] {
  const keyed = records.map((record, i) => ({ record, at: Math.imul(seed ^ (i * 2_654_435_761), 0x9e37_79b1) >>> 0 }))
  return keyed.toSorted((a, b) => a.at - b.at).map(({ record }) => record)
}

it('[M6] comes to one state whatever the order in which a history arrives', () => {
  let removals = 0
  let voids = 0
  let sets = 0
  let recoveries = 0
  fc.assert(
    fc.property(Histories, ({ acts, seed }) => {
      const { records } = play(acts)
      const expected = resolve(graphOf(crypto, records))
      removals += expected.membership.removed.size
      voids += records.length - expected.effective.size
      sets += expected.membership.voterSets.length
      recoveries += records.filter(({ act, key }) => act.type === 'recover' && expected.effective.has(key)).length
      for (let i = 0; i < 4; i++)
        expect(stateOf(resolve(graphOf(crypto, shuffled(records, seed + i))))).toEqual(stateOf(expected))
    }),
    { numRuns: 120 },
  )
  // Histories in which nobody is removed and nothing is void would prove nothing.
  expect(removals).toBeGreaterThan(30)
  expect(voids).toBeGreaterThan(100)
  expect(sets).toBeGreaterThan(20)
  expect(recoveries).toBeGreaterThan(20)
})

it('[M21] recovers nobody who was removed at the same time, and nobody by a key that was replaced by then', () => {
  let recoveries = 0
  fc.assert(
    fc.property(Histories, ({ acts }) => {
      const graph = graphOf(crypto, play(acts).records)
      const { effective, membership } = resolve(graph)
      const standing = graph.nodes.filter(({ record }) => effective.has(record.key))
      for (const node of standing) {
        const { act, author } = node.record
        if (act.type !== 'recover') continue
        recoveries++
        const key = standing.find(({ record }) => Buffer.compare(record.id, act.recoveryKey) === 0)
        expect(key && isAncestor(key, node)).toBe(true)
        const isAfterKey = (other: (typeof standing)[number]): boolean => isAncestor(key!, other)
        const rivals = standing.filter((other) => !isAncestor(node, other))
        expect(rivals.filter((other) => other.record.act.type === 'recoveryKey' && isAfterKey(other))).toEqual([])
        expect(rivals.filter(({ record: { act } }) => act.type === 'remove' && act.peer === author)).toEqual([])
      }
      const ids = membership.recoveryKeys.map(({ id }) => graph.find(id)!)
      expect(ids.filter((key) => ids.some((other) => isAncestor(key, other)))).toEqual([])
    }),
    { numRuns: 150 },
  )
  expect(recoveries).toBeGreaterThan(20)
})

it('[L2.7] shows every sealed voter set, and of the forced ones those of whoever was an admin then', () => {
  fc.assert(
    fc.property(Histories, ({ acts }) => {
      const graph = graphOf(crypto, play(acts).records)
      const { membership, effective } = resolve(graph)
      const written = (type: 'voterSet' | 'forcedVoterSet'): LogRecord[] =>
        graph.nodes.map(({ record }) => record).filter(({ act }) => act.type === type)
      const shown = (kind: 'sealed' | 'forced'): number =>
        membership.voterSets.filter((set) => set.kind === kind).length
      expect(shown('sealed')).toBe(written('voterSet').length)
      expect(shown('forced')).toBe(written('forcedVoterSet').filter(({ key }) => effective.has(key)).length)
    }),
    { numRuns: 60 },
  )
})

it('[M6] leaves only records with effect that were authorised and that no other such record attacks', () => {
  fc.assert(
    fc.property(Histories, ({ acts }) => {
      const graph = graphOf(crypto, play(acts).records)
      const { effective, membership } = resolve(graph)
      const index = indexLog(graph)
      const stands = (node: (typeof graph.nodes)[number]): boolean => effective.has(node.record.key)
      const wrong = graph.nodes.filter((node) => {
        const isEntitled = isAuthorised(index, node, stands)
        const isSpared = !attackersOf(index, node).some(stands)
        // A record that is entitled and spared may be void only for attacking the winner of a circle.
        const attacksWinner = (): boolean =>
          graph.nodes.some((other) => stands(other) && attackersOf(index, other).includes(node))
        return stands(node) ? !(isEntitled && isSpared) : isEntitled && isSpared && !attacksWinner()
      })
      expect(wrong.map(({ record }) => record.act)).toEqual([])
      for (const id of index.invites.keys())
        expect(graph.nodes.filter((n) => stands(n) && usesInvite(n.record, id)).length).toBeLessThanOrEqual(1)
      for (const gone of membership.removed.keys()) expect(membership.members.has(gone)).toBe(false)
      for (const { peer: id, capabilities } of membership.members.values())
        expect([...capabilities].toSorted()).toEqual(
          [...(standingOf(index, id, stands)?.capabilities ?? [])].toSorted(),
        )
    }),
    { numRuns: 150 },
  )
})

const revoke: Act = { kind: 'revoke', author: 0, target: 0, knows: [0], capabilities: [] }
const TWO_ALIKE: Act[] = [revoke, revoke, { ...revoke, kind: 'join', knows: [953, 249] }]

it('[M5] never lets a capability appear that nobody entitled has granted', () => {
  fc.assert(
    fc.property(fc.array(Act, { minLength: 1, maxLength: 20 }), (acts) => {
      const mine = acts.map((act) => ({ ...act, author: 4 }))
      const h = play(mine, { areWordsKnown: false })
      const { members } = resolve(graphOf(crypto, h.records)).membership
      // Member 4 holds `admit` and `run` only: whatever it does, nobody new gets more, and nobody else loses anything.
      const old = [0, 1, 2, 3].map(peer)
      for (const { peer: id, capabilities } of members.values()) {
        const allowed: readonly string[] = old.includes(id) ? ALL : ['admit', 'run']
        expect([...capabilities].filter((name) => !allowed.includes(name))).toEqual([])
      }
      expect(old.map((id) => members.get(id)?.capabilities.size)).toEqual(old.map(() => ALL.length))
    }),
    // The example: two acts alike, which are one record, then one that knows both.
    { numRuns: 60, examples: [[TWO_ALIKE]] },
  )
})

const usesInvite = ({ act }: LogRecord, id: string): boolean =>
  act.type === 'admit' && Buffer.from(act.invite).toString('hex') === id
