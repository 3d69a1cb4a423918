import * as Y from 'yjs'
import { isVolatile, type PeerId } from '../../../crdt/ids.ts'
import { equalBytes, toHex } from '../../../protocols/codec.ts'
import type { Reading } from '../../../protocols/feed/branches.ts'
import { checkBranch, checkTurn, standingOf, type CheckContext, type Decision } from '../../../protocols/feed/check.ts'
import type { Envelope } from '../../../protocols/feed/envelope.ts'
import type { FeedHead } from '../../ports/feed-store.ts'
import type { Frozen } from './frozen.ts'
import { LIVE_BYTES_MAX } from './generations.ts'
import { hashAt, readOne } from './places.ts'
import type { Feed, LiveDoc, OwnClient, Replica } from './replica.ts'
import type { WaitingRoom } from './waiting-room.ts'

/** What has had its turn in one document, to be stored and applied together. */
export type Turned = {
  readonly feed: Feed
  readonly envelopes: readonly Envelope[]
  /** Envelopes of branches that are part of the document from now on. */
  readonly built: readonly Envelope[]
  /** Of all of them, in order, as the document reads them. */
  readonly updates: readonly Uint8Array[]
}

export type TurnDeps = { readonly replica: Replica; readonly frozen: Frozen; readonly room: WaitingRoom }

/** An envelope that lost its place in the waiting room without being accepted. `before` is what it should have followed. */
export type Verdict =
  | { readonly kind: 'fork'; readonly envelope: Envelope; readonly before: Uint8Array | undefined }
  | { readonly kind: 'refuse'; readonly envelope: Envelope; readonly reason: string; readonly proof: boolean }

/** What a frozen author wrote before the place where its feed is known to be forked is not in question. */
export const isInQuestion = (
  frozen: Pick<Frozen, 'has'>,
  feed: Feed | undefined,
  { author, seq }: Pick<Envelope, 'author' | 'seq'>,
): boolean => frozen.has(author) && seq >= (feed?.forks.get(author)?.seq ?? 0)

/** Takes from the waiting room whatever has its turn, as if those before it were applied already. */
export async function takeTurns(
  deps: TurnDeps,
  feed: Feed,
  onVerdict: (verdict: Verdict) => Promise<void>,
): Promise<Turned> {
  const { live, own, doc } = feed
  if (!live || !own) return { feed, envelopes: [], built: [], updates: [] }
  const stage = new Stage(deps, feed, { live, own })
  const takeAll = async (author: PeerId): Promise<boolean> => {
    for (let moved = false; ; moved = true) {
      const envelope = deps.room.at(doc, author, stage.nextSeq(author))
      const decision = envelope && (await stage.decide(envelope))
      if (!envelope || !decision || decision.kind === 'wait' || decision.kind === 'known') return moved
      deps.room.remove(envelope)
      if (decision.kind === 'accept') continue
      await onVerdict(
        decision.kind === 'fork'
          ? { kind: 'fork', envelope, before: await stage.bytesBefore(envelope) }
          : { ...decision, envelope },
      )
      return moved
    }
  }
  for (let moved = true; moved;) {
    moved = false
    for (const author of deps.room.authors(doc)) {
      const end = feed.heads.get(author)?.seq ?? 0
      deps.room.drop(doc, author, (seq) => seq <= end)
      if (await takeAll(author)) moved = true
    }
  }
  return { feed, envelopes: stage.envelopes, built: stage.built, updates: stage.updates }
}

type Loaded = { readonly live: LiveDoc; readonly own: OwnClient }

/** A document as it will be once what has had its turn is applied. */
class Stage {
  readonly envelopes: Envelope[] = []
  readonly built: Envelope[] = []
  readonly updates: Uint8Array[] = []
  readonly #deps: TurnDeps
  readonly #feed: Feed
  readonly #live: LiveDoc
  readonly #heads = new Map<PeerId, FeedHead>()
  readonly #clients = new Map<PeerId, number | undefined>()
  readonly #clocks: Map<number, number>
  /** Hashes at places that envelopes name as what they build on. */
  readonly #hashes = new Map<string, Uint8Array | undefined>()
  readonly #context: CheckContext
  #bytes: number

  constructor(deps: TurnDeps, feed: Feed, { live, own }: Loaded) {
    this.#deps = deps
    this.#feed = feed
    this.#live = live
    this.#bytes = feed.memoryBytes
    this.#clocks = new Map([[own.client, own.clock]])
    const { replica, frozen, room } = deps
    const membership = replica.membership()
    const isFrozen = (author: PeerId, seq: number): boolean => isInQuestion(frozen, feed, { author, seq })
    let needed: ReadonlyMap<PeerId, number> | undefined
    this.#context = {
      crypto: replica.crypto,
      membership,
      view: this.#createView(),
      branches: live.branches,
      isFrozen,
      neededOf(author) {
        needed ??= neededIn([...room.of(feed.doc)], feed, (envelope) => {
          return standingOf(envelope, membership, isFrozen(envelope.author, envelope.seq)).kind === 'good'
        })
        return needed.get(author) ?? 0
      },
    }
  }

  nextSeq(author: PeerId): number {
    return (this.#head(author)?.seq ?? 0) + 1
  }

  /** The decision about the next of its author; what is accepted is part of the stage. */
  async decide(envelope: Envelope): Promise<Decision> {
    const built = await this.#build(envelope)
    const decision = await this.#check(envelope)
    if (decision.kind !== 'accept') {
      for (const reading of built.toReversed()) this.#takeBack(reading)
      return decision
    }
    const { author, seq, hash } = envelope
    this.#heads.set(author, { seq, hash })
    this.#hashes.set(`${author} ${seq}`, hash)
    this.#clients.set(author, decision.client)
    if (decision.client !== undefined) this.#clocks.set(decision.client, decision.clock)
    this.#live.branches.note(decision.reading)
    this.envelopes.push(envelope)
    this.built.push(...built.map((reading) => reading.envelope))
    for (const { update } of [...built, decision.reading]) this.updates.push(update)
    return decision
  }

  /** The accepted envelope before this one. */
  async bytesBefore({ author, seq }: Envelope): Promise<Uint8Array | undefined> {
    const staged = this.envelopes.findLast((envelope) => envelope.author === author)
    return staged?.bytes ?? (await readOne(this.#deps.replica, this.#feed, author, seq - 1))
  }

  async #check(envelope: Envelope): Promise<Decision> {
    await this.#prepare(envelope)
    const decision = checkTurn(envelope, this.#context)
    if (decision.kind !== 'accept' || !isVolatile(this.#feed.doc)) return decision
    this.#bytes += envelope.bytes.byteLength
    return this.#bytes <= LIVE_BYTES_MAX
      ? decision
      : { kind: 'refuse', reason: `a live document larger than ${LIVE_BYTES_MAX} bytes`, proof: false }
  }

  /** Adds what the envelope builds on in branches, up to the first that cannot be added: then it has to wait. */
  async #build(envelope: Envelope): Promise<Reading[]> {
    const built: Reading[] = []
    for (const next of this.#live.branches.missingFor(envelope)) {
      await this.#prepare(next)
      const reading = checkBranch(next, this.#context)
      if (!reading) return built
      this.#live.branches.note(reading)
      if (reading.span) this.#clocks.set(reading.span.renamed, reading.span.to - reading.span.from)
      built.push(reading)
    }
    return built
  }

  #takeBack(reading: Reading): void {
    this.#live.branches.forget(reading)
    if (reading.span) this.#clocks.delete(reading.span.renamed)
  }

  /** Reads the hashes that a decision about the envelope asks for. */
  async #prepare({ deps }: Envelope): Promise<void> {
    for (const name in deps) {
      // The schema has checked that every key is a peer id.
      const author = name as PeerId
      const seq = deps[author]?.seq ?? 0
      const place = `${author} ${seq}`
      if (this.#hashes.has(place) || seq > (this.#feed.heads.get(author)?.seq ?? 0)) continue
      this.#hashes.set(place, await hashAt(this.#deps.replica, this.#feed, author, seq))
    }
  }

  #head(author: PeerId): FeedHead | undefined {
    return this.#heads.get(author) ?? this.#feed.heads.get(author)
  }

  #createView(): CheckContext['view'] {
    const { clients, state } = this.#live
    return {
      head: (author) => this.#head(author),
      clientOf: (author) => this.#clients.get(author) ?? clients.get(author),
      clockOf: (client) => this.#clocks.get(client) ?? Y.getState(state.store, client),
      holds: (author, { seq, hash }) => {
        const fork = this.#feed.forks.get(author)
        if (fork && seq >= fork.seq) return fork.kept.get(toHex(hash))?.seq === seq && this.#live.branches.has(hash)
        const held = this.#hashes.get(`${author} ${seq}`)
        return held !== undefined && equalBytes(held, hash)
      },
    }
  }
}

/** How far waiting envelopes of authors in good standing (and those they need in turn) depend on each author's feed. */
function neededIn(
  waiting: readonly Envelope[],
  { forks }: Feed,
  isGood: (envelope: Envelope) => boolean,
): ReadonlyMap<PeerId, number> {
  const needed = new Map<PeerId, number>()
  const counts = (envelope: Envelope): boolean => envelope.seq <= (needed.get(envelope.author) ?? 0) || isGood(envelope)
  for (let grown = true; grown;) {
    grown = false
    for (const envelope of waiting.filter(counts))
      for (const name in envelope.deps) {
        // The schema has checked that every key is a peer id.
        const author = name as PeerId
        const seq = Math.min(envelope.deps[author]?.seq ?? 0, (forks.get(author)?.seq ?? Infinity) - 1)
        if (seq <= (needed.get(author) ?? 0)) continue
        needed.set(author, seq)
        grown = true
      }
  }
  return needed
}
