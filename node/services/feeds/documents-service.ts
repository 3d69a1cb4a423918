import type * as Y from 'yjs'
import { isVolatile, type DocId, type PeerId } from '../../../crdt/ids.ts'
import { every } from '../../ports/clock.ts'
import { hasContent, hashContent } from './content.ts'
import { StorageError, UnreadableError, type Documents } from './documents.ts'
import { followKind } from './followers.ts'
import type { FeedExchange } from './feed-exchange.ts'
import { applyCuts } from './cuts.ts'
import { createForks, restoreForks, type Forks } from './forks.ts'
import { loadFrozen, type Frozen, type FrozenListener } from './frozen.ts'
import { createGenerations, type Generations } from './generations.ts'
import { receiveEnvelopes } from './intake.ts'
import { authorOf, createLoader, takeSnapshot, type Loader } from './loading.ts'
import { headsOf, isKnown, missing, vectorsOf } from './missing.ts'
import { createOwnWrites, type OwnWrites } from './own-writes.ts'
import { createResidence, pin, usable, weigh, type Residence } from './residence.ts'
import { readOne } from './places.ts'
import { loadRestoration, type Restoration } from './restoration.ts'
import {
  announce,
  createReplica,
  feedOf,
  hasReached,
  type Feed,
  type LiveDoc,
  type Replica,
  type ReplicaDeps,
  type Weight,
} from './replica.ts'
import { createWaitingRoom, type WaitingRoom } from './waiting-room.ts'

const SWEEP_MS = 10_000

/** A replay costs seconds for a large document, and anybody can claim that replicas differ. */
const REBUILD_EVERY_MS = 60_000

export type DocumentInfo = {
  readonly doc: DocId
  readonly authors: number
  readonly envelopes: number
  /** Received envelopes that wait for others. */
  readonly waiting: number
  readonly loaded: boolean
  /** As it is, or was when it left memory; undefined while it has not been needed since the start. */
  readonly weight: Weight | undefined
}

export type DocumentsService = Documents &
  FeedExchange & {
    info(): readonly DocumentInfo[]
    /** Fires when an author is frozen, with the proof: envelopes that make whoever receives them do the same. */
    readonly onFrozen: (listener: FrozenListener) => () => void
    /** The proof against a frozen author; empty for any other. */
    readonly evidence: (author: PeerId) => Promise<readonly Uint8Array[]>
    /** Whether, and why, this node writes nothing for now. */
    readonly restoration: Restoration
    /** Envelopes of the author that wait for others are of no use any more: it starts from what is accepted. */
    forgetWaiting(author: PeerId): void
    /** Makes everything durable and saves snapshots. The store stays open: whoever opened it closes it. */
    close(): Promise<void>
  }

type Parts = {
  readonly replica: Replica
  readonly frozen: Frozen
  readonly forks: Forks
  readonly room: WaitingRoom
  readonly generations: Generations
  readonly loader: Loader
  readonly ownWrites: OwnWrites
  readonly restoration: Restoration
  readonly residence: Residence
  readonly hold: Residence['hold']
  /** Until the documents are closed. */
  readonly isOpen: () => boolean
}

/** @throws StorageError when what is stored contradicts itself. */
export async function createDocuments(deps: ReplicaDeps): Promise<DocumentsService> {
  const replica = createReplica(deps)
  await restoreHeads(replica)
  await restoreForks(replica)
  const frozen = await loadFrozen(replica)
  const room = createWaitingRoom()
  const generations = createGenerations(replica, room)
  const loader = createLoader(replica, frozen)
  const restoration = await loadRestoration(replica)
  const ownWrites = createOwnWrites({ replica, loader, frozen, generations, restoration })
  const residence = createResidence({ replica, loader, ownWrites })
  const { hold } = residence
  const forks = createForks({ replica, room, loader, ownWrites })
  let isOpen = true
  const shared = { replica, frozen, forks, room, generations, loader, ownWrites, restoration }
  const parts: Parts = { ...shared, residence, hold, isOpen: () => isOpen }
  const cuts = createCutting(parts)
  // An earlier run may have ended between hearing of a removal and cutting off what it voids.
  await replica.exclusive(cuts.apply)
  // A mesh of one has nobody to wait for.
  await restoration.look()
  const sweep = async (): Promise<void> => {
    await cuts.retry()
    await residence.sweep()
  }
  const cancelSweep = every(replica.clock, SWEEP_MS, () => void replica.exclusive(sweep))
  return {
    ...createDocumentApi(parts),
    ...createExchange(parts),
    async membershipChanged() {
      await replica.exclusive(cuts.apply)
      await restoration.look()
    },
    info: () => [...replica.feeds.values()].filter(isKnown).map((feed) => describe(feed, room)),
    onFrozen: frozen.onFrozen,
    evidence: frozen.evidence,
    restoration,
    forgetWaiting: (author) => room.dropAuthor(author),
    async close() {
      isOpen = false
      cancelSweep()
      await replica.exclusive(async () => {
        await ownWrites.flush()
        await residence.prepareForEnd()
      })
    },
  }
}

/** Cuts off what removals void. A disk that refuses keeps it, and is tried again; both inside `exclusive`. */
function createCutting(parts: Parts): { readonly apply: () => Promise<void>; readonly retry: () => Promise<void> } {
  let isDue = false
  const apply = async (): Promise<void> => {
    try {
      await applyCuts(parts)
      isDue = false
    } catch (err) {
      isDue = true
      parts.replica.log.error({ err }, 'what removed members wrote could not be cut off; it is tried again')
    }
  }
  return { apply, retry: async () => (isDue ? await apply() : undefined) }
}

async function restoreHeads(replica: Replica): Promise<void> {
  for (const [doc, authors] of await replica.store.documents()) {
    const feed = feedOf(replica, doc)
    for (const [author, seq] of authors) {
      const bytes = await readOne(replica, feed, author, seq)
      if (!bytes)
        throw new UnreadableError(`The stored feed of ${author} in the document ${doc} lacks its end (${seq}).`)
      feed.heads.set(author, { seq, hash: replica.crypto.sha256(bytes) })
    }
  }
}

const describe = (feed: Feed, room: WaitingRoom): DocumentInfo => ({
  doc: feed.doc,
  authors: feed.heads.size,
  envelopes: [...feed.heads.values()].reduce((sum, { seq }) => sum + seq, 0),
  waiting: room.count(feed.doc),
  loaded: feed.live !== undefined,
  weight: feed.live ? weigh(feed.live) : feed.weight,
})

function createDocumentApi({ replica, ownWrites, residence, isOpen }: Parts): Documents {
  const { hold } = residence
  const use = async <T>(doc: DocId, task: (feed: Feed, live: LiveDoc) => T | Promise<T>): Promise<T> => {
    const feed = feedOf(replica, doc)
    const unpin = usable(feed) ? pin(replica, feed) : await hold(feed)
    try {
      // Between being loaded and being used it may have become dirty again.
      for (;;) {
        const live = usable(feed)
        if (live) return await task(feed, live)
        ;(await hold(feed))()
      }
    } finally {
      unpin()
    }
  }
  return {
    read: (doc, project) => use(doc, (feed, live) => look(feed, live, project)),
    readOpen(doc, project) {
      const feed = replica.feeds.get(doc)
      if (!feed || feed.pins === 0) throw new Error(`${doc} is not open`)
      if (!feed.live) throw new StorageError(`The document ${doc} could not be rebuilt.`)
      return look(feed, feed.live, project)
    },
    authorOf(doc, client) {
      const feed = replica.feeds.get(doc)
      return feed && authorOf(replica, feed, client)
    },
    write: (doc, actor, change) =>
      use(doc, async (feed, live) => {
        const { value, seq } = await ownWrites.write(feed, live, actor, change)
        return { value, position: { doc, author: replica.self, seq } }
      }),
    async open(doc, onChange) {
      const feed = feedOf(replica, doc)
      const unpin = await hold(feed)
      // Wrapped, so that one function can follow twice.
      const listener: typeof onChange = onChange && ((change, state) => onChange(change, state))
      if (listener) feed.listeners.add(listener)
      return () => {
        if (listener) feed.listeners.delete(listener)
        unpin()
      }
    },
    follow: (follower) => followKind({ replica, visit: residence.visit, isOpen }, follower),
    named: (name) => replica.store.named(name),
    reached: ({ doc, author, seq }, signal) => reached(feedOf(replica, doc), { author, seq }, signal),
    list: () => [...replica.feeds.values()].filter(isKnown).map((feed) => feed.doc),
    heads: (doc) => replica.feeds.get(doc)?.heads ?? new Map(),
    onChange: (listener) => listenIn(replica.changeListeners, listener),
    onDocument: (listener) => listenIn(replica.documentListeners, listener),
  }
}

function listenIn<T>(listeners: Set<T>, listener: T): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

function look<T>(feed: Feed, live: LiveDoc, project: (state: Y.Doc) => T): T {
  const wasDirty = feed.dirty
  const value = project(live.state)
  if (feed.dirty && !wasDirty) throw new Error('documents are changed through write() only')
  return value
}

async function reached(
  feed: Feed,
  { author, seq }: { author: PeerId; seq: number },
  signal: AbortSignal,
): Promise<boolean> {
  if (hasReached(feed, author, seq)) return true
  if (signal.aborted) return false
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const waiter = { author, seq, resolve: () => resolve(true) }
  const give = (): void => resolve(false)
  feed.waiters.add(waiter)
  signal.addEventListener('abort', give, { once: true })
  try {
    return await promise
  } finally {
    feed.waiters.delete(waiter)
    signal.removeEventListener('abort', give)
  }
}

function createExchange(parts: Parts): Omit<FeedExchange, 'membershipChanged'> {
  const { replica, frozen, forks, ownWrites, residence } = parts
  return {
    vectors: () => vectorsOf(replica),
    missing: (theirs, bytesMax, refused = new Set()) => missing(replica, { theirs, refused }, bytesMax),
    receive: (envelopes) => receiveEnvelopes(parts, envelopes),
    onAppend: ownWrites.onAppend,
    frozen: frozen.all,
    forks: forks.all,
    onFork: forks.onLearnt,
    headsOf: (author) => headsOf(replica, author),
    hasContent: (doc) => hasContent(feedOf(replica, doc)),
    contentHash: (doc) => hashContent({ replica, ownWrites, visit: residence.visit }, feedOf(replica, doc)),
    rebuild: (doc) => rebuild(parts, feedOf(replica, doc)),
  }
}

async function rebuild({ replica, loader, ownWrites, hold }: Parts, feed: Feed): Promise<'rebuilt' | 'too soon'> {
  const now = replica.clock.monoMs()
  if (feed.replayedAtMs !== undefined && now - feed.replayedAtMs < REBUILD_EVERY_MS) return 'too soon'
  feed.replayedAtMs = now
  const unpin = await hold(feed)
  try {
    await replica.exclusive(async () => {
      await ownWrites.quiesce(feed)
      await loader.replay(feed)
      if (!isVolatile(feed.doc) && feed.forks.size === 0)
        await loader.saveSnapshot(feed, await ownWrites.settled(feed, (live) => takeSnapshot(live, feed.heads)))
      announce(replica, feed, feed.heads.keys())
    })
    return 'rebuilt'
  } finally {
    unpin()
  }
}
