import type { PeerId } from '../../crdt/ids.ts'
import { equalBytes } from '../codec.ts'
import {
  LEASES_PER_OWNER_MAX,
  type Deny,
  type Grant,
  type LeaseRequest,
  type Position,
  type Release,
} from './messages.ts'
import type { Token } from './messages.ts'
import { NOTHING, type Decision, type Reply, type VoterDeps } from './decision.ts'
import { mergePositions } from './positions.ts'
import { decodeRecord, encodeRecord, type VoterRecord } from './records.ts'
import { areNormalised, overlaps, sameResources } from './resources.ts'
import type { Draft, Signed } from './signing.ts'
import { Succession } from './succession.ts'
import { isAtMost, leaseKey, VoterState, type Entry, type LeaseName } from './voter-state.ts'

/** Refused nodes that get a hint when what stood in their way is gone. Soft: whoever is dropped retries by itself. */
export const WAITERS_MAX = 64
/** Of the resources of a lease that stands in the way, as many are named in the refusal. */
const NAMED_RESOURCES_MAX = 8

type Waiter = LeaseName & Pick<LeaseRequest, 'res'>
type Refusal = Pick<Deny, 'why'> & Partial<Pick<Deny, 'min' | 'by' | 'epoch'>>

/** One voter: synchronous, without clock, disk, network or randomness. Times are of one clock that may pause. */
export class Voter {
  readonly #deps: VoterDeps
  readonly #state: VoterState
  readonly #waiters = new Map<string, Waiter>()
  /** The voter's part in deciding who votes next. */
  readonly succession: Succession

  /** Starts from a journal; every promise in it starts over at its full length. @throws MalformedError */
  constructor(deps: VoterDeps, journal: readonly Uint8Array[], nowMs: number) {
    this.#deps = deps
    this.#state = new VoterState(deps.signatures)
    for (const record of journal) this.#state.apply(decodeRecord(record), nowMs)
    this.#state.restartPromises(nowMs)
    this.succession = new Succession(deps, this.#state)
  }

  get incarnation(): string | undefined {
    return this.#state.inc
  }

  /** How long this voter still waits before it grants anything; 0 when it does not. */
  waitsMs(nowMs: number): number {
    return Math.max(0, (this.#state.waitUntilMs ?? nowMs) - nowMs)
  }

  /**
   * `from` is the node whose channel the request came through: nobody takes leases in the name of others, and the request
   * of another is no weapon when it is replayed. Whoever signs badly only spoils its own certificate.
   */
  decide(from: PeerId, request: Draft<LeaseRequest>, nowMs: number): Decision {
    const { inc, vseq: above } = this.#state
    if (inc === undefined || request.body.node !== from) return NOTHING
    const ballot: Ballot = { request, inc }
    const ready = this.#becomeReady(nowMs)
    const refusal = this.#inadmissible(request.body) ?? this.#misdirected(request.body, inc)
    if (refusal) return { ...this.#deny(ballot, refusal), records: ready }
    if ((request.body.seen[`${this.#self}/${inc}`] ?? 0) > above) {
      return { ...NOTHING, records: ready, reply: { is: 'prove', body: { inc, above } } }
    }
    const dropped = this.#dropExpired(nowMs)
    const vote = this.#vote(ballot, nowMs)
    return { ...vote, records: [...ready, ...dropped.records, ...vote.records], free: dropped.free }
  }

  /** Forgets the promise and remembers the release, whatever order they arrive in. Nobody releases for others. */
  release(node: PeerId, { lid, after }: Release, nowMs: number): Decision {
    const key = leaseKey({ node, lid })
    const entry = this.#state.entries.get(key)
    if (entry?.released || this.#state.tombstones.has(key) || !this.#deps.isMember(node)) return NOTHING
    const record: VoterRecord = { t: 'rel', node, lid, after }
    this.#state.apply(record, nowMs)
    return { ...NOTHING, records: [encodeRecord(record)], free: entry ? this.#takeWaiters([entry]) : [] }
  }

  /** A grant of this incarnation that this voter does not remember having made: it was rolled back. */
  accuse(evidence: Signed<Grant>, nowMs: number): Decision {
    const { voter, inc, vseq } = evidence.body
    const rolledBack =
      voter === this.#self &&
      inc === this.#state.inc &&
      vseq > this.#state.vseq &&
      this.#deps.signatures.isSignedBy(this.#self, evidence)
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
    if (!('draft' in reply)) return true
    if (reply.inc !== this.#state.inc) return false
    if (reply.is !== 'grant') return true
    const { lid, vseq } = reply.draft.body
    const live = this.#state.entries.get(leaseKey({ node: reply.node, lid }))?.live
    if (live?.vseq === vseq) live.durable = true
    return true
  }

  /** The shortest journal with the same effect. */
  snapshot(): Uint8Array[] {
    return this.#state.snapshot().map(encodeRecord)
  }

  get #self(): PeerId {
    return this.#deps.signatures.self
  }

  #becomeReady(nowMs: number): Uint8Array[] {
    const { waitUntilMs } = this.#state
    if (waitUntilMs === undefined || nowMs < waitUntilMs) return []
    this.#state.apply({ t: 'ready' }, nowMs)
    return [encodeRecord({ t: 'ready' })]
  }

  #inadmissible(request: LeaseRequest): Refusal | undefined {
    if (!this.#deps.isMember(request.node)) return { why: 'revoked' }
    return areNormalised(request.res) && request.token.epoch === request.epoch ? undefined : { why: 'malformed' }
  }

  #misdirected(request: LeaseRequest, inc: string): Refusal | undefined {
    const { set, sealed, waitUntilMs } = this.#state
    if (!set) return { why: 'notvoter' }
    if (request.space !== set.config.body.space) return { why: 'malformed' }
    if (request.epoch !== set.epoch || !equalBytes(request.cid, set.cid) || sealed) {
      return { why: 'epoch', epoch: set.epoch }
    }
    if (set.incarnations.get(this.#self) !== inc) return { why: 'notvoter' }
    return waitUntilMs === undefined ? undefined : { why: 'recovering' }
  }

  #dropExpired(nowMs: number): Pick<Decision, 'records' | 'free'> {
    const expired = this.#state.expired(nowMs)
    const records = expired.map(({ node, lid }): VoterRecord => ({ t: 'exp', node, lid }))
    for (const record of records) this.#state.apply(record, nowMs)
    return { records: records.map(encodeRecord), free: this.#takeWaiters(expired) }
  }

  #vote(ballot: Ballot, nowMs: number): Decision {
    const { body: request, hash } = ballot.request
    const key = leaseKey(request)
    const entry = this.#state.entries.get(key)
    if (entry?.released || this.#state.tombstones.has(key)) return this.#deny(ballot, { why: 'released' })
    if (entry && !isSameLease(entry, request)) return this.#deny(ballot, { why: 'malformed' })
    const live = entry?.live
    if (live && request.seq <= live.seq) {
      // Either a copy of the request whose grant may have got lost, or older than what was granted since.
      if (!live.durable || !equalBytes(hash, live.reqHash)) return NOTHING
      return { ...NOTHING, reply: this.#grantReply(ballot, { ...live, first: entry.first }) }
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
    const { body, hash: reqHash } = ballot.request
    const { node, lid, owner, info, res, token, seq, ttl } = body
    const vseq = this.#state.vseq + 1
    const promise = { node, lid, info, seq, ttl, vseq, reqHash }
    const { entry } = found
    const live = entry?.live
    const first = entry !== undefined && entry.first > 0 ? entry.first : vseq
    const record: VoterRecord =
      live && first < vseq
        ? { t: 'renew', ...promise }
        : {
            t: 'grant',
            ...promise,
            owner,
            res,
            token,
            first,
            ttlMax: Math.max(ttl, live?.ttlMaxMs ?? 0),
            after: this.#lastWrites(res, found.others),
          }
    this.#state.apply(record, nowMs)
    const after = record.t === 'grant' ? record.after : []
    const reply = this.#grantReply(ballot, { vseq, first, after })
    return { ...NOTHING, records: [encodeRecord(record)], mustSync: true, reply }
  }

  /** Newest lease first, so that what does not fit is what has had the longest to arrive. */
  #lastWrites(res: LeaseRequest['res'], others: readonly Entry[]): Grant['after'] {
    const newestFirst = others.toSorted((a, b) => (isAtMost(a.token, b.token) ? 1 : -1))
    const known = newestFirst.flatMap(({ after }) => after ?? [])
    return mergePositions([...known, ...this.#state.afterFloor.for(res)])
  }

  #grantReply(
    { request: { body: request, hash: reqHash }, inc }: Ballot,
    { vseq, first, after }: { vseq: number; first: number; after: readonly Position[] },
  ): Reply {
    const { space, epoch, node, lid, seq, token, ttl } = request
    const grant: Grant = {
      v: 1,
      space,
      epoch,
      voter: this.#self,
      inc,
      lid,
      seq,
      reqHash,
      token,
      ttl,
      vseq,
      first,
      after: [...after],
    }
    return { is: 'grant', node, inc, draft: this.#deps.signatures.draft('grant', grant) }
  }

  #deny({ request: { body: request, hash: reqHash } }: Ballot, refusal: Refusal): Decision {
    return { ...NOTHING, reply: { is: 'deny', body: { lid: request.lid, reqHash, ...refusal } } }
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

type Ballot = { readonly request: Draft<LeaseRequest>; readonly inc: string }

const TOKEN_N_MAX = 2 ** 32 - 1

/**
 * One lease id stands for one set of resources and, within an epoch, for one token. A lease that comes from an earlier
 * epoch gets a token of this one with its first grant here.
 */
const isSameLease = (entry: Entry, { owner, token, res }: LeaseRequest): boolean =>
  (entry.live === undefined || entry.live.owner === owner) &&
  (entry.token.epoch < token.epoch ? entry.live !== undefined : isSameToken(entry.token, token)) &&
  sameResources(entry.res, res)

const isSameToken = (a: Token, b: Token): boolean => a.epoch === b.epoch && a.n === b.n
