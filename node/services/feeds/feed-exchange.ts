import type { DocId, PeerId } from '../../../crdt/ids.ts'
import type { FeedHead } from '../../ports/feed-store.ts'

/** The last envelope applied, per document and author. */
export type FeedVectors = ReadonlyMap<DocId, ReadonlyMap<PeerId, FeedHead>>

/** The feed ends before `seq`: two envelopes of its author prove that it was continued in two ways. */
export type KnownFork = {
  readonly doc: DocId
  readonly author: PeerId
  readonly seq: number
  readonly proof: readonly [Uint8Array, Uint8Array]
}

/** Refusals that are the fault of this node's disk, and of nobody else. */
export const NOT_WRITTEN = 'could not be written to disk'
export const NOT_READABLE = 'the document cannot be read here'

export type RefusedEnvelope = { readonly reason: string; readonly author?: PeerId }

export type ReceiveOutcome = {
  readonly applied: number
  /** Envelopes in force and durable now, also such as had waited for these: what others may lack, too. */
  readonly news: readonly Uint8Array[]
  /** Kept in a bounded buffer until what they depend on arrives. */
  readonly waiting: number
  readonly refused: readonly RefusedEnvelope[]
}

export type AppendedEnvelope = { readonly doc: DocId; readonly bytes: Uint8Array }

/** What synchronisation between nodes needs from the documents: envelopes in, envelopes out, and where we stand. */
export type FeedExchange = {
  /** What we have applied, volatile documents included. */
  vectors(): FeedVectors
  /**
   * Envelopes the other side lacks, oldest first and dependencies before dependants where possible, ending after about
   * `bytesMax` (one envelope at least, when any is missing). A snapshot of the moment it is called. With them comes what
   * they build on in branches of forked feeds, and where the other side stands on another branch, what shows it. Nothing
   * of the feeds of authors whom the other side refuses.
   */
  missing(theirs: FeedVectors, bytesMax: number, refused?: ReadonlySet<PeerId>): AsyncIterable<Uint8Array>
  /**
   * Checks, stores (durably) and applies envelopes, in any order; resolves when those that could be applied are durable
   * and applied. Never throws for bad input: the outcome tells what happened. Envelopes known already count as nothing.
   * `from` is who handed them over, which proves nothing about who wrote them.
   */
  receive(envelopes: readonly Uint8Array[], from: PeerId): Promise<ReceiveOutcome>
  /** New envelopes of our own, each batch after it is durable. */
  onAppend(listener: (envelopes: readonly AppendedEnvelope[]) => void): () => void
  /** Authors whose feeds are frozen, with the reason (equivocation, malformed update). */
  frozen(): ReadonlyMap<PeerId, string>
  /** Feeds that are known to be forked, with the proof. */
  forks(): Iterable<KnownFork>
  /** Fires with the proof when another fork is known. */
  onFork(listener: (proof: readonly Uint8Array[]) => void): () => void
  /** Where the author's feeds end here: what a removal proposes as cuts. */
  headsOf(author: PeerId): ReadonlyMap<DocId, FeedHead>
  /** Whether its content can be named without bringing it into memory. */
  hasContent(doc: DocId): boolean
  /** Names the content of a document: equal on every replica that has applied the same envelopes. */
  contentHash(doc: DocId): Promise<Uint8Array>
  /**
   * Replays a document from its first envelope, in an order that depends on the envelopes alone: what replicas do that
   * have the same envelopes and not the same content. Honest members cannot cause that; one who crafts contradictory
   * updates can. Does nothing, and says so, when it has been done a short while ago: a claimed difference proves nothing.
   */
  rebuild(doc: DocId): Promise<'rebuilt' | 'too soon'>
  /**
   * Forgets envelopes beyond cuts after a membership change (rebuilding the documents that had them). Where the disk
   * refuses, it is tried again until it can be done.
   */
  membershipChanged(): Promise<void>
}
