import { mkdir, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import { z } from 'zod'
import { DocId, PeerId } from '../../crdt/ids.ts'
import { decodeCanonical, encodeCanonical } from '../../protocols/codec.ts'
import { Hash } from '../../protocols/crypto.ts'
import type { FeedStore, Snapshot, StoredEnvelope } from '../ports/feed-store.ts'
import { AFTER_SEQS, envelopeKey, key, number, readNumber, type Bytes } from './level-keys.ts'
import { findDamagedLog } from './level-log.ts'
import { checkedValue, withChecksum } from './level-values.ts'

/** Raised with every change of the key layout; an older program refuses a newer store. */
export const STORE_VERSION = 1

/** Reads in one go: large enough to be fast, small enough to keep memory flat. */
const READ_BATCH = 256

/** After a failed write nothing is tried again before this much can be written: reopening needs room for itself. */
const PROBE_BYTES = 1024 * 1024

/** A snapshot holds one whole document. */
const SNAPSHOT_BYTES_MAX = 1024 * 1024 * 1024

/** The store on disk cannot be used; the message tells a person what to do. */
export class StoreUnusableError extends Error {
  override readonly name = 'StoreUnusableError'
}

type Db = Level<Bytes, Bytes>
type Op = { type: 'put'; key: Bytes; value: Bytes } | { type: 'del'; key: Bytes }

/**
 * Opens (or creates) the store in `dir`, which one process at a time can have.
 * @throws StoreUnusableError when another process has it, when a newer release made it, or when it is damaged.
 */
export async function openLevelStore(dir: string): Promise<FeedStore> {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  // Before LevelDB sees it: it would go on with what is left and delete the rest.
  const problem = await findDamagedLog(dir)
  if (problem !== undefined) throw damaged(dir, new Error(problem))
  const db: Db = new Level<Bytes, Bytes>(dir, { keyEncoding: 'view', valueEncoding: 'view' })
  await openDb(db, dir)
  try {
    await checkVersion(db, dir)
    return await createStore(db, dir)
  } catch (error) {
    await db.close()
    throw readError(error, dir)
  }
}

async function createStore(db: Db, dir: string): Promise<FeedStore> {
  const heads = await readHeads(db, dir)
  const writer = createWriter(db, dir)
  let records = await countRecords(db)
  return {
    async append(envelopes) {
      await writer.commit(envelopes.flatMap(envelopeOps), () => revertOps(envelopes, heads))
      for (const { doc, author, seq } of envelopes) heads.set(headId(doc, author), seq)
    },
    async *read(doc, author, fromSeq) {
      const range = { gte: envelopeKey(doc, author, fromSeq), lt: key('e', doc, author, AFTER_SEQS) }
      for await (const [at, bytes] of entries(db, dir, range))
        yield { doc, author, seq: readNumber(at, at.byteLength - 8), bytes }
    },
    async truncate(doc, author, lastSeq) {
      const range = { gte: envelopeKey(doc, author, lastSeq + 1), lt: key('e', doc, author, AFTER_SEQS) }
      const ops: Op[] = [headOp(doc, author, lastSeq)]
      for await (const [at] of entries(db, dir, range)) ops.push({ type: 'del', key: at })
      await writer.commit(ops)
      if (lastSeq === 0) heads.delete(headId(doc, author))
      else heads.set(headId(doc, author), lastSeq)
    },
    documents: async () => groupHeads(heads),
    saveSnapshot: (doc, snapshot) =>
      writer.commit([{ type: 'put', key: key('s', doc), value: encodeSnapshot(snapshot) }]),
    async loadSnapshot(doc) {
      const value = await get(db, dir, key('s', doc))
      return value && decodeSnapshot(value, dir)
    },
    async appendRecords(added) {
      const first = records
      records += added.length
      const ops = added.map((value, i): Op => ({ type: 'put', key: key('r', number(first + i)), value }))
      await writer.commit(ops, () => ops.map(({ key: at }): Op => ({ type: 'del', key: at })))
    },
    async readRecords() {
      const found: Bytes[] = []
      for await (const [, value] of entries(db, dir, { gt: key('r'), lt: key('s') })) found.push(value)
      return found
    },
    putFact: (name, value) => writer.commit([{ type: 'put', key: key('f', name), value }]),
    getFact: (name) => get(db, dir, key('f', name)),
    close: () => writer.close(),
  }
}

type Writer = {
  /** Writes all or none, synced. `revert` undoes on disk what a failed write may have left there, as far as anybody knows. */
  commit(ops: readonly Op[], revert?: () => Op[]): Promise<void>
  close(): Promise<void>
}

/**
 * One write at a time. A write that failed half-way leaves LevelDB's log at an unknown place: what it appends after that
 * can be unreadable at the next start, acknowledged or not. So a failure is followed, before anything else is written, by
 * closing and reopening (which starts a new log) and by undoing the failed batch in case the log had kept it.
 */
function createWriter(db: Db, dir: string): Writer {
  let tail: Promise<unknown> = Promise.resolve()
  let failed: (() => Op[])[] = []
  let closed = false
  const write = async (ops: readonly Op[], revert: () => Op[]): Promise<void> => {
    if (closed) throw new Error('the store is closed')
    if (failed.length > 0) {
      await probeDisk(dir)
      await db.close()
      await openDb(db, dir)
    }
    try {
      await db.batch([...failed.flatMap((undo) => undo()), ...ops].map(guarded), { sync: true })
      failed = []
    } catch (cause) {
      failed.push(revert)
      throw new Error('the store could not write to its disk', { cause })
    }
  }
  const inOrder = (task: () => Promise<void>): Promise<void> => {
    const done = tail.then(task)
    tail = done.catch(() => undefined) // whoever asked for the write handles its failure
    return done
  }
  return {
    commit: (ops, revert = () => []) => inOrder(() => write(ops, revert)),
    close: () =>
      inOrder(async () => {
        closed = true
        await db.close()
      }),
  }
}

const guarded = (op: Op): Op => (op.type === 'put' ? { ...op, value: withChecksum(op.key, op.value) } : op)

async function probeDisk(dir: string): Promise<void> {
  const path = join(dir, 'probe.tmp')
  try {
    const file = await open(path, 'w', 0o600)
    try {
      await file.writeFile(new Uint8Array(PROBE_BYTES))
      await file.sync()
    } finally {
      await file.close()
    }
  } catch (cause) {
    throw new Error('the store could not write to its disk', { cause })
  } finally {
    await rm(path, { force: true })
  }
}

async function openDb(db: Db, dir: string): Promise<void> {
  try {
    await db.open()
  } catch (error) {
    const { code, cause } = Failure.parse(error)
    const reason = cause?.code ?? code
    if (reason === 'LEVEL_LOCKED')
      throw new StoreUnusableError(`${dir} is in use by another Rookery process. Stop that one first.`, {
        cause: error,
      })
    if (reason === 'LEVEL_CORRUPTION') throw damaged(dir, error)
    throw new StoreUnusableError(`${dir} cannot be opened: ${cause?.message ?? String(error)}`, { cause: error })
  }
}

const Failure = z.object({
  code: z.string().optional(),
  cause: z.object({ code: z.string().optional(), message: z.string().optional() }).optional(),
})

const damaged = (dir: string, cause: unknown): StoreUnusableError =>
  new StoreUnusableError(
    `The store in ${dir} is damaged. Restore it from a backup if this is the only machine of the mesh. Otherwise join the mesh again with a new --data-dir: the other members still have the documents, and would take what an older copy writes for forgeries.`,
    { cause },
  )

function readError(error: unknown, dir: string): unknown {
  const failure = Failure.safeParse(error)
  const code = failure.data?.cause?.code ?? failure.data?.code
  return code === 'LEVEL_CORRUPTION' ? damaged(dir, error) : error
}

const VERSION_KEY = new TextEncoder().encode('v')

async function checkVersion(db: Db, dir: string): Promise<void> {
  const value = await db.get(VERSION_KEY)
  if (value === undefined) {
    for await (const _ of db.keys({ limit: 1 })) throw damaged(dir, new Error('no format version'))
    // Without a checksum: every release can read it, whatever it does with the rest.
    await db.put(VERSION_KEY, new TextEncoder().encode(String(STORE_VERSION)), { sync: true })
    return
  }
  const version = Number(new TextDecoder().decode(value))
  if (!Number.isInteger(version) || version < 1) throw damaged(dir, new Error('unreadable format version'))
  if (version > STORE_VERSION)
    throw new StoreUnusableError(
      `The store in ${dir} has format ${version}, made by a newer release; this one knows format ${STORE_VERSION}. Upgrade Rookery, or use another --data-dir.`,
    )
}

const headId = (doc: DocId, author: PeerId): string => `${doc}\0${author}`

const headOp = (doc: DocId, author: PeerId, seq: number): Op =>
  seq === 0
    ? { type: 'del', key: key('h', doc, author) }
    : { type: 'put', key: key('h', doc, author), value: number(seq) }

const envelopeOps = ({ doc, author, seq, bytes }: StoredEnvelope): Op[] => [
  { type: 'put', key: envelopeKey(doc, author, seq), value: bytes },
  headOp(doc, author, seq),
]

/** Reads `heads` when it runs: what has been stored since then stays. */
const revertOps = (envelopes: readonly StoredEnvelope[], heads: ReadonlyMap<string, number>): Op[] =>
  envelopes.flatMap(({ doc, author, seq }) => {
    const head = heads.get(headId(doc, author)) ?? 0
    return seq <= head ? [] : [{ type: 'del' as const, key: envelopeKey(doc, author, seq) }, headOp(doc, author, head)]
  })

async function readHeads(db: Db, dir: string): Promise<Map<string, number>> {
  const heads = new Map<string, number>()
  const decoder = new TextDecoder()
  for await (const [at, value] of entries(db, dir, { gt: key('h'), lt: Uint8Array.of('h'.charCodeAt(0) + 1) }))
    heads.set(decoder.decode(at.subarray(1, -1)), readNumber(value, 0))
  return heads
}

function groupHeads(heads: ReadonlyMap<string, number>): Map<DocId, Map<PeerId, number>> {
  const documents = new Map<DocId, Map<PeerId, number>>()
  for (const [id, seq] of heads) {
    const [rawDoc, rawAuthor] = id.split('\0')
    const doc = DocId.parse(rawDoc)
    const authors = documents.get(doc) ?? new Map<PeerId, number>()
    documents.set(doc, authors.set(PeerId.parse(rawAuthor), seq))
  }
  return documents
}

async function countRecords(db: Db): Promise<number> {
  for await (const at of db.keys({ gt: key('r'), lt: key('s'), reverse: true, limit: 1 })) return readNumber(at, 1) + 1
  return 0
}

type KeyRange = { gt?: Bytes; gte?: Bytes; lt: Bytes }

async function* entries(db: Db, dir: string, range: KeyRange): AsyncGenerator<[Bytes, Bytes]> {
  const iterator = db.iterator({ ...range, highWaterMarkBytes: 1024 * 1024 })
  try {
    for (let batch = await iterator.nextv(READ_BATCH); batch.length > 0; batch = await iterator.nextv(READ_BATCH))
      for (const [at, value] of batch) yield [at, valueOf(at, value, dir)]
  } catch (error) {
    throw readError(error, dir)
  } finally {
    await iterator.close()
  }
}

async function get(db: Db, dir: string, at: Bytes): Promise<Bytes | undefined> {
  try {
    const value = await db.get(at)
    return value && valueOf(at, value, dir)
  } catch (error) {
    throw readError(error, dir)
  }
}

function valueOf(at: Bytes, stored: Bytes, dir: string): Bytes {
  const value = checkedValue(at, stored)
  if (value === undefined) throw damaged(dir, new Error('a value has changed on disk'))
  return value
}

const StoredSnapshot = z.strictObject({
  heads: z.array(z.tuple([PeerId, z.int().min(1), Hash])),
  bytes: z.custom<Bytes>((value) => value instanceof Uint8Array),
})

const encodeSnapshot = ({ heads, bytes }: Snapshot): Bytes =>
  encodeCanonical({ heads: [...heads].map(([author, { seq, hash }]) => [author, seq, hash]), bytes })

function decodeSnapshot(value: Bytes, dir: string): Snapshot {
  try {
    const { heads, bytes } = decodeCanonical(StoredSnapshot, value, SNAPSHOT_BYTES_MAX)
    return { heads: new Map(heads.map(([author, seq, hash]) => [author, { seq, hash }])), bytes }
  } catch (cause) {
    throw damaged(dir, cause)
  }
}
