import type * as Y from 'yjs'
import type { Actor } from '../../../crdt/actor.ts'
import { isVolatile, type DocId, type PeerId } from '../../../crdt/ids.ts'
import type { Branches, ForkedFeed } from '../../../protocols/feed/branches.ts'
import type { Envelope } from '../../../protocols/feed/envelope.ts'
import type { OwnChange } from '../../../protocols/feed/own-update.ts'
import type { Crypto, Signer } from '../../../protocols/crypto.ts'
import type { Membership } from '../../../protocols/membership/membership.ts'
import type { Clock } from '../../ports/clock.ts'
import type { FeedHead, FeedStore } from '../../ports/feed-store.ts'
import type { Log } from '../../ports/log.ts'
import type { Random } from '../../ports/random.ts'
import type { DocumentChange, Follower } from './documents.ts'

/** Documents known at once. A mesh has a few per project and member; a member who makes up names stops here. */
export const DOCUMENTS_MAX = 20_000

export type ReplicaDeps = {
  readonly store: FeedStore
  readonly crypto: Crypto
  readonly signer: Signer
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Asked anew for every decision. */
  readonly membership: () => Membership
}

/** One document: where its feeds stand, and, while somebody needs it, its state. */
export type Feed = {
  readonly doc: DocId
  /** Last accepted envelope of every author: on disk, or for a volatile document in `memory`. */
  readonly heads: Map<PeerId, FeedHead>
  /** Envelopes of a volatile document; of any other always empty. */
  readonly memory: Map<PeerId, Uint8Array[]>
  memoryBytes: number
  /** Feeds of it that are known to be forked: each ends before that place. Replaced as a whole when one changes. */
  forks: ReadonlyMap<PeerId, Fork>
  /** Of authors who were removed, where their feeds end although their cuts are lower: what others build on. */
  keptBeyondCuts: ReadonlyMap<PeerId, { readonly cut: number; readonly kept: number }>
  /** Hashes of accepted envelopes, as far as they have been of use lately. */
  readonly hashes: Map<PeerId, Map<number, Uint8Array>>
  live: LiveDoc | undefined
  /** What it took when it left memory. */
  weight: Weight | undefined
  loading: Promise<void> | undefined
  /** The live state holds something that did not become part of the feeds: it must be rebuilt before it is used. */
  dirty: boolean
  own: OwnClient | undefined
  /** When it was last replayed because replicas differed. */
  replayedAtMs: number | undefined
  pins: number
  /** How often it was pinned. */
  uses: number
  lastUsedMs: number
  /** What its content was found to be last. */
  content: KnownContent | undefined
  /** Hash of the summary that is stored, where that is known. */
  storedSummary: string | undefined
  /** Version of the live state that it is of. */
  storedVersion: number | undefined
  /** Local writes that are in the live state and not yet durable, in order. */
  pending: PendingWrite[]
  readonly listeners: Set<Listener>
  readonly waiters: Set<{ readonly author: PeerId; readonly seq: number; readonly resolve: () => void }>
}

/** The hash of a content, and of which. */
export type KnownContent = {
  readonly hash: Uint8Array
  readonly heads: ReadonlyMap<PeerId, FeedHead>
  readonly version: number
}

type Listener = (change: DocumentChange, state: Y.Doc) => void

/** How large a document has become. */
export type Weight = {
  /** Of its state as bytes, about. */
  readonly bytes: number
  /** Pieces that Yjs keeps, deleted ones included: what loading and memory grow with. */
  readonly structs: number
}

/** A forked feed, with two envelopes of its author that cannot both be part of one feed. */
export type Fork = ForkedFeed & {
  readonly kept: Map<string, Envelope>
  /** In so many parts lies on the disk what others build on. */
  parts: number
  readonly proof: readonly [Uint8Array, Uint8Array]
}

export type LiveDoc = {
  readonly state: Y.Doc
  readonly branches: Branches
  /** The clientID each author declared last. */
  readonly clients: Map<PeerId, number>
  /** Who declared a clientID; those that name envelopes in branches are known to `branches`. */
  readonly authors: Map<number, PeerId>
  /** True while `write` runs a change: a change made at any other time is a bug, and is undone. */
  writing: boolean
  /** Grows with every change of the state, and from one live document to the next. */
  version: number
  /** Size of the last snapshot, and what has been accepted since. */
  snapshotBytes: number
  tailBytes: number
  tailCount: number
}

/** How this process writes to a document; a rebuild starts a new one. */
export type OwnClient = {
  readonly nonce: Uint8Array
  readonly client: number
  /** An envelope that carries the nonce is durable. */
  declared: boolean
  /** First clock not yet durable. */
  clock: number
  /** Envelopes of others that our feed has declared to depend on. */
  readonly deps: Map<PeerId, FeedHead>
}

export type PendingWrite = {
  readonly actor: Actor | undefined
  /** Undefined when the write changed nothing and only waits for those before it. */
  readonly change: OwnChange | undefined
  readonly resolve: (seq: number) => void
  readonly reject: (error: Error) => void
}

export type Replica = ReplicaDeps & {
  readonly self: PeerId
  readonly feeds: Map<DocId, Feed>
  /** Of a live document: no two states share one. */
  nextVersion(): number
  /** Runs tasks that change what is accepted one after the other. Never nest. */
  exclusive<T>(task: () => Promise<T>): Promise<T>
  readonly documentListeners: Set<(doc: DocId) => void>
  readonly followers: Set<Follower<unknown>>
  readonly changeListeners: Set<(doc: DocId) => void>
}

export function createReplica(deps: ReplicaDeps): Replica {
  let tail: Promise<unknown> = Promise.resolve()
  let version = 0
  return {
    ...deps,
    self: deps.signer.peer,
    feeds: new Map(),
    documentListeners: new Set(),
    followers: new Set(),
    nextVersion: () => ++version,
    changeListeners: new Set(),
    exclusive(task) {
      const done = tail.then(task)
      tail = done.catch(() => undefined) // whoever asked for the task handles its failure
      return done
    },
  }
}

/** The feed's record, made when it is not there. */
export function feedOf(replica: Replica, doc: DocId): Feed {
  const known = replica.feeds.get(doc)
  if (known) return known
  const feed: Feed = {
    doc,
    heads: new Map(),
    memory: new Map(),
    memoryBytes: 0,
    forks: new Map(),
    keptBeyondCuts: new Map(),
    hashes: new Map(),
    live: undefined,
    weight: undefined,
    loading: undefined,
    dirty: false,
    own: undefined,
    replayedAtMs: undefined,
    pins: 0,
    uses: 0,
    lastUsedMs: replica.clock.monoMs(),
    content: undefined,
    storedSummary: undefined,
    storedVersion: undefined,
    pending: [],
    listeners: new Set(),
    waiters: new Set(),
  }
  replica.feeds.set(doc, feed)
  return feed
}

/** Bytes of an author's envelopes with sequence numbers in [from, to], in order. */
export async function* readFeed(
  replica: Replica,
  feed: Feed,
  author: PeerId,
  range: { readonly from: number; readonly to: number },
): AsyncGenerator<Uint8Array> {
  if (isVolatile(feed.doc)) {
    yield* (feed.memory.get(author) ?? []).slice(range.from - 1, range.to)
    return
  }
  for await (const { seq, bytes } of replica.store.read(feed.doc, author, range.from)) {
    if (seq > range.to) return
    yield bytes
  }
}

/** Keeps accepted envelopes of a volatile document. */
export function remember(feed: Feed, author: PeerId, envelopes: readonly Uint8Array[]): void {
  const memory = feed.memory.get(author) ?? []
  feed.memory.set(author, memory)
  for (const bytes of envelopes) {
    memory.push(bytes)
    feed.memoryBytes += bytes.byteLength
  }
}

/** Whether the author's envelopes are accepted up to this one, or to the end of a forked feed: what follows never is. */
export const hasReached = ({ heads, forks }: Feed, author: PeerId, seq: number): boolean =>
  (heads.get(author)?.seq ?? 0) >= Math.min(seq, (forks.get(author)?.seq ?? Infinity) - 1)

export function followersOf({ followers }: Pick<Replica, 'followers'>, { doc }: Feed): Follower<unknown>[] {
  const [kind] = doc.split('/', 1)
  return [...followers].filter((follower) => follower.kind === kind)
}

/** Tells those who follow the document, once per author, those who follow all, and those who wait for a position. */
export function announce(replica: Replica, feed: Feed, authors: Iterable<PeerId>): void {
  for (const listener of replica.changeListeners) guarded(replica, () => listener(feed.doc))
  for (const waiter of feed.waiters) {
    if (!hasReached(feed, waiter.author, waiter.seq)) continue
    feed.waiters.delete(waiter)
    waiter.resolve()
  }
  show(replica, feed, authors)
}

/** Tells those who follow the document alone: of what they were shown, something may not have come to be. */
export function show(replica: Replica, feed: Feed, authors: Iterable<PeerId>): void {
  const following = followersOf(replica, feed).map((follower): Listener => {
    return (change, state) => follower.changed(change, state)
  })
  const listeners = [...feed.listeners, ...following]
  for (const author of authors)
    for (const listener of listeners) {
      if (!feed.live) return
      guarded(
        replica,
        () => feed.live && listener({ doc: feed.doc, author, local: author === replica.self }, feed.live.state),
      )
    }
}

/** A listener that throws is a bug of the listener: it must not cost anybody else's write. */
export function guarded(replica: Replica, run: () => void): void {
  try {
    run()
  } catch (err) {
    replica.log.error({ err }, 'a listener to the documents failed')
  }
}
