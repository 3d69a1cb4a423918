import type { PeerId } from '../../../crdt/ids.ts'
import type { Result } from '../../../crdt/result.ts'

/** One machine that votes on leases, or could. */
export type VoterView = {
  readonly peerId: PeerId
  readonly name: string
  readonly online: boolean
  /** Why its vote does not count or cannot be had, in a sentence that says what to do; null while all is well. */
  readonly problem: string | null
}

export type VotersView = {
  /** Grows with every change of the voter set; the high half of every fencing token. */
  readonly epoch: number
  /** So many voters must grant a lease. */
  readonly quorum: number
  readonly voters: readonly VoterView[]
  /** Whether this set was installed by force, without the agreement of the one before. */
  readonly isForced: boolean
  /** When this node, as a voter of a set installed by force, grants again; null when it does already. */
  readonly grantsAgainInMs: number | null
}

export type VoterChange = {
  /** Peer ids or unambiguous names: the whole new set, in any order. */
  readonly members: readonly string[]
  /** Installs the set without asking the voters so far: only when a quorum of them is gone for good. */
  readonly force?: { readonly reason: string }
}

/** Who votes on leases, and how that is changed. */
export type VoterService = {
  view(): VotersView
  /**
   * Replaces the voter set. Live leases are carried over; it resolves when the new set is decided and written to the
   * membership log. Without `force` a quorum of the voters so far has to agree, and all new voters must be reachable.
   * @errors forbidden (no `admin`), invalid_input (`members`: unknown, ambiguous, twice, none, more than 63; `force`:
   *   no reason), machine_offline (a new voter that cannot be reached, by name), quorum_unreachable (of the old set),
   *   superseded (somebody else changed the set at the same time; the message names who votes now), cancelled
   */
  set(change: VoterChange, signal?: AbortSignal): Promise<Result<VotersView>>
}
