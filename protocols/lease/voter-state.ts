import type { PeerId } from '../../crdt/ids.ts'
import type { Ballot } from './ballot.ts'
import { readConfig, type VoterSet } from './config.ts'
import type { LiveGrant, PackedEstate } from './estate.ts'
import { MAX_TTL_MS, type HolderInfo, type Position, type Resource, type Token } from './messages.ts'
import { OverlapIndex } from './overlap-index.ts'
import { AfterFloor } from './positions.ts'
import type { RecordOf, VoterRecord } from './records.ts'
import type { Packed, Signatures } from './signing.ts'

/** Ended leases whose tokens are remembered one by one; older ones raise the floor for everything. */
export const TOKEN_LOG_MAX = 1000
/**
 * Releases of leases never granted here, or granted in an earlier epoch, kept so that a request that arrives late finds
 * the lease closed.
 */
export const TOMBSTONES_MAX = 1000
/** By then every promise of a voter set that cannot be asked any more has ended, whatever its clocks (L2.7). */
export const WAIT_OUT_MS = Math.ceil(MAX_TTL_MS / 0.9)

/** A promise that may still run. */
export type Live = {
  readonly owner: string
  info: HolderInfo
  seq: number
  ttl: number
  ttlMaxMs: number
  deadlineMs: number
  vseq: number
  reqHash: Uint8Array
  after: readonly Position[]
  /** Whether the record of the latest promise is on disk; until then its grant must not leave. */
  durable: boolean
}

export type Entry = {
  readonly node: PeerId
  readonly lid: string
  readonly res: readonly Resource[]
  token: Token
  /** Vseq of its first grant in this epoch; 0 before there is one. */
  first: number
  released: boolean
  after: Position | undefined
  live: Live | undefined
}

export type LeaseName = { readonly node: PeerId; readonly lid: string }

/** A lease is named by its node too: nobody can touch the lease of another by its id. */
export const leaseKey = (lease: LeaseName): string => `${lease.node} ${lease.lid}`

export const isAtMost = (a: Token, b: Token): boolean => a.epoch < b.epoch || (a.epoch === b.epoch && a.n <= b.n)

/** Everything a voter knows, as the effect of its records: live operation and replay are the same code. */
export class VoterState {
  inc: string | undefined
  vseq = 0
  /** The voter set of which this voter grants, if it is in it. */
  set: VoterSet | undefined
  /** Until then, by the monotonic clock, nothing is granted. */
  waitUntilMs: number | undefined
  promised: Ballot | undefined
  /** The successor it has accepted: in this epoch nothing is granted any more. */
  sealed: { readonly ballot: Ballot; readonly config: Packed } | undefined
  /** What it left to its successors when it last sealed an epoch. */
  estate: PackedEstate | undefined
  /** Nothing at or below it is granted anew. */
  floor: Token | undefined
  readonly afterFloor = new AfterFloor()
  readonly entries = new Map<string, Entry>()
  readonly index = new OverlapIndex<Entry>()
  readonly tombstones = new Map<string, LeaseName>()
  readonly #signatures: Signatures
  /** Whether everything that belongs to entering the epoch is there: a crash may have cut off the end of it. */
  #hasEntered = true
  readonly #liveByNode = new Map<PeerId, number>()
  readonly #live = new Set<Entry>()
  /** Ended entries, first ended first. */
  readonly #ended = new Set<Entry>()
  /** No live promise ends before. */
  #earliestMs = Infinity

  constructor(signatures: Signatures) {
    this.#signatures = signatures
  }

  apply(record: VoterRecord, nowMs: number): void {
    switch (record.t) {
      case 'init':
        this.inc = record.inc
        return
      case 'epoch':
        return this.#enter(record, nowMs)
      case 'import':
        return this.#import(record.grant, nowMs)
      case 'ready':
        this.waitUntilMs = undefined
        this.#hasEntered = true
        return
      case 'grant':
        return this.#grant(record, nowMs)
      case 'renew':
        return this.#renew(record, nowMs)
      case 'rel':
        return this.#release(record)
      case 'exp':
        return this.#end(this.entries.get(leaseKey(record)))
      case 'prom':
        this.promised = record.ballot
        this.vseq = Math.max(this.vseq, record.vseq)
        return
      case 'seal':
        this.promised = record.ballot
        this.sealed = { ballot: record.ballot, config: record.config }
        this.vseq = Math.max(this.vseq, record.vseq)
        return
      case 'estate':
        return this.#leave(record)
      case 'ended': {
        const { t: _t, after, ...lease } = record
        return this.#end(this.#put({ ...lease, after, live: undefined }))
      }
      case 'floor':
        this.vseq = record.vseq
        this.floor = record.token ?? undefined
        this.#hasEntered = true
        for (const scoped of record.after) this.afterFloor.merge(scoped)
    }
  }

  liveCount(node: PeerId): number {
    return this.#liveByNode.get(node) ?? 0
  }

  /** Live leases whose promise has run out. */
  expired(nowMs: number): Entry[] {
    if (nowMs < this.#earliestMs) return []
    this.#earliestMs = Infinity
    const expired: Entry[] = []
    for (const entry of this.#live) {
      const deadlineMs = entry.live?.deadlineMs ?? Infinity
      if (nowMs >= deadlineMs) expired.push(entry)
      else this.#earliestMs = Math.min(this.#earliestMs, deadlineMs)
    }
    return expired
  }

  /**
   * After a replay: how long the voter was down is unknown, so everything it waits for starts over at full length. Of an
   * epoch that it has not quite entered it does not know all promises, and waits until they have ended.
   */
  restartPromises(nowMs: number): void {
    if (!this.#hasEntered) this.waitUntilMs = nowMs + WAIT_OUT_MS
    for (const { live } of this.#live) {
      if (!live) continue
      live.deadlineMs = nowMs + live.ttlMaxMs
      live.durable = true
      this.#earliestMs = Math.min(this.#earliestMs, live.deadlineMs)
    }
  }

  /** All promises that may still run. */
  liveGrants(): LiveGrant[] {
    return [...this.#live].flatMap((entry) => (entry.live ? [liveGrantOf(entry, entry.live)] : []))
  }

  /** Last writes of ended leases, for those who cover the same ground. */
  lastWrites(): ReturnType<AfterFloor['all']> {
    const all = new AfterFloor()
    for (const scoped of this.afterFloor.all()) all.merge(scoped)
    for (const { res, after } of this.#ended) if (after) all.mergeAll(res, after)
    return all.all()
  }

  /** The shortest journal with the same effect. */
  snapshot(): VoterRecord[] {
    const { inc, set, promised, sealed, estate, vseq, floor } = this
    const records: VoterRecord[] = []
    if (inc !== undefined) records.push({ t: 'init', v: 1, inc })
    if (set) records.push({ t: 'epoch', config: packedConfig(set), waits: this.waitUntilMs !== undefined })
    for (const { node, lid, res, token, first, released, after } of this.#ended) {
      records.push({ t: 'ended', node, lid, res: [...res], token, first, released, after })
    }
    for (const entry of this.#live) if (entry.live) records.push(liveRecord(entry, entry.live))
    for (const name of this.tombstones.values()) records.push({ t: 'rel', ...name })
    records.push({ t: 'floor', vseq, token: floor ?? null, after: this.afterFloor.all() })
    if (promised) records.push({ t: 'prom', ballot: promised, vseq: Math.max(1, vseq) })
    if (estate) records.push(...estateRecords(estate))
    if (sealed) records.push({ t: 'seal', ...sealed, vseq: Math.max(1, vseq) })
    return records
  }

  /**
   * The tokens of the epoch before are below every token of this one, so only the promises that run go on, and the
   * releases: another voter may not have heard of one and leave the lease to us, and its holder may have asked us for it
   * just before.
   */
  #enter({ config, waits }: RecordOf<'epoch'>, nowMs: number): void {
    const set = readConfig(this.#signatures, config)
    for (const entry of this.#ended) {
      this.#forget(entry)
      if (entry.released) this.#bury(entry)
    }
    for (const entry of this.#live) {
      entry.first = 0
      if (entry.live) entry.live.deadlineMs = Math.max(entry.live.deadlineMs, nowMs + entry.live.ttlMaxMs)
    }
    this.set = set
    this.floor = { epoch: set.epoch, n: 0 }
    this.promised = undefined
    this.sealed = undefined
    this.waitUntilMs = waits ? nowMs + WAIT_OUT_MS : undefined
    this.#hasEntered = waits
  }

  #import(grant: LiveGrant, nowMs: number): void {
    const { node, lid, res, token, owner, info, seq, ttlMax, after } = grant
    const key = leaseKey(grant)
    if (this.tombstones.has(key)) return
    const entry =
      this.entries.get(key) ??
      this.#put({ node, lid, res, token, first: 0, released: false, after: undefined, live: undefined })
    entry.token = token
    const old = entry.live
    this.#revive(entry, {
      ...(old ?? { owner, info, ttl: ttlMax, vseq: 0, reqHash: NO_HASH, after, durable: true }),
      seq: Math.max(old?.seq ?? 0, seq),
      ttlMaxMs: Math.max(old?.ttlMaxMs ?? 0, ttlMax),
      deadlineMs: Math.max(old?.deadlineMs ?? 0, nowMs + ttlMax),
    })
  }

  #grant(record: RecordOf<'grant'>, nowMs: number): void {
    const { node, lid, res, token, owner, info, seq, ttl, ttlMax, vseq, reqHash, first, after } = record
    const old = this.entries.get(leaseKey(record))
    const entry = old ?? this.#put({ node, lid, res, token, first, released: false, after: undefined, live: undefined })
    entry.token = token
    entry.first = first
    const deadlineMs = Math.max(old?.live?.deadlineMs ?? 0, nowMs + ttl)
    this.#revive(entry, { owner, info, seq, ttl, ttlMaxMs: ttlMax, deadlineMs, vseq, reqHash, after, durable: false })
  }

  #revive(entry: Entry, live: Live): void {
    if (!entry.live) this.#liveByNode.set(entry.node, this.liveCount(entry.node) + 1)
    entry.live = live
    this.#ended.delete(entry)
    this.#live.add(entry)
    this.#promised(live)
  }

  #renew({ node, lid, info, seq, ttl, vseq, reqHash }: RecordOf<'renew'>, nowMs: number): void {
    const live = this.entries.get(leaseKey({ node, lid }))?.live
    if (!live) return
    // A promise is never shortened, neither now nor after a restart.
    const deadlineMs = Math.max(live.deadlineMs, nowMs + ttl)
    Object.assign(live, { info, seq, ttl, vseq, reqHash, after: [], durable: false, deadlineMs })
    live.ttlMaxMs = Math.max(live.ttlMaxMs, ttl)
    this.#promised(live)
  }

  #promised(live: Live): void {
    this.vseq = Math.max(this.vseq, live.vseq)
    this.#earliestMs = Math.min(this.#earliestMs, live.deadlineMs)
  }

  #release(record: RecordOf<'rel'>): void {
    const entry = this.entries.get(leaseKey(record))
    if (!entry) return this.#bury(record)
    entry.released = true
    entry.after = record.after
    this.#end(entry)
  }

  #bury({ node, lid }: LeaseName): void {
    this.tombstones.set(leaseKey({ node, lid }), { node, lid })
    trimOldest(this.tombstones, TOMBSTONES_MAX)
  }

  /** The pages of one estate come in order. */
  #leave({ hash, page, bytes }: RecordOf<'estate'>): void {
    this.estate = { hash, pages: page === 0 ? [bytes] : [...(this.estate?.pages ?? []), bytes] }
  }

  #put(entry: Entry): Entry {
    this.entries.set(leaseKey(entry), entry)
    this.index.add(entry)
    return entry
  }

  #end(entry: Entry | undefined): void {
    if (!entry || this.#ended.has(entry)) return
    if (this.#live.delete(entry)) this.#countDown(entry.node)
    entry.live = undefined
    this.#ended.add(entry)
    const [oldest] = this.#ended
    if (this.#ended.size <= TOKEN_LOG_MAX || !oldest) return
    this.#forget(oldest)
    if (this.floor === undefined || isAtMost(this.floor, oldest.token)) this.floor = oldest.token
  }

  #countDown(node: PeerId): void {
    const left = this.liveCount(node) - 1
    if (left > 0) this.#liveByNode.set(node, left)
    else this.#liveByNode.delete(node)
  }

  #forget(entry: Entry): void {
    this.#ended.delete(entry)
    this.entries.delete(leaseKey(entry))
    this.index.remove(entry)
    if (entry.after) this.afterFloor.mergeAll(entry.res, entry.after)
  }
}

const NO_HASH = new Uint8Array(32)

const packedConfig = ({ config: { bytes, seal } }: VoterSet): Packed => ({ b: bytes, s: seal })

const liveGrantOf = ({ node, lid, res, token }: Entry, { owner, info, seq, ttlMaxMs, after }: Live): LiveGrant => ({
  node,
  lid,
  owner,
  info,
  res: [...res],
  token,
  seq,
  ttlMax: ttlMaxMs,
  after: [...after],
})

/** A lease that has not been granted in this epoch yet is known from the one before. */
function liveRecord(entry: Entry, live: Live): VoterRecord {
  const grant = liveGrantOf(entry, live)
  if (entry.first === 0) return { t: 'import', grant }
  const { ttl, vseq, reqHash } = live
  return { t: 'grant', ...grant, ttl, vseq, reqHash, first: entry.first }
}

export const estateRecords = ({ hash, pages }: PackedEstate): VoterRecord[] =>
  pages.map((bytes, page) => ({ t: 'estate', hash, page, bytes }))

function trimOldest<K>(map: Map<K, unknown>, max: number): void {
  const oldest = map.keys().next()
  if (map.size > max && !oldest.done) map.delete(oldest.value)
}
