import type { PeerId } from '../../../crdt/ids.ts'
import { parseKeptEnvelope, type Envelope } from '../../../protocols/feed/envelope.ts'
import { MalformedError } from '../../../protocols/codec.ts'
import type { FeedHead } from '../../ports/feed-store.ts'
import { UnreadableError } from './documents.ts'
import { readFeed, type Feed, type Replica } from './replica.ts'

type Cursor = { readonly author: PeerId; readonly rest: AsyncGenerator<Uint8Array>; front: Envelope }

/**
 * A document's envelopes after `from` up to the heads `to`, each after those it depends on (as far as they are among
 * them), otherwise oldest first: the same order on every replica that has the same.
 */
export async function* history(
  replica: Replica,
  feed: Feed,
  from: (author: PeerId) => number,
  to: ReadonlyMap<PeerId, FeedHead>,
): AsyncGenerator<Envelope> {
  const done = new Map<PeerId, number>()
  const cursors: Cursor[] = []
  try {
    for (const [author, { seq }] of to) {
      done.set(author, Math.min(from(author), seq))
      if (from(author) >= seq) continue
      const rest = readFeed(replica, feed, author, { from: from(author) + 1, to: seq })
      const front = await nextEnvelope(replica, feed, rest)
      if (front) cursors.push({ author, rest, front })
    }
    while (cursors.length > 0) {
      const cursor = earliest(cursors, done, to)
      yield cursor.front
      done.set(cursor.author, cursor.front.seq)
      const front = await nextEnvelope(replica, feed, cursor.rest)
      if (front) cursor.front = front
      else cursors.splice(cursors.indexOf(cursor), 1)
    }
  } finally {
    for (const { rest } of cursors) await rest.return(undefined)
  }
}

async function nextEnvelope(
  replica: Replica,
  feed: Feed,
  rest: AsyncGenerator<Uint8Array>,
): Promise<Envelope | undefined> {
  const { done, value } = await rest.next()
  if (done === true) return undefined
  try {
    return parseKeptEnvelope(value, replica.crypto)
  } catch (cause) {
    if (!(cause instanceof MalformedError)) throw cause
    throw new UnreadableError(`A stored envelope of the document ${feed.doc} is damaged.`, { cause })
  }
}

function earliest(
  cursors: readonly Cursor[],
  done: ReadonlyMap<PeerId, number>,
  to: ReadonlyMap<PeerId, FeedHead>,
): Cursor {
  let best: Cursor | undefined
  let fallback: Cursor | undefined
  for (const cursor of cursors) {
    if (isBefore(cursor, fallback)) fallback = cursor
    if (isBefore(cursor, best) && isReady(cursor.front, done, to)) best = cursor
  }
  const cursor = best ?? fallback
  if (!cursor) throw new Error('no cursor left')
  return cursor
}

const isBefore = (a: Cursor, b: Cursor | undefined): boolean =>
  b === undefined || a.front.at < b.front.at || (a.front.at === b.front.at && a.author < b.author)

function isReady({ deps }: Envelope, done: ReadonlyMap<PeerId, number>, to: ReadonlyMap<PeerId, FeedHead>): boolean {
  for (const name in deps) {
    // The schema has checked that every key is a peer id.
    const author = name as PeerId
    if ((done.get(author) ?? 0) < Math.min(deps[author]?.seq ?? 0, to.get(author)?.seq ?? 0)) return false
  }
  return true
}
