import type { PeerId } from '../../crdt/ids.ts'
import type { HolderInfo, Position, Resource, Token } from './messages.ts'
import { OverlapIndex } from './overlap-index.ts'
import { AfterFloor } from './positions.ts'
import type { VoterRecord } from './records.ts'

/** Ended leases whose tokens are remembered one by one; older ones raise the floor for everything. */
export const TOKEN_LOG_MAX = 1000
/** Releases of leases never granted here, kept so that a request that arrives late finds the lease closed. */
export const TOMBSTONES_MAX = 1000

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
  readonly token: Token
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
  /** Nothing at or below it is granted anew. */
  floor: Token | undefined
  readonly afterFloor = new AfterFloor()
  readonly entries = new Map<string, Entry>()
  readonly index = new OverlapIndex<Entry>()
  readonly tombstones = new Map<string, LeaseName>()
  readonly #liveByNode = new Map<PeerId, number>()
  readonly #live = new Set<Entry>()
  /** Ended entries, first ended first. */
  readonly #ended = new Set<Entry>()
  /** No live promise ends before. */
  #earliestMs = Infinity

  apply(record: VoterRecord, nowMs: number): void {
    switch (record.t) {
      case 'init':
        this.inc = record.inc
        return
      case 'grant':
        return this.#grant(record, nowMs)
      case 'renew':
        return this.#renew(record, nowMs)
      case 'rel':
        return this.#release(record)
      case 'exp':
        return this.#end(this.entries.get(leaseKey(record)))
      case 'ended': {
        const { t: _t, after, ...lease } = record
        return this.#end(this.#put({ ...lease, after, live: undefined }))
      }
      case 'floor':
        this.vseq = record.vseq
        this.floor = record.token ?? undefined
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

  /** After a replay: how long the voter was down is unknown, so every promise starts over at its full length. */
  restartPromises(nowMs: number): void {
    for (const { live } of this.#live) {
      if (!live) continue
      live.deadlineMs = nowMs + live.ttlMaxMs
      live.durable = true
      this.#earliestMs = Math.min(this.#earliestMs, live.deadlineMs)
    }
  }

  /** The shortest journal with the same effect. */
  snapshot(): VoterRecord[] {
    const records: VoterRecord[] = this.inc === undefined ? [] : [{ t: 'init', v: 1, inc: this.inc }]
    for (const { node, lid, res, token, released, after } of this.#ended) {
      records.push({ t: 'ended', node, lid, res: [...res], token, released, after })
    }
    for (const { node, lid, res, token, live } of this.#live) {
      if (live) records.push({ t: 'grant', node, lid, res: [...res], token, ...promiseOf(live) })
    }
    for (const name of this.tombstones.values()) records.push({ t: 'rel', ...name })
    return [...records, { t: 'floor', vseq: this.vseq, token: this.floor ?? null, after: this.afterFloor.all() }]
  }

  #grant(record: VoterRecord & { t: 'grant' }, nowMs: number): void {
    const { node, lid, res, token, owner, info, seq, ttl, ttlMax, vseq, reqHash, after } = record
    const old = this.entries.get(leaseKey(record))
    const entry = old ?? this.#put({ node, lid, res, token, released: false, after: undefined, live: undefined })
    const deadlineMs = nowMs + ttl
    entry.live = { owner, info, seq, ttl, ttlMaxMs: ttlMax, deadlineMs, vseq, reqHash, after, durable: false }
    this.#ended.delete(entry)
    this.#live.add(entry)
    this.#liveByNode.set(node, this.liveCount(node) + 1)
    this.#promised(entry.live)
  }

  #renew({ node, lid, info, seq, ttl, vseq, reqHash }: VoterRecord & { t: 'renew' }, nowMs: number): void {
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

  #release(record: VoterRecord & { t: 'rel' }): void {
    const entry = this.entries.get(leaseKey(record))
    if (!entry) {
      this.tombstones.set(leaseKey(record), { node: record.node, lid: record.lid })
      return trimOldest(this.tombstones, TOMBSTONES_MAX)
    }
    entry.released = true
    entry.after = record.after
    this.#end(entry)
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
    if (this.#ended.size > TOKEN_LOG_MAX && oldest) this.#forget(oldest)
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
    if (this.floor === undefined || isAtMost(this.floor, entry.token)) this.floor = entry.token
    if (entry.after) this.afterFloor.mergeAll(entry.res, entry.after)
  }
}

const promiseOf = ({ owner, info, seq, ttl, ttlMaxMs, vseq, reqHash, after }: Live) => ({
  owner,
  info,
  seq,
  ttl,
  ttlMax: ttlMaxMs,
  vseq,
  reqHash,
  after: [...after],
})

function trimOldest<K>(map: Map<K, unknown>, max: number): void {
  const oldest = map.keys().next()
  if (map.size > max && !oldest.done) map.delete(oldest.value)
}
