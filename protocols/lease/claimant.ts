import type { MeshId, PeerId } from '../../crdt/ids.ts'
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
import { isSignedBy, requestHash, signAs, type Keys } from './signing.ts'
import { elapsedMs, type Instant, type LeaseTimings } from './timings.ts'

export type ClaimEnv = {
  readonly keys: Keys
  readonly voters: VoterSet
  readonly timings: LeaseTimings
  /** 32 random hex digits, never the same twice. */
  readonly nonce: () => string
  /** Uniform in [0, 1). */
  readonly fraction: () => number
  /** Highest vseq seen per `<voter>/<incarnation>`. */
  readonly seen: () => Record<string, number>
  /** Told of every grant whose signature was checked. */
  readonly noteGrant: (grant: Grant) => void
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
}

export type ClaimEvent =
  | { readonly is: 'certified'; readonly certificate: Certificate }
  /** The first round failed: enough voters refused, or too few answered. */
  | { readonly is: 'refused' }
  | { readonly is: 'renewed' }
  /** No longer valid here; asks the voters whether somebody was certified in between. */
  | { readonly is: 'suspended' }
  /** Valid again with the same token: nobody was. */
  | { readonly is: 'resumed' }
  | { readonly is: 'lost' }

export type Transmission = { readonly request: LeaseRequest; readonly to: readonly PeerId[] }

type Round = {
  readonly request: LeaseRequest
  readonly reqHash: Uint8Array
  /** Taken before the first transmission; retransmissions do not move it. */
  readonly since: Instant
  sentMs: number
  readonly grants: Map<PeerId, Grant>
  readonly denies: Map<PeerId, Deny>
}

/** The holder's side of one lease. Synchronous: time comes in as arguments, messages go out as return values. */
export class Claim {
  readonly spec: ClaimSpec
  readonly #env: ClaimEnv
  #phase: 'asking' | 'held' | 'suspended' | 'ended' = 'asking'
  #info: HolderInfo
  #seq: number
  #round: Round | undefined
  /** Monotonic time of the next round, when none is under way. */
  #nextRoundMs = -Infinity
  #roundsLeft = 0
  #valid: { since: Instant; ttlMs: number } | undefined

  constructor(env: ClaimEnv, spec: ClaimSpec) {
    this.#env = env
    this.spec = spec
    this.#info = spec.info
    this.#seq = spec.firstSeq
  }

  get hasEnded(): boolean {
    return this.#phase === 'ended'
  }

  get info(): HolderInfo {
    return this.#info
  }

  /** Evaluated at every use: by the fastest clock, with the margin for clocks that run apart. */
  isValid(now: Instant): boolean {
    return this.#phase === 'held' && this.#valid !== undefined && this.#leftMs(this.#valid, now) > 0
  }

  /** Refusals of the latest round, and the voters that have not answered it. */
  standing(): { readonly denies: readonly Deny[]; readonly granted: number; readonly silent: readonly PeerId[] } {
    const { grants, denies } = this.#round ?? NO_ROUND
    const silent = [...this.#env.voters.incarnations.keys()].filter((peer) => !grants.has(peer) && !denies.has(peer))
    return { denies: [...denies.values()], granted: grants.size, silent }
  }

  /** Shown to others from the next renewal on. */
  describe(info: HolderInfo): void {
    this.#info = info
  }

  /** To be called at `dueMs` or any time before or after. */
  poll(now: Instant): { readonly send?: Transmission; readonly event?: ClaimEvent } {
    if (this.#phase === 'ended') return {}
    const event = this.#lapse(now) ?? this.#timeout(now)
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

  onGrant(grant: Grant, now: Instant): ClaimEvent | undefined {
    const round = this.#round
    const { keys, voters } = this.#env
    if (this.#phase === 'ended' || !round || round.grants.has(grant.voter)) return undefined
    if (!isGrantFor(voters, { req: round.request, reqHash: round.reqHash }, grant)) return undefined
    if (!isSignedBy(keys.crypto, grant.voter, 'grant', grant)) return undefined
    this.#env.noteGrant(grant)
    round.denies.delete(grant.voter)
    round.grants.set(grant.voter, grant)
    return round.grants.size < voters.quorum ? undefined : this.#certify(round, now)
  }

  onDeny(deny: Deny, now: Instant): ClaimEvent | undefined {
    const round = this.#round
    const { keys, voters } = this.#env
    if (this.#phase === 'ended' || !round || round.grants.has(deny.voter)) return undefined
    if (!voters.incarnations.has(deny.voter) || !equalBytes(deny.reqHash, round.reqHash)) return undefined
    if (!isSignedBy(keys.crypto, deny.voter, 'deny', deny)) return undefined
    round.denies.set(deny.voter, deny)
    const stillPossible = voters.incarnations.size - round.denies.size >= voters.quorum
    return stillPossible ? undefined : this.#failRound(now)
  }

  /** Ends the use of the lease, or the attempt, for good: whatever arrives later is ignored. */
  release(after?: Position): Release {
    this.#phase = 'ended'
    const { keys, voters } = this.#env
    const space: MeshId = voters.config.space
    const { lid, token } = this.spec
    const body = { v: 1 as const, space, lid, node: keys.signer.peer, token, ...(after && { after }) }
    return signAs(keys, 'release', body)
  }

  #leftMs(valid: { since: Instant; ttlMs: number }, now: Instant): number {
    return this.#env.timings.margin * valid.ttlMs - elapsedMs(valid.since, now)
  }

  #lapse(now: Instant): ClaimEvent | undefined {
    if (this.#phase !== 'held' || this.isValid(now)) return undefined
    this.#phase = 'suspended'
    this.#round = undefined
    this.#roundsLeft = this.#env.timings.resumeRounds
    this.#nextRoundMs = now.monoMs
    return { is: 'suspended' }
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
    if (this.#phase === 'suspended' && this.#roundsLeft === 0) {
      this.#phase = 'ended'
      return { is: 'lost' }
    }
    const { renewRetryMinMs: min, renewRetryMaxMs: max } = this.#env.timings
    this.#nextRoundMs = now.monoMs + min + (max - min) * this.#env.fraction()
    return undefined
  }

  #begin(now: Instant): Transmission | undefined {
    if (now.monoMs < this.#nextRoundMs) return undefined
    const { keys, voters, timings } = this.#env
    const { config, cid } = voters
    const ttl = this.#phase === 'held' ? timings.ttlMs : timings.holdMs
    const { lid, owner, res, token } = this.spec
    const request = signAs(keys, 'request', {
      v: 1 as const,
      space: config.space,
      epoch: config.epoch,
      cid,
      lid,
      seq: this.#seq++,
      node: keys.signer.peer,
      owner,
      info: this.#info,
      res: [...res],
      token,
      ttl,
      nonce: this.#env.nonce(),
      seen: this.#env.seen(),
    })
    const reqHash = requestHash(keys.crypto, request)
    this.#round = { request, reqHash, since: now, sentMs: now.monoMs, grants: new Map(), denies: new Map() }
    return { request, to: [...voters.incarnations.keys()] }
  }

  #retransmit(round: Round, now: Instant): Transmission | undefined {
    if (now.monoMs - round.sentMs < this.#env.timings.retransmitMs) return undefined
    round.sentMs = now.monoMs
    return { request: round.request, to: this.standing().silent }
  }

  #certify(round: Round, now: Instant): ClaimEvent | undefined {
    const valid = { since: round.since, ttlMs: round.request.ttl }
    const wasAsking = this.#phase === 'asking'
    if (this.#leftMs(valid, now) <= 0) return this.#failRound(now)
    const resumed = this.#phase === 'suspended'
    // A round that was slow to come back must not replace a longer validity.
    if (!this.#valid || this.#leftMs(valid, now) > this.#leftMs(this.#valid, now)) this.#valid = valid
    this.#phase = 'held'
    this.#nextRoundMs = this.#renewalMs(round, now)
    this.#round = undefined
    if (wasAsking) return { is: 'certified', certificate: { req: round.request, grants: [...round.grants.values()] } }
    return { is: resumed ? 'resumed' : 'renewed' }
  }

  #renewalMs(round: Round, now: Instant): number {
    const { ttlMs, firstRenewMs, renewAt, renewGridMs } = this.#env.timings
    const isShort = round.request.ttl < ttlMs
    const dueMs = isShort ? now.monoMs + firstRenewMs : round.since.monoMs + round.request.ttl * renewAt
    return Math.max(now.monoMs, Math.ceil(dueMs / renewGridMs) * renewGridMs)
  }
}

const NO_ROUND = { grants: new Map<PeerId, Grant>(), denies: new Map<PeerId, Deny>() }
