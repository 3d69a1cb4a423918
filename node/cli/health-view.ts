import type { PeerId } from '../../crdt/ids.ts'
import type { EventLoopDelay } from '../ports/event-loop.ts'
import type { Way } from '../ports/peer-ways.ts'
import type { PresenceState } from '../services/sync/presence.ts'

/** Another member, as this node sees it. Times are ISO 8601, by this machine's clock. */
export type MemberHealth = {
  readonly peerId: PeerId
  readonly name: string
  readonly state: PresenceState
  /** How it took its leave, if it did. */
  readonly farewell: 'bye' | 'sleep' | null
  readonly way: Pick<Way, 'how' | 'failed'>
  /** Null: not since this node started. */
  readonly lastSeenAt: string | null
  /** How far its clock is ahead of this one. */
  readonly skewMs: number | null
  /** Of its program; null until it has said so. */
  readonly version: string | null
  readonly problem: string | null
}

/** What the running node knows about its own state that nobody else can find out. */
export type HealthView = {
  readonly version: string
  readonly startedAt: string
  /** Whether the mesh has removed this node, as far as its own log says. */
  readonly isRemoved: boolean
  /** Whether members hang up on this node again and again and none stays: how one that does not know of its removal notices. */
  readonly isRefused: boolean
  /** What keeps this node from doing all of its work, in words that say what helps. */
  readonly problems: readonly string[]
  readonly others: readonly MemberHealth[]
  readonly voters: {
    readonly quorum: number
    readonly online: number
    /** Names of those that are not heard, with the time when they were last. */
    readonly missing: readonly { readonly name: string; readonly lastSeenAt: string | null }[]
  }
  /** Authors that broke the rules of feeds. */
  readonly frozen: readonly { readonly peerId: PeerId; readonly name: string; readonly reason: string }[]
  /** Documents of which members have more than this node, and for how long. */
  readonly lagging: readonly { readonly document: string; readonly envelopes: number; readonly forMs: number }[]
  readonly eventLoop: EventLoopDelay
  /** Null where the system does not tell. */
  readonly descriptors: { readonly open: number; readonly limit: number } | null
  readonly isLanDiscoveryOn: boolean
}
