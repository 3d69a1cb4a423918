import { domainError } from '../../../crdt/errors.ts'
import { err, ok } from '../../../crdt/result.ts'
import { refusalError } from '../claims/claim-refusal.ts'
import { certifiedEntries } from './lock-certified.ts'
import { viewsOf } from './lock-claim.ts'
import { leaseRequest } from './lock-request.ts'
import { targetOf, termsOfRecord } from './lock-terms.ts'
import type { FileLock } from '../../../crdt/lock.ts'
import type { Result } from '../../../crdt/result.ts'
import type { Clock } from '../../ports/clock.ts'
import type { FeedPosition } from '../feeds/documents.ts'
import type { HeldLease, LeaseRefusal } from '../leases/lease-service.ts'
import type { Claim } from './lock-claim.ts'
import type { LockDeps } from './lock-deps.ts'
import type { LockTarget } from './lock-target.ts'
import type { LockTerms } from './lock-terms.ts'

/** All paths of one lease travel in each of its messages and in its certificate. */
const KEYS_PER_LEASE_BYTES_MAX = 64 * 1024
/** Voters that can be reached have answered by then. The claim has settled before the lease service gives up at 3 s. */
const PATIENCE_MS = 1300

type Outcome = Result<HeldLease, LeaseRefusal>

/** One lease over all targets, or none; in the live document before it is returned. */
export async function takeLease(
  deps: LockDeps,
  terms: LockTerms,
  targets: readonly LockTarget[],
): Promise<Result<readonly FileLock[]>> {
  if (isTooLarge(targets)) return err(domainError('too_large'))
  return await conclude(deps, terms, { outcome: await ask(deps, terms, targets), targets })
}

/**
 * The same, but where no quorum answers the locks are provisional. The claim is announced while the voters are still
 * being waited for, so that both waits fit into one.
 */
export async function takeLeaseOrClaim(
  deps: LockDeps,
  terms: LockTerms,
  targets: readonly LockTarget[],
): Promise<Result<readonly FileLock[]>> {
  if (isTooLarge(targets)) return err(domainError('too_large'))
  const asking = ask(deps, terms, targets)
  const early = await within(deps.clock, PATIENCE_MS, asking)
  if (early && (early.ok || early.error.why !== 'no_quorum')) {
    return await conclude(deps, terms, { outcome: early, targets })
  }
  const begun = await deps.claims.begin(terms, targets)
  const outcome = await asking
  if (!begun.ok) {
    const isAlone = !outcome.ok && outcome.error.why === 'no_quorum'
    return isAlone ? begun : await conclude(deps, terms, { outcome, targets })
  }
  const claim = begun.value
  if (!outcome.ok && outcome.error.why === 'no_quorum') {
    const settled = await deps.claims.settle(claim, outcome.error.missing.map(deps.nameOf))
    if (settled.ok) deps.metrics?.count('rookery_leases_total', { purpose: 'lock', outcome: 'provisional' })
    return settled
  }
  const certified = outcome.ok
    ? await deps.claims.certify(claim, { lease: outcome.value, targets: claim.targets })
    : err(refused(deps, outcome.error))
  if (!certified.ok) await deps.claims.withdraw(claim)
  return certified
}

/** Asks the voters for what is held provisionally. @errors what a lease can be refused for; the claim stands then */
export async function certifyNow(deps: LockDeps, claim: Claim): Promise<Result<readonly FileLock[]>> {
  const { terms, targets } = claim
  const outcome = await ask(deps, terms, targets)
  if (!outcome.ok) return err(refused(deps, outcome.error))
  return await deps.claims.certify(claim, { lease: outcome.value, targets })
}

const isTooLarge = (targets: readonly LockTarget[]): boolean =>
  targets.reduce((sum, { key }) => sum + utf8.encode(key).byteLength, 0) > KEYS_PER_LEASE_BYTES_MAX

const utf8 = new TextEncoder()

const ask = (deps: LockDeps, terms: LockTerms, targets: readonly LockTarget[]): Promise<Outcome> =>
  deps.leases.acquire(leaseRequest(deps.crypto, terms, targets))

const refused = (deps: LockDeps, refusal: LeaseRefusal) =>
  refusalError(refusal, { held: 'lock_held', nameOf: deps.nameOf })

/** Undefined when it takes longer; it goes on all the same. */
async function within<T>(clock: Clock, ms: number, task: Promise<T>): Promise<T | undefined> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>()
  const cancel = clock.after(ms, () => resolve(undefined))
  try {
    return await Promise.race([task, late])
  } finally {
    cancel()
  }
}

async function conclude(
  deps: LockDeps,
  terms: LockTerms,
  { outcome, targets }: { outcome: Outcome; targets: readonly LockTarget[] },
): Promise<Result<readonly FileLock[]>> {
  if (!outcome.ok) return err(refused(deps, outcome.error))
  const entries = certifiedEntries(terms, { lease: outcome.value, targets, nowMs: deps.clock.wallMs() })
  let put: Result<FeedPosition> | undefined
  try {
    put = await deps.live.put(entries)
  } finally {
    if (!put?.ok) await deps.leases.release(outcome.value.leaseId)
  }
  return put.ok ? ok(viewsOf(deps.self, entries)) : put
}

/** Gives all locks of a lease, or of a provisional claim, back. */
export async function dropLease(deps: LockDeps, leaseId: string): Promise<FeedPosition> {
  const claim = deps.claims.held(leaseId)
  if (claim) return await deps.claims.withdraw(claim)
  await deps.leases.release(leaseId)
  return await deps.live.drop(deps.live.ofLease(leaseId).map(({ id }) => id))
}

/**
 * Gives one lock of this node back. When its lease covers other paths too, these get a lease of their own first (one
 * owner's leases do not exclude each other), so that they are held all the time.
 * @errors what a lease can be refused for; then nothing has changed
 */
export async function dropPath(deps: LockDeps, leaseId: string, entry: string): Promise<Result<FeedPosition>> {
  const claim = deps.claims.held(leaseId)
  if (claim) return ok(await deps.claims.dropPath(claim, entry))
  const rest = deps.live.ofLease(leaseId).filter(({ id }) => id !== entry)
  const [first] = rest
  if (first) {
    const kept = await takeLease(
      deps,
      termsOfRecord(first.record),
      rest.map(({ record }) => targetOf(record)),
    )
    // Where the lease is not sure of anything, the rest is lost with it.
    if (!kept.ok && deps.leases.isValid(leaseId)) return kept
  }
  return ok(await dropLease(deps, leaseId))
}
