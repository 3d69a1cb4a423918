import { readCbor } from '../../../../protocols/cbor-read.ts'
import { tokenNumber, type Config } from '../../../../protocols/lease/messages.ts'
import type { VoterRecord } from '../../../../protocols/lease/records.ts'
import { WAIT_OUT_MS } from '../../../../protocols/lease/voter-state.ts'
import type { JournalObserver } from '../../ports/sim-journal.ts'
import { leavesOf, maskOf, type Mask } from '../universe.ts'
import type { Violations } from '../../violations.ts'

type Promised = { readonly owner: string; readonly mask: Mask; ttlMaxMs: number; deadlineMs: number }
type Recorded<T extends VoterRecord['t']> = VoterRecord & { readonly t: T }
type Lease = { readonly node: string; readonly lid: string }

/** For sums of fractions of a millisecond. */
const ROUNDING_MS = 1e-3

/**
 * What one voter has promised, followed from its journal alone: I5 (no grant against a live promise; promises that it
 * took over from other voters may well conflict with each other), I10 (no promise is shortened, the floor never falls),
 * L2.4.6 (released stays released), L2.7 (nothing is granted in a sealed epoch, or before a wait is over) and I2 where
 * it begins (a token below that of an earlier overlapping lease is never granted).
 */
export class VoterPromises implements JournalObserver {
  readonly #name: string
  readonly #monoMs: () => number
  readonly #violations: Violations
  #live = new Map<string, Promised>()
  #released = new Set<string>()
  /** Per thing the highest token granted, and to which lease. */
  #highest = new Map<number, { token: number; lease: string; owner: string }>()
  #floor = 0
  #counter = 0
  /** In which this voter is. */
  epoch = 0
  #isSealed = false
  #waitsUntilMs: number | undefined
  /** Whether the end of what belongs to entering its epoch was written. */
  #hasEntered = true
  /** Incarnations and counters of grants that are on the disk. */
  #durable = new Map<string, Set<number>>()
  /** The voter identity on the disk. */
  durableInc = ''
  readonly count = { grants: 0, renewals: 0, compactions: 0, importConflicts: 0, waitsEnded: 0 }

  constructor(name: string, monoMs: () => number, violations: Violations) {
    this.#name = name
    this.#monoMs = monoMs
    this.#violations = violations
  }

  isDurable(inc: string, vseq: number): boolean {
    return this.#durable.get(inc)?.has(vseq) ?? false
  }

  /** Promises that still run. */
  get liveCount(): number {
    return [...this.#live.values()].filter(({ deadlineMs }) => deadlineMs > this.#monoMs()).length
  }

  appended = (bytes: Uint8Array): void => {
    const record = recordIn(bytes)
    if (record.t === 'grant') this.#checkGrant(record)
    if (record.t === 'exp') this.#checkExpiry(record)
    if (record.t === 'grant' || record.t === 'renew') this.#checkMayGrant()
    if (record.t === 'ready') this.#checkReady()
    if (record.t === 'import') this.#countConflicts(record)
    if (isNumbered(record)) this.#checkCounter(record)
    if (record.t === 'floor') this.#checkFloor(record)
    this.#apply(record)
  }

  durable = (bytes: Uint8Array): void => {
    const record = recordIn(bytes)
    if (record.t === 'init') {
      this.durableInc = record.inc
      this.#durable.set(record.inc, this.#durable.get(record.inc) ?? new Set())
    }
    if (isNumbered(record)) this.#durable.get(this.durableInc)?.add(record.vseq)
  }

  compacted = (records: readonly Uint8Array[]): void => {
    this.count.compactions += 1
    for (const bytes of records) {
      const record = recordIn(bytes)
      if (record.t === 'floor') this.#checkFloor(record)
    }
  }

  replayed = (records: readonly Uint8Array[]): void => {
    this.#live = new Map()
    this.#released = new Set()
    this.#highest = new Map()
    this.#counter = 0
    this.#floor = 0
    this.epoch = 0
    this.#isSealed = false
    this.#waitsUntilMs = undefined
    this.#hasEntered = true
    for (const bytes of records) this.#apply(recordIn(bytes))
    for (const promise of this.#live.values()) promise.deadlineMs = this.#monoMs() + promise.ttlMaxMs
    const mustWait = this.#waitsUntilMs !== undefined || !this.#hasEntered
    if (mustWait) this.#waitsUntilMs = this.#monoMs() + WAIT_OUT_MS
  }

  /** The disk is gone, and with it what every grant of its incarnations rested on. */
  wiped(): void {
    this.durableInc = ''
    this.#durable = new Map()
    this.#live = new Map()
    this.#floor = 0
  }

  #checkGrant(record: Recorded<'grant'>): void {
    const mask = maskOf(record.res)
    const owner = `${record.node} ${record.owner}`
    const lease = nameOf(record)
    if (this.#released.has(lease)) this.#report('L2.4.6', `granted ${short(lease)} after its release`)
    for (const [other, promise] of this.#live) {
      if (other === lease || promise.owner === owner || (promise.mask & mask) === 0) continue
      if (promise.deadlineMs > this.#monoMs() + ROUNDING_MS) {
        this.#report('I5', `granted ${short(lease)} although its promise for ${short(other)} still runs`)
      }
    }
    const token = tokenNumber(record.token)
    for (const leaf of leavesOf(mask)) {
      const before = this.#highest.get(leaf)
      if (before && before.lease !== lease && before.owner !== owner && before.token >= token) {
        this.#report(
          'I2',
          `granted ${short(lease)} with token ${token} after ${before.token} of ${short(before.lease)}`,
        )
      }
    }
  }

  #checkExpiry(record: Recorded<'exp'>): void {
    const promise = this.#live.get(nameOf(record))
    const leftMs = promise ? promise.deadlineMs - this.#monoMs() : 0
    if (leftMs > ROUNDING_MS) this.#report('I10', `shortened a promise by ${leftMs.toFixed(0)} ms`)
  }

  #checkMayGrant(): void {
    if (this.#isSealed) this.#report('L2.7', `grants in epoch ${this.epoch}, which it has sealed`)
    if (this.#waitsUntilMs !== undefined) this.#report('L2.7', 'grants although it has to wait')
  }

  #countConflicts({ grant }: Recorded<'import'>): void {
    const mask = maskOf(grant.res)
    for (const [lease, promise] of this.#live) {
      const isRival = lease !== nameOf(grant) && promise.owner !== `${grant.node} ${grant.owner}`
      if (isRival && (promise.mask & mask) !== 0) this.count.importConflicts += 1
    }
  }

  #checkReady(): void {
    this.count.waitsEnded += 1
    const leftMs = (this.#waitsUntilMs ?? Infinity) - this.#monoMs()
    if (leftMs > ROUNDING_MS) this.#report('L2.7', `waits ${leftMs.toFixed(0)} ms less than it has to`)
  }

  #checkCounter({ vseq }: Numbered): void {
    if (vseq <= this.#counter) this.#report('I10', `uses counter ${vseq} after ${this.#counter}`)
  }

  #checkFloor({ token }: Recorded<'floor'>): void {
    const floor = token ? tokenNumber(token) : 0
    if (floor < this.#floor) this.#report('I10', `lowered its floor from ${this.#floor} to ${floor}`)
  }

  #apply(record: VoterRecord): void {
    const nowMs = this.#monoMs()
    if ('vseq' in record) this.#counter = Math.max(this.#counter, record.vseq)
    switch (record.t) {
      case 'init':
      case 'estate':
        return
      case 'epoch': {
        const { epoch } = readCbor(record.config.b) as Config
        if (epoch < this.epoch) this.#report('I10', `enters epoch ${epoch} after ${this.epoch}`)
        this.epoch = epoch
        this.#isSealed = false
        this.#waitsUntilMs = record.waits ? nowMs + WAIT_OUT_MS : undefined
        this.#hasEntered = record.waits
        for (const promise of this.#live.values()) {
          promise.deadlineMs = Math.max(promise.deadlineMs, nowMs + promise.ttlMaxMs)
        }
        return
      }
      case 'ready':
        this.#waitsUntilMs = undefined
        this.#hasEntered = true
        return
      case 'prom':
        return
      case 'seal':
        this.#isSealed = true
        return
      case 'import':
        return this.#import(record)
      case 'grant': {
        this.count.grants += 1
        const mask = maskOf(record.res)
        const owner = `${record.node} ${record.owner}`
        const promise = { owner, mask, ttlMaxMs: record.ttlMax, deadlineMs: nowMs + record.ttl }
        this.#live.set(nameOf(record), promise)
        return this.#remember({ mask, owner, lease: nameOf(record) }, tokenNumber(record.token))
      }
      case 'renew': {
        this.count.renewals += 1
        const promise = this.#live.get(nameOf(record))
        if (!promise) return
        promise.deadlineMs = Math.max(promise.deadlineMs, nowMs + record.ttl)
        promise.ttlMaxMs = Math.max(promise.ttlMaxMs, record.ttl)
        return
      }
      case 'rel':
        this.#released.add(nameOf(record))
        this.#live.delete(nameOf(record))
        return
      case 'exp':
        this.#live.delete(nameOf(record))
        return
      case 'ended':
        if (record.released) this.#released.add(nameOf(record))
        this.#live.delete(nameOf(record))
        // Whose it was is not in the record any more; nobody else's is the careful guess.
        return this.#remember({ mask: maskOf(record.res), owner: '', lease: nameOf(record) }, tokenNumber(record.token))
      case 'floor':
        this.#hasEntered = true
        this.#floor = Math.max(this.#floor, record.token ? tokenNumber(record.token) : 0)
    }
  }

  #import({ grant }: Recorded<'import'>): void {
    const lease = nameOf(grant)
    if (this.#released.has(lease)) return
    const old = this.#live.get(lease)
    const ttlMaxMs = Math.max(grant.ttlMax, old?.ttlMaxMs ?? 0)
    const deadlineMs = Math.max(this.#monoMs() + grant.ttlMax, old?.deadlineMs ?? 0)
    this.#live.set(lease, { owner: `${grant.node} ${grant.owner}`, mask: maskOf(grant.res), ttlMaxMs, deadlineMs })
    this.#remember({ mask: maskOf(grant.res), owner: `${grant.node} ${grant.owner}`, lease }, tokenNumber(grant.token))
  }

  #remember({ mask, owner, lease }: { mask: Mask; owner: string; lease: string }, token: number): void {
    for (const leaf of leavesOf(mask)) {
      if ((this.#highest.get(leaf)?.token ?? 0) <= token) this.#highest.set(leaf, { token, lease, owner })
    }
  }

  #report(rule: string, what: string): void {
    this.#violations.add(rule, `${this.#name} ${what}`)
  }
}

/** A record is looked at when it is written, when it is durable, and whenever it is replayed. */
const read = new WeakMap<Uint8Array, VoterRecord>()
function recordIn(bytes: Uint8Array): VoterRecord {
  const known = read.get(bytes) ?? (readCbor(bytes) as VoterRecord)
  read.set(bytes, known)
  return known
}

type Numbered = Recorded<'grant' | 'renew' | 'prom' | 'seal'>
const isNumbered = (record: VoterRecord): record is Numbered =>
  record.t === 'grant' || record.t === 'renew' || record.t === 'prom' || record.t === 'seal'

const nameOf = ({ node, lid }: Lease): string => `${node} ${lid}`
const short = (lease: string): string => lease.slice(-32, -26)
