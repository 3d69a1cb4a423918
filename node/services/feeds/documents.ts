import type * as Y from 'yjs'
import type { Actor } from '../../../crdt/actor.ts'
import type { DocId, PeerId } from '../../../crdt/ids.ts'
import type { FeedHead } from '../../ports/feed-store.ts'

/** A place in one author's feed of one document: everything up to it has been written. */
export type FeedPosition = { readonly doc: DocId; readonly author: PeerId; readonly seq: number }

export type DocumentChange = {
  readonly doc: DocId
  readonly author: PeerId
  readonly local: boolean
}

/**
 * The replicated documents of this node. Only this service turns envelopes into Yjs state and back.
 */
export type Documents = {
  /**
   * Reads the current state. The `Y.Doc` must not be kept: it is replaced when a document has to be rebuilt.
   * Opens (loads) the document when needed; a document nobody has written yet reads as empty.
   */
  read<T>(doc: DocId, project: (state: Y.Doc) => T): Promise<T>
  /** As `read`, for a document that `open` has pinned. @throws when it is not open. */
  readOpen<T>(doc: DocId, project: (state: Y.Doc) => T): T
  /**
   * Changes a document. `change` runs at once, synchronously, in one transaction; the promise resolves with its result
   * when the envelope that carries it is durable (batched with others of the same tick), and with the feed position
   * that includes it. Rejects with a `StorageError` when the disk refuses, with a `NotWritableError` when the mesh does:
   * then nothing has changed.
   */
  write<T>(
    doc: DocId,
    actor: Actor | undefined,
    change: (state: Y.Doc) => T,
  ): Promise<{ value: T; position: FeedPosition }>
  /** Pins the document in memory and tells of every later change, after it is durable. Returns the unpin. */
  open(doc: DocId, onChange?: (change: DocumentChange, state: Y.Doc) => void): Promise<() => void>
  /** Resolves true once everything up to the position has been applied here, false when `signal` aborts first. */
  reached(position: FeedPosition, signal: AbortSignal): Promise<boolean>
  /** Ids of all documents known here. */
  list(): readonly DocId[]
  /** Where the feeds of a document end here, without loading it; empty for one that is not known. */
  heads(doc: DocId): ReadonlyMap<PeerId, FeedHead>
  /** Tells of every durable change of any document, without keeping it in memory. */
  onChange(listener: (doc: DocId) => void): () => void
  /** Fires for a document that was not known before. */
  onDocument(listener: (doc: DocId) => void): () => void
}

/** This node has lost the right to write the document: it was removed, frozen, or never had the capability. */
export class NotWritableError extends Error {
  override readonly name = 'NotWritableError'
}

export class StorageError extends Error {
  override readonly name = 'StorageError'
}
