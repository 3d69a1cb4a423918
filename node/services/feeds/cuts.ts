import { isVolatile, type PeerId } from '../../../crdt/ids.ts'
import { equalBytes } from '../../../protocols/codec.ts'
import type { Frozen } from './frozen.ts'
import { history } from './history.ts'
import { forget, isSnapshotDue, readOne, takeSnapshot, type Loader } from './loading.ts'
import type { OwnWrites } from './own-writes.ts'
import { announce, type Feed, type Replica } from './replica.ts'

export type CutDeps = {
  readonly replica: Replica
  readonly loader: Loader
  readonly frozen: Frozen
  readonly ownWrites: OwnWrites
}

/**
 * Forgets what removed members wrote beyond their cuts, and rebuilds the documents that had it. What an envelope that
 * stays depends on stays too: it is part of what its author saw. Inside `exclusive`.
 */
export async function applyCuts(deps: CutDeps): Promise<void> {
  const { replica, frozen } = deps
  for (const feed of replica.feeds.values()) await cutFeed(deps, feed)
  const { members } = replica.membership()
  for (const author of frozen.all().keys()) if (!members.has(author)) await frozen.release(author)
}

async function cutFeed(deps: CutDeps, feed: Feed): Promise<void> {
  const { replica, loader, ownWrites } = deps
  if (!(await hasVoid(replica, feed))) return
  await feed.loading
  await ownWrites.quiesce(feed)
  const limits = isVolatile(feed.doc) ? await cutsOf(replica, feed) : await keepNeeded(replica, feed)
  const authors: PeerId[] = []
  for (const [author, lastSeq] of limits) {
    if ((feed.heads.get(author)?.seq ?? 0) <= lastSeq) continue
    await forget(replica, feed, author, lastSeq)
    authors.push(author)
  }
  await loader.reload(feed)
  if (feed.live && !isVolatile(feed.doc) && isSnapshotDue(feed.live, true))
    await loader.saveSnapshot(feed, takeSnapshot(feed.live, feed.heads))
  replica.log.warn({ doc: feed.doc, authors }, 'envelopes of removed members beyond their cuts were dropped')
  announce(replica, feed, authors)
}

async function hasVoid(replica: Replica, feed: Feed): Promise<boolean> {
  for (const [author, lastSeq] of await cutsOf(replica, feed))
    if ((feed.heads.get(author)?.seq ?? 0) > lastSeq) return true
  return false
}

/** Where the feed of every author who is no member (any more) ends. Our own stays: its numbers are never used again. */
async function cutsOf(replica: Replica, feed: Feed): Promise<Map<PeerId, number>> {
  const { members, removed } = replica.membership()
  const cuts = new Map<PeerId, number>()
  for (const [author, head] of feed.heads) {
    if (members.has(author) || author === replica.self) continue
    const cut = removed.get(author)?.get(feed.doc)
    cuts.set(author, cut?.seq ?? 0)
    if (!cut || head.seq < cut.seq) continue
    // Another branch than the one the removal names: fetched anew from whoever has the right one.
    const held = await readOne(replica, feed, author, cut.seq)
    if (!held || !equalBytes(replica.crypto.sha256(held), cut.hash)) cuts.set(author, 0)
  }
  return cuts
}

async function keepNeeded(replica: Replica, feed: Feed): Promise<Map<PeerId, number>> {
  const limits = await cutsOf(replica, feed)
  const envelopes: { author: PeerId; seq: number; deps: [string, number][] }[] = []
  for await (const { author, seq, deps } of history(replica, feed, () => 0, new Map(feed.heads)))
    envelopes.push({ author, seq, deps: Object.entries(deps) })
  for (let raised = true; raised;) {
    raised = false
    for (const { author, seq, deps } of envelopes) {
      if (seq > (limits.get(author) ?? Infinity)) continue
      for (const [name, needed] of deps) {
        // The schema has checked that every key is a peer id.
        const limit = limits.get(name as PeerId)
        if (limit === undefined || limit >= needed) continue
        limits.set(name as PeerId, needed)
        raised = true
      }
    }
  }
  return limits
}
