import { isVolatile, type PeerId } from '../../../crdt/ids.ts'
import type { FeedHead } from '../../ports/feed-store.ts'
import type { Feed, Replica } from './replica.ts'

/** Drops accepted envelopes of another author beyond `lastSeq`, on disk first. */
export async function forget(replica: Replica, feed: Feed, author: PeerId, lastSeq: number): Promise<void> {
  const last = lastSeq === 0 ? undefined : await readOne(replica, feed, author, lastSeq)
  if (isVolatile(feed.doc))
    for (const { byteLength } of feed.memory.get(author)?.splice(lastSeq) ?? []) feed.memoryBytes -= byteLength
  else await replica.store.truncate(feed.doc, author, lastSeq)
  feed.hashes.delete(author)
  // It may have been what they were kept for.
  feed.keptBeyondCuts = new Map()
  if (last) feed.heads.set(author, { seq: lastSeq, hash: replica.crypto.sha256(last) })
  else feed.heads.delete(author)
}

/** An author has more recent ones than others refer to at a time; an older one costs a read. */
const HASHES_PER_AUTHOR_MAX = 256

/** Remembers the hash of an accepted envelope. */
export function noteHash(feed: Feed, author: PeerId, { seq, hash }: FeedHead): void {
  const hashes = feed.hashes.get(author) ?? new Map<number, Uint8Array>()
  feed.hashes.set(author, hashes.set(seq, hash))
  const [oldest] = hashes.keys()
  if (hashes.size > HASHES_PER_AUTHOR_MAX && oldest !== undefined) hashes.delete(oldest)
}

/** The hash of one accepted envelope. */
export async function hashAt(
  replica: Replica,
  feed: Feed,
  author: PeerId,
  seq: number,
): Promise<Uint8Array | undefined> {
  const head = feed.heads.get(author)
  if (!head || seq > head.seq) return undefined
  if (seq === head.seq) return head.hash
  const noted = feed.hashes.get(author)?.get(seq)
  if (noted) return noted
  const bytes = await readOne(replica, feed, author, seq)
  const hash = bytes && replica.crypto.sha256(bytes)
  if (hash) noteHash(feed, author, { seq, hash })
  return hash
}

/** The bytes of one accepted envelope. */
export async function readOne(
  replica: Replica,
  feed: Feed,
  author: PeerId,
  seq: number,
): Promise<Uint8Array | undefined> {
  if (isVolatile(feed.doc)) return feed.memory.get(author)?.[seq - 1]
  return await replica.store.readOne(feed.doc, author, seq)
}
