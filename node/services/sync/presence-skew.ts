import type { PeerId } from '../../../crdt/ids.ts'

/** A heartbeat that waited on its way makes its author's clock look late, never early: the best of a few is right. */
const HEARTBEATS_MAX = 4

/** How far the wall clocks of members are ahead of this one. */
export type Skews = {
  /** Takes in by how much the time in a heartbeat was ahead of ours on arrival. */
  heard(peer: PeerId, aheadMs: number): void
  of(peer: PeerId, rttMs: number | undefined): number | undefined
  forget(peer: PeerId): void
}

export function createSkews(): Skews {
  const latest = new Map<PeerId, readonly number[]>()
  return {
    heard: (peer, aheadMs) => void latest.set(peer, [...(latest.get(peer) ?? []), aheadMs].slice(-HEARTBEATS_MAX)),
    of(peer, rttMs = 0) {
      const seen = latest.get(peer)
      return seen && Math.max(...seen) + rttMs / 2
    },
    forget: (peer) => void latest.delete(peer),
  }
}
