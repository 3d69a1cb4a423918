import type { DocId, PeerId } from '../../../crdt/ids.ts'
import type { Cancel, Clock } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import type { Metrics } from '../../ports/metrics.ts'
import type { PeerNetwork } from '../../ports/peer-network.ts'
import type { Random } from '../../ports/random.ts'
import type { FeedExchange } from '../feeds/feed-exchange.ts'
import type { PresenceLink } from './presence-service.ts'
import type { Evidence } from './sync-answer.ts'

/** The membership log, as far as synchronisation is concerned. */
export type MembershipLog = {
  heads(): readonly Uint8Array[]
  after(heads: readonly Uint8Array[]): readonly Uint8Array[]
  receive(records: readonly Uint8Array[]): Promise<unknown>
  onChange(listener: () => void): Cancel
}

export type SyncDeps = {
  readonly network: PeerNetwork
  readonly feeds: FeedExchange & Evidence
  readonly membership: MembershipLog
  readonly clock: Clock
  /** How long this thread has worked so far; by the clock unless it is given. */
  readonly busyMs?: () => number
  readonly random: Random
  readonly log: Log
  readonly presence?: PresenceLink
  /** Addresses of connected members, and what becomes of those that others tell. */
  readonly addresses?: {
    knownPeers(): ReadonlyMap<PeerId, readonly string[]>
    learn(peer: PeerId, addresses: readonly string[], teller: PeerId): void
  }
  /** A member has shown that it is there, and that our membership log has all that its own has. */
  readonly onHeard?: (peer: PeerId) => void
  /** For people to know: what a member sends that costs time and brings nothing. */
  readonly onMisconduct?: (peer: PeerId, what: string) => void
  /** Whether members are not all connected with each other, so that what is new has to be passed on. */
  readonly passesOn: () => boolean
  /** Two replicas that have applied the same envelopes differ. */
  readonly onMismatch?: (doc: DocId, peer: PeerId) => void
  readonly metrics?: Metrics
}
