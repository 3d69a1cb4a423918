import { mkdir } from 'node:fs/promises'
import { z } from 'zod'
import { DocId, PeerId } from '../../crdt/ids.ts'
import { decodeInPlace, encodeCanonical } from '../../protocols/codec.ts'
import { Hash } from '../../protocols/crypto.ts'
import type { FeedStore, NameChanges, Snapshot, StoredEnvelope } from '../ports/feed-store.ts'
import { checkVersion, createDb, damaged, type Db, entries, get, type Op, openDb, readError } from './level-db.ts'
import { AFTER_NAMES, AFTER_SEQS, envelopeKey, key, number, readNumber, type Bytes } from './level-keys.ts'
import { findDamagedLog } from './level-log.ts'
import { type Row, rowsOf, writeRows } from './level-rows.ts'
import { measure, type StoreSizes } from './level-sizes.ts'
import { createWriter, type Writer } from './level-writer.ts'

/** A snapshot holds one whole document. */
const SNAPSHOT_BYTES_MAX = 1024 * 1024 * 1024

/** Names written at once: a project of 100,000 tasks may get all of them anew. */
const NAMES_PER_WRITE = 4096

/** The real store can also be copied as a whole, as one moment saw it, while it is in use. */
export type LevelStore = FeedStore & {
  /** Everything in it, as one moment at its beginning saw it, however long reading takes. */
  rows(): AsyncIterable<Row>
  /** What takes how much space; see `measure`. Whoever asks while it is being measured shares the answer. */
  sizes(sinceMs: number): Promise<StoreSizes>
}

/**
 * Opens (or creates) the store in `dir`, which one process at a time can have.
 * @throws StoreUnusableError when another process has it, when a newer release made it, or when it is damaged.
 */
export async function openLevelStore(dir: string): Promise<LevelStore> {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  // Before LevelDB sees it: it would go on with what is left and delete the rest.
  const problem = await findDamagedLog(dir)
  if (problem !== undefined) throw damaged(dir, new Error(problem))
  const db = createDb(dir)
  await openDb(db, dir)
  try {
    await checkVersion(db, dir)
    return await createStore(db, dir)
  } catch (error) {
    await db.close()
    throw readError(error, dir)
  }
}

/** Fills a new store with the rows of another. @throws StoreUnusableError when one is not what was stored */
export async function createLevelStore(dir: string, rows: AsyncIterable<Row>): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const db = createDb(dir)
  await openDb(db, dir)
  try {
    await writeRows(db, rows)
    await checkVersion(db, dir)
  } finally {
    await db.close()
  }
}

async function createStore(db: Db, dir: string): Promise<LevelStore> {
  const heads = await readHeads(db, dir)
  const writer = createWriter(db, dir)
  let records = await countRecords(db)
  let measuring: Promise<StoreSizes> | undefined
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
    readOne: (doc, author, seq) => get(db, dir, envelopeKey(doc, author, seq)),
    async truncate(doc, author, lastSeq) {
      const range = { gte: envelopeKey(doc, author, lastSeq + 1), lt: key('e', doc, author, AFTER_SEQS) }
      const ops: Op[] = [headOp(doc, author, lastSeq)]
      for await (const [at] of entries(db, dir, range)) ops.push({ type: 'del', key: at })
      await writer.commit(ops)
      if (lastSeq === 0) heads.delete(headId(doc, author))
      else heads.set(headId(doc, author), lastSeq)
    },
    documents: async () => groupHeads(heads),
    ...storeDerived({ db, dir, writer }),
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
    rows: () => rowsOf(db, dir),
    sizes: (sinceMs) => (measuring ??= measure(db, dir, sinceMs).finally(() => (measuring = undefined))),
    close: () => writer.close(),
  }
}

/** What can be made anew from the feeds. */
function storeDerived({ db, dir, writer }: { db: Db; dir: string; writer: Writer }): Derived {
  return {
    saveSnapshot: (doc, snapshot) =>
      writer.commit([{ type: 'put', key: key('s', doc), value: encodeSnapshot(snapshot) }]),
    async loadSnapshot(doc) {
      const value = await get(db, dir, key('s', doc))
      return value && decodeSnapshot(value, dir)
    },
    async saveSummary(doc, summary, names) {
      for (const ops of nameWrites(doc, names)) await writer.commit(ops)
      await writer.commit([{ type: 'put', key: key('u', doc), value: encodeSnapshot(summary) }])
    },
    async loadSummary(doc) {
      const value = await get(db, dir, key('u', doc))
      return value && decodeSnapshot(value, dir)
    },
    async named(name) {
      const prefix = key('n', name)
      const docs: DocId[] = []
      for await (const [at] of entries(db, dir, { gt: prefix, lt: key('n', name, AFTER_NAMES) }))
        docs.push(DocId.parse(new TextDecoder().decode(at.subarray(prefix.byteLength, -1))))
      return docs
    },
  }
}

type Derived = Pick<FeedStore, 'saveSnapshot' | 'loadSnapshot' | 'saveSummary' | 'loadSummary' | 'named'>

const headId = (doc: DocId, author: PeerId): string => `${doc}\0${author}`

const headOp = (doc: DocId, author: PeerId, seq: number): Op =>
  seq === 0
    ? { type: 'del', key: key('h', doc, author) }
    : { type: 'put', key: key('h', doc, author), value: number(seq) }

const envelopeOps = ({ doc, author, seq, bytes }: StoredEnvelope): Op[] => [
  { type: 'put', key: envelopeKey(doc, author, seq), value: bytes },
  headOp(doc, author, seq),
]

function* nameWrites(doc: DocId, { added, removed }: NameChanges): Generator<readonly Op[]> {
  let ops: Op[] = []
  for (const [type, names] of [['del', removed] as const, ['put', added] as const])
    for (const name of names) {
      const at = key('n', name, doc)
      ops.push(type === 'del' ? { type, key: at } : { type, key: at, value: new Uint8Array() })
      if (ops.length < NAMES_PER_WRITE) continue
      yield ops
      ops = []
    }
  if (ops.length > 0) yield ops
}

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

const StoredSnapshot = z.strictObject({
  heads: z.array(z.tuple([PeerId, z.int().min(1), Hash])),
  bytes: z.custom<Bytes>((value) => value instanceof Uint8Array),
})

const encodeSnapshot = ({ heads, bytes }: Snapshot): Bytes =>
  encodeCanonical({ heads: [...heads].map(([author, { seq, hash }]) => [author, seq, hash]), bytes })

function decodeSnapshot(value: Bytes, dir: string): Snapshot {
  try {
    const { heads, bytes } = decodeInPlace(StoredSnapshot, value, SNAPSHOT_BYTES_MAX)
    return { heads: new Map(heads.map(([author, seq, hash]) => [author, { seq, hash }])), bytes }
  } catch (cause) {
    throw damaged(dir, cause)
  }
}
