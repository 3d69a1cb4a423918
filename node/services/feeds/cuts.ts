import { isVolatile, type PeerId } from '../../../crdt/ids.ts'
import { equalBytes, toHex } from '../../../protocols/codec.ts'
import type { Envelope } from '../../../protocols/feed/envelope.ts'
import type { FeedCut } from '../../../protocols/membership/membership.ts'
import type { Frozen } from './frozen.ts'
import { history } from './history.ts'
import { isSnapshotDue, takeSnapshot, type Loader } from './loading.ts'
import type { OwnWrites } from './own-writes.ts'
import { forget, hashAt } from './places.ts'
import { announce, followersOf, type Feed, type Replica } from './replica.ts'

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
  // What is being read now may hold what goes. Looked at last before the document is closed to everybody.
  while (feed.loading) await feed.loading
  // So that whoever follows it is told what goes.
  if (!feed.live && followersOf(replica, feed).length > 0) await loader.load(feed)
  await ownWrites.quiesce(feed)
  const cuts = await cutsOf(replica, feed)
  const limits = isVolatile(feed.doc) ? cuts : await keepNeeded(replica, feed, cuts)
  const authors: PeerId[] = []
  for (const [author, lastSeq] of limits) {
    const envelopes = (feed.heads.get(author)?.seq ?? 0) - lastSeq
    if (envelopes <= 0) continue
    await forget(replica, feed, author, lastSeq)
    authors.push(author)
    // A live document goes with its author, at every removal: nobody loses anything by it.
    if (!isVolatile(feed.doc)) replica.log.warn({ doc: feed.doc, author, envelopes }, WRITES_LOST)
  }
  await loader.reload(feed)
  feed.keptBeyondCuts = new Map(
    [...cuts].flatMap(([author, cut]) => {
      const kept = feed.heads.get(author)?.seq ?? 0
      return kept > cut ? [[author, { cut, kept }]] : []
    }),
  )
  const snapshot = await ownWrites.settled(feed, (live) =>
    isSnapshotDue(feed, live, true) ? takeSnapshot(live, feed.heads) : undefined,
  )
  if (snapshot) await loader.saveSnapshot(feed, snapshot)
  announce(replica, feed, authors)
}

/** Somebody may have seen it: it was here before the removal. */
const WRITES_LOST = 'what a removed member wrote, and whoever removed it had not received, was dropped'

/** What others build on was looked at before, and stays: to look again is to read the whole document. */
async function hasVoid(replica: Replica, feed: Feed): Promise<boolean> {
  for (const [author, lastSeq] of await cutsOf(replica, feed)) {
    const head = feed.heads.get(author)?.seq ?? 0
    const known = feed.keptBeyondCuts.get(author)
    if (head > lastSeq && !(known?.cut === lastSeq && known.kept === head)) return true
  }
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
    // Another branch than the one the removal names: where they part is known once somebody has shown the other.
    const held = await hashAt(replica, feed, author, cut.seq)
    if (!held || !equalBytes(held, cut.hash)) cuts.set(author, cut.seq - 1)
  }
  return cuts
}

async function keepNeeded(
  replica: Replica,
  feed: Feed,
  cuts: ReadonlyMap<PeerId, number>,
): Promise<Map<PeerId, number>> {
  const limits = new Map(cuts)
  const envelopes: BuiltUpon[] = []
  for await (const { author, seq, prev, deps } of history(replica, feed, () => 0, new Map(feed.heads)))
    envelopes.push({ author, seq, prev, deps })
  /** Envelopes of branches that count, by hash: whatever is accepted builds on what is kept. */
  const branches = new Set<string>()
  for (let raised = true; raised;) {
    raised = false
    const open = envelopes.filter(({ author, seq }) => seq <= (limits.get(author) ?? Infinity))
    for (let next = open.pop(); next; next = open.pop())
      for (const [author, { seq, hash }] of placesBelow(next)) {
        const fork = feed.forks.get(author)
        const inBranch = fork && seq >= fork.seq ? fork.kept.get(toHex(hash)) : undefined
        if (inBranch && !branches.has(toHex(hash))) {
          branches.add(toHex(hash))
          open.push(inBranch)
        }
        const limit = limits.get(author)
        const needed = Math.min(seq, (fork?.seq ?? Infinity) - 1)
        if (limit === undefined || limit >= needed) continue
        limits.set(author, needed)
        raised = true
      }
  }
  return limits
}

type BuiltUpon = Pick<Envelope, 'author' | 'seq' | 'prev' | 'deps'>

/** What an envelope builds on: its predecessor, and others'. */
function placesBelow({ author, seq, prev, deps }: BuiltUpon): [PeerId, FeedCut][] {
  // The schema has checked that every key is a peer id.
  const places = Object.entries(deps) as [PeerId, FeedCut][]
  return prev ? [...places, [author, { seq: seq - 1, hash: prev }]] : places
}
