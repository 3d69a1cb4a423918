import { z } from 'zod'
import { DocId, PeerId } from '../../crdt/ids.ts'
import { decodeCanonical } from '../../protocols/codec.ts'
import { ENVELOPE_BYTES_MAX } from '../../protocols/feed/envelope.ts'
import { type Db, get, rawEntries } from './level-db.ts'
import { AFTER_SEQS, envelopeKey, readNumber, type Bytes } from './level-keys.ts'

export type FeedSize = {
  readonly doc: DocId
  readonly author: PeerId
  readonly envelopes: number
  readonly bytes: number
  /** What its author says when the first was written, in ms. */
  readonly firstAt: number
  /** Bytes of envelopes written since the moment that was asked about, by what their author says. */
  readonly lateBytes: number
}

export type StoreSizes = {
  readonly feeds: readonly FeedSize[]
  readonly snapshots: ReadonlyMap<DocId, number>
  /** Of documents, for when they are not in memory, and the names that lead to them. */
  readonly summaries: Counted
  readonly records: Counted
  readonly facts: Counted
}

type Counted = { readonly count: number; readonly bytes: number }

/**
 * Bytes of keys and values as they are stored, before LevelDB compresses them. Reads everything once, a portion at a
 * time in another thread: others are served in between, and a gigabyte takes seconds.
 */
export async function measure(db: Db, dir: string, sinceMs: number): Promise<StoreSizes> {
  const feeds: FeedSize[] = []
  const snapshots = new Map<DocId, number>()
  const none = (): { count: number; bytes: number } => ({ count: 0, bytes: 0 })
  const [records, facts, summaries] = [none(), none(), none()]
  const counts = new Map([
    ['r', records],
    ['f', facts],
    ['u', summaries],
    ['n', summaries],
  ])
  let feed: Open | undefined
  const settle = async (): Promise<void> => {
    if (feed) feeds.push(await close(db, dir, feed, sinceMs))
    feed = undefined
  }
  for await (const [key, value] of rawEntries(db, dir)) {
    const bytes = key.byteLength + value.byteLength
    const kind = String.fromCharCode(key[0] ?? 0)
    if (kind === 'e') {
      const { name, doc, author } = feedAt(key)
      if (feed?.name !== name) {
        await settle()
        feed = { name, doc, author, firstSeq: readNumber(key, key.byteLength - AFTER_SEQS.byteLength), sizes: [] }
      }
      feed?.sizes.push(bytes)
      continue
    }
    await settle()
    if (kind === 's') snapshots.set(docAt(key), bytes)
    const counted = counts.get(kind)
    if (!counted) continue
    counted.count++
    counted.bytes += bytes
  }
  await settle()
  return { feeds, snapshots, summaries, records, facts }
}

/** `sizes` from `firstSeq` on, one after the other. */
type Open = {
  readonly name: string
  readonly doc: DocId
  readonly author: PeerId
  readonly firstSeq: number
  readonly sizes: number[]
}

/** An author's envelopes are in the order in which it wrote them, so the first late one is found by halving. */
async function close(db: Db, dir: string, open: Open, sinceMs: number): Promise<FeedSize> {
  const { doc, author, firstSeq, sizes } = open
  /** Of the nth envelope, from 1. */
  const at = async (nth: number): Promise<number> => {
    const bytes = await get(db, dir, envelopeKey(doc, author, firstSeq + nth - 1))
    // Removed meanwhile.
    return bytes ? decodeCanonical(Written, bytes, ENVELOPE_BYTES_MAX).at : 0
  }
  let [early, late] = [0, sizes.length + 1]
  while (late - early > 1) {
    const middle = Math.floor((early + late) / 2)
    if ((await at(middle)) < sinceMs) early = middle
    else late = middle
  }
  const sum = (some: readonly number[]): number => some.reduce((total, size) => total + size, 0)
  return {
    doc,
    author,
    envelopes: sizes.length,
    bytes: sum(sizes),
    firstAt: await at(1),
    lateBytes: sum(sizes.slice(early)),
  }
}

const Written = z.looseObject({ at: z.int().min(0) })

function feedAt(key: Bytes): { name: string; doc: DocId; author: PeerId } {
  const name = new TextDecoder().decode(key.subarray(1, key.byteLength - AFTER_SEQS.byteLength))
  const [doc, author] = name.split('\0')
  return { name, doc: DocId.parse(doc), author: PeerId.parse(author) }
}

const docAt = (key: Bytes): DocId => DocId.parse(new TextDecoder().decode(key.subarray(1, -1)))
