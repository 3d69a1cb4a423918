import * as Y from 'yjs'
import type { DocId, PeerId } from '../../crdt/ids.ts'
import { toHex } from '../codec.ts'
import type { Crypto } from '../crypto.ts'
import { clientIdOf, NONCE_BYTES, type Envelope } from './envelope.ts'
import { renameUpdate, type Renamed } from './rename.ts'

/** A feed that its author has continued in two ways. */
export type ForkedFeed = {
  /** The first place at which two different envelopes are known: the feed ends before it. */
  readonly seq: number
  /** What is held of its branches, from there on, by hash in hex. Each one's predecessor is held too. */
  readonly kept: ReadonlyMap<string, Envelope>
}

/** The last envelope of each branch on which something builds. */
type View = ReadonlyMap<PeerId, string>

/** Where in a branch an envelope stands, and how its structs are named: by its author, and in the document. */
type Place = {
  readonly line: Line
  /** The one before it on its line. */
  readonly previous: Span | undefined
  readonly client: number | undefined
  /** The client's first clock that it may write. */
  readonly from: number
  /** Declares a clientID that its author has written with before. */
  readonly isReused: boolean
  readonly renamed: number
}

/** An envelope of a branch that is part of the document. */
type Span = Place & { readonly seq: number; readonly to: number; readonly view: View }

/** A stretch of a branch in which every envelope has one successor at most. */
type Line = {
  /** Where it leaves the line before it. */
  readonly parent: Span | undefined
  last: Span | undefined
  /** Those that write structs, by the author's clientID, in order. */
  readonly spans: Map<number, Span[]>
}

/** The clientID that the author's feed declared last, and the first clock of a client that is not known yet. */
export type Clocks = {
  readonly clientOf: (author: PeerId) => number | undefined
  readonly clockOf: (client: number) => number
}

/** What an envelope says in the names that the document uses. */
export type Reading = {
  readonly envelope: Envelope
  readonly update: Uint8Array
  readonly view: View
  readonly span: Span | undefined
}

const NO_VIEW: View = new Map()

/**
 * Puts all branches of forked feeds into one document. Two branches use the same clientID and the same clocks for
 * different structs; so those of an envelope in a branch get a clientID that follows from its hash, and what others have
 * written about them is read with the names that it has on the branch its author knew. What comes out depends on the
 * envelopes alone. An author that knows a fork uses the new names itself.
 */
export class Branches {
  readonly #crypto: Crypto
  readonly #doc: DocId
  readonly #forks: ReadonlyMap<PeerId, ForkedFeed>
  readonly #spans = new Map<string, Span>()
  readonly #views = new Map<PeerId, View>()
  /** By the name that the structs of an envelope have. */
  readonly #authors = new Map<number, PeerId>()

  constructor(crypto: Crypto, doc: DocId, forks: ReadonlyMap<PeerId, ForkedFeed>) {
    this.#crypto = crypto
    this.#doc = doc
    this.#forks = forks
  }

  /** Whether this envelope of a branch is part of the document. */
  has(hash: Uint8Array): boolean {
    return this.#spans.has(toHex(hash))
  }

  /** Who wrote the envelope in a branch whose structs have this name; undefined for any other clientID. */
  authorOf(client: number): PeerId | undefined {
    return this.#authors.get(client)
  }

  /** Envelopes of branches on which this one builds and that have not been noted, in their order. To be noted one by one. */
  missingFor(envelope: Envelope): Iterable<Envelope> {
    return builtOn(this.#forks, envelope, (hash) => this.#spans.has(hash))
  }

  /** No feed of the document is forked: everything is read as it is written. */
  get isEmpty(): boolean {
    return this.#forks.size === 0
  }

  /** Reads the next envelope; what it builds on has been noted, and its update is sound in itself. */
  read(envelope: Envelope, clocks: Clocks): Reading {
    const { author, seq, update } = envelope
    if (this.isEmpty) return { envelope, update, view: NO_VIEW, span: undefined }
    const fork = this.#forks.get(author)
    const before = this.#before(envelope)
    const view = this.#viewOf(envelope, before)
    const place = fork && seq >= fork.seq ? this.placeOf(envelope, clocks) : undefined
    const span = place && { ...place, seq, to: place.from + lengthOf(update), view }
    if (!span && view.size === 0) return { envelope, update, view, span }
    const leaves = [...view.values()].flatMap((hash) => this.#spans.get(hash) ?? [])
    if (before) leaves.push(before)
    const rename = (client: number, clock: number): Renamed => {
      if (span && client === span.client && clock >= span.from)
        return { client: span.renamed, clock: clock - span.from, length: Infinity }
      let next = Infinity
      for (const leaf of leaves) {
        const found = findSpan(leaf, client, clock)
        if (found.span)
          return { client: found.span.renamed, clock: clock - found.span.from, length: found.span.to - clock }
        next = Math.min(next, found.next)
      }
      return { client, clock, length: next - clock }
    }
    return { envelope, update: renameUpdate(update, rename), view, span }
  }

  /** Of an envelope of a branch, whose predecessor has been noted. */
  placeOf(envelope: Envelope, clocks: Clocks): Place {
    const { author, nonce, hash } = envelope
    const before = this.#before(envelope)
    const isNext = before !== undefined && before.line.last === before
    const line = isNext ? before.line : { parent: before, last: undefined, spans: new Map<number, Span[]>() }
    const previous = isNext ? before : undefined
    const renamed = clientIdOf(this.#crypto, author, this.#doc, hash.subarray(0, NONCE_BYTES))
    if (nonce) {
      const client = clientIdOf(this.#crypto, author, this.#doc, nonce)
      return { line, previous, client, from: 0, isReused: isUsed(client, before, clocks), renamed }
    }
    const client = before ? before.client : clocks.clientOf(author)
    const from = before?.to ?? (client === undefined ? 0 : clocks.clockOf(client))
    return { line, previous, client, from, isReused: false, renamed }
  }

  note({ envelope, view, span }: Reading): void {
    if (this.isEmpty) return
    if (!span) return void this.#views.set(envelope.author, view)
    this.#spans.set(toHex(envelope.hash), span)
    this.#authors.set(span.renamed, envelope.author)
    span.line.last = span
    if (span.client === undefined || span.to === span.from) return
    const spans = span.line.spans.get(span.client)
    if (spans) spans.push(span)
    else span.line.spans.set(span.client, [span])
  }

  /** Takes back the last of what has been noted of branches. */
  forget({ envelope, span }: Reading): void {
    if (!span) throw new Error('only envelopes of branches are taken back')
    this.#spans.delete(toHex(envelope.hash))
    span.line.last = span.previous
    const spans = span.client === undefined ? undefined : span.line.spans.get(span.client)
    if (spans?.at(-1) === span) spans.pop()
  }

  /** A clientID that is declared anew starts with all that its author builds on. */
  #viewOf({ author, deps, nonce }: Envelope, before: Span | undefined): View {
    const view = new Map(nonce ? NO_VIEW : (before?.view ?? this.#views.get(author) ?? NO_VIEW))
    for (const [other, { seq }] of this.#forks) {
      const dep = deps[other]
      if (!dep) continue
      if (dep.seq >= seq) view.set(other, toHex(dep.hash))
      else view.delete(other)
    }
    return view
  }

  #before({ author, seq, prev }: Envelope): Span | undefined {
    const fork = this.#forks.get(author)
    return fork && prev && seq > fork.seq ? this.#spans.get(toHex(prev)) : undefined
  }
}

/** The span on the way to the leaf that wrote the clock, or else where the next one there begins. */
function findSpan(leaf: Span, client: number, clock: number): { span?: Span; next: number } {
  let next = Infinity
  for (let end: Span | undefined = leaf; end; end = end.line.parent) {
    const spans = end.line.spans.get(client) ?? []
    const at = firstBeyond(spans, clock)
    const span = spans[at - 1]
    if (span && clock < span.to && span.seq <= end.seq) return { span, next }
    const later = spans[at]
    if (later && later.seq <= end.seq) next = Math.min(next, later.from)
  }
  return { next }
}

function isUsed(client: number, before: Span | undefined, { clockOf }: Clocks): boolean {
  for (let end = before; end; end = end.line.parent)
    if (end.line.spans.get(client)?.some(({ seq }) => seq <= end.seq) === true) return true
  return clockOf(client) > 0
}

/** Index of the first that begins beyond the clock. */
function firstBeyond(spans: readonly Span[], clock: number): number {
  let [low, high] = [0, spans.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((spans[middle]?.from ?? Infinity) <= clock) low = middle + 1
    else high = middle
  }
  return low
}

function lengthOf(update: Uint8Array): number {
  return Y.decodeUpdate(update).structs.reduce((sum, { length }) => sum + length, 0)
}

/**
 * Envelopes of branches on which this one builds, each after those it builds on itself, without those that are done. The
 * caller makes done what it gets, before it asks for more. What is not kept is passed over.
 */
export function* builtOn(
  forks: ReadonlyMap<PeerId, ForkedFeed>,
  envelope: Envelope,
  isDone: (hash: string) => boolean,
): Generator<Envelope> {
  const open = requiredBy(forks, envelope, isDone)
  for (let next = open.at(-1); next; next = open.at(-1)) {
    const before = isDone(toHex(next.hash)) ? [] : requiredBy(forks, next, isDone)
    if (before.length > 0) {
      open.push(...before)
      continue
    }
    open.pop()
    if (!isDone(toHex(next.hash))) yield next
  }
}

function requiredBy(
  forks: ReadonlyMap<PeerId, ForkedFeed>,
  { author, prev, deps }: Envelope,
  isDone: (hash: string) => boolean,
): Envelope[] {
  const required: Envelope[] = []
  for (const [other, { kept }] of forks) {
    const hash = other === author ? prev : deps[other]?.hash
    const found = hash && kept.get(toHex(hash))
    if (found && !isDone(toHex(found.hash))) required.push(found)
  }
  return required
}
