import type { PeerId } from '../../crdt/ids.ts'
import { equalBytes } from '../codec.ts'
import { isGrantFor } from './certificate.ts'
import type { VoterSet } from './config.ts'
import type {
  Certificate,
  Deny,
  Grant,
  HolderInfo,
  LeaseRequest,
  Position,
  Release,
  Resource,
  Token,
} from './messages.ts'
import type { Draft, Signatures, Signed } from './signing.ts'
import { elapsedMs, type Instant, type LeaseTimings } from './timings.ts'

export type ClaimEnv = {
  readonly signatures: Signatures
  /** The current voter set. It may change between calls. */
  readonly voters: () => VoterSet
  /** Voters whose word does not count, since they were seen to break theirs. */
  readonly isExcluded: (voter: PeerId, inc: string) => boolean
  readonly timings: LeaseTimings
  /** 32 random hex digits, never the same twice. */
  readonly nonce: () => string
  /** Uniform in [0, 1). */
  readonly fraction: () => number
  /** A token number above all that are known. */
  readonly nextToken: () => number
  /** Highest vseq seen per `<voter>/<incarnation>`. */
  readonly seen: () => Record<string, number>
  /** The request with the signature it left with. */
  readonly signed: (request: Draft<LeaseRequest>) => Signed<LeaseRequest>
  /** Told of every grant whose signature was checked. */
  readonly noteGrant: (grant: Signed<Grant>, request: Draft<LeaseRequest>) => void
}

export type ClaimSpec = {
  /** Random, never used before. */
  readonly lid: string
  /** `<boot counter> * 2^20` of this process: sequence numbers of an earlier process are never used again. */
  readonly firstSeq: number
  readonly owner: string
  readonly info: HolderInfo
  /** Sorted and normalised. */
  readonly res: readonly Resource[]
  readonly token: Token
  /** An earlier process of this node was given the lease: it goes on if nobody else was certified since. */
  readonly isResumed?: boolean
  /** A `stale` ends the first round: asking again with a better token is quicker than waiting for voters that are down. */
  readonly isHasty?: boolean
}

export type ClaimEvent =
  | { readonly is: 'certified'; readonly certificate: Certificate }
  /** The first round failed: enough voters refused, or too few answered. */
  | { readonly is: 'refused' }
  | { readonly is: 'renewed' }
  /** Carried over to a new voter set, under a token of its epoch. */
  | { readonly is: 'retokened'; readonly certificate: Certificate }
  /** No longer valid here; asks the voters whether somebody was certified in between. */
  | { readonly is: 'suspended' }
  /** Valid again with the same token: nobody was. */
  | { readonly is: 'resumed' }
  | { readonly is: 'lost' }

export type Transmission = { readonly request: Draft<LeaseRequest>; readonly to: readonly PeerId[] }

export type Refused = Deny & { readonly voter: PeerId }

type Round = {
  readonly request: Draft<LeaseRequest>
  readonly voters: VoterSet
  /** Taken before the first transmission; retransmissions do not move it. */
  readonly since: Instant
  sentMs: number
  readonly grants: Map<PeerId, Signed<Grant>>
  readonly denies: Map<PeerId, Deny>
}

/** The holder's side of one lease. Synchronous: time comes in as arguments, messages go out as return values. */
export class Claim {
  readonly spec: ClaimSpec
  readonly #env: ClaimEnv
  #phase: 'asking' | 'held' | 'suspended' | 'ended'
  #info: HolderInfo
  #seq: number
  #token: Token
  /** Asked for in an epoch that is newer than the certified token. */
  #pending: Token | undefined
  #round: Round | undefined
  /** Monotonic time of the next round, when none is under way. */
  #nextRoundMs = -Infinity
  #roundsLeft: number
  #valid: { since: Instant; ttlMs: number } | undefined

  constructor(env: ClaimEnv, spec: ClaimSpec) {
    this.#env = env
    this.spec = spec
    this.#info = spec.info
    this.#seq = spec.firstSeq
    this.#token = spec.token
    this.#phase = spec.isResumed ? 'suspended' : 'asking'
    this.#roundsLeft = env.timings.resumeRounds
  }

  get hasEnded(): boolean {
    return this.#phase === 'ended'
  }

  /** The last certified one; while there is none, the one asked for. */
  get token(): Token {
    return this.#token
  }

  get info(): HolderInfo {
    return this.#info
  }

  /** Evaluated at every use: by the fastest clock, with the margin for clocks that run apart. */
  isValid(now: Instant): boolean {
    return this.#phase === 'held' && this.#valid !== undefined && this.#leftMs(this.#valid, now) > 0
  }

  /** Refusals of the latest round, and the voters that have not answered it. */
  standing(): { readonly denies: readonly Refused[]; readonly granted: number; readonly silent: readonly PeerId[] } {
    const round = this.#round
    const asked = [...(round?.voters ?? this.#env.voters()).incarnations.keys()]
    const silent = asked.filter((peer) => !round?.grants.has(peer) && !round?.denies.has(peer))
    const denies = [...(round?.denies ?? [])].map(([voter, deny]) => ({ ...deny, voter }))
    return { denies, granted: round?.grants.size ?? 0, silent }
  }

  /** Shown to others from the next renewal on. */
  describe(info: HolderInfo): void {
    this.#info = info
  }

  /** To be called at `dueMs` or any time before or after, and when the voter set has changed. */
  poll(now: Instant): { readonly send?: Transmission; readonly event?: ClaimEvent } {
    if (this.#phase === 'ended') return {}
    const event = this.#lapse(now) ?? this.#overtaken(now) ?? this.#timeout(now)
    if (this.hasEnded) return event ? { event } : {}
    const send = this.#round ? this.#retransmit(this.#round, now) : this.#begin(now)
    return { ...(send && { send }), ...(event && { event }) }
  }

  /** Monotonic time at which `poll` has something to do. */
  dueMs(now: Instant): number {
    if (this.#phase === 'ended') return Infinity
    const { requestTimeoutMs, retransmitMs } = this.#env.timings
    const round = this.#round
    const next = round
      ? Math.min(round.sentMs + retransmitMs, round.since.monoMs + requestTimeoutMs)
      : this.#nextRoundMs
    if (this.#phase !== 'held' || !this.#valid) return next
    return Math.min(next, now.monoMs + this.#leftMs(this.#valid, now))
  }

  onGrant(grant: Signed<Grant>, now: Instant): ClaimEvent | undefined {
    const round = this.#round
    const { signatures, isExcluded, noteGrant } = this.#env
    const { voter, inc } = grant.body
    if (this.#phase === 'ended' || !round || round.grants.has(voter)) return undefined
    if (!isGrantFor(round.voters, round.request, grant.body) || isExcluded(voter, inc)) return undefined
    if (!signatures.isSignedBy(voter, grant)) return undefined
    noteGrant(grant, round.request)
    round.denies.delete(voter)
    round.grants.set(voter, grant)
    return round.grants.size < round.voters.quorum ? undefined : this.#certify(round, now)
  }

  /** `voter` is the node whose channel the refusal came through. */
  onDeny(voter: PeerId, deny: Deny, now: Instant): ClaimEvent | undefined {
    const round = this.#round
    if (this.#phase === 'ended' || !round || round.grants.has(voter)) return undefined
    const { incarnations, quorum } = round.voters
    if (!incarnations.has(voter) || !equalBytes(deny.reqHash, round.request.hash)) return undefined
    round.denies.set(voter, deny)
    const isPossible = incarnations.size - round.denies.size >= quorum
    const isTooLow = this.#phase === 'asking' && this.spec.isHasty === true && deny.why === 'stale'
    return isPossible && !isTooLow ? undefined : this.#failRound(now)
  }

  /**
   * Ends the use of the lease, or the attempt, for good: whatever arrives later is ignored. For all voters that may have
   * promised something: whoever refused the only request there was has not, unless it granted that and was sealed since.
   */
  release(after?: Position): { readonly release: Release; readonly to: readonly PeerId[] } {
    const round = this.#round
    const to = new Set([...this.#env.voters().incarnations.keys(), ...(round?.voters.incarnations.keys() ?? [])])
    if (this.#valid === undefined && !this.spec.isResumed) {
      for (const [voter, { why }] of round?.denies ?? []) if (why !== 'epoch') to.delete(voter)
    }
    this.#phase = 'ended'
    return { release: { lid: this.spec.lid, ...(after && { after }) }, to: [...to] }
  }

  #leftMs(valid: { since: Instant; ttlMs: number }, now: Instant): number {
    return this.#env.timings.margin * valid.ttlMs - elapsedMs(valid.since, now)
  }

  #lapse(now: Instant): ClaimEvent | undefined {
    if (this.#phase !== 'held' || this.isValid(now)) return undefined
    if (this.#token.epoch !== this.#env.voters().epoch) return this.#lose()
    this.#phase = 'suspended'
    this.#round = undefined
    this.#roundsLeft = this.#env.timings.resumeRounds
    this.#nextRoundMs = now.monoMs
    return { is: 'suspended' }
  }

  /**
   * The voter set has changed. A valid lease asks the new one at once, under a token of its epoch; until that is
   * certified the old one stays in use. A lease that has lapsed is lost: whoever was certified meanwhile left no trace
   * with the new voters.
   */
  #overtaken(now: Instant): ClaimEvent | undefined {
    const { epoch, cid } = this.#env.voters()
    const isOther = this.#round !== undefined && !equalBytes(this.#round.voters.cid, cid)
    if (this.#phase === 'suspended' && this.#token.epoch !== epoch) return this.#lose()
    if (this.#phase === 'asking' && (isOther || this.#token.epoch !== epoch)) return this.#failRound(now)
    if (this.#phase !== 'held') return undefined
    if (isOther) this.#round = undefined
    if (this.#token.epoch === epoch || this.#pending?.epoch === epoch) return undefined
    this.#pending = { epoch, n: this.#env.nextToken() }
    this.#nextRoundMs = now.monoMs
    return undefined
  }

  #timeout(now: Instant): ClaimEvent | undefined {
    const isOver = this.#round && now.monoMs - this.#round.since.monoMs >= this.#env.timings.requestTimeoutMs
    return isOver ? this.#failRound(now) : undefined
  }

  #failRound(now: Instant): ClaimEvent | undefined {
    if (this.#phase === 'asking') {
      this.#phase = 'ended'
      return { is: 'refused' }
    }
    this.#round = undefined
    if (this.#phase === 'suspended') this.#roundsLeft -= 1
    if (this.#phase === 'suspended' && this.#roundsLeft === 0) return this.#lose()
    const { renewRetryMinMs: min, renewRetryMaxMs: max } = this.#env.timings
    this.#nextRoundMs = now.monoMs + min + (max - min) * this.#env.fraction()
    return undefined
  }

  #lose(): ClaimEvent {
    this.#phase = 'ended'
    return { is: 'lost' }
  }

  #begin(now: Instant): Transmission | undefined {
    if (now.monoMs < this.#nextRoundMs) return undefined
    const { signatures, timings } = this.#env
    const voters = this.#env.voters()
    const ttl = this.#phase === 'held' ? timings.ttlMs : timings.holdMs
    const { lid, owner, res } = this.spec
    const request = signatures.draft<LeaseRequest>('request', {
      v: 1,
      space: voters.config.body.space,
      epoch: voters.epoch,
      cid: voters.cid,
      lid,
      seq: this.#seq++,
      node: signatures.self,
      owner,
      info: this.#info,
      res: [...res],
      token: this.#pending ?? this.#token,
      ttl,
      nonce: this.#env.nonce(),
      seen: this.#env.seen(),
    })
    this.#round = { request, voters, since: now, sentMs: now.monoMs, grants: new Map(), denies: new Map() }
    return { request, to: [...voters.incarnations.keys()] }
  }

  #retransmit(round: Round, now: Instant): Transmission | undefined {
    if (now.monoMs - round.sentMs < this.#env.timings.retransmitMs) return undefined
    round.sentMs = now.monoMs
    return { request: round.request, to: this.standing().silent }
  }

  #certify(round: Round, now: Instant): ClaimEvent | undefined {
    const valid = { since: round.since, ttlMs: round.request.body.ttl }
    if (this.#leftMs(valid, now) <= 0) return this.#failRound(now)
    if (this.#phase === 'held' && this.#pending && !this.isValid(now)) return this.#lose()
    const { token } = round.request.body
    const before = { phase: this.#phase, epoch: this.#token.epoch }
    // A round that was slow to come back must not replace a longer validity.
    if (!this.#valid || this.#leftMs(valid, now) > this.#leftMs(this.#valid, now)) this.#valid = valid
    this.#phase = 'held'
    this.#token = token
    this.#pending = undefined
    this.#nextRoundMs = this.#renewalMs(round, now)
    this.#round = undefined
    if (before.phase === 'asking') return { is: 'certified', certificate: this.#certificate(round) }
    if (before.epoch !== token.epoch) return { is: 'retokened', certificate: this.#certificate(round) }
    return { is: before.phase === 'suspended' ? 'resumed' : 'renewed' }
  }

  #certificate({ request, grants }: Round): Certificate {
    return { req: this.#env.signed(request), grants: [...grants.values()] }
  }

  #renewalMs(round: Round, now: Instant): number {
    const { ttlMs, firstRenewMs, renewAt, renewGridMs } = this.#env.timings
    const { ttl } = round.request.body
    const dueMs = ttl < ttlMs ? now.monoMs + firstRenewMs : round.since.monoMs + ttl * renewAt
    return Math.max(now.monoMs, Math.ceil(dueMs / renewGridMs) * renewGridMs)
  }
}
