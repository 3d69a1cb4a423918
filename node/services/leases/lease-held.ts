import { elapsedMs, type Instant } from '../../../protocols/lease/timings.ts'
import type { Cancel, Clock } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import type { FeedPosition } from '../feeds/documents.ts'
import { instantOf, timerMs, type RunningClaim } from './lease-claims.ts'
import type { HeldLease } from './lease-service.ts'

/** A timer that is set for longer is set again: hosts limit the length of one. */
const TIMER_MAX_MS = 3_600_000

export type LeaseEndListener = (lease: HeldLease, why: 'expired' | 'lost') => void

type Held = {
  lease: HeldLease
  readonly running: RunningClaim
  /** The holder's own limit, as a duration from a moment: wall time may be stepped. */
  hold: { readonly since: Instant; readonly lengthMs: number }
  /** Told when it is known again whether the lease is held. */
  readonly waiting: Set<() => void>
  cancel: Cancel
}

/** The certified leases of this node until they are released, given up at the end of their hold, or lost. */
export class HeldLeases {
  readonly #deps: { readonly clock: Clock; readonly log: Log }
  readonly #leases = new Map<string, Held>()
  readonly #listeners = new Set<LeaseEndListener>()

  constructor(deps: { clock: Clock; log: Log }) {
    this.#deps = deps
  }

  add(lease: HeldLease, running: RunningClaim, holdUntilMs: number): void {
    const now = instantOf(this.#deps.clock)
    const held: Held = { lease, running, hold: holdFrom(now, holdUntilMs), waiting: new Set(), cancel: () => undefined }
    this.#leases.set(lease.leaseId, held)
    // Not at once, even if the time has passed already: whoever acquires must learn of the lease before its end.
    this.#wake(held, now)
  }

  /** The same lease under a new certificate, when it was carried over to other voters. */
  replace(lease: HeldLease): void {
    const held = this.#leases.get(lease.leaseId)
    if (held) held.lease = lease
  }

  find(leaseId: string): HeldLease | undefined {
    return this.#leases.get(leaseId)?.lease
  }

  all(): readonly HeldLease[] {
    return [...this.#leases.values()].map(({ lease }) => lease)
  }

  isValid(leaseId: string): boolean {
    const held = this.#leases.get(leaseId)
    const now = instantOf(this.#deps.clock)
    return held !== undefined && leftMs(held, now) > 0 && held.running.claim.isValid(now)
  }

  /** See `LeaseService.settled`. */
  settled(leaseId: string, signal?: AbortSignal): Promise<void> {
    const held = this.#leases.get(leaseId)
    if (!held || this.isValid(leaseId) || signal?.aborted === true) return Promise.resolve()
    return new Promise((resolve) => {
      const conclude = (): void => {
        held.waiting.delete(conclude)
        signal?.removeEventListener('abort', conclude)
        resolve()
      }
      held.waiting.add(conclude)
      signal?.addEventListener('abort', conclude)
    })
  }

  /** The voters have just supported the lease. */
  confirmed(leaseId: string): void {
    const held = this.#leases.get(leaseId)
    if (held && this.isValid(leaseId)) wakeAll(held)
  }

  extend(leaseId: string, holdUntilMs: number): boolean {
    const held = this.#leases.get(leaseId)
    if (!held || !this.isValid(leaseId)) return false
    const { claim } = held.running
    claim.describe({ ...claim.info, untilMs: holdUntilMs })
    const now = instantOf(this.#deps.clock)
    held.hold = holdFrom(now, holdUntilMs)
    this.#wake(held, now)
    return true
  }

  release(leaseId: string, after?: FeedPosition): void {
    const held = this.#leases.get(leaseId)
    if (held) this.#remove(held, after)
  }

  /** The voters no longer support the lease. */
  lose(leaseId: string): void {
    const held = this.#leases.get(leaseId)
    if (held) this.#end(held, 'lost')
  }

  onEnd(listener: LeaseEndListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  close(): void {
    const held = [...this.#leases.values()]
    for (const { cancel } of held) cancel()
    this.#leases.clear()
    for (const one of held) wakeAll(one)
  }

  #wake(held: Held, now: Instant): void {
    held.cancel()
    const { clock } = this.#deps
    const restMs = Math.min(timerMs(leftMs(held, now)), TIMER_MAX_MS)
    held.cancel = clock.after(restMs, () => {
      const then = instantOf(clock)
      if (leftMs(held, then) <= 0) this.#end(held, 'expired')
      else this.#wake(held, then)
    })
  }

  #remove(held: Held, after?: FeedPosition): void {
    this.#leases.delete(held.lease.leaseId)
    held.cancel()
    held.running.release(after)
    wakeAll(held)
  }

  #end(held: Held, why: 'expired' | 'lost'): void {
    this.#remove(held)
    for (const listener of this.#listeners) {
      try {
        listener(held.lease, why)
      } catch (error) {
        this.#deps.log.error({ err: error, leaseId: held.lease.leaseId }, 'a lease listener failed')
      }
    }
  }
}

function wakeAll({ waiting }: Held): void {
  for (const wake of waiting) wake()
}

const holdFrom = (since: Instant, untilMs: number): Held['hold'] => ({ since, lengthMs: untilMs - since.wallMs })

const leftMs = ({ hold }: Held, now: Instant): number => hold.lengthMs - elapsedMs(hold.since, now)
