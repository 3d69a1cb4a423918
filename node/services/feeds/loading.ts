import * as Y from 'yjs'
import { z } from 'zod'
import { isVolatile, PeerId } from '../../../crdt/ids.ts'
import { decodeInPlace, encodeCanonical, equalBytes } from '../../../protocols/codec.ts'
import { Branches, type Reading } from '../../../protocols/feed/branches.ts'
import { clientIdOf, NONCE_BYTES, type Envelope } from '../../../protocols/feed/envelope.ts'
import { createReplicaDoc } from '../../../protocols/feed/replica-doc.ts'
import type { FeedHead, Snapshot } from '../../ports/feed-store.ts'
import { StorageError, UnreadableError } from './documents.ts'
import { tellLoaded } from './followers.ts'
import type { Frozen } from './frozen.ts'
import { history } from './history.ts'
import { forget, readOne } from './places.ts'
import type { Feed, LiveDoc, OwnClient, Replica } from './replica.ts'

/** Marks transactions that bring envelopes in. */
export const REMOTE = Symbol('remote')

/** Envelopes applied in one transaction while loading: fast, and with bounded memory. */
const LOAD_BATCH = 4096

/** A snapshot is worth its cost after this many envelopes, and then only when they outweigh the last one. */
const SNAPSHOT_EVERY = 1000

/** When a document is put away anyway, a shorter tail is worth a snapshot. */
const SNAPSHOT_ON_UNLOAD = 100

/** The largest document by far holds a hundred thousand tasks in some 25 MB. */
const SNAPSHOT_BYTES_MAX = 512 * 1024 * 1024

export type Loader = {
  /** Brings the document into memory, from its snapshot and the feeds' tails, once for all who ask. @throws StorageError */
  readonly load: (feed: Feed) => Promise<void>
  /** Loads anew from what is accepted, dropping whatever else the live state held; we write on with a new clientID. */
  readonly reload: (feed: Feed) => Promise<void>
  /** As `reload`, from the first envelope on: the same result on every replica that has the same envelopes. */
  readonly replay: (feed: Feed) => Promise<void>
  /**
   * As `reload`, one envelope at a time. An author whose envelope cannot be applied is frozen and loses it; so does
   * everything that depends on it. Replaces the live state.
   */
  readonly reloadCarefully: (feed: Feed) => Promise<void>
  saveSnapshot(feed: Feed, snapshot: Snapshot): Promise<void>
}

export function createLoader(replica: Replica, frozen: Frozen): Loader {
  const reloadCarefully = async (feed: Feed): Promise<void> => {
    const { live, lost } = await replayCarefully(replica, frozen, feed)
    for (const [author, seq] of lost) await forget(replica, feed, author, seq - 1)
    settle(replica, feed, live)
  }
  const load = async (feed: Feed, whole = false): Promise<void> => {
    const live = await loadQuickly(replica, feed, whole)
    if (live) settle(replica, feed, live)
    else await reloadCarefully(feed)
  }
  const reload = async (feed: Feed, whole = false): Promise<void> => {
    feed.own = undefined
    await load(feed, whole)
  }
  return {
    load: (feed) => (feed.loading ??= storage(() => load(feed)).finally(() => (feed.loading = undefined))),
    reload: (feed) => storage(() => reload(feed)),
    replay: (feed) => storage(() => reload(feed, true)),
    reloadCarefully: (feed) =>
      storage(async () => {
        feed.own = undefined
        await reloadCarefully(feed)
      }),
    async saveSnapshot(feed, snapshot) {
      if (feed.live) {
        feed.live.snapshotBytes = snapshot.bytes.byteLength
        feed.live.tailBytes = 0
        feed.live.tailCount = 0
      }
      try {
        await replica.store.saveSnapshot(feed.doc, snapshot)
      } catch (err) {
        // The feeds hold everything: without the snapshot the next start is slower, no more.
        replica.log.warn({ err, doc: feed.doc }, 'a snapshot could not be saved')
      }
    },
  }
}

async function storage<T>(task: () => Promise<T>): Promise<T> {
  try {
    return await task()
  } catch (cause) {
    if (cause instanceof StorageError) throw cause
    throw new UnreadableError('The document could not be read from disk.', { cause })
  }
}

/** Applies in one transaction. False when it does not fit: then the state is spoilt. */
export function applyUpdates(live: LiveDoc, updates: Iterable<Uint8Array>): boolean {
  try {
    live.state.transact(() => {
      for (const update of updates) Y.applyUpdate(live.state, update, REMOTE)
    }, REMOTE)
  } catch {
    return false // Yjs throws plain errors for updates it cannot make sense of; the caller finds out whose it was
  }
  return live.state.store.pendingStructs === null && live.state.store.pendingDs === null
}

/** As the document reads them, each with what it builds on in branches of others; read one after the other. */
function* updatesOf(replica: Replica, live: LiveDoc, envelopes: readonly Envelope[]): Generator<Uint8Array> {
  const { branches, state } = live
  const clocks = {
    clientOf: (author: PeerId) => live.clients.get(author),
    clockOf: (client: number) => Y.getState(state.store, client),
  }
  for (const envelope of envelopes) {
    for (const built of branches.missingFor(envelope)) yield note(branches.read(built, clocks))
    noteEnvelope(replica, live, envelope)
    yield note(branches.read(envelope, clocks))
  }
  function note(reading: Reading): Uint8Array {
    branches.note(reading)
    return reading.update
  }
}

/** Keeps track of what an applied envelope says beside its update. */
export function noteEnvelope(replica: Replica, live: LiveDoc, { author, doc, nonce, bytes }: Envelope): void {
  if (nonce) declare(live, author, clientIdOf(replica.crypto, author, doc, nonce))
  live.tailCount += 1
  live.tailBytes += bytes.byteLength
}

function declare(live: LiveDoc, author: PeerId, client: number): void {
  live.clients.set(author, client)
  live.authors.set(client, author)
}

/** Whose structs have this clientID; undefined for one that nobody has declared. */
export function authorOf({ self }: Replica, { own, live }: Feed, client: number): PeerId | undefined {
  // What this process has just written is declared with the envelope that carries it.
  if (client === own?.client) return self
  return live?.authors.get(client) ?? live?.branches.authorOf(client)
}

/** Which names branches have is known from the feeds alone: a document with forked ones is always replayed. */
export function isSnapshotDue({ doc, forks }: Feed, live: LiveDoc, unloading: boolean): boolean {
  if (isVolatile(doc) || forks.size > 0) return false
  const { tailCount, tailBytes, snapshotBytes } = live
  return unloading ? tailCount >= SNAPSHOT_ON_UNLOAD : tailCount >= SNAPSHOT_EVERY && tailBytes >= snapshotBytes
}

const SnapshotBody = z.strictObject({
  v: z.literal(1),
  /** Every clientID that is in the state, with its author; of each author the one in use is the last. */
  clients: z.array(z.tuple([PeerId, z.int().min(0)])),
  state: z.custom<Uint8Array>((value) => value instanceof Uint8Array),
})

/** The live state as bytes; the caller sees to it that it holds exactly what `heads` say. */
export function takeSnapshot({ clients, authors, state }: LiveDoc, heads: ReadonlyMap<PeerId, FeedHead>): Snapshot {
  const former = [...authors].filter(([client, author]) => clients.get(author) !== client)
  const declared = [...former.map(([client, author]) => [author, client]), ...clients]
  const bytes = encodeCanonical({ v: 1, clients: declared, state: Y.encodeStateAsUpdateV2(state) })
  return { heads: new Map(heads), bytes }
}

function createLive(replica: Replica, feed: Feed): LiveDoc {
  const live: LiveDoc = {
    state: createReplicaDoc(),
    branches: new Branches(replica.crypto, feed.doc, feed.forks),
    clients: new Map(),
    authors: new Map(),
    writing: false,
    version: replica.nextVersion(),
    snapshotBytes: 0,
    tailBytes: 0,
    tailCount: 0,
  }
  live.state.on('afterTransaction', (transaction: Y.Transaction) => {
    // Asking for a top-level type can start a transaction; only one that changes something is a bug.
    if (!hasChanged(transaction)) return
    live.version = replica.nextVersion()
    if (transaction.origin !== REMOTE && !live.writing) feed.dirty = true
  })
  return live
}

/** Also where nothing that is shown has: what is written below something deleted raises clocks. */
const hasChanged = ({ deleteSet, beforeState, afterState }: Y.Transaction): boolean =>
  deleteSet.clients.size > 0 || [...afterState].some(([client, clock]) => beforeState.get(client) !== clock)

function settle(replica: Replica, feed: Feed, live: LiveDoc): void {
  feed.own ??= createOwnClient(replica, feed)
  live.state.clientID = feed.own.client
  const isBack = feed.live === undefined
  feed.live?.state.destroy()
  feed.live = live
  feed.dirty = false
  if (isBack) return tellLoaded(replica, feed, live.state)
  // What was made anew may have been wrong.
  feed.content = undefined
}

function createOwnClient(replica: Replica, { doc }: Feed): OwnClient {
  const nonce = replica.random.bytes(NONCE_BYTES)
  const client = clientIdOf(replica.crypto, replica.self, doc, nonce)
  return { nonce, client, declared: false, clock: 0, deps: new Map() }
}

/** Undefined when an envelope cannot be applied. */
async function loadQuickly(replica: Replica, feed: Feed, whole: boolean): Promise<LiveDoc | undefined> {
  const live = createLive(replica, feed)
  const heads = new Map(feed.heads)
  const from = whole ? new Map<PeerId, FeedHead>() : await applySnapshot(replica, feed, live)
  if (from === 'incomplete') return loadQuickly(replica, feed, true)
  const last = new Map(from)
  const checkChain = ({ author, seq, prev, hash }: Envelope): void => {
    const before = last.get(author)
    if (seq !== (before?.seq ?? 0) + 1 || (before && !(prev && equalBytes(prev, before.hash))))
      throw new UnreadableError(`The stored feed of ${author} in the document ${feed.doc} is broken at ${seq}.`)
    last.set(author, { seq, hash })
  }
  let batch: Envelope[] = []
  for await (const envelope of history(replica, feed, (author) => from.get(author)?.seq ?? 0, heads)) {
    checkChain(envelope)
    batch.push(envelope)
    if (batch.length < LOAD_BATCH) continue
    if (!applyUpdates(live, updatesOf(replica, live, batch))) return undefined
    batch = []
  }
  return applyUpdates(live, updatesOf(replica, live, batch)) ? live : undefined
}

/**
 * Applies the snapshot and returns the heads it stands for: none when it is not of the feeds we have (any more). One that
 * is damaged, or does not say who wrote what, costs time, no more: the feeds hold everything.
 */
async function applySnapshot(
  replica: Replica,
  feed: Feed,
  live: LiveDoc,
): Promise<ReadonlyMap<PeerId, FeedHead> | 'incomplete'> {
  if (isVolatile(feed.doc) || feed.forks.size > 0) return new Map()
  const snapshot = await replica.store.loadSnapshot(feed.doc)
  if (!snapshot || !(await isOfFeeds(replica, feed, snapshot))) return new Map()
  try {
    const { clients, state } = decodeInPlace(SnapshotBody, snapshot.bytes, SNAPSHOT_BYTES_MAX)
    Y.applyUpdateV2(live.state, state, REMOTE)
    for (const [author, client] of clients) declare(live, author, client)
    // Releases before 0.2.0 kept of each author only the clientID in use.
    for (const client of live.state.store.clients.keys()) if (!live.authors.has(client)) return 'incomplete'
  } catch (err) {
    replica.log.error({ err, doc: feed.doc }, 'a snapshot is damaged: the document is replayed from its feeds')
    return 'incomplete'
  }
  live.snapshotBytes = snapshot.bytes.byteLength
  return snapshot.heads
}

async function isOfFeeds(replica: Replica, feed: Feed, { heads }: Snapshot): Promise<boolean> {
  for (const [author, { seq, hash }] of heads) {
    const head = feed.heads.get(author)
    if (!head || head.seq < seq) return false
    if (head.seq === seq) {
      if (!equalBytes(head.hash, hash)) return false
      continue
    }
    const stored = await readOne(replica, feed, author, seq)
    if (!stored || !equalBytes(replica.crypto.sha256(stored), hash)) return false
  }
  return true
}

type Replay = { live: LiveDoc; lost: ReadonlyMap<PeerId, number> }

async function replayCarefully(replica: Replica, frozen: Frozen, feed: Feed): Promise<Replay> {
  /** First lost sequence number per author. */
  const lost = new Map<PeerId, number>()
  for (;;) {
    const live = createLive(replica, feed)
    const culprit = await replay(replica, feed, live, lost)
    if (!culprit) return { live, lost }
    const { author, seq } = culprit
    if (author === replica.self) throw new UnreadableError(`Our own envelope ${seq} of ${feed.doc} cannot be applied.`)
    lost.set(author, seq)
    await frozen.add(author, `an update in ${feed.doc} cannot be applied`, [culprit.bytes])
  }
}

/** Fills `live`; adds to `lost` what depends on lost envelopes; returns the first envelope that cannot be applied. */
async function replay(
  replica: Replica,
  feed: Feed,
  live: LiveDoc,
  lost: Map<PeerId, number>,
): Promise<Envelope | undefined> {
  const isLost = (author: PeerId, seq: number): boolean => seq >= (lost.get(author) ?? Infinity)
  for await (const envelope of history(replica, feed, () => 0, new Map(feed.heads))) {
    const { author, seq, deps } = envelope
    if (isLost(author, seq)) continue
    // The schema has checked that every key is a peer id.
    const orphaned = Object.entries(deps).some(([peer, { seq: needed }]) => isLost(peer as PeerId, needed))
    if (orphaned && author !== replica.self) {
      lost.set(author, seq)
      continue
    }
    if (!applyUpdates(live, updatesOf(replica, live, [envelope]))) return envelope
  }
  return undefined
}
