import type { PeerId } from '../../../crdt/ids.ts'

export type PresenceState = 'online' | 'stale' | 'away' | 'gone'

/** Liveness of members by the observer's own monotonic clock. No safety decision ever uses it. */
export type Presence = {
  state(peer: PeerId): PresenceState
  lastSeenWallMs(peer: PeerId): number | undefined
  rttMs(peer: PeerId): number | undefined
  /** Lease ids the member said it holds in its latest heartbeat, with the monotonic time of that heartbeat. */
  lastRenewedMonoMs(peer: PeerId, leaseId: string): number | undefined
  onChange(listener: (peer: PeerId) => void): () => void
}
