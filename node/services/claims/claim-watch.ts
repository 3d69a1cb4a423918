import { DEFAULT_TIMINGS } from '../../../protocols/lease/timings.ts'
import type { PeerId } from '../../../crdt/ids.ts'
import type { Cancel, Clock } from '../../ports/clock.ts'
import type { LeaseService } from '../leases/lease-service.ts'
import type { Presence } from '../sync/presence.ts'

export type WatchedLease = { readonly leaseId: string; readonly node: PeerId; readonly issuedAtMs: number }

export type ClaimWatch = {
  /**
   * For display only, never to grant or refuse. The first question about a lease starts the watch; the answer changes
   * only together with a call of `onFlip`.
   */
  isLive(lease: WatchedLease): boolean
  /** Looks at every lease now, rather than when its time has come. */
  lookAgain(): void
  /** How long it will be shown if its holder is not heard again. */
  remainingMs(leaseId: string): number
  stop(): void
}

/** Own leases end without a message when their quorum is lost; silent ones may be heard again. */
const LOOK_AGAIN_MS = 5000
/** How far apart the wall clocks of two machines may be before an old record passes for a new one, or the reverse. */
const CLOCK_SKEW_MS = 2 * 60_000
/** A lease forgotten after that is too old to be taken for a new one when it is asked about again. */
const DEAD_KEPT_MS = 5 * 60_000

type Watched = WatchedLease & { renewedMs: number; lastLiveMs: number; isLive: boolean }

export type ClaimWatchDeps = {
  clock: Clock
  presence: Pick<Presence, 'lastRenewedMonoMs'>
  leases: Pick<LeaseService, 'isValid'>
  self: PeerId
  ttlMs?: number
  onFlip: (leaseId: string) => void
}

/**
 * Tells which leases are still renewed: those of this node by asking for them, those of others as long as their holder
 * named them in a heartbeat (or they were first seen) less than one lease length ago, by this node's own clock.
 * `onFlip` is called when an answer changes.
 */
export const createClaimWatch = (deps: ClaimWatchDeps): ClaimWatch => new Watch(deps)

class Watch implements ClaimWatch {
  readonly #deps: ClaimWatchDeps
  readonly #ttlMs: number
  readonly #watched = new Map<string, Watched>()
  #timer: { at: number; cancel: Cancel } | undefined
  #isStopped = false

  constructor(deps: ClaimWatchDeps) {
    this.#deps = deps
    this.#ttlMs = deps.ttlMs ?? DEFAULT_TIMINGS.ttlMs
  }

  isLive(lease: WatchedLease): boolean {
    const known = this.#watched.get(lease.leaseId)
    if (known) return known.isLive
    const { clock } = this.#deps
    const now = clock.monoMs()
    // An old record that nobody renews is not news because it is read for the first time.
    const isOld = lease.issuedAtMs + this.#ttlMs + CLOCK_SKEW_MS < clock.wallMs()
    const first = { ...lease, renewedMs: isOld ? -Infinity : now, lastLiveMs: now, isLive: false }
    this.#watched.set(lease.leaseId, first)
    return this.#look(first)
  }

  lookAgain(): void {
    this.#timer?.cancel()
    this.#sweep()
  }

  remainingMs(leaseId: string): number {
    const lease = this.#watched.get(leaseId)
    const until = lease ? this.#liveUntilMs(lease) : 0
    return until === Infinity ? this.#ttlMs : Math.max(0, until - this.#deps.clock.monoMs())
  }

  stop(): void {
    this.#isStopped = true
    this.#timer?.cancel()
    this.#watched.clear()
  }

  #liveUntilMs(lease: Watched): number {
    const { leases, presence, self } = this.#deps
    if (lease.node === self) return leases.isValid(lease.leaseId) ? Infinity : -Infinity
    const heard = presence.lastRenewedMonoMs(lease.node, lease.leaseId)
    lease.renewedMs = Math.max(lease.renewedMs, heard ?? -Infinity)
    return lease.renewedMs + this.#ttlMs
  }

  #look(lease: Watched): boolean {
    const now = this.#deps.clock.monoMs()
    const until = this.#liveUntilMs(lease)
    lease.isLive = now < until
    if (lease.isLive) lease.lastLiveMs = now
    this.#arm(Number.isFinite(until) && lease.isLive ? until : now + LOOK_AGAIN_MS)
    return lease.isLive
  }

  #arm(at: number): void {
    if (this.#isStopped || (this.#timer && this.#timer.at <= at)) return
    this.#timer?.cancel()
    const { clock } = this.#deps
    this.#timer = { at, cancel: clock.after(Math.max(0, at - clock.monoMs()), () => this.#sweep()) }
  }

  #sweep(): void {
    this.#timer = undefined
    const flipped: string[] = []
    for (const [id, lease] of this.#watched) {
      const before = lease.isLive
      if (this.#look(lease) !== before) flipped.push(id)
      const deadMs = this.#deps.clock.monoMs() - lease.lastLiveMs
      if (!lease.isLive && deadMs > DEAD_KEPT_MS) this.#watched.delete(id)
    }
    for (const id of flipped) this.#deps.onFlip(id)
  }
}
