import type { MeshId, PeerId } from '../../crdt/ids.ts'
import type { Config } from '../../protocols/lease/messages.ts'
import type { Membership } from '../../protocols/membership/membership.ts'

export const SPACE = 'ab'.repeat(32) as MeshId

/** One change of the log; every node applies it when it hears of it, in its own order. */
export type MembershipChange = (before: Membership) => Membership

export const removalOf =
  (peer: PeerId): MembershipChange =>
  (before) => {
    const members = new Map(before.members)
    members.delete(peer)
    const removed = new Map(before.removed).set(peer, new Map())
    return { ...before, members, removed }
  }

export function foundingMembership(peers: readonly PeerId[], leaseConfig: Config): Membership {
  const [founder] = peers
  if (!founder) throw new RangeError('a mesh has at least one member')
  const member = (peer: PeerId, seniority: number) => ({
    peer,
    name: `node-${seniority + 1}`,
    boxKey: new Uint8Array(32),
    capabilities: new Set<never>(),
    seniority,
  })
  return {
    mesh: SPACE,
    founder,
    members: new Map(peers.map((peer, i) => [peer, member(peer, i)])),
    removed: new Map(),
    invites: new Map(),
    leaseConfig,
    heads: [],
  }
}
