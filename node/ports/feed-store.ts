import type { DocId, PeerId } from '../../crdt/ids.ts'

/** One author's position in one document's feed. */
export type FeedHead = { readonly seq: number; readonly hash: Uint8Array }

export type StoredEnvelope = {
  readonly doc: DocId
  readonly author: PeerId
  readonly seq: number
  readonly bytes: Uint8Array
}

export type Snapshot = {
  /** Heads of every author that the state includes. */
  readonly heads: ReadonlyMap<PeerId, FeedHead>
  /** Opaque to the store. */
  readonly bytes: Uint8Array
}

/** Names that lead to a document from now on, or no longer do: ids of what is in it. */
export type NameChanges = { readonly added: readonly string[]; readonly removed: readonly string[] }

/** Durable storage of feeds, membership records and snapshots. Volatile documents never reach it. */
export interface FeedStore {
  /** Resolves when every envelope is on disk (synced); all or none. Rejects when they are not: then nothing is stored. */
  append(envelopes: readonly StoredEnvelope[]): Promise<void>
  /** Envelopes of one feed from `fromSeq` on, in order. */
  read(doc: DocId, author: PeerId, fromSeq: number): AsyncIterable<StoredEnvelope>
  /** The bytes of one envelope; undefined where there is none. */
  readOne(doc: DocId, author: PeerId, seq: number): Promise<Uint8Array | undefined>
  /**
   * Forgets the envelopes of one feed beyond `lastSeq` (0: all of them); synced before it resolves. Only for feeds of
   * others: a sequence number of our own is never used twice.
   */
  truncate(doc: DocId, author: PeerId, lastSeq: number): Promise<void>
  /** Every document that has at least one stored envelope, with its heads' sequence numbers. */
  documents(): Promise<ReadonlyMap<DocId, ReadonlyMap<PeerId, number>>>
  saveSnapshot(doc: DocId, snapshot: Snapshot): Promise<void>
  loadSnapshot(doc: DocId): Promise<Snapshot | undefined>
  /**
   * Keeps what is to be known of a document that is not in memory. All of it can be made anew from the feeds, and has to
   * be when their heads are others. The names are there before the summary is.
   */
  saveSummary(doc: DocId, summary: Snapshot, names: NameChanges): Promise<void>
  loadSummary(doc: DocId): Promise<Snapshot | undefined>
  /** Documents to which the name leads, in order of their ids. */
  named(name: string): Promise<readonly DocId[]>
  /** Membership records in order of arrival; synced before it resolves. */
  appendRecords(records: readonly Uint8Array[]): Promise<void>
  readRecords(): Promise<readonly Uint8Array[]>
  /** Small facts of the node itself (counters, remembered addresses); synced before it resolves. */
  putFact(key: string, value: Uint8Array): Promise<void>
  getFact(key: string): Promise<Uint8Array | undefined>
  close(): Promise<void>
}
