import * as Y from 'yjs'
import { isVolatile, type DocId, type PeerId } from '../../../crdt/ids.ts'
import { equalBytes } from '../../../protocols/codec.ts'
import { checkOrigin, checkTurn, standingOf, type CheckContext } from '../../../protocols/feed/check.ts'
import { hasValidSignature, tryParseEnvelope, type Envelope } from '../../../protocols/feed/envelope.ts'
import type { FeedHead } from '../../ports/feed-store.ts'
import { StorageError } from './documents.ts'
import type { ReceiveOutcome, RefusedEnvelope } from './feed-exchange.ts'
import type { Frozen } from './frozen.ts'
import { LIVE_BYTES_MAX, type Generations } from './generations.ts'
import { applyEnvelopes, isSnapshotDue, noteEnvelope, readOne, takeSnapshot, type Loader } from './loading.ts'
import type { OwnWrites } from './own-writes.ts'
import { announce, DOCUMENTS_MAX, feedOf, guarded, remember, type Feed, type Replica } from './replica.ts'
import { slices } from './slices.ts'
import type { WaitingRoom } from './waiting-room.ts'

export type IntakeDeps = {
  readonly replica: Replica
  readonly loader: Loader
  readonly frozen: Frozen
  readonly generations: Generations
  readonly room: WaitingRoom
  readonly ownWrites: OwnWrites
  /** Pins the document and brings it into memory. Returns the unpin. */
  readonly hold: (feed: Feed) => Promise<() => void>
}

type Outcome = { applied: number; waiting: number; refused: RefusedEnvelope[] }

/** Envelopes from others (or our own, lost and found): check, make durable, apply, tell. */
export async function receiveEnvelopes(deps: IntakeDeps, envelopes: readonly Uint8Array[]): Promise<ReceiveOutcome> {
  const outcome: Outcome = { applied: 0, waiting: 0, refused: [] }
  for (const slice of slices(envelopes)) await receiveSlice(deps, slice, outcome)
  return outcome
}

async function receiveSlice(deps: IntakeDeps, slice: readonly Uint8Array[], outcome: Outcome): Promise<void> {
  const genuine: Envelope[] = []
  for (const bytes of slice) {
    const envelope = await screen(deps, bytes, outcome)
    if (envelope) genuine.push(envelope)
  }
  const unpins: (() => void)[] = []
  const ready: Envelope[] = []
  try {
    for (const [doc, ofDoc] of Map.groupBy(genuine, (envelope) => envelope.doc)) {
      const unpin = await tryHold(deps, doc)
      if (unpin) {
        unpins.push(unpin)
        ready.push(...ofDoc)
      } else
        for (const { author } of ofDoc) outcome.refused.push({ author, reason: 'the document cannot be read here' })
    }
    if (ready.length > 0) await deps.replica.exclusive(() => acceptAll(deps, ready, outcome))
  } finally {
    for (const unpin of unpins) unpin()
  }
}

async function tryHold({ replica, hold }: IntakeDeps, doc: DocId): Promise<(() => void) | undefined> {
  try {
    return await hold(feedOf(replica, doc))
  } catch (err) {
    if (!(err instanceof StorageError)) throw err
    replica.log.error({ err, doc }, 'a document could not be loaded')
    return undefined
  }
}

/** Everything that can be decided without loading a document. */
async function screen(deps: IntakeDeps, bytes: Uint8Array, outcome: Outcome): Promise<Envelope | undefined> {
  const { replica, generations } = deps
  const envelope = tryParseEnvelope(bytes, replica.crypto)
  if (typeof envelope === 'string') {
    outcome.refused.push({ reason: envelope })
    return undefined
  }
  const { doc, author } = envelope
  if (generations.isSuperseded(doc)) return undefined
  const feed = replica.feeds.get(doc)
  if (!feed && replica.feeds.size >= DOCUMENTS_MAX) {
    outcome.refused.push({ author, reason: `more than ${DOCUMENTS_MAX} documents` })
    return undefined
  }
  const decision = checkOrigin(
    envelope,
    contextOf(deps, doc, (peer) => feed?.heads.get(peer)),
  )
  if (!decision) return envelope
  if (decision.kind === 'refuse') outcome.refused.push({ author, reason: decision.reason })
  else if (feed) await compareWithKnown(deps, feed, envelope, outcome)
  return undefined
}

function contextOf(
  { replica, frozen, room }: IntakeDeps,
  doc: DocId,
  head: (author: PeerId) => FeedHead | undefined,
  clocks?: Pick<CheckContext['view'], 'clientOf' | 'clockOf'>,
): CheckContext {
  const membership = replica.membership()
  let needed: ReadonlyMap<PeerId, number> | undefined
  return {
    crypto: replica.crypto,
    membership,
    view: { head, clientOf: clocks?.clientOf ?? (() => undefined), clockOf: clocks?.clockOf ?? (() => 0) },
    isFrozen: frozen.has,
    neededOf(author) {
      needed ??= neededIn([...room.of(doc)], (envelope) => {
        return standingOf(envelope, membership, frozen.has(envelope.author)).kind === 'good'
      })
      return needed.get(author) ?? 0
    },
  }
}

/** How far waiting envelopes of authors in good standing (and those they need in turn) depend on each author. */
function neededIn(waiting: readonly Envelope[], isGood: (envelope: Envelope) => boolean): ReadonlyMap<PeerId, number> {
  const needed = new Map<PeerId, number>()
  const counts = (envelope: Envelope): boolean => envelope.seq <= (needed.get(envelope.author) ?? 0) || isGood(envelope)
  for (let grown = true; grown;) {
    grown = false
    for (const envelope of waiting.filter(counts))
      for (const name in envelope.deps) {
        // The schema has checked that every key is a peer id.
        const author = name as PeerId
        const seq = envelope.deps[author] ?? 0
        if (seq <= (needed.get(author) ?? 0)) continue
        needed.set(author, seq)
        grown = true
      }
  }
  return needed
}

/** A repetition says nothing new; other bytes for the same place are proof against their author. */
async function compareWithKnown(deps: IntakeDeps, feed: Feed, envelope: Envelope, outcome: Outcome): Promise<void> {
  const { replica } = deps
  const head = feed.heads.get(envelope.author)
  if (head?.seq === envelope.seq && equalBytes(head.hash, envelope.hash)) return
  const held = await readOne(replica, feed, envelope.author, envelope.seq)
  if (!held || equalBytes(held, envelope.bytes)) return
  if (hasValidSignature(envelope, replica.crypto)) await convict(deps, envelope, held, outcome)
  else outcome.refused.push({ author: envelope.author, reason: 'the signature is not valid' })
}

async function convict(deps: IntakeDeps, envelope: Envelope, other: Uint8Array, outcome: Outcome): Promise<void> {
  const { author, doc, seq } = envelope
  outcome.refused.push({ author, reason: 'equivocation' })
  if (!deps.replica.membership().members.has(author)) return
  await deps.frozen.add(author, `equivocation in ${doc} at ${seq}`, [other, envelope.bytes])
}

/** Inside `exclusive`, with every document held. */
async function acceptAll(deps: IntakeDeps, genuine: readonly Envelope[], outcome: Outcome): Promise<void> {
  const { replica, room, ownWrites } = deps
  const docs = Map.groupBy(genuine, (envelope) => envelope.doc)
  for (const envelope of genuine) {
    const present = room.add(envelope)
    if (present && !equalBytes(present.bytes, envelope.bytes)) await convict(deps, envelope, present.bytes, outcome)
  }
  const accepted: Accepted[] = []
  for (const doc of docs.keys()) {
    const feed = feedOf(replica, doc)
    if (feed.dirty) await ownWrites.flush(feed)
    accepted.push(await drain(deps, feed, outcome))
  }
  const stored = await store(deps, accepted)
  for (const { feed, envelopes } of accepted)
    if (stored) await apply(deps, feed, envelopes, outcome)
    else for (const { author } of envelopes) outcome.refused.push({ author, reason: 'could not be written to disk' })
  const membership = replica.membership()
  for (const envelope of genuine) {
    if (!room.has(envelope)) continue
    const standing = standingOf(envelope, membership, deps.frozen.has(envelope.author))
    if (standing.kind === 'good') outcome.waiting += 1
    else outcome.refused.push({ author: envelope.author, reason: standing.reason })
  }
}

type Accepted = { readonly feed: Feed; readonly envelopes: readonly Envelope[] }

/** Takes from the waiting room whatever has its turn, as if those before it were applied already. */
async function drain(deps: IntakeDeps, feed: Feed, outcome: Outcome): Promise<Accepted> {
  const { room } = deps
  const envelopes: Envelope[] = []
  const { live, own, doc } = feed
  if (!live || !own) return { feed, envelopes }
  const heads = new Map<PeerId, FeedHead>()
  const clients = new Map<PeerId, number | undefined>()
  const clocks = new Map<number, number>([[own.client, own.clock]])
  const head = (author: PeerId): FeedHead | undefined => heads.get(author) ?? feed.heads.get(author)
  const context = contextOf(deps, doc, head, {
    clientOf: (author) => clients.get(author) ?? live.clients.get(author),
    clockOf: (client) => clocks.get(client) ?? Y.getState(live.state.store, client),
  })
  let bytes = feed.memoryBytes
  for (let moved = true; moved;) {
    moved = false
    for (const author of room.authors(doc)) {
      room.dropUpTo(doc, author, feed.heads.get(author)?.seq ?? 0)
      for (;;) {
        const envelope = room.at(doc, author, (head(author)?.seq ?? 0) + 1)
        if (!envelope) break
        const decision = checkTurn(envelope, context)
        if (decision.kind === 'wait' || decision.kind === 'known') break
        room.remove(envelope)
        if (decision.kind === 'fork') await convictFork(deps, envelope, { feed, envelopes }, outcome)
        else if (decision.kind === 'refuse') await refuse(deps, envelope, decision, outcome)
        else if (isVolatile(doc) && (bytes += envelope.bytes.byteLength) > LIVE_BYTES_MAX)
          outcome.refused.push({ author, reason: `a live document larger than ${LIVE_BYTES_MAX} bytes` })
        else {
          heads.set(author, { seq: envelope.seq, hash: envelope.hash })
          clients.set(author, decision.client)
          if (decision.client !== undefined) clocks.set(decision.client, decision.clock)
          envelopes.push(envelope)
          moved = true
          continue
        }
        break
      }
    }
  }
  return { feed, envelopes }
}

async function refuse(
  { frozen }: IntakeDeps,
  { author, doc, seq, bytes }: Envelope,
  { reason, proof }: { reason: string; proof: boolean },
  outcome: Outcome,
): Promise<void> {
  outcome.refused.push({ author, reason })
  if (proof) await frozen.add(author, `${reason} (${doc} at ${seq})`, [bytes])
}

/** The envelope names another predecessor than the one we hold. */
async function convictFork(deps: IntakeDeps, envelope: Envelope, staged: Accepted, outcome: Outcome): Promise<void> {
  const before =
    staged.envelopes.findLast(({ author }) => author === envelope.author)?.bytes ??
    (await readOne(deps.replica, staged.feed, envelope.author, envelope.seq - 1))
  if (before) await convict(deps, envelope, before, outcome)
}

/** One synced write for all. */
async function store({ replica }: IntakeDeps, accepted: readonly Accepted[]): Promise<boolean> {
  const durable = accepted.flatMap(({ feed, envelopes }) => (isVolatile(feed.doc) ? [] : envelopes))
  if (durable.length === 0) return true
  try {
    await replica.store.append(durable)
    return true
  } catch (err) {
    replica.log.error({ err }, 'received envelopes could not be written to disk')
    return false
  }
}

async function apply(deps: IntakeDeps, feed: Feed, envelopes: readonly Envelope[], outcome: Outcome): Promise<void> {
  const { replica, loader, generations, ownWrites, room } = deps
  const { live } = feed
  // A newer generation has come since it was screened: kept now, it would be kept for ever.
  if (generations.isSuperseded(feed.doc)) return room.dropDocument(feed.doc)
  if (envelopes.length === 0 || !live) return
  const isNew = feed.heads.size === 0
  const fits = applyEnvelopes(live, envelopes)
  if (!fits) {
    // Our own pending writes were made before: they stay, and must not come to depend on what may be dropped now.
    await ownWrites.quiesce(feed)
  }
  for (const { author, seq, hash, bytes } of envelopes) {
    feed.heads.set(author, { seq, hash })
    if (isVolatile(feed.doc)) remember(feed, author, [bytes])
  }
  if (fits) for (const envelope of envelopes) noteEnvelope(replica, live, envelope)
  else await loader.reloadCarefully(feed)
  for (const { author, seq } of envelopes)
    if ((feed.heads.get(author)?.seq ?? 0) >= seq) outcome.applied += 1
    else outcome.refused.push({ author, reason: 'the update cannot be applied' })
  generations.note(feed.doc)
  if (isNew && feed.heads.size > 0)
    for (const listener of replica.documentListeners) guarded(replica, () => listener(feed.doc))
  announce(replica, feed, new Set(envelopes.map(({ author }) => author)))
  const due = feed.live && !isVolatile(feed.doc) && feed.pending.length === 0 && isSnapshotDue(feed.live, false)
  if (feed.live && due) await loader.saveSnapshot(feed, takeSnapshot(feed.live, feed.heads))
}
