import { nextHlc } from '../../../crdt/hlc.ts'
import { domainError } from '../../../crdt/errors.ts'
import { isProvisional, VOTER_NAME_CHARS_MAX } from '../../../crdt/lock-record.ts'
import { err, ok } from '../../../crdt/result.ts'
import { toHex } from '../../../protocols/codec.ts'
import { certifiedEntries } from './lock-certified.ts'
import { conflictWith, entriesOf, entryIds, noticeOf, stands, viewsOf } from './lock-claim.ts'
import { betterRival, heldError, knownLocks } from './lock-rivals.ts'
import type { Hlc } from '../../../crdt/hlc.ts'
import type { HeldLock } from '../../../crdt/lock-board.ts'
import type { FileLock, LockConflict } from '../../../crdt/lock.ts'
import type { PeerId } from '../../../crdt/ids.ts'
import type { Result } from '../../../crdt/result.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import type { Random } from '../../ports/random.ts'
import type { FeedPosition } from '../feeds/documents.ts'
import type { HeldLease, LeaseService } from '../leases/lease-service.ts'
import type { LockBoards } from './lock-boards.ts'
import type { Claim } from './lock-claim.ts'
import type { LiveLocks } from './lock-live.ts'
import type { LockNotices } from './lock-notices.ts'
import type { LockOwner } from './lock-rivals.ts'
import type { LockTarget } from './lock-target.ts'
import type { LockTerms } from './lock-terms.ts'

/** Two rounds of gossip: whoever can hear the claim has heard it by then. */
export const SETTLE_MS = 1500
/** Far more than agents work on while nobody can be asked; each costs a durable entry. */
const CLAIMS_MAX = 256
/** A disk that refuses a notice is tried again. */
const NOTICE_RETRY_MS = 5000
/** A timer that is set for longer is set again: hosts limit the length of one, and it stands still in sleep. */
const TIMER_MAX_MS = 60_000

export type ProvisionalLocks = {
  /**
   * Announces a claim, unless an overlapping lock of another owner is known here. It does not count before `settle`.
   * @errors lock_held, limit_reached, storage_failed
   */
  begin(terms: LockTerms, targets: readonly LockTarget[]): Promise<Result<Claim>>
  /** Waits for objections; from then on the claim is held. @errors lock_held */
  settle(claim: Claim, missing: readonly string[]): Promise<Result<readonly FileLock[]>>
  /**
   * Puts the certificate in the claim's place: the same lock, now certain. A claim that has ended, or whose targets are
   * no longer these, gives the lease back.
   */
  certify(claim: Claim, granted: { lease: HeldLease; targets: Claim['targets'] }): Promise<Result<readonly FileLock[]>>
  /** Ends it without a notice. Nothing to do when it has ended. */
  withdraw(claim: Claim): Promise<FeedPosition>
  /** Gives one of its paths back. For a claim that is `held`. */
  dropPath(claim: Claim, entry: string): Promise<FeedPosition>
  /** For a claim that is `held`. What the disk refuses changes nothing. */
  extend(claim: Claim, untilMs: number): Promise<Result<FeedPosition>>
  /** Gives way, with a durable notice. Nothing happens to a claim that does not stand. */
  yieldTo(claim: Claim, conflict: LockConflict): void
  /** The claim that is held under this id now. */
  held(id: string): Claim | undefined
  /** Held claims, oldest first. */
  waiting(): readonly Claim[]
  /** Looks for better locks of others. Called on every change of what is known. */
  review(): void
  stop(): void
}

export type ProvisionalDeps = {
  boards: Pick<LockBoards, 'board'>
  live: LiveLocks
  notices: Pick<LockNotices, 'put' | 'close'>
  leases: LeaseService
  clock: Clock
  random: Random
  log: Log
  self: PeerId
  /** Told when a claim has become held. */
  onHeld: () => void
}

export const createProvisionalLocks = (deps: ProvisionalDeps): ProvisionalLocks => new Provisional(deps)

class Provisional implements ProvisionalLocks {
  readonly #deps: ProvisionalDeps
  readonly #claims = new Map<string, Claim>()
  #isStopped = false

  constructor(deps: ProvisionalDeps) {
    this.#deps = deps
  }

  async begin(terms: LockTerms, targets: readonly LockTarget[]): Promise<Result<Claim>> {
    const { live, notices, clock, random } = this.#deps
    const [rival] = knownLocks(this.#deps).rivals(this.#owner(terms), targets)
    if (rival) return err(heldError(rival))
    if (this.#claims.size >= CLAIMS_MAX) return err(domainError('limit_reached', { message: TOO_MANY }))
    const id = toHex(random.bytes(16))
    const claim: Claim = {
      id,
      hlc: nextHlc(this.#readings(), clock.wallMs()),
      settledAtMs: clock.monoMs() + SETTLE_MS,
      terms,
      targets: targets.map((target, i) => ({ ...target, entry: `${id}/${i}` })),
      missing: [],
      state: 'settling',
      lostTo: undefined,
      cancelExpiry: () => undefined,
    }
    this.#claims.set(id, claim)
    // Both are under way before anything is awaited: whoever looks next finds the claim.
    const announced = live.put(entriesOf(claim))
    const entered = notices.put(terms.projectId, { ...noticeOf(claim), state: 'open' })
    for (const written of await Promise.all([announced, entered])) {
      if (written.ok) continue
      await this.withdraw(claim)
      return written
    }
    return ok(claim)
  }

  async settle(claim: Claim, missing: readonly string[]): Promise<Result<readonly FileLock[]>> {
    await pause(this.#deps.clock, claim.settledAtMs - this.#deps.clock.monoMs())
    if (claim.state !== 'settling') return err(lossOf(claim))
    claim.state = 'held'
    claim.missing = missing.map((name) => name.slice(0, VOTER_NAME_CHARS_MAX))
    this.#armExpiry(claim)
    const put = await this.#deps.live.put(entriesOf(claim))
    if (!put.ok) await this.withdraw(claim)
    if (!put.ok) return put
    if (claim.lostTo) return err(lossOf(claim))
    this.#deps.onHeld()
    return ok(viewsOf(this.#deps.self, entriesOf(claim)))
  }

  async certify(
    claim: Claim,
    { lease, targets }: { lease: HeldLease; targets: Claim['targets'] },
  ): Promise<Result<readonly FileLock[]>> {
    const { leases, live } = this.#deps
    const { state: before } = claim
    if (!stands(claim) || claim.targets !== targets) {
      await leases.release(lease.leaseId)
      return err(lossOf(claim))
    }
    const granted = { lease, targets, nowMs: this.#deps.clock.wallMs() }
    const entries = certifiedEntries(claim.terms, granted).map((entry) => ({ ...entry, claim: claim.id }))
    claim.state = 'certifying'
    leases.extend(lease.leaseId, claim.terms.untilMs)
    let put: Result<FeedPosition> | undefined
    try {
      put = await live.replace(entryIds(claim), entries)
    } finally {
      if (!put?.ok) {
        claim.state = before
        await leases.release(lease.leaseId)
        this.#armExpiry(claim)
        this.review()
      }
    }
    if (!put.ok) return put
    await this.#close(claim)
    return ok(viewsOf(this.#deps.self, entries))
  }

  async withdraw(claim: Claim): Promise<FeedPosition> {
    if (!stands(claim)) return await this.#deps.live.drop([])
    claim.state = 'ended'
    const position = await this.#deps.live.drop(entryIds(claim))
    await this.#close(claim)
    return position
  }

  async dropPath(claim: Claim, entry: string): Promise<FeedPosition> {
    const rest = claim.targets.filter((target) => target.entry !== entry)
    if (rest.length === 0) return await this.withdraw(claim)
    claim.targets = rest
    return await this.#deps.live.drop([entry])
  }

  async extend(claim: Claim, untilMs: number): Promise<Result<FeedPosition>> {
    const { terms } = claim
    claim.terms = { ...terms, untilMs }
    let put: Result<FeedPosition> | undefined
    try {
      put = await this.#deps.live.put(entriesOf(claim))
    } finally {
      if (!put?.ok) {
        claim.terms = terms
        if (stands(claim)) this.#armExpiry(claim)
      }
    }
    return put
  }

  yieldTo(claim: Claim, conflict: LockConflict): void {
    if (claim.state !== 'held') return
    this.#end(claim)
    this.#own(this.#tellLoss(claim, conflict, true), claim)
  }

  held(id: string): Claim | undefined {
    const claim = this.#claims.get(id)
    return claim?.state === 'held' ? claim : undefined
  }

  waiting(): readonly Claim[] {
    return [...this.#claims.values()].filter(({ state }) => state === 'held')
  }

  review(): void {
    const standing = [...this.#claims.values()].filter(stands)
    if (standing.length === 0 || this.#isStopped) return
    const known = knownLocks(this.#deps)
    for (const claim of standing) {
      const rivals = known.rivals(this.#owner(claim.terms), claim.targets)
      const rival = betterRival({ lease: claim.id, token: null, hlc: claim.hlc }, rivals)
      if (rival) this.#lose(claim, rival)
    }
  }

  stop(): void {
    this.#isStopped = true
    for (const { cancelExpiry } of this.#claims.values()) cancelExpiry()
  }

  #lose(claim: Claim, rival: HeldLock): void {
    claim.lostTo = rival
    // Nobody has worked under it yet: whoever waits for it is told, and that is all.
    if (claim.state === 'settling') return this.#own(this.withdraw(claim), claim)
    this.yieldTo(claim, conflictWith(rival))
  }

  /** The notice is durable before the lock is seen to be gone; a disk that refuses does not keep the lock. */
  async #tellLoss(claim: Claim, conflict: LockConflict, isFirst: boolean): Promise<void> {
    // What stays open becomes a notice at the next start.
    if (this.#isStopped) return
    const { notices, live, clock, log } = this.#deps
    const ended = new Date(clock.wallMs()).toISOString()
    const { instanceId: instance, leaseId: lease, ...rest } = conflict
    const notice = { ...noticeOf(claim), state: 'yield', ended, conflict: { instance, lease, ...rest } } as const
    const told = await notices.put(claim.terms.projectId, notice)
    if (isFirst) await live.drop(entryIds(claim))
    if (told.ok) return
    log.warn({ claim: claim.id, code: told.error.code }, 'the notice of a lost lock could not be written')
    clock.after(NOTICE_RETRY_MS, () => this.#own(this.#tellLoss(claim, conflict, false), claim))
  }

  async #close(claim: Claim): Promise<void> {
    this.#end(claim)
    const closed = await this.#deps.notices.close(claim.terms.projectId, claim.id)
    // It stays open then, and becomes a notice at the next start: told too much, not too little.
    if (!closed.ok) this.#deps.log.warn({ claim: claim.id }, 'the end of a provisional lock could not be written')
  }

  #end(claim: Claim): void {
    claim.state = 'ended'
    claim.cancelExpiry()
    this.#claims.delete(claim.id)
  }

  #armExpiry(claim: Claim): void {
    claim.cancelExpiry()
    const leftMs = claim.terms.untilMs - this.#deps.clock.wallMs()
    claim.cancelExpiry = this.#deps.clock.after(Math.max(0, Math.min(Math.ceil(leftMs), TIMER_MAX_MS)), () => {
      if (claim.terms.untilMs > this.#deps.clock.wallMs()) this.#armExpiry(claim)
      else this.#own(this.withdraw(claim), claim)
    })
  }

  #owner({ instance, tokenId }: LockTerms): LockOwner {
    return { node: this.#deps.self, instance, tokenId }
  }

  *#readings(): Generator<Hlc> {
    for (const { record } of this.#deps.boards.board.active()) if (isProvisional(record)) yield record.hlc
    for (const { hlc } of this.#claims.values()) yield hlc
  }

  #own(work: Promise<unknown>, { id }: Claim): void {
    work.catch((error: unknown) =>
      this.#deps.log.error({ err: error, claim: id }, 'the end of a claim was not written'),
    )
  }
}

const TOO_MANY = `This node holds ${CLAIMS_MAX} locks without a quorum already.`

const lossOf = ({ lostTo }: Claim) => (lostTo ? heldError(lostTo) : domainError('superseded'))

const pause = (clock: Clock, ms: number): Promise<void> =>
  new Promise((resolve) => clock.after(Math.max(0, Math.ceil(ms)), resolve))
