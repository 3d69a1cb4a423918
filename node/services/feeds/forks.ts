import { z } from 'zod'
import { DocId, isVolatile, PeerId, soleAuthor } from '../../../crdt/ids.ts'
import { decodeCanonical, decodeInPlace, encodeCanonical, equalBytes, toHex } from '../../../protocols/codec.ts'
import { ENVELOPE_BYTES_MAX, parseHeldEnvelope, type Envelope } from '../../../protocols/feed/envelope.ts'
import { StorageError } from './documents.ts'
import type { KnownFork } from './feed-exchange.ts'
import { createForkPace } from './fork-pace.ts'
import { Loose } from './loose.ts'
import type { Loader } from './loading.ts'
import type { OwnWrites } from './own-writes.ts'
import { forget } from './places.ts'
import { announce, feedOf, guarded, readFeed, type Feed, type Fork, type Replica } from './replica.ts'
import type { WaitingRoom } from './waiting-room.ts'

const INDEX = 'feeds/forks'
const Binary = z.custom<Uint8Array>((value) => value instanceof Uint8Array)
const Index = z.array(z.strictObject({ doc: DocId, author: PeerId }))
/** In so many parts lies what is kept; releases before 0.2.0 had all of it here. */
const Stored = z.strictObject({
  proof: z.tuple([Binary, Binary]),
  kept: z.array(Binary),
  parts: z.int().min(0).default(0),
})
const Part = z.array(Binary)

/** An author is frozen with its first fork: there are as many as documents that were forked before anybody knew. */
const INDEX_BYTES_MAX = 16 * 1024 * 1024
/** Of releases before 0.2.0. */
const STORED_BYTES_MAX = 2 ** 30
/** A part is written when it has so much, and with what is there at the end: an envelope more at most. */
const PART_BYTES = 4 * 1024 * 1024
const PART_BYTES_MAX = PART_BYTES + 2 * ENVELOPE_BYTES_MAX

/** Two envelopes that cannot both be part of one feed: at one place, or one that does not follow on the other. */
export type ForkProof = readonly [Envelope, Envelope]

/** What is known of forked feeds, on disk. What changes something runs inside `exclusive`. */
export type Forks = {
  /**
   * The feed ends before the first of the two; what others built on beyond it stays as branches. Nothing happens when an
   * earlier end is known, nor for a while when the author has had many: it is to be learnt again then. The document must be held. Rejects when the disk refuses: then it is to be learnt again.
   */
  learn(feed: Feed, proof: ForkProof): Promise<void>
  /** Keeps an envelope of a branch in memory; false when its predecessor is not known. */
  keep(feed: Feed, envelope: Envelope): boolean
  /** Makes envelopes of branches durable that others build on from now on. */
  save(feed: Feed, built: readonly Envelope[]): Promise<void>
  readonly all: () => Iterable<KnownFork>
  readonly onLearnt: (listener: (proof: readonly Uint8Array[]) => void) => () => void
}

export type ForkDeps = {
  readonly replica: Replica
  readonly room: WaitingRoom
  readonly loader: Loader
  readonly ownWrites: OwnWrites
}

export function createForks({ replica, room, loader, ownWrites }: ForkDeps): Forks {
  const listeners = new Set<(proof: readonly Uint8Array[]) => void>()
  const loose = new Loose()
  const pace = createForkPace(replica.clock)
  return {
    async learn(feed, proof) {
      const [{ doc, author }] = proof
      const seq = Math.min(...proof.map((envelope) => envelope.seq))
      const known = feed.forks.get(author)
      if (!mayFork(replica, feed, author) || (known && known.seq <= seq)) return
      if (!pace.mayRebuild(author)) return
      if (known) loose.drop(known)
      await ownWrites.quiesce(feed)
      const fork = forkAt(seq, proof, known)
      await keepBeyond(replica, feed, author, fork)
      const before = feed.forks
      feed.forks = new Map(before).set(author, fork)
      try {
        await saveIndex(replica)
        if (headOf(feed, author) >= seq) await forget(replica, feed, author, seq - 1)
      } catch (error) {
        feed.forks = before
        throw error
      }
      // Such as would have been its end: kept as branches when they come again.
      room.drop(doc, author, (place) => place >= seq)
      await loader.reload(feed)
      replica.log.warn({ doc, author, seq }, 'a feed is forked: it ends there, but for what others have built on')
      announce(replica, feed, feed.heads.keys())
      for (const listener of listeners) guarded(replica, () => listener(fork.proof))
    },
    keep(feed, envelope) {
      const fork = feed.forks.get(envelope.author)
      if (!fork || soleAuthor(feed.doc) !== undefined || !follows(feed, fork, envelope)) return false
      const hash = toHex(envelope.hash)
      if (fork.kept.has(hash)) return true
      fork.kept.set(hash, envelope)
      loose.add(fork, envelope)
      return true
    },
    async save({ doc, forks }, built) {
      for (const [author, fork] of forks) {
        const now = built.filter((envelope) => loose.of(fork)?.has(envelope) === true)
        if (now.length > 0) await saveFork(replica, { doc, author, fork }, now)
        loose.settle(fork, now)
      }
    },
    *all() {
      for (const { doc, forks } of replica.feeds.values())
        for (const [author, { seq, proof }] of forks) yield { doc, author, seq, proof }
    },
    onLearnt(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

/** Completes what an earlier run has learnt and may not have carried out. Before any document is loaded. */
export async function restoreForks(replica: Replica): Promise<void> {
  const index = await replica.store.getFact(INDEX)
  for (const { doc, author } of index ? decodeCanonical(Index, index, INDEX_BYTES_MAX) : []) {
    const stored = await replica.store.getFact(nameOf(doc, author))
    if (!stored) throw new StorageError(`What is known of the forked feed of ${author} in the document ${doc} is lost.`)
    const { proof, kept, parts } = decodeCanonical(Stored, stored, STORED_BYTES_MAX)
    const parse = (bytes: Uint8Array): Envelope => parseHeldEnvelope(bytes, replica.crypto)
    const seq = Math.min(...proof.map((bytes) => parse(bytes).seq))
    const feed = feedOf(replica, doc)
    const fork: Fork = { seq, proof, kept: new Map(), parts }
    const keep = (envelope: Envelope): unknown => fork.kept.set(toHex(envelope.hash), envelope)
    for (let part = 0; part < parts; part++) (await readPart(replica, doc, author, part)).map(parse).forEach(keep)
    if (kept.length > 0) {
      const all = kept.map(parse)
      all.forEach(keep)
      await saveFork(replica, { doc, author, fork }, all)
    }
    feed.forks = new Map(feed.forks).set(author, fork)
    if (headOf(feed, author) < seq) continue
    // The run that learnt it went on with the feed for a while.
    await keepBeyond(replica, feed, author, fork)
    await forget(replica, feed, author, seq - 1)
  }
}

const forkAt = (seq: number, [one, other]: ForkProof, known: Fork | undefined): Fork => ({
  seq,
  kept: new Map(known?.kept),
  parts: known?.parts ?? 0,
  proof: [one.bytes, other.bytes],
})

/** Nobody builds on a document in memory for long, and what we have written ourselves is never taken back. */
const mayFork = (replica: Replica, { doc }: Feed, author: PeerId): boolean =>
  !isVolatile(doc) && author !== replica.self

const headOf = ({ heads }: Feed, author: PeerId): number => heads.get(author)?.seq ?? 0

function follows({ heads }: Feed, { seq, kept }: Fork, envelope: Envelope): boolean {
  if (envelope.seq > seq) return envelope.prev !== null && kept.get(toHex(envelope.prev))?.seq === envelope.seq - 1
  const head = heads.get(envelope.author)
  return envelope.prev ? head?.seq === seq - 1 && equalBytes(head.hash, envelope.prev) : seq === 1
}

/** Keeps what was accepted from there on, on disk too; nothing of a document that nobody else writes. */
async function keepBeyond(replica: Replica, feed: Feed, author: PeerId, fork: Fork): Promise<void> {
  const added: Envelope[] = []
  if (soleAuthor(feed.doc) === undefined)
    for await (const bytes of readFeed(replica, feed, author, { from: fork.seq, to: Infinity })) {
      const envelope = parseHeldEnvelope(bytes, replica.crypto)
      const hash = toHex(envelope.hash)
      if (fork.kept.has(hash)) continue
      fork.kept.set(hash, envelope)
      added.push(envelope)
    }
  await saveFork(replica, { doc: feed.doc, author, fork }, added)
}

const nameOf = (doc: DocId, author: PeerId): string => `${INDEX}/${doc}/${author}`
const partOf = (doc: DocId, author: PeerId, part: number): string => `${nameOf(doc, author)}/${part}`

type Named = { readonly doc: DocId; readonly author: PeerId; readonly fork: Fork }

/** Adds envelopes to those that lie on the disk: what lies there is not written again. They count when all are there. */
async function saveFork({ store }: Replica, { doc, author, fork }: Named, added: readonly Envelope[]): Promise<void> {
  let { parts } = fork
  let part: Uint8Array[] = []
  let bytes = 0
  const write = async (): Promise<void> => {
    await store.putFact(partOf(doc, author, parts++), encodeCanonical(part))
    ;[part, bytes] = [[], 0]
  }
  for (const envelope of added) {
    part.push(envelope.bytes)
    bytes += envelope.bytes.byteLength
    if (bytes >= PART_BYTES) await write()
  }
  if (part.length > 0) await write()
  await store.putFact(nameOf(doc, author), encodeCanonical({ proof: fork.proof, kept: [], parts }))
  fork.parts = parts
}

async function readPart({ store }: Replica, doc: DocId, author: PeerId, part: number): Promise<Uint8Array[]> {
  const stored = await store.getFact(partOf(doc, author, part))
  if (!stored) throw new StorageError(`A part of the forked feed of ${author} in the document ${doc} is lost.`)
  return decodeInPlace(Part, stored, PART_BYTES_MAX)
}

async function saveIndex({ store, feeds }: Replica): Promise<void> {
  const forks = [...feeds.values()].flatMap(({ doc, forks }) => [...forks.keys()].map((author) => ({ doc, author })))
  await store.putFact(INDEX, encodeCanonical(forks))
}
