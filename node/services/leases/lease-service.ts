import { z } from 'zod'
import type { Result } from '../../../crdt/result.ts'
import type { PeerId } from '../../../crdt/ids.ts'
import { HolderInfo, type Certificate, type Resource } from '../../../protocols/lease/messages.ts'
import { areNormalised, sortResources } from '../../../protocols/lease/resources.ts'
import type { FeedPosition } from '../feeds/documents.ts'

/** A lease this node holds (or held: ask `isValid`). */
export type HeldLease = {
  readonly leaseId: string
  readonly resources: readonly Resource[]
  /**
   * epoch * 2^32 + n: later holders of an overlapping resource have a larger one. It rises when the lease is carried over
   * to a new voter set (`find` has the current one).
   */
  readonly fencingToken: number
  readonly certificate: Certificate
  /**
   * Last writes made under earlier leases on these resources, as the voters know them. `acquire` has already waited
   * for them to be applied here, so a claim never acts on a state older than the previous holder's.
   */
  readonly after: readonly FeedPosition[]
}

export type AcquireRequest = {
  readonly resources: readonly Resource[]
  /** Who uses the lease: `<instance>` within this node. */
  readonly owner: string
  /** Shown to those who are refused because of it; signed with the request, at most 512 bytes. */
  readonly info: HolderInfo
  /** The lease is renewed until then (wall time, ms) or until released. */
  readonly holdUntilMs: number
  /** How long to try while it is held by another: 0 = one attempt. */
  readonly waitMs: number
}

/** Every refusal of a lease; `task_service` and `lock_service` turn it into the domain's words. */
export type LeaseRefusal =
  | { readonly why: 'held'; readonly by: HolderInfo; readonly owner: string; readonly leaseId: string }
  | { readonly why: 'no_quorum'; readonly missing: readonly PeerId[] }
  | { readonly why: 'limit' }
  /** The earlier holder's last writes did not arrive in time. */
  | { readonly why: 'behind'; readonly author: PeerId }

export type LeaseService = {
  /** Answers within 3 s plus `waitMs`, whatever the network does. */
  acquire(request: AcquireRequest): Promise<Result<HeldLease, LeaseRefusal>>
  /** Evaluated by the fastest clock at every call: false means another may hold it now. */
  isValid(leaseId: string): boolean
  find(leaseId: string): HeldLease | undefined
  /**
   * Goes on with a lease that an earlier process of this node was given, until `holdUntilMs` (wall time). False when it
   * is lost: somebody else was certified since, the voters changed, or they cannot be reached.
   */
  resume(certificate: Certificate, holdUntilMs: number): Promise<boolean>
  /** Tells the voters that a lease which an earlier process of this node was given is not used any more. */
  discard(certificate: Certificate): void
  /** Stops using at once, then tells the voters; `after` is the last write made under the lease. */
  release(leaseId: string, after?: FeedPosition): Promise<void>
  extend(leaseId: string, holdUntilMs: number): boolean
  /**
   * Waits while a lease is held and not valid: until its voters have confirmed it or it has ended, `signal` aborts, or
   * this service closes. A lease that is not confirmed is lost after a few rounds: within 20 s.
   */
  settled(leaseId: string, signal?: AbortSignal): Promise<void>
  /** Called once when a lease ended other than by `release`: expiry of its hold, or lost to an unreachable quorum. */
  onEnd(listener: (lease: HeldLease, why: 'expired' | 'lost') => void): () => void
  /** All leases held by this node, for presence. */
  held(): readonly HeldLease[]
  /**
   * The certificate in these bytes, when its signatures, quorum and binding are right: it proves that a lease was
   * granted, not that it is current.
   */
  verified(bytes: Uint8Array): Certificate | undefined
  voters(): readonly PeerId[]
}

/** Room for the boot nonce in front of it. */
const Owner = z.string().min(1).max(200)

/** @throws when the caller did not normalise what it asks for: voters would refuse it without a useful word. */
export function checkedRequest(request: AcquireRequest): AcquireRequest {
  const resources = sortResources(request.resources)
  if (resources.length === 0 || !areNormalised(resources)) throw new TypeError('resources must be normalised')
  return { ...request, resources, owner: Owner.parse(request.owner), info: HolderInfo.parse(request.info) }
}
