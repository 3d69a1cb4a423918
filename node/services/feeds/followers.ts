import type * as Y from 'yjs'
import { z } from 'zod'
import type { DocId } from '../../../crdt/ids.ts'
import { decodeCanonical, encodeCanonical, equalBytes, MalformedError, toHex } from '../../../protocols/codec.ts'
import type { Snapshot } from '../../ports/feed-store.ts'
import type { Follower } from './documents.ts'
import { isKnown } from './missing.ts'
import type { Visit } from './residence.ts'
import { followersOf, guarded, type Feed, type Replica } from './replica.ts'

/** A project with its brief takes 200 kB at most; what is larger was not written here. */
const SUMMARY_BYTES_MAX = 4 * 1024 * 1024

const SummaryBody = z.strictObject({ v: z.literal(1), parts: z.record(z.string(), z.unknown()) })

/** What the followers keep of a document, by the names of their parts. */
type Parts = Readonly<Record<string, unknown>>

/** Before anybody else can use what has come into memory. */
export function tellLoaded(replica: Replica, feed: Feed, state: Y.Doc): void {
  for (const follower of followersOf(replica, feed)) guarded(replica, () => follower.loaded(feed.doc, state))
}

export const isNeeded = (replica: Replica, feed: Feed): boolean =>
  followersOf(replica, feed).some((follower) => follower.isNeeded(feed.doc))

/**
 * Stores what followers keep of the document, unless that is what is stored. The live state must hold exactly what the
 * heads say. @returns what to tell them once it has left memory; undefined when it could not be stored
 */
export async function saveSummary(replica: Replica, feed: Feed): Promise<Parts | undefined> {
  const { doc, live } = feed
  const followers = followersOf(replica, feed)
  if (!live || followers.length === 0) return {}
  const { version } = live
  try {
    const parts = Object.fromEntries(followers.map((follower) => [follower.part, follower.summarize(doc, live.state)]))
    const summary: Snapshot = { heads: new Map(feed.heads), bytes: encodeCanonical({ v: 1, parts }) }
    const hash = hashOf(replica, summary)
    const names = followers.flatMap((follower) => follower.names?.(doc) ?? [])
    const added = names.flatMap((changes) => changes.added)
    const removed = names.flatMap((changes) => changes.removed)
    const isStored = added.length + removed.length === 0 && feed.storedSummary === hash
    if (feed.heads.size > 0 && !isStored) await replica.store.saveSummary(doc, summary, { added, removed })
    feed.storedSummary = hash
    feed.storedVersion = version
    for (const follower of followers) follower.stored?.(doc)
    return parts
  } catch (err) {
    replica.log.warn({ err, doc }, 'what is kept of a document could not be stored: it stays in memory')
    return undefined
  }
}

export function tellAway(replica: Replica, feed: Feed, parts: Parts): void {
  for (const follower of followersOf(replica, feed))
    guarded(replica, () => follower.away(feed.doc, parts[follower.part]))
}

export type FollowDeps = {
  readonly replica: Replica
  readonly visit: Visit
  readonly isOpen: () => boolean
}

/** See `Documents.follow`. */
export async function followKind<S>(
  deps: FollowDeps,
  follower: Follower<S>,
): Promise<{ readonly caughtUp: Promise<void> }> {
  const { replica } = deps
  const known = new Set<DocId>()
  const told: Follower<unknown> = {
    ...follower,
    loaded(doc, state) {
      known.add(doc)
      follower.loaded(doc, state)
    },
  }
  replica.followers.add(told)
  const feeds = [...replica.feeds.values()].filter((feed) => isKnown(feed) && followersOf(replica, feed).includes(told))
  for (const { doc, live } of feeds) if (live) told.loaded(doc, live.state)
  for (const feed of feeds) if (!known.has(feed.doc) && (await tellStored(replica, feed, told))) known.add(feed.doc)
  return { caughtUp: catchUp(deps, feeds, known) }
}

/** One after the other, so that they are not in memory together. */
async function catchUp({ replica, visit, isOpen }: FollowDeps, feeds: readonly Feed[], known: ReadonlySet<DocId>) {
  for (const feed of feeds) {
    if (!isOpen()) return
    if (known.has(feed.doc)) continue
    try {
      await visit(feed, async () => undefined)
    } catch (err) {
      replica.log.error({ err, doc: feed.doc }, 'a document could not be loaded')
    }
  }
}

/** Tells the follower what is stored of a document that is not in memory. False when that is not what it says now. */
async function tellStored(replica: Replica, feed: Feed, follower: Follower<unknown>): Promise<boolean> {
  const summary = await replica.store.loadSummary(feed.doc)
  // Which branches count is known from the feeds alone.
  if (!summary || feed.forks.size > 0 || !haveSameHeads(summary, feed)) return false
  const parts = tryParse(summary)
  const parsed = parts && follower.summary.safeParse(parts[follower.part])
  // Meanwhile it may have been loaded, which the follower has been told.
  if (parsed?.success !== true || feed.live) return feed.live !== undefined
  feed.storedSummary = hashOf(replica, summary)
  guarded(replica, () => follower.away(feed.doc, parsed.data))
  return true
}

function tryParse({ bytes }: Snapshot): Parts | undefined {
  try {
    return decodeCanonical(SummaryBody, bytes, SUMMARY_BYTES_MAX).parts
  } catch (error) {
    if (error instanceof MalformedError) return undefined // of another release
    throw error
  }
}

const hashOf = ({ crypto }: Replica, { heads, bytes }: Snapshot): string =>
  toHex(
    crypto.sha256(encodeCanonical([Object.fromEntries([...heads].map(([author, { hash }]) => [author, hash])), bytes])),
  )

export const haveSameHeads = ({ heads: a }: Pick<Snapshot, 'heads'>, { heads: b }: Pick<Snapshot, 'heads'>): boolean =>
  a.size === b.size && [...a].every(([author, { hash }]) => equalBytes(hash, b.get(author)?.hash ?? new Uint8Array()))
