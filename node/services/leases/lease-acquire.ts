import type { PeerId } from '../../../crdt/ids.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import type { Refused } from '../../../protocols/lease/claimant.ts'
import { backoffMs, type LeaseTimings } from '../../../protocols/lease/timings.ts'
import type { Clock } from '../../ports/clock.ts'
import { randomFraction, type Random } from '../../ports/random.ts'
import type { HeldLease, LeaseRefusal } from './lease-service.ts'

/** What became of one lease id. */
export type Attempt =
  | { readonly is: 'certified'; readonly lease: HeldLease }
  | { readonly is: 'refused'; readonly denies: readonly Refused[]; readonly silent: readonly PeerId[] }
  | { readonly is: 'limit' }

export type Acquisition = {
  readonly clock: Clock
  readonly random: Random
  readonly timings: LeaseTimings
  /** Of the current voter set. */
  readonly quorum: () => number
  /** Aborted when the service closes. */
  readonly closing: AbortSignal
  /**
   * Tries once under a new lease id, for at most so long; a failed attempt has been withdrawn. A hasty one ends as soon
   * as a voter wants a higher token.
   */
  attempt(limitMs: number, isHasty: boolean): Promise<Attempt>
  pause(limitMs: number): Promise<void>
  /** As `pause`, but ends as soon as a voter says that the way of the latest attempt is free. */
  pauseUntilFree(limitMs: number): Promise<void>
  /** The author of last writes that did not arrive here within the time, if any. */
  missingAuthor(lease: HeldLease, limitMs: number): Promise<PeerId | undefined>
  giveBack(lease: HeldLease): void
  isValid(lease: HeldLease): boolean
}

/** One corrects the token; a voter that is never content must not keep the others from agreeing. */
const HASTY_TRIES = 2

/** Tries until it has the lease, knows who has it, or the time is up. */
export async function acquireLease(ctx: Acquisition, waitMs: number): Promise<Result<HeldLease, LeaseRefusal>> {
  const { clock, timings } = ctx
  const startMs = clock.monoMs()
  const answerByMs = startMs + waitMs + timings.answerMs
  for (let retries = 0; ; retries++) {
    const leftMs = answerByMs - clock.monoMs()
    const attempt = await ctx.attempt(Math.min(leftMs, timings.answerMs), retries < HASTY_TRIES)
    if (attempt.is === 'certified') return await catchUp(ctx, attempt.lease, answerByMs)
    if (attempt.is === 'limit') return err({ why: 'limit' })
    const verdict = judge(attempt.denies, attempt.silent, ctx.quorum())
    const backoff = backoffMs(timings, retries, randomFraction(ctx.random))
    const pauseMs = verdict.next !== 'at_once' ? backoff : retries > 0 ? timings.staleRetryMs : 0
    const tryUntilMs = {
      at_once: answerByMs,
      backoff: answerByMs,
      if_held: startMs + waitMs,
      if_silent: startMs + timings.answerMs,
      never: -Infinity,
    }[verdict.next]
    const mayRetry = clock.monoMs() < tryUntilMs && !ctx.closing.aborted
    if (!mayRetry) return err(verdict.refusal)
    const restMs = Math.min(pauseMs, answerByMs - clock.monoMs())
    // Hints count only while somebody holds it: rivals who woke each other by withdrawing would split the votes for ever.
    if (verdict.next === 'if_held') await ctx.pauseUntilFree(restMs)
    else if (restMs > 0) await ctx.pause(restMs)
    if (clock.monoMs() >= answerByMs || ctx.closing.aborted) return err(verdict.refusal)
  }
}

/** A claim must not act on a state older than the previous holder's last writes. */
async function catchUp(
  ctx: Acquisition,
  lease: HeldLease,
  answerByMs: number,
): Promise<Result<HeldLease, LeaseRefusal>> {
  const limitMs = Math.min(ctx.timings.afterMs, Math.max(0, answerByMs - ctx.clock.monoMs()))
  const author = await ctx.missingAuthor(lease, limitMs)
  if (author === undefined && ctx.isValid(lease)) return ok(lease)
  ctx.giveBack(lease)
  return err(author === undefined ? { why: 'no_quorum', missing: [] } : { why: 'behind', author })
}

/** How long it is worth trying: a holder is waited for as long as the caller likes, silent voters are not. */
type Next = 'at_once' | 'backoff' | 'if_held' | 'if_silent' | 'never'
type Verdict = { readonly next: Next; readonly refusal: LeaseRefusal }

function judge(denies: readonly Refused[], silent: readonly PeerId[], quorum: number): Verdict {
  const conflicts = denies.flatMap(({ by }) => by ?? [])
  const [first] = conflicts
  if (first) {
    const { info, owner, lid } = first
    const refusal: LeaseRefusal = { why: 'held', by: info, owner, leaseId: lid }
    // Fewer than a quorum in favour of one lease may be nothing but a split vote among newcomers.
    const isHeld = conflicts.filter((by) => by.lid === lid && by.node === first.node).length >= quorum
    return { next: isHeld ? 'if_held' : 'backoff', refusal }
  }
  const unable = denies.filter(({ why }) => why !== 'stale' && why !== 'limit').map(({ voter }) => voter)
  const refusal: LeaseRefusal = { why: 'no_quorum', missing: [...silent, ...unable] }
  if (denies.some(({ why }) => why === 'limit')) return { next: 'never', refusal: { why: 'limit' } }
  return { next: denies.some(({ why }) => why === 'stale') ? 'at_once' : 'if_silent', refusal }
}
