import { liveDoc } from '../../../crdt/ids.ts'
import { domainError } from '../../../crdt/errors.ts'
import { dropLock, markReady, putLock } from '../../../crdt/live-document.ts'
import { lockExtent } from '../../../crdt/lock-board.ts'
import { err } from '../../../crdt/result.ts'
import { LIVE_BYTES_MAX } from '../feeds/generations.ts'
import type * as Y from 'yjs'
import type { DocId, PeerId } from '../../../crdt/ids.ts'
import type { LockRecord } from '../../../crdt/lock-record.ts'
import type { Result } from '../../../crdt/result.ts'
import type { Log } from '../../ports/log.ts'
import type { KeptLocks } from './lock-keeping.ts'
import { StorageError, type Documents, type FeedPosition } from '../feeds/documents.ts'
import { written } from '../written.ts'

export type LiveEntry = {
  readonly id: string
  readonly record: LockRecord
  /** None while the lock is provisional. */
  readonly certificate: Uint8Array | undefined
  /** The provisional claim that it was before; only for this node itself. */
  readonly claim?: string
}

/** This node's own live document. */
export type LiveLocks = {
  /** Announces a fresh generation, unless a write has done so: whatever an earlier run said is void with it. */
  start(): Promise<void>
  /**
   * What is certified is then also on this node's disk.
   * @errors limit_reached: others would not take a larger live document; storage_failed
   */
  put(entries: readonly LiveEntry[]): Promise<Result<FeedPosition>>
  /** As `put`, and takes others out in the same write. */
  replace(ids: readonly string[], entries: readonly LiveEntry[]): Promise<Result<FeedPosition>>
  /** A disk that refuses does not keep the lock: at worst it is resumed in vain after a restart. */
  drop(ids: readonly string[]): Promise<FeedPosition>
  ofLease(leaseId: string): readonly LiveEntry[]
  onExtent(extent: string): readonly LiveEntry[]
  /** Everything that this node says or is about to say. */
  all(): readonly LiveEntry[]
}

/** A generation that has taken more writes than this, and twice what is still in it, is replaced by a fresh one. */
const GENERATION_BYTES_MAX = 64 * 1024
/** Of one write, far below the largest envelope. */
const WRITE_BYTES_MAX = 96 * 1024
/** A worn generation is replaced before it reaches twice this and a write. */
const HELD_BYTES_MAX = Math.floor(LIVE_BYTES_MAX / 3)
/** What surrounds a record, and a write; more than measured. */
const RECORD_BYTES = 200
const ENVELOPE_BYTES = 600
const DROP_BYTES = 100
/** Generations of one start; the boot counter is above them, so a later start is always newer. */
const GENERATIONS_PER_BOOT = 1_000_000

type Change = {
  readonly bytes: number
  /** What is written once for all records of its lease. */
  readonly certificate?: { readonly lease: string; readonly bytes: number }
  readonly apply: (state: Y.Doc) => void
}
/** Of what counts only once it is on disk: as if it had never been asked for. */
type Undo = {
  readonly run: () => void
  isDone: boolean
  /** Others may have read some of it. */
  isWritten: boolean
}
type Waiting = {
  readonly undo: Undo | undefined
  readonly changes: readonly Change[]
  readonly resolve: (position: FeedPosition) => void
  readonly reject: (error: unknown) => void
}

export type LiveLocksDeps = {
  documents: Documents
  self: PeerId
  /** Counts the starts of this node; never used twice. */
  boot: number
  /** Told after each write, and when the document was replaced. */
  onWritten: (doc: DocId) => Promise<void>
  kept: Pick<KeptLocks, 'save'>
  log: Log
}

/** Writes one after the other: many changes of one moment share a write, and none is too large for an envelope. */
export const createLiveLocks = (deps: LiveLocksDeps): LiveLocks => new Live(deps)

class Live implements LiveLocks {
  readonly #deps: LiveLocksDeps
  readonly #entries = new Map<string, LiveEntry>()
  readonly #queue: Waiting[] = []
  #generation: number
  #writtenBytes = 0
  #isWriting = false
  #isReady = false

  constructor(deps: LiveLocksDeps) {
    this.#deps = deps
    this.#generation = deps.boot * GENERATIONS_PER_BOOT
  }

  async start(): Promise<void> {
    await this.#enqueue([], undefined)
  }

  put(entries: readonly LiveEntry[]): Promise<Result<FeedPosition>> {
    return this.replace([], entries)
  }

  async replace(ids: readonly string[], entries: readonly LiveEntry[]): Promise<Result<FeedPosition>> {
    const touched = [...ids, ...entries.map(({ id }) => id)]
    const before = touched.map((id) => this.#entries.get(id))
    for (const id of ids) this.#entries.delete(id)
    for (const entry of entries) this.#entries.set(entry.id, entry)
    const undo: Undo = {
      isDone: false,
      isWritten: false,
      run: () => {
        for (const [i, id] of undo.isDone ? [] : touched.entries()) {
          const old = before[i]
          if (old) this.#entries.set(id, old)
          else this.#entries.delete(id)
        }
        undo.isDone = true
      },
    }
    if (this.#heldBytes() > HELD_BYTES_MAX) {
      undo.run()
      return err(domainError('limit_reached', { message: 'This node holds as many locks as it may.' }))
    }
    let put: Result<FeedPosition> | undefined
    try {
      put = await written(this.#enqueue([...entries.map(putChange), ...ids.map(dropChange)], undo))
    } finally {
      if (!put?.ok) this.#takeBack(undo)
    }
    return put
  }

  async drop(ids: readonly string[]): Promise<FeedPosition> {
    for (const id of ids) this.#entries.delete(id)
    return await this.#enqueue(ids.map(dropChange), undefined)
  }

  ofLease(leaseId: string): readonly LiveEntry[] {
    return [...this.#entries.values()].filter(({ record }) => record.lease === leaseId)
  }

  onExtent(extent: string): readonly LiveEntry[] {
    return [...this.#entries.values()].filter(({ record }) => lockExtent(record) === extent)
  }

  all(): readonly LiveEntry[] {
    return [...this.#entries.values()]
  }

  /** What has been written of it by now goes with its generation. */
  #takeBack(undo: Undo): void {
    undo.run()
    if (!undo.isWritten) return
    this.#isReady = false
    // A disk that refuses this too is asked again with the next write.
    this.start().catch((error: unknown) => this.#deps.log.warn({ err: error }, 'locks that were refused may be shown'))
  }

  /** Resolves with the position of the last part. */
  async #enqueue(changes: readonly Change[], undo: Undo | undefined): Promise<FeedPosition> {
    const positions = await Promise.all(partsOf(changes).map((part) => this.#wait(part, undo)))
    const last = positions.at(-1)
    if (!last) throw new Error('nothing was written')
    return last
  }

  #wait(changes: readonly Change[], undo: Undo | undefined): Promise<FeedPosition> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ changes, undo, resolve, reject })
      // What it waits for is told by the promises in the queue.
      if (!this.#isWriting) void this.#work()
    })
  }

  async #work(): Promise<void> {
    this.#isWriting = true
    await Promise.resolve() // what else is asked for in this moment joins in
    for (let batch = this.#takeBatch(); batch.length > 0; batch = this.#takeBatch()) {
      await this.#writeBatch(await this.#keep(batch))
    }
    this.#isWriting = false
  }

  async #writeBatch(batch: readonly Waiting[]): Promise<void> {
    if (batch.length === 0) return
    try {
      for (const { undo } of batch) if (undo) undo.isWritten = true
      const first = !this.#isReady || this.#isWorn() ? await this.#replaceGeneration() : undefined
      const changes = batch.flatMap((waiting) => waiting.changes)
      const position = first && changes.length === 0 ? first : await this.#write(changes)
      for (const { resolve } of batch) resolve(position)
    } catch (error) {
      for (const { undo, reject } of batch) {
        undo?.run()
        reject(error)
      }
    }
  }

  /** On disk before anybody is told. What cannot be kept is refused; the rest is returned. */
  async #keep(batch: readonly Waiting[]): Promise<readonly Waiting[]> {
    try {
      await this.#deps.kept.save([...this.#entries.values()])
      return batch
    } catch (cause) {
      this.#deps.log.warn({ err: cause }, 'the locks of this node could not be kept')
      for (const { undo, reject } of batch) {
        undo?.run()
        if (undo) reject(new StorageError('the locks of this node could not be kept', { cause }))
      }
      return batch.filter(({ undo }) => !undo)
    }
  }

  #takeBatch(): Waiting[] {
    const batch: Waiting[] = []
    let bytes = 0
    for (let next = this.#queue[0]; next; next = this.#queue[0]) {
      if (next.undo?.isDone) {
        // The rest of what was refused already.
        next.reject(new StorageError('a part of the same write was refused'))
        this.#queue.shift()
        continue
      }
      bytes += weigh(next.changes)
      if (batch.length > 0 && bytes > WRITE_BYTES_MAX) break
      batch.push(next)
      this.#queue.shift()
    }
    return batch
  }

  async #write(changes: readonly Change[]): Promise<FeedPosition> {
    const doc = liveDoc(this.#deps.self, this.#generation)
    const { position } = await this.#deps.documents.write(doc, undefined, (state) => {
      for (const { apply } of changes) apply(state)
    })
    this.#writtenBytes += ENVELOPE_BYTES + weigh(changes)
    await this.#deps.onWritten(doc)
    return position
  }

  #isWorn(): boolean {
    return this.#writtenBytes > Math.max(GENERATION_BYTES_MAX, 2 * this.#heldBytes())
  }

  #heldBytes(): number {
    return weigh([...this.#entries.values()].map(putChange))
  }

  async #replaceGeneration(): Promise<FeedPosition> {
    this.#isReady = false
    this.#generation++
    this.#writtenBytes = 0
    let changes: Change[] = []
    for (const entry of this.#entries.values()) {
      changes.push(putChange(entry))
      if (weigh(changes) < WRITE_BYTES_MAX / 2) continue
      await this.#write(changes)
      changes = []
    }
    const position = await this.#write([...changes, { bytes: 0, apply: markReady }])
    this.#isReady = true
    return position
  }
}

/** Counted each time a generation may be worn: a record never changes, so it is weighed once. */
const recordBytes = new WeakMap<LockRecord, number>()

function weighRecord(record: LockRecord): number {
  const bytes = recordBytes.get(record) ?? new TextEncoder().encode(JSON.stringify(record)).byteLength
  recordBytes.set(record, bytes)
  return bytes
}

const putChange = ({ id, record, certificate }: LiveEntry): Change => ({
  bytes: RECORD_BYTES + weighRecord(record),
  ...(certificate && { certificate: { lease: record.lease, bytes: certificate.byteLength } }),
  apply: (state) => putLock(state, id, record, certificate),
})

const dropChange = (id: string): Change => ({ bytes: DROP_BYTES, apply: (state) => dropLock(state, id) })

function weigh(changes: readonly Change[]): number {
  const certificates = new Map<string, number>()
  for (const { certificate } of changes) if (certificate) certificates.set(certificate.lease, certificate.bytes)
  return [...changes.map(({ bytes }) => bytes), ...certificates.values()].reduce((sum, bytes) => sum + bytes, 0)
}

/** In order, each small enough for one write; a single empty one of nothing. */
function partsOf(changes: readonly Change[]): Change[][] {
  const parts: Change[][] = [[]]
  for (const change of changes) {
    const part = parts.at(-1) ?? []
    if (part.length > 0 && weigh([...part, change]) > WRITE_BYTES_MAX) parts.push([change])
    else part.push(change)
  }
  return parts
}
