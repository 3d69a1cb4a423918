import { InstanceId } from '../../../crdt/ids.ts'
import { DEFAULT_TIMINGS } from '../../../protocols/lease/timings.ts'
import { randomFraction } from '../../ports/random.ts'
import { leaseRequest } from './lock-request.ts'
import type { LockConflict } from '../../../crdt/lock.ts'
import type { Crypto } from '../../../protocols/crypto.ts'
import type { Cancel, Clock } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import type { Random } from '../../ports/random.ts'
import type { LeaseRefusal, LeaseService } from '../leases/lease-service.ts'
import type { Claim } from './lock-claim.ts'
import type { ProvisionalLocks } from './lock-provisional.ts'

/** Asks the voters again and again for what is held provisionally. */
export type Certifying = {
  /** There is something to ask for. */
  wake(): void
  /** Somebody was heard again: asks at once. */
  hurry(): void
  stop(): void
}

export type CertifyingDeps = {
  claims: Pick<ProvisionalLocks, 'waiting' | 'certify' | 'yieldTo'>
  leases: Pick<LeaseService, 'acquire'>
  crypto: Pick<Crypto, 'sha256'>
  clock: Clock
  random: Random
  log: Log
  /** Length of a lease. */
  ttlMs?: number
}

/** Each question takes 3 s to fail: after some in vain a minute apart is often enough, with `hurry` in between. */
const PAUSE_MIN_MS = 2000
const PAUSE_MAX_MS = 60_000

type Held = Extract<LeaseRefusal, { why: 'held' }>

export const createCertifying = (deps: CertifyingDeps): Certifying => new Loop(deps)

class Loop implements Certifying {
  readonly #deps: CertifyingDeps
  /** Who has been in a claim's way, and since when. */
  readonly #blocked = new Map<string, { readonly leaseId: string; readonly sinceMs: number }>()
  #cancel: Cancel | undefined
  #isAsking = false
  #isStopped = false
  #failures = 0

  constructor(deps: CertifyingDeps) {
    this.#deps = deps
  }

  wake(): void {
    if (this.#isStopped || this.#isAsking || this.#cancel) return
    const pauseMs = Math.min(PAUSE_MIN_MS * 2 ** this.#failures, PAUSE_MAX_MS)
    const jitter = 0.5 + randomFraction(this.#deps.random)
    this.#cancel = this.#deps.clock.after(Math.ceil(pauseMs * jitter), () => this.#start())
  }

  hurry(): void {
    this.#failures = 0
    if (!this.#isAsking && this.#deps.claims.waiting().length > 0) this.#start()
  }

  stop(): void {
    this.#isStopped = true
    this.#cancel?.()
  }

  #start(): void {
    this.#cancel?.()
    this.#cancel = undefined
    if (this.#isStopped) return
    this.#isAsking = true
    this.#round()
      .catch((error: unknown) => this.#deps.log.error({ err: error }, 'a provisional lock could not be certified'))
      .finally(() => {
        this.#isAsking = false
        if (this.#deps.claims.waiting().length > 0) this.wake()
        else this.#failures = 0
      })
  }

  /** One after the other: the first that finds no quorum speaks for all. */
  async #round(): Promise<void> {
    const waiting = this.#deps.claims.waiting()
    const ids = new Set(waiting.map(({ id }) => id))
    for (const id of this.#blocked.keys()) if (!ids.has(id)) this.#blocked.delete(id)
    for (const claim of waiting) {
      if (claim.state !== 'held') continue
      const { targets } = claim
      const lease = await this.#deps.leases.acquire(leaseRequest(this.#deps.crypto, claim.terms, targets))
      if (lease.ok) {
        await this.#deps.claims.certify(claim, { lease: lease.value, targets })
        this.#failures = 0
        continue
      }
      if (lease.error.why === 'held') this.#heldBy(claim, lease.error)
      else this.#failures++
      if (lease.error.why === 'no_quorum') return
    }
  }

  /**
   * A refusal may come from a rival that is itself only asking. It usually becomes a record here that outranks the
   * claim; where that cannot reach us, a lease that has been in the way for longer than a lease lasts was renewed, and
   * only what is certified is renewed.
   */
  #heldBy(claim: Claim, { leaseId, by }: Held): void {
    const nowMs = this.#deps.clock.monoMs()
    const before = this.#blocked.get(claim.id)
    if (before?.leaseId !== leaseId) this.#blocked.set(claim.id, { leaseId, sinceMs: nowMs })
    else if (nowMs - before.sinceMs > (this.#deps.ttlMs ?? DEFAULT_TIMINGS.ttlMs)) {
      this.#deps.claims.yieldTo(
        claim,
        conflictOf(claim, { leaseId, by }, before.sinceMs - nowMs + this.#deps.clock.wallMs()),
      )
    }
  }
}

const conflictOf = (
  { targets }: Claim,
  { leaseId, by }: Pick<Held, 'leaseId' | 'by'>,
  sinceMs: number,
): LockConflict => ({
  leaseId,
  path: targets[0]?.path ?? './',
  instanceId: InstanceId.parse(by.instanceId),
  node: null,
  since: new Date(sinceMs).toISOString(),
  guarantee: 'certified',
})
