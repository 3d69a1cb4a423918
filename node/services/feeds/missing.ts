import { isVolatile, type DocId, type PeerId } from '../../../crdt/ids.ts'
import { equalBytes, toHex } from '../../../protocols/codec.ts'
import { builtOn } from '../../../protocols/feed/branches.ts'
import type { FeedHead } from '../../ports/feed-store.ts'
import type { FeedVectors } from './feed-exchange.ts'
import { history } from './history.ts'
import { hashAt } from './places.ts'
import { readFeed, type Feed, type Replica } from './replica.ts'

/**
 * How much is sent of a feed of which the other side has another branch: where the two part should be among it. If it
 * lies further back, the other side ends its feed where this begins, and the next comparison goes on from there.
 */
const BRANCH_TAIL = 256

/** What the other side has applied, and whose feeds it refuses. */
export type Standpoint = { readonly theirs: FeedVectors; readonly refused: ReadonlySet<PeerId> }

export const isKnown = (feed: Feed): boolean => feed.heads.size > 0

export function vectorsOf(replica: Replica): FeedVectors {
  const vectors = new Map<DocId, Map<PeerId, FeedHead>>()
  for (const { doc, heads } of replica.feeds.values()) if (heads.size > 0) vectors.set(doc, new Map(heads))
  return vectors
}

export function headsOf(replica: Replica, author: PeerId): ReadonlyMap<DocId, FeedHead> {
  const heads = new Map<DocId, FeedHead>()
  for (const feed of replica.feeds.values()) {
    const head = feed.heads.get(author)
    if (head && !isVolatile(feed.doc)) heads.set(feed.doc, head)
  }
  return heads
}

/** See `FeedExchange.missing`. */
export async function* missing(
  replica: Replica,
  { theirs, refused }: Standpoint,
  bytesMax: number,
): AsyncGenerator<Uint8Array> {
  // Small ones first: presence and the mesh's index must not wait for a large project.
  const todo = [...replica.feeds.values()]
    .filter(isKnown)
    .map((feed) => ({ feed, to: new Map(feed.heads) }))
    .toSorted((a, b) => rank(a.feed.doc) - rank(b.feed.doc))
  let sent = 0
  for (const { feed, to } of todo)
    for await (const bytes of missingOf(replica, feed, { to, known: theirs.get(feed.doc) ?? new Map(), refused })) {
      yield bytes
      sent += bytes.byteLength
      if (sent >= bytesMax) return
    }
}

type Heads = ReadonlyMap<PeerId, FeedHead>
type Comparison = { readonly to: Heads; readonly known: Heads; readonly refused: ReadonlySet<PeerId> }

async function* missingOf(
  replica: Replica,
  feed: Feed,
  { to, known, refused }: Comparison,
): AsyncGenerator<Uint8Array> {
  for (const [author, theirs] of known)
    if (await isOther(replica, feed, author, theirs))
      yield* readFeed(replica, feed, author, { from: Math.max(1, theirs.seq - BRANCH_TAIL), to: theirs.seq })
  const from = (author: PeerId): number =>
    refused.has(author) && !feed.forks.has(author) ? Infinity : (known.get(author)?.seq ?? 0)
  const sent = new Set<string>()
  for await (const envelope of history(replica, feed, from, to)) {
    for (const { hash, bytes } of builtOn(feed.forks, envelope, (hash) => sent.has(hash))) {
      yield bytes
      sent.add(toHex(hash))
    }
    yield envelope.bytes
  }
}

/** They have an envelope at a place where we have another one. */
async function isOther(replica: Replica, feed: Feed, author: PeerId, { seq, hash }: FeedHead): Promise<boolean> {
  const ours = await hashAt(replica, feed, author, seq)
  return ours !== undefined && !equalBytes(ours, hash)
}

const RANKS = ['live', 'mesh', 'accounts', 'machine', 'project', 'context']
const rank = (doc: DocId): number => RANKS.indexOf(doc.split('/', 1)[0] ?? '')
