import type { PeerId } from '../../crdt/ids.ts'
import { equalBytes } from '../codec.ts'
import type { VoterSet } from './config.ts'
import {
  LEASES_PER_OWNER_MAX,
  type Deny,
  type Grant,
  type LeaseRequest,
  type Position,
  type Release,
  type Token,
} from './messages.ts'
import { mergePositions } from './positions.ts'
import { decodeRecord, encodeRecord, type VoterRecord } from './records.ts'
import { areNormalised, overlaps, sameResources } from './resources.ts'
import { isSignedBy, requestHash, type Keys, type Unsigned } from './signing.ts'
import { isAtMost, leaseKey, VoterState, type Entry, type LeaseName } from './voter-state.ts'

/** Refused nodes that get a hint when what stood in their way is gone. Soft: whoever is dropped retries by itself. */
export const WAITERS_MAX = 64
/** Of the resources of a lease that stands in the way, as many are named in the refusal. */
const NAMED_RESOURCES_MAX = 8

export type VoterDeps = {
  readonly keys: Keys
  /** The current configuration. */
  readonly voterSet: () => VoterSet
  readonly isMember: (peer: PeerId) => boolean
  /** A fresh random incarnation, for the case that this disk turns out to have been rolled back. */
  readonly newIncarnation: () => string
}

export type Reply =
  | { readonly is: 'grant'; readonly node: PeerId; readonly body: Unsigned<Grant> }
  | { readonly is: 'deny'; readonly body: Unsigned<Deny> }
  /** The requester has seen more of this voter than the voter remembers and is asked for the evidence. */
  | { readonly is: 'prove'; readonly inc: string; readonly above: number }

/**
 * What follows from one message. `records` belong at the end of the journal in this order. A grant may be signed and
 * sent only after they are durable, and after `settle` has been told so.
 */
export type Decision = {
  readonly records: readonly Uint8Array[]
  /** False for releases and expiries: losing them only revives a promise that ends by itself. */
  readonly mustSync: boolean
  readonly reply?: Reply
  /** Refused leases whose way is free now. */
  readonly free: readonly LeaseName[]
}

type Waiter = LeaseName & Pick<LeaseRequest, 'res'>
type Refusal = Pick<Deny, 'why'> & Partial<Pick<Deny, 'min' | 'by' | 'config'>>

/** One voter: synchronous, without clock, disk, network or randomness. Times are of one clock that may pause. */
export class Voter {
  readonly #deps: VoterDeps
  readonly #state = new VoterState()
  readonly #waiters = new Map<string, Waiter>()

  /** Starts from a journal; every promise in it starts over at its full length. @throws MalformedError */
  constructor(deps: VoterDeps, journal: readonly Uint8Array[], nowMs: number) {
    this.#deps = deps
    for (const record of journal) this.#state.apply(decodeRecord(record), nowMs)
    this.#state.restartPromises(nowMs)
  }

  get incarnation(): string | undefined {
    return this.#state.inc
  }

  decide(request: LeaseRequest, nowMs: number): Decision {
    const { crypto } = this.#deps.keys
    if (!isSignedBy(crypto, request.node, 'request', request)) return NOTHING
    const { inc, vseq: above } = this.#state
    if (inc === undefined) return NOTHING
    const ballot: Ballot = { request, reqHash: requestHash(crypto, request), inc }
    const refusal = this.#inadmissible(request) ?? this.#misdirected(request, inc)
    if (refusal) return this.#deny(ballot, refusal)
    if ((request.seen[`${this.#self}/${inc}`] ?? 0) > above) {
      return { ...NOTHING, reply: { is: 'prove', inc, above } }
    }
    const dropped = this.#dropExpired(nowMs)
    const vote = this.#vote(ballot, nowMs)
    return { ...vote, records: [...dropped.records, ...vote.records], free: dropped.free }
  }

  /** Forgets the promise and remembers the release, whatever order they arrive in. */
  release(release: Release, nowMs: number): Decision {
    const entry = this.#state.entries.get(leaseKey(release))
    if (entry?.released || this.#state.tombstones.has(leaseKey(release))) return NOTHING
    if (release.space !== this.#deps.voterSet().config.space || !this.#deps.isMember(release.node)) return NOTHING
    if (!isSignedBy(this.#deps.keys.crypto, release.node, 'release', release)) return NOTHING
    const { node, lid, after } = release
    const record: VoterRecord = { t: 'rel', node, lid, after }
    this.#state.apply(record, nowMs)
    return { ...NOTHING, records: [encodeRecord(record)], free: entry ? this.#takeWaiters([entry]) : [] }
  }

  /** A grant of this incarnation that this voter does not remember having made: it was rolled back. */
  accuse(evidence: Grant, nowMs: number): Decision {
    const rolledBack =
      evidence.voter === this.#self &&
      evidence.inc === this.#state.inc &&
      evidence.vseq > this.#state.vseq &&
      isSignedBy(this.#deps.keys.crypto, this.#self, 'grant', evidence)
    if (!rolledBack) return NOTHING
    // Under a new incarnation nothing it signs counts in any existing configuration.
    const record: VoterRecord = { t: 'init', v: 1, inc: this.#deps.newIncarnation() }
    this.#state.apply(record, nowMs)
    return { ...NOTHING, records: [encodeRecord(record)], mustSync: true }
  }

  /**
   * To be called when the records of a decision are durable. Says whether the reply may leave: not when this voter
   * changed its incarnation meanwhile.
   */
  settle(reply: Reply): boolean {
    if (reply.is === 'prove') return true
    if (reply.body.inc !== this.#state.inc) return false
    if (reply.is === 'deny') return true
    const live = this.#state.entries.get(leaseKey({ node: reply.node, lid: reply.body.lid }))?.live
    if (live?.vseq === reply.body.vseq) live.durable = true
    return true
  }

  /** The shortest journal with the same effect. */
  snapshot(): Uint8Array[] {
    return this.#state.snapshot().map(encodeRecord)
  }

  get #self(): PeerId {
    return this.#deps.keys.signer.peer
  }

  #inadmissible(request: LeaseRequest): Refusal | undefined {
    if (!this.#deps.isMember(request.node)) return { why: 'revoked' }
    return areNormalised(request.res) && request.token.epoch === request.epoch ? undefined : { why: 'malformed' }
  }

  #misdirected(request: LeaseRequest, inc: string): Refusal | undefined {
    const { config, cid, incarnations } = this.#deps.voterSet()
    if (request.space !== config.space) return { why: 'malformed' }
    if (request.epoch !== config.epoch || !equalBytes(request.cid, cid)) return { why: 'epoch', config }
    return incarnations.get(this.#self) === inc ? undefined : { why: 'notvoter' }
  }

  #dropExpired(nowMs: number): Pick<Decision, 'records' | 'free'> {
    const expired = this.#state.expired(nowMs)
    const records = expired.map(({ node, lid }): VoterRecord => ({ t: 'exp', node, lid }))
    for (const record of records) this.#state.apply(record, nowMs)
    return { records: records.map(encodeRecord), free: this.#takeWaiters(expired) }
  }

  #vote(ballot: Ballot, nowMs: number): Decision {
    const { request, reqHash } = ballot
    const key = leaseKey(request)
    const entry = this.#state.entries.get(key)
    if (entry?.released || this.#state.tombstones.has(key)) return this.#deny(ballot, { why: 'released' })
    if (entry && !isSameLease(entry, request)) return this.#deny(ballot, { why: 'malformed' })
    const live = entry?.live
    if (live && request.seq <= live.seq) {
      // Either a copy of the request whose grant may have got lost, or older than what was granted since.
      if (!live.durable || !equalBytes(reqHash, live.reqHash)) return NOTHING
      return { ...NOTHING, reply: this.#grantReply(ballot, live) }
    }
    const others = [...this.#state.index.overlapping(request.res)].filter((other) => other !== entry)
    const refusal = this.#conflict(request, others) ?? (live ? undefined : this.#tooLow(request, others))
    return refusal ? this.#deny(ballot, refusal) : this.#grant(ballot, { entry, others }, nowMs)
  }

  #conflict(request: LeaseRequest, others: readonly Entry[]): Refusal | undefined {
    for (const { node, lid, res, live } of others) {
      if (!live || (node === request.node && live.owner === request.owner)) continue
      this.#addWaiter(request)
      const inTheWay = res.filter((held) => request.res.some((wanted) => overlaps(held, wanted)))
      const { owner, info } = live
      const by = { owner, node, lid, info, res: inTheWay.slice(0, NAMED_RESOURCES_MAX) }
      const min = this.#smallest(others)
      return { why: 'conflict', by, ...(min && min.n <= TOKEN_N_MAX && { min }) }
    }
    return undefined
  }

  /** Only for a lease that is not live here: while it is, nobody else can have been granted anything it overlaps. */
  #tooLow(request: LeaseRequest, others: readonly Entry[]): Refusal | undefined {
    const min = this.#smallest(others)
    if (min && !isAtMost(min, request.token)) return min.n <= TOKEN_N_MAX ? { why: 'stale', min } : { why: 'limit' }
    return this.#state.liveCount(request.node) < LEASES_PER_OWNER_MAX ? undefined : { why: 'limit' }
  }

  /** Just above the floor and the tokens of all these leases. */
  #smallest(others: readonly Entry[]): Token | undefined {
    let highest: Token | undefined = this.#state.floor
    for (const { token } of others) if (highest === undefined || isAtMost(highest, token)) highest = token
    return highest && { ...highest, n: highest.n + 1 }
  }

  #grant(ballot: Ballot, found: { entry: Entry | undefined; others: readonly Entry[] }, nowMs: number): Decision {
    const { request, reqHash } = ballot
    const { node, lid, owner, info, res, token, seq, ttl } = request
    const vseq = this.#state.vseq + 1
    const promise = { node, lid, info, seq, ttl, vseq, reqHash }
    const record: VoterRecord = found.entry?.live
      ? { t: 'renew', ...promise }
      : { t: 'grant', ...promise, owner, res, token, ttlMax: ttl, after: this.#lastWrites(res, found.others) }
    this.#state.apply(record, nowMs)
    const after = record.t === 'grant' ? record.after : []
    const reply = this.#grantReply(ballot, { vseq, after })
    return { ...NOTHING, records: [encodeRecord(record)], mustSync: true, reply }
  }

  /** Newest lease first, so that what does not fit is what has had the longest to arrive. */
  #lastWrites(res: LeaseRequest['res'], others: readonly Entry[]): Grant['after'] {
    const newestFirst = others.toSorted((a, b) => (isAtMost(a.token, b.token) ? 1 : -1))
    const known = newestFirst.flatMap(({ after }) => after ?? [])
    return mergePositions([...known, ...this.#state.afterFloor.for(res)])
  }

  #grantReply({ request, reqHash, inc }: Ballot, granted: { vseq: number; after: readonly Position[] }): Reply {
    const { space, epoch, node, lid, seq, token, ttl } = request
    const { vseq } = granted
    const body = { v: 1 as const, space, epoch, voter: this.#self, inc, lid, seq, reqHash, token, ttl, vseq }
    return { is: 'grant', node, body: { ...body, after: [...granted.after] } }
  }

  #deny({ request, reqHash, inc }: Ballot, refusal: Refusal): Decision {
    const { space, lid, seq } = request
    const body = { v: 1 as const, space, voter: this.#self, inc, lid, seq, reqHash, ...refusal }
    return { ...NOTHING, reply: { is: 'deny', body } }
  }

  #addWaiter({ node, lid, res }: LeaseRequest): void {
    const oldest = this.#waiters.keys().next()
    if (this.#waiters.size >= WAITERS_MAX && !oldest.done) this.#waiters.delete(oldest.value)
    this.#waiters.set(leaseKey({ node, lid }), { node, lid, res })
  }

  #takeWaiters(freed: readonly Entry[]): LeaseName[] {
    const released = freed.flatMap(({ res }) => res)
    if (released.length === 0) return []
    const taken = [...this.#waiters].filter(([, { res }]) => res.some((a) => released.some((b) => overlaps(a, b))))
    for (const [key] of taken) this.#waiters.delete(key)
    return taken.map(([, { node, lid }]) => ({ node, lid }))
  }
}

type Ballot = { readonly request: LeaseRequest; readonly reqHash: Uint8Array; readonly inc: string }

const NOTHING: Decision = { records: [], mustSync: false, free: [] }

const TOKEN_N_MAX = 2 ** 32 - 1

/** One lease id stands for one set of resources and one token for good. */
const isSameLease = (entry: Entry, { owner, token, res }: LeaseRequest): boolean =>
  (entry.live === undefined || entry.live.owner === owner) &&
  entry.token.epoch === token.epoch &&
  entry.token.n === token.n &&
  sameResources(entry.res, res)
