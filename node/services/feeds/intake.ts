import { isVolatile, type DocId } from '../../../crdt/ids.ts'
import { equalBytes, toHex } from '../../../protocols/codec.ts'
import { checkOrigin, standingOf } from '../../../protocols/feed/check.ts'
import { hasValidSignature, parseKeptEnvelope, type Envelope } from '../../../protocols/feed/envelope.ts'
import { StorageError } from './documents.ts'
import { NOT_READABLE, NOT_WRITTEN, type ReceiveOutcome, type RefusedEnvelope } from './feed-exchange.ts'
import type { Frozen } from './frozen.ts'
import type { ForkProof, Forks } from './forks.ts'
import type { Generations } from './generations.ts'
import { applyUpdates, isSnapshotDue, noteEnvelope, takeSnapshot, type Loader } from './loading.ts'
import { isSettled, type OwnWrites } from './own-writes.ts'
import { readAhead, type Arrival } from './read-ahead.ts'
import type { Restoration } from './restoration.ts'
import { noteHash, readOne } from './places.ts'
import { announce, DOCUMENTS_MAX, feedOf, guarded, remember, type Feed, type Replica } from './replica.ts'
import { isInQuestion, takeTurns, type Turned, type Verdict } from './turns.ts'
import type { WaitingRoom } from './waiting-room.ts'

export type IntakeDeps = {
  readonly replica: Replica
  readonly loader: Loader
  readonly frozen: Frozen
  readonly forks: Forks
  readonly generations: Generations
  readonly room: WaitingRoom
  readonly ownWrites: OwnWrites
  readonly restoration: Restoration
  /** Pins the document and brings it into memory. Returns the unpin. */
  readonly hold: (feed: Feed) => Promise<() => void>
}

type Outcome = {
  applied: number
  news: Uint8Array[]
  waiting: number
  refused: RefusedEnvelope[]
  /** Found, and not learnt yet. */
  forks: ForkProof[]
}

/** Envelopes from others (or our own, lost and found): check, make durable, apply, tell. */
export async function receiveEnvelopes(deps: IntakeDeps, envelopes: readonly Uint8Array[]): Promise<ReceiveOutcome> {
  const outcome: Outcome = { applied: 0, news: [], waiting: 0, refused: [], forks: [] }
  for await (const slice of readAhead(deps.replica, envelopes)) {
    await receiveSlice(deps, slice, outcome)
    await learnForks(deps, outcome)
  }
  const { applied, news, waiting, refused } = outcome
  return { applied, news, waiting, refused }
}

async function receiveSlice(deps: IntakeDeps, slice: readonly Arrival[], outcome: Outcome): Promise<void> {
  const genuine: Envelope[] = []
  for (const arrival of slice) {
    const envelope = await screen(deps, arrival, outcome)
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
      } else for (const { author } of ofDoc) outcome.refused.push({ author, reason: NOT_READABLE })
    }
    if (ready.length > 0) await deps.replica.exclusive(() => acceptAll(deps, ready, outcome))
  } finally {
    for (const unpin of unpins) unpin()
  }
}

/** The lowest first: what comes after it is no news then. */
async function learnForks(deps: IntakeDeps, outcome: Outcome): Promise<void> {
  const { replica, forks } = deps
  const found = outcome.forks.splice(0)
  for (const proof of found.toSorted((a, b) => Math.min(a[0].seq, a[1].seq) - Math.min(b[0].seq, b[1].seq))) {
    const [{ doc, author }] = proof
    const unpin = await tryHold(deps, doc)
    try {
      if (unpin) await replica.exclusive(() => forks.learn(feedOf(replica, doc), proof))
    } catch (err) {
      // Whoever has the other branch sends it again.
      replica.log.error({ err, doc, author }, 'a fork of a feed could not be carried out')
    } finally {
      unpin?.()
    }
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
async function screen(deps: IntakeDeps, arrival: Arrival, outcome: Outcome): Promise<Envelope | undefined> {
  const { replica, frozen, generations } = deps
  const { envelope } = arrival
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
  if (feed?.forks.get(author)?.kept.has(toHex(envelope.hash)) === true) return undefined
  const decision = checkOrigin(envelope, {
    crypto: replica.crypto,
    membership: replica.membership(),
    view: { head: (peer) => feed?.heads.get(peer) },
    isFrozen: (peer, seq) => isInQuestion(frozen, feed, { author: peer, seq }),
    isGenuine: () => arrival.isGenuine(),
  })
  if (!decision) return envelope
  if (decision.kind === 'refuse') outcome.refused.push({ author, reason: decision.reason })
  else if (feed) await compareWithKnown(deps, feed, envelope, outcome)
  return undefined
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
  outcome.forks.push([parseKeptEnvelope(other, deps.replica.crypto), envelope])
  if (!deps.replica.membership().members.has(author)) return
  await deps.frozen.add(author, `equivocation in ${doc} at ${seq}`, [other, envelope.bytes])
}

/** Inside `exclusive`, with every document held. */
async function acceptAll(deps: IntakeDeps, genuine: readonly Envelope[], outcome: Outcome): Promise<void> {
  const { replica, frozen, room, ownWrites } = deps
  const docs = Map.groupBy(genuine, (envelope) => envelope.doc)
  for (const envelope of genuine) await place(deps, envelope, outcome)
  const accepted: Turned[] = []
  for (const doc of docs.keys()) {
    const feed = feedOf(replica, doc)
    if (feed.dirty) await ownWrites.flush(feed)
    accepted.push(await takeTurns(deps, feed, (verdict) => pass(deps, verdict, outcome)))
  }
  const stored = await store(deps, accepted)
  for (const turned of accepted)
    if (stored) await apply(deps, turned, outcome)
    else refuseAll(turned, outcome)
  const membership = replica.membership()
  for (const envelope of genuine) {
    if (!room.has(envelope)) continue
    const standing = standingOf(envelope, membership, isInQuestion(frozen, feedOf(replica, envelope.doc), envelope))
    if (standing.kind === 'good') outcome.waiting += 1
    else outcome.refused.push({ author: envelope.author, reason: standing.reason })
  }
}

/** To its turn, or to the branches of its feed. */
async function place(deps: IntakeDeps, envelope: Envelope, outcome: Outcome): Promise<void> {
  const { replica, room, forks } = deps
  const { author, doc, seq, prev } = envelope
  const feed = feedOf(replica, doc)
  const fork = feed.forks.get(author)
  if (!fork || seq < fork.seq) {
    const present = room.add(envelope)
    if (present && !equalBytes(present.bytes, envelope.bytes)) await convict(deps, envelope, present.bytes, outcome)
    return
  }
  if (forks.keep(feed, envelope)) {
    outcome.applied += 1
    return
  }
  outcome.refused.push({ author, reason: 'beyond the end of a forked feed' })
  const before = seq === fork.seq ? await readOne(replica, feed, author, seq - 1) : undefined
  if (before && !(prev && equalBytes(replica.crypto.sha256(before), prev)))
    await convict(deps, envelope, before, outcome)
}

/** On an envelope that is not accepted, and on its author where it proves something. */
async function pass(deps: IntakeDeps, verdict: Verdict, outcome: Outcome): Promise<void> {
  const { envelope } = verdict
  const { author, doc, seq, bytes } = envelope
  if (verdict.kind === 'fork') {
    if (verdict.before) await convict(deps, envelope, verdict.before, outcome)
    return
  }
  outcome.refused.push({ author, reason: verdict.reason })
  if (verdict.proof) await deps.frozen.add(author, `${verdict.reason} (${doc} at ${seq})`, [bytes])
}

/** One synced write for all. */
async function store({ replica, forks }: IntakeDeps, accepted: readonly Turned[]): Promise<boolean> {
  const durable = accepted.flatMap(({ feed, envelopes }) => (isVolatile(feed.doc) ? [] : envelopes))
  if (durable.length === 0) return true
  try {
    for (const { feed, built } of accepted) await forks.save(feed, built)
    await replica.store.append(durable)
    return true
  } catch (err) {
    replica.log.error({ err }, 'received envelopes could not be written to disk')
    return false
  }
}

function refuseAll({ feed, envelopes }: Turned, outcome: Outcome): void {
  for (const { author } of envelopes) outcome.refused.push({ author, reason: NOT_WRITTEN })
  // Its branches have been read further than what is accepted.
  if (envelopes.length > 0 && feed.forks.size > 0) feed.dirty = true
}

async function apply(deps: IntakeDeps, { feed, envelopes, updates }: Turned, outcome: Outcome): Promise<void> {
  const { replica, loader, generations, ownWrites, room, restoration } = deps
  const { live } = feed
  // A newer generation has come since it was screened: kept now, it would be kept for ever.
  if (generations.isSuperseded(feed.doc)) return room.dropDocument(feed.doc)
  if (envelopes.length === 0 || !live) return
  const isNew = feed.heads.size === 0
  const fits = applyUpdates(live, updates)
  if (!fits) {
    // Our own pending writes were made before: they stay, and must not come to depend on what may be dropped now.
    await ownWrites.quiesce(feed)
  }
  for (const { author, seq, hash, bytes } of envelopes) {
    feed.heads.set(author, { seq, hash })
    noteHash(feed, author, { seq, hash })
    if (isVolatile(feed.doc)) remember(feed, author, [bytes])
  }
  if (fits) for (const envelope of envelopes) noteEnvelope(replica, live, envelope)
  else await loader.reloadCarefully(feed)
  for (const { author, seq, bytes } of envelopes)
    if ((feed.heads.get(author)?.seq ?? 0) >= seq) {
      outcome.applied += 1
      outcome.news.push(bytes)
    } else outcome.refused.push({ author, reason: 'the update cannot be applied' })
  generations.note(feed.doc)
  if (isNew && feed.heads.size > 0)
    for (const listener of replica.documentListeners) guarded(replica, () => listener(feed.doc))
  if (!isVolatile(feed.doc)) await restoration.gotOwn(envelopes.filter(({ author }) => author === replica.self))
  announce(replica, feed, new Set(envelopes.map(({ author }) => author)))
  // What a change wrote before it threw is in the live state until that is made anew.
  const due = feed.live && isSettled(feed) && isSnapshotDue(feed, feed.live, false)
  if (feed.live && due) await loader.saveSnapshot(feed, takeSnapshot(feed.live, feed.heads))
}
