import { z } from 'zod'
import { DocId, PeerId } from '../crdt/ids.ts'
import { decodeCanonical, encodeCanonical, MalformedError } from './codec.ts'
import type { FeedCut } from './membership/membership.ts'

/*
 * Messages between two members that keep their replicas equal. Each side opens one long-lived channel and speaks on it;
 * it listens on the other's. Nothing is remembered about a peer beyond the channel: where it stands is asked anew.
 *
 *   hello     first; versions this side understands
 *   heads     where the sender's membership log ends; the other answers with `records`
 *   records   membership records, in parts; `last` ends an answer
 *   vectors   what the sender has applied, in parts; the other answers with what is missing (and its own, if asked)
 *   envelopes new ones, or answers to `vectors`
 *   hash      names the content of a document at a vector, for comparison
 *   beat      the sender's signed heartbeat;  echo  answers it
 *   beats     others' heartbeats, passed on
 *   hears     the members from whom the sender gets something itself: what comes from others is passed on to it
 *   peers     addresses of members, as hints
 */

export const SYNC_PROTOCOL = '/rookery/sync/1'
export const SYNC_VERSION = 1
/** What this release can speak; neighbouring releases overlap. */
export const SYNC_VERSIONS: readonly number[] = [1]

/** Why a member that speaks these versions cannot be synchronised with; undefined when it can. */
export const versionProblem = (versions: readonly number[]): string | undefined =>
  versions.some((version) => SYNC_VERSIONS.includes(version))
    ? undefined
    : `speaks sync version ${versions.join(', ')}, this node ${SYNC_VERSIONS.join(', ')}: upgrade one of them`

/** One envelope (256 kB) always fits, with its wrapping; vectors and records are cut to less. */
export const SYNC_FRAME_BYTES_MAX = 512 * 1024
/** Envelopes and records are sent together up to this many bytes. */
export const BATCH_BYTES = 256 * 1024
/** Positions in one part of a vector: about 45 bytes each beside the document ids. */
export const POSITIONS_PER_PART = 4000

const HEADS_MAX = 4096
const FROZEN_MAX = 512
/** Said only in a mesh in which all are to be connected, which has at most 50 members. */
export const HEARD_MAX = 512
const ITEMS_MAX = 16_384
const bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array)
const hash = bytes.refine((value) => value.byteLength === 32, 'must be 32 bytes')

const MESSAGES = {
  hello: z.object({ versions: z.array(z.int().min(1)).max(16) }),
  heads: z.object({ heads: z.array(hash).max(HEADS_MAX) }),
  records: z.object({ records: z.array(bytes).max(ITEMS_MAX), last: z.boolean() }),
  vectors: z.object({
    authors: z.array(PeerId).max(POSITIONS_PER_PART),
    /** Per document: an index into `authors`, with the sequence number and the hash of the last envelope. */
    docs: z.array(z.tuple([DocId, z.array(z.tuple([z.int().min(0), z.int().min(0), hash]))])).max(POSITIONS_PER_PART),
    /** Authors whose envelopes the sender refuses, so that nobody sends them in vain. */
    frozen: z.array(PeerId).max(FROZEN_MAX),
    last: z.boolean(),
    /** The other side answers with its own vectors too. */
    ask: z.boolean(),
  }),
  envelopes: z.object({
    envelopes: z.array(bytes).min(1).max(ITEMS_MAX),
    /** There is more than this round may carry: once these are applied, say again where you stand. */
    more: z.boolean(),
  }),
  hash: z.object({ doc: DocId, at: z.array(z.tuple([PeerId, z.int().min(0)])).max(POSITIONS_PER_PART), hash }),
  beat: z.object({ beat: bytes }),
  beats: z.object({ beats: z.array(bytes).min(1).max(ITEMS_MAX) }),
  echo: z.object({ boot: z.int().min(0), counter: z.int().min(0) }),
  hears: z.object({ peers: z.array(PeerId).max(HEARD_MAX).readonly() }),
  peers: z.object({
    peers: z.array(z.tuple([PeerId, z.array(z.string().max(256)).max(16)])).max(512),
  }),
} as const

type Kind = keyof typeof MESSAGES
export type SyncMessage = { [K in Kind]: { readonly t: K } & z.infer<(typeof MESSAGES)[K]> }[Kind]

const Envelope = z.looseObject({ v: z.int().min(1), t: z.string().max(32) })

export function encodeSync(message: SyncMessage): Uint8Array {
  return encodeCanonical({ v: SYNC_VERSION, ...message })
}

/**
 * Undefined for a kind of message this release does not know: later ones may add some.
 * @throws MalformedError for anything else that is not a message
 */
export function decodeSync(frame: Uint8Array): SyncMessage | undefined {
  const message = decodeCanonical(Envelope, frame, SYNC_FRAME_BYTES_MAX)
  if (!isKind(message.t)) return undefined
  return parseAs(message.t, message)
}

const isKind = (t: string): t is Kind => Object.hasOwn(MESSAGES, t)

function parseAs(t: Kind, message: unknown): SyncMessage {
  const parsed = MESSAGES[t].safeParse(message)
  if (!parsed.success) throw new MalformedError(`not a ${t} message`, { cause: parsed.error })
  // The schema of exactly this kind has accepted the fields; TypeScript does not follow the pairing.
  return { t, ...parsed.data } as SyncMessage
}

/** The last envelope applied, per document and author. */
export type Vectors = ReadonlyMap<DocId, ReadonlyMap<PeerId, FeedCut>>

export type VectorsPart = Extract<SyncMessage, { t: 'vectors' }>

/** Cuts vectors into parts that fit into frames; at least one part. */
export function vectorParts(vectors: Vectors, frozen: readonly PeerId[], ask: boolean): VectorsPart[] {
  const parts: VectorsPart[] = []
  let index = new Map<PeerId, number>()
  let docs: VectorsPart['docs'] = []
  let positions = 0
  const cut = (last: boolean): void => {
    const named = last ? frozen.slice(0, FROZEN_MAX) : []
    parts.push({ t: 'vectors', authors: [...index.keys()], docs, frozen: named, last, ask })
    index = new Map()
    docs = []
    positions = 0
  }
  for (const [doc, authors] of vectors) {
    let places: [number, number, Uint8Array][] = []
    docs.push([doc, places])
    for (const [author, { seq, hash }] of authors) {
      if (++positions > POSITIONS_PER_PART) {
        cut(false)
        places = []
        docs.push([doc, places])
        positions = 1
      }
      if (!index.has(author)) index.set(author, index.size)
      places.push([index.get(author) ?? 0, seq, hash])
    }
    if (docs.length >= POSITIONS_PER_PART / 4) cut(false)
  }
  cut(true)
  return parts
}

/** Positions one peer may claim in one set of vectors: what a mesh of hundreds of members and projects needs. */
const POSITIONS_MAX = 500_000

/** Puts parts together again. */
export class VectorsReader {
  #vectors = new Map<DocId, Map<PeerId, FeedCut>>()
  #positions = 0

  /**
   * The whole, once the last part is there.
   * @throws MalformedError when a part contradicts itself or the parts never end
   */
  push(part: VectorsPart): Map<DocId, Map<PeerId, FeedCut>> | undefined {
    for (const [doc, places] of part.docs) {
      const authors = this.#vectors.get(doc) ?? new Map<PeerId, FeedCut>()
      this.#vectors.set(doc, authors)
      this.#positions += 1 + places.length
      if (this.#positions > POSITIONS_MAX) throw new MalformedError('vectors without an end')
      for (const [i, seq, hash] of places) {
        const author = part.authors[i]
        if (author === undefined) throw new MalformedError('vectors name an author that is not listed')
        authors.set(author, { seq, hash })
      }
    }
    if (!part.last) return undefined
    const whole = this.#vectors
    this.#vectors = new Map()
    this.#positions = 0
    return whole
  }
}

/** Cuts a list of byte strings into batches of about `BATCH_BYTES`. */
export function* batches(items: Iterable<Uint8Array>): Generator<Uint8Array[]> {
  let batch: Uint8Array[] = []
  let size = 0
  for (const item of items) {
    if (batch.length > 0 && (size + item.byteLength > BATCH_BYTES || batch.length >= ITEMS_MAX)) {
      yield batch
      batch = []
      size = 0
    }
    batch.push(item)
    size += item.byteLength
  }
  if (batch.length > 0) yield batch
}
