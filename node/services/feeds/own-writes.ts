import type * as Y from 'yjs'
import type { Actor } from '../../../crdt/actor.ts'
import { isVolatile, type DocId } from '../../../crdt/ids.ts'
import { standingOf } from '../../../protocols/feed/check.ts'
import { NotWritableError, StorageError } from './documents.ts'
import type { AppendedEnvelope } from './feed-exchange.ts'
import type { Frozen } from './frozen.ts'
import type { Generations } from './generations.ts'
import type { Loader } from './loading.ts'
import { composeBatch, type Batch } from './own-batch.ts'
import { runChange } from './own-change.ts'
import type { Restoration } from './restoration.ts'
import { announce, guarded, remember, show, type Feed, type LiveDoc, type Replica } from './replica.ts'

/** Local writes waiting for the disk; beyond it the disk is hopelessly behind and new ones are refused. */
const PENDING_BYTES_MAX = 64 * 1024 * 1024

export type OwnWrites = {
  /** Runs the change now; resolves when it is durable. The document must be usable. */
  write<T>(feed: Feed, live: LiveDoc, actor: Actor | undefined, change: (state: Y.Doc) => T): Promise<Written<T>>
  /** Makes everything pending durable and rebuilds what a write has left dirty, and `feed` if it is. Only inside `exclusive`. */
  readonly flush: (feed?: Feed) => Promise<void>
  /** Makes a dirty document usable again. Not inside `exclusive`. */
  readonly clean: (feed: Feed) => Promise<void>
  /**
   * Makes what is pending in the document durable and leaves it dirty, so that nobody uses it until it is loaded anew.
   * Only inside `exclusive`.
   */
  readonly quiesce: (feed: Feed) => Promise<void>
  /**
   * Runs the task at a moment at which the live state holds exactly what the feeds say; whoever awaits it finds that
   * others have written since. Only inside `exclusive`. @throws StorageError when the document cannot be rebuilt
   */
  readonly settled: <T>(feed: Feed, task: (live: LiveDoc) => T) => Promise<T>
  readonly onAppend: (listener: (envelopes: readonly AppendedEnvelope[]) => void) => () => void
}

type Written<T> = { readonly value: T; readonly seq: number }

export type OwnWritesDeps = {
  readonly replica: Replica
  readonly loader: Loader
  readonly frozen: Frozen
  readonly generations: Generations
  readonly restoration: Restoration
}

type Queue = {
  /** Documents with pending writes or to be rebuilt. */
  readonly touched: Set<Feed>
  readonly listeners: Set<(envelopes: readonly AppendedEnvelope[]) => void>
  /** A flush is on its way that will take what is pending now. */
  scheduled: boolean
  pendingBytes: number
}

/**
 * Local writes: each is in the live state at once, and everything written while one batch is on its way to the disk goes
 * into the next. An envelope is told to others only when it is durable, so its place is never used for other content.
 */
export function createOwnWrites(deps: OwnWritesDeps): OwnWrites {
  const { replica } = deps
  const queue: Queue = { touched: new Set(), listeners: new Set(), scheduled: false, pendingBytes: 0 }
  const clean = (feed: Feed): Promise<void> => replica.exclusive(() => flushQueue(deps, queue, feed))
  return {
    async write(feed, live, actor, change) {
      assertWritable(deps, feed.doc)
      if (queue.pendingBytes > PENDING_BYTES_MAX) throw new StorageError('Too many changes wait for the disk.')
      const run = runChange(feed, live, change)
      if ('error' in run) {
        if (feed.dirty) await clean(feed)
        throw run.error
      }
      const { promise, resolve, reject } = Promise.withResolvers<number>()
      feed.pending.push({ actor, change: run.change, resolve, reject })
      queue.pendingBytes += run.change?.update.byteLength ?? 0
      queue.touched.add(feed)
      if (!queue.scheduled) void replica.exclusive(() => flushQueue(deps, queue))
      queue.scheduled = true
      return { value: run.value, seq: await promise }
    },
    flush: (feed) => flushQueue(deps, queue, feed),
    clean,
    async quiesce(feed) {
      queue.touched.add(feed)
      do {
        feed.dirty = true
        await commitPending(deps, queue)
      } while (feed.pending.length > 0)
      // A batch that failed has been followed by a rebuild, which makes a document usable.
      feed.dirty = true
    },
    async settled(feed, task) {
      while (!isSettled(feed)) await flushQueue(deps, queue, feed)
      if (!feed.live) throw new StorageError(`The document ${feed.doc} could not be rebuilt.`)
      return task(feed.live)
    },
    onAppend(listener) {
      queue.listeners.add(listener)
      return () => queue.listeners.delete(listener)
    },
  }
}

/** Nothing is in its live state that is not in its feeds, or on its way there. */
export const isSettled = (feed: Feed): boolean => feed.pending.length === 0 && !feed.dirty

async function flushQueue(deps: OwnWritesDeps, queue: Queue, also?: Feed): Promise<void> {
  if (also) queue.touched.add(also)
  await commitPending(deps, queue)
  for (const feed of queue.touched) {
    // What was written after the batch and before the document was spoilt has the clientID that a rebuild gives up.
    while (feed.dirty && feed.pending.length > 0) await commitPending(deps, queue)
    if (feed.dirty) await rebuild(deps, feed)
    if (feed.pending.length === 0) queue.touched.delete(feed)
  }
}

/** One synced write for everything pending; documents that are dirty stay so. */
async function commitPending(deps: OwnWritesDeps, queue: Queue): Promise<void> {
  const { replica, loader } = deps
  queue.scheduled = false
  queue.pendingBytes = 0
  await refuseAll(deps, queue)
  const batches = [...queue.touched]
    .filter((feed) => feed.pending.length > 0)
    .map((feed) => composeBatch(replica, feed))
  const durable = batches.filter(({ feed }) => !isVolatile(feed.doc))
  const failure = await appendAll(replica, durable)
  const accepted = failure ? batches.filter((batch) => !durable.includes(batch)) : batches
  for (const batch of accepted) acceptBatch(deps, batch)
  tell(replica, queue, accepted)
  if (failure) await failAll(deps, durable, failure)
  for (const { feed, snapshot } of accepted) if (snapshot) await loader.saveSnapshot(feed, snapshot)
}

/** What was written before this node found out that it may not write: its place in the feed may be taken. */
async function refuseAll(deps: OwnWritesDeps, { touched }: Queue): Promise<void> {
  const refusal = deps.restoration.refusal()
  if (refusal === undefined) return
  const feeds = [...touched].filter(({ doc, pending }) => pending.length > 0 && !isVolatile(doc))
  const batches = feeds.map((feed) => ({ feed, writes: [] }))
  await failAll(deps, batches, new NotWritableError(refusal))
}

function tell(replica: Replica, { listeners }: Queue, batches: readonly Batch[]): void {
  const appended = batches.flatMap(({ feed, envelopes }) => envelopes.map(({ bytes }) => ({ doc: feed.doc, bytes })))
  if (appended.length > 0) for (const listener of listeners) guarded(replica, () => listener(appended))
  for (const { feed, envelopes } of batches) if (envelopes.length > 0) announce(replica, feed, [replica.self])
}

async function appendAll(replica: Replica, batches: readonly Batch[]): Promise<StorageError | undefined> {
  const envelopes = batches.flatMap((batch) => batch.envelopes)
  if (envelopes.length === 0) return undefined
  try {
    await replica.store.append(envelopes)
    return undefined
  } catch (cause) {
    return new StorageError('The change could not be written to disk; nothing was changed.', { cause })
  }
}

function assertWritable({ replica, frozen, generations, restoration }: OwnWritesDeps, doc: DocId): void {
  if (generations.isSuperseded(doc)) throw new Error(`${doc} has been replaced by a newer generation`)
  const refusal = isVolatile(doc) ? undefined : restoration.refusal()
  if (refusal !== undefined) throw new NotWritableError(refusal)
  const place = { doc, author: replica.self, seq: Infinity, hash: new Uint8Array() }
  const standing = standingOf(place, replica.membership(), frozen.has(replica.self))
  if (standing.kind !== 'good') throw new NotWritableError(`This node may not write ${doc}: ${standing.reason}.`)
}

function acceptBatch({ replica, generations }: OwnWritesDeps, { feed, writes, envelopes, clock, deps }: Batch): void {
  const last = envelopes.at(-1)
  if (last) {
    const isNew = feed.heads.size === 0
    feed.heads.set(replica.self, { seq: last.seq, hash: last.hash })
    if (isVolatile(feed.doc)) {
      remember(
        feed,
        replica.self,
        envelopes.map(({ bytes }) => bytes),
      )
      generations.note(feed.doc)
    }
    if (feed.own) {
      feed.own.declared = true
      feed.own.clock = clock
      for (const [author, head] of deps) feed.own.deps.set(author, head)
    }
    if (isNew) for (const listener of replica.documentListeners) guarded(replica, () => listener(feed.doc))
  }
  for (const { write, seq } of writes) write.resolve(seq)
}

type FailedBatch = Pick<Batch, 'feed' | 'writes'>
type Failure = StorageError | NotWritableError

async function failAll(deps: OwnWritesDeps, batches: readonly FailedBatch[], failure: Failure): Promise<void> {
  // Nobody may write on top of any of them from here on.
  for (const { feed } of batches) feed.dirty = true
  for (const batch of batches) await failBatch(deps, batch, failure)
}

/** Nothing of the batch is durable, nor of what was written on top of it since: all of it goes. */
async function failBatch(deps: OwnWritesDeps, { feed, writes }: FailedBatch, failure: Failure): Promise<void> {
  const doomed = [...writes.map(({ write }) => write), ...feed.pending]
  feed.pending = []
  await rebuild(deps, feed)
  for (const { reject } of doomed) reject(failure)
}

async function rebuild({ replica, loader }: OwnWritesDeps, feed: Feed): Promise<void> {
  try {
    await loader.reload(feed)
    // Told of what was durable, they saw what was not yet.
    show(replica, feed, [replica.self])
  } catch (err) {
    if (!(err instanceof StorageError)) throw err
    // Whoever needs it next loads it again and gets the error.
    replica.log.error({ err, doc: feed.doc }, 'a document could not be rebuilt')
    feed.live = undefined
    feed.own = undefined
    feed.dirty = false
  }
}
