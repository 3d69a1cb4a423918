import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { PeerId } from '../../../crdt/ids.ts'
import { FULL_MESH_MAX, neighboursIn, neighboursOf } from '../../../protocols/neighbours.ts'
import type { Membership } from '../../../protocols/membership/membership.ts'
import { simPeer } from '../../sim/ports/sim-crypto.ts'

const membersOf = (count: number): Map<PeerId, unknown> =>
  new Map(Array.from({ length: count }, (_, n) => [simPeer(n), undefined]))
const NOBODY: ReadonlySet<PeerId> = new Set()

describe('neighbours', () => {
  it('are all others in a mesh of up to 50', () => {
    const members = membersOf(FULL_MESH_MAX)
    const [self = simPeer(0), ...others] = members.keys()
    expect(neighboursOf(self, members, NOBODY)).toEqual(new Set(others))
    expect(neighboursOf(self, membersOf(FULL_MESH_MAX + 1), NOBODY).size).toBe(10)
  })

  it('are mutual, few, and enough to reach everybody in half as many steps as there are distances, rounded up, and one', () => {
    fc.assert(
      fc.property(fc.integer({ min: FULL_MESH_MAX + 1, max: 400 }), fc.nat(), (count, seed) => {
        const members = membersOf(count)
        const all = new Map([...members.keys()].map((peer) => [peer, neighboursOf(peer, members, NOBODY)]))
        const distances = Math.floor(Math.log2(count))
        for (const [peer, theirs] of all) {
          const oneSided = [...theirs].filter((other) => all.get(other)?.has(peer) !== true)
          expect([theirs.has(peer), theirs.size <= 2 * distances, oneSided]).toEqual([false, true, []])
        }
        let reached = new Set([simPeer(seed % count)])
        for (let step = 0; step <= distances / 2 + 1; step++)
          reached = new Set([...reached].flatMap((peer) => [peer, ...(all.get(peer) ?? [])]))
        expect(reached.size).toBe(count)
      }),
      { numRuns: 10 },
    )
  })

  it('include the hubs, who have everybody; hubs that are no members count for nothing', () => {
    const members = membersOf(120)
    const hubs = new Set([simPeer(3), simPeer(4), simPeer(500)])
    for (const peer of members.keys()) {
      const theirs = neighboursOf(peer, members, hubs)
      for (const hub of [simPeer(3), simPeer(4)]) expect(theirs.has(hub)).toBe(hub !== peer)
      expect(theirs.has(simPeer(500))).toBe(false)
      if (hubs.has(peer)) expect(theirs.size).toBe(119)
    }
  })

  it('of somebody who is no member, or not yet, are the hubs alone', () => {
    expect(neighboursOf(simPeer(999), membersOf(80), new Set([simPeer(1)]))).toEqual(new Set([simPeer(1)]))
  })

  it('are worked out again when the membership changes, and only then', () => {
    let membership = { members: membersOf(60) } as unknown as Membership
    const neighbours = neighboursIn(
      simPeer(0),
      () => membership,
      () => NOBODY,
    )
    const before = neighbours()
    expect(neighbours()).toBe(before)
    membership = { members: membersOf(61) } as unknown as Membership
    expect(neighbours()).not.toBe(before)
  })
})
