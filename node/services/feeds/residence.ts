import { isNeeded, saveSummary, tellAway } from './followers.ts'
import { isSnapshotDue, takeSnapshot, type Loader } from './loading.ts'
import { isKnown } from './missing.ts'
import { isSettled, type OwnWrites } from './own-writes.ts'
import { followersOf, type Feed, type LiveDoc, type Replica, type Weight } from './replica.ts'

/** A document nobody has used for this long leaves memory. */
const IDLE_MS = 5 * 60_000

/**
 * Beyond it, about three times as much in memory, documents leave as soon as they are not in use: a new member gets all
 * there are within minutes.
 */
const CROWDED_BYTES = 64 * 1024 * 1024

/** Whoever has just used a document is likely to use it again. */
const RESTING_MS = 10_000

/** Which documents are in memory. */
export type Residence = {
  /** Pins the document and brings it into memory. @throws StorageError */
  readonly hold: (feed: Feed) => Promise<() => void>
  /**
   * Holds the document for a task that is no use of it: one that was not in memory leaves it right after, unless somebody
   * else needs it by then.
   */
  readonly visit: Visit
  /**
   * Puts away what is idle, forgets documents that were only asked for, and stores what is to be known of those that have
   * come to rest, so that after a crash they need not be loaded for it. Only inside `exclusive`.
   */
  sweep(): Promise<void>
  /** Stores what makes the next start quick. Only inside `exclusive`. */
  prepareForEnd(): Promise<void>
}

export type Visit = <T>(feed: Feed, task: () => Promise<T>) => Promise<T>

type ResidenceDeps = { readonly replica: Replica; readonly loader: Loader; readonly ownWrites: OwnWrites }

export const usable = (feed: Feed): LiveDoc | undefined => (feed.dirty ? undefined : feed.live)

export function createResidence(deps: ResidenceDeps): Residence {
  const { replica, loader } = deps
  const hold = createHold(deps)
  return {
    hold,
    async visit(feed, task) {
      const isGuest = feed.live === undefined
      const { lastUsedMs } = feed
      const unpin = await hold(feed)
      const { uses } = feed
      try {
        return await task()
      } finally {
        unpin()
        if (feed.uses === uses) feed.lastUsedMs = lastUsedMs
        if (isGuest) void replica.exclusive(() => putAway(deps, feed, () => feed.uses === uses))
      }
    },
    async sweep() {
      const now = replica.clock.monoMs()
      let bytes = 0
      for (const { live } of replica.feeds.values()) bytes += live ? bytesOf(live) : 0
      for (const feed of [...replica.feeds.values()].toSorted((a, b) => a.lastUsedMs - b.lastUsedMs)) {
        const { uses } = feed
        const idleMs = now - feed.lastUsedMs
        if (idleMs < RESTING_MS) return
        const { live } = feed
        const isDue = idleMs >= IDLE_MS || bytes > CROWDED_BYTES
        if (isDue && (await putAway(deps, feed, () => feed.uses === uses))) bytes -= live ? bytesOf(live) : 0
        else if (live && isSettled(feed) && feed.storedVersion !== live.version) await saveSummary(replica, feed)
        if (isDue && !isKnown(feed) && isAway(feed)) replica.feeds.delete(feed.doc)
      }
    },
    async prepareForEnd() {
      for (const feed of replica.feeds.values()) {
        if (!isSettled(feed)) continue
        await snapshotBeforeUnload(loader, feed)
        if (isSettled(feed)) await saveSummary(replica, feed)
      }
    },
  }
}

function createHold({ replica, loader, ownWrites }: ResidenceDeps): Residence['hold'] {
  return async (feed) => {
    const unpin = pin(replica, feed)
    try {
      while (!usable(feed)) {
        if (feed.dirty) await ownWrites.clean(feed)
        else await loader.load(feed)
      }
      return unpin
    } catch (error) {
      unpin()
      throw error
    }
  }
}

/** Keeps a document where it is. Returns the unpin. */
export function pin(replica: Replica, feed: Feed): () => void {
  feed.pins += 1
  feed.uses += 1
  let isHeld = true
  return () => {
    if (isHeld) feed.pins -= 1
    isHeld = false
    feed.lastUsedMs = replica.clock.monoMs()
  }
}

const isAway = ({ live, loading, pins, forks, waiters }: Feed): boolean =>
  live === undefined && loading === undefined && pins === 0 && forks.size === 0 && waiters.size === 0

/** What followers need is stored before they have to do without the document. False when it stays. */
async function putAway({ replica, loader }: ResidenceDeps, feed: Feed, isUnused: () => boolean): Promise<boolean> {
  const mayGo = (): boolean => feed.pins === 0 && isSettled(feed) && isUnused() && !isNeeded(replica, feed)
  if (!feed.live || !mayGo()) return false
  await snapshotBeforeUnload(loader, feed)
  if (!mayGo()) return false
  const summary = await saveSummary(replica, feed)
  const { live } = feed
  // Who has begun to follow meanwhile was told that it is here, and has not been asked what to keep.
  const isComplete = summary && followersOf(replica, feed).every(({ part }) => part in summary)
  if (!isComplete || !live || !mayGo()) return false
  feed.weight = weigh(live)
  live.state.destroy()
  feed.live = undefined
  tellAway(replica, feed, summary)
  return true
}

async function snapshotBeforeUnload(loader: Loader, feed: Feed): Promise<void> {
  const { live } = feed
  if (live && isSnapshotDue(feed, live, true)) await loader.saveSnapshot(feed, takeSnapshot(live, feed.heads))
}

const bytesOf = ({ snapshotBytes, tailBytes }: LiveDoc): number => snapshotBytes + tailBytes

export function weigh(live: LiveDoc): Weight {
  let structs = 0
  for (const ofClient of live.state.store.clients.values()) structs += ofClient.length
  return { bytes: bytesOf(live), structs }
}
