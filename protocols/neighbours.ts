import type { PeerId } from '../crdt/ids.ts'
import type { Membership } from './membership/membership.ts'

/**
 * Up to so many members everybody is connected with everybody: measured, pushing to each directly is then the fastest
 * way, and an update needs one hop.
 */
export const FULL_MESH_MAX = 50

export const isFullMesh = (members: { readonly size: number }): boolean => members.size <= FULL_MESH_MAX

/**
 * Whom a member keeps a connection with: everybody in a full mesh. In a larger one the members at distances 1, 2, 4, 8, …
 * to both sides of it on a circle of all (Chord's fingers, made mutual), so that each has about 2 log2(n) neighbours and
 * what is passed on reaches everybody in half of log2(n) hops; and the hubs, which everybody keeps. Mutual: a is a
 * neighbour of b exactly when b is one of a, as long as both know of the same members and hubs.
 */
export function neighboursOf(
  self: PeerId,
  members: ReadonlyMap<PeerId, unknown>,
  hubs: ReadonlySet<PeerId>,
): ReadonlySet<PeerId> {
  const circle = [...members.keys()].toSorted()
  const others = (peers: Iterable<PeerId | undefined>): Set<PeerId> => {
    const found = new Set<PeerId>()
    for (const peer of peers) if (peer !== undefined && peer !== self && members.has(peer)) found.add(peer)
    return found
  }
  if (isFullMesh(members) || hubs.has(self)) return others(circle)
  const place = circle.indexOf(self)
  if (place < 0) return others(hubs)
  const fingers: (PeerId | undefined)[] = []
  for (let distance = 1; distance <= circle.length / 2; distance *= 2)
    fingers.push(circle.at((place + distance) % circle.length), circle.at(place - distance))
  return others([...fingers, ...hubs])
}

/** The same, worked out anew only when the membership log says something else; it also says who votes. */
export function neighboursIn(
  self: PeerId,
  membership: () => Membership,
  hubs: () => ReadonlySet<PeerId>,
): () => ReadonlySet<PeerId> {
  let latest: { readonly of: Membership; readonly peers: ReadonlySet<PeerId> } | undefined
  return () => {
    const now = membership()
    if (latest?.of !== now) latest = { of: now, peers: neighboursOf(self, now.members, hubs()) }
    return latest.peers
  }
}
