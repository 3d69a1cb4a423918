import type * as Y from 'yjs'
import type { z } from 'zod'
import type { Actor } from '../../../crdt/actor.ts'
import type { DocId, PeerId } from '../../../crdt/ids.ts'
import type { FeedHead, NameChanges } from '../../ports/feed-store.ts'

/** A place in one author's feed of one document: everything up to it has been written. */
export type FeedPosition = { readonly doc: DocId; readonly author: PeerId; readonly seq: number }

export type DocumentChange = {
  readonly doc: DocId
  readonly author: PeerId
  readonly local: boolean
}

/**
 * Somebody who has to know something of every document of a kind, and does not want all of them in memory for it. Of each
 * document it is told `loaded` or `away` at first, and whenever one becomes the other: after `loaded` every change comes
 * as `changed`, after `away` there is none.
 */
export type Follower<S> = {
  /** First part of the ids of these documents. */
  readonly kind: string
  /** Names its own part of what is stored about a document. */
  readonly part: string
  /** Of that part; what does not fit it is made anew. */
  readonly summary: z.ZodType<S>
  /** It is in memory, with this content. Nobody has used it yet: whatever is written next comes as `changed`. */
  loaded(doc: DocId, state: Y.Doc): void
  changed(change: DocumentChange, state: Y.Doc): void
  /** It has to stay in memory although nobody has used it for some time. */
  isNeeded(doc: DocId): boolean
  /** What is to be known of it while it is not in memory. Also asked for when it has come to rest, or is closed. */
  summarize(doc: DocId, state: Y.Doc): S
  /** Names that lead to it, as far as they have changed since those that were `stored` were asked for. */
  readonly names?: (doc: DocId) => NameChanges
  /** What was asked for last is stored. */
  readonly stored?: (doc: DocId) => void
  /** It is not in memory. */
  away(doc: DocId, summary: S): void
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
  /**
   * Who wrote what has this Yjs client id in a document that is in memory. That is certain: envelopes are signed, and an
   * author can use only its own client ids. Undefined for a client id that nobody has used.
   */
  authorOf(doc: DocId, client: number): PeerId | undefined
  /**
   * Pins the document in memory and tells of every later change, after it is durable. What has been written since is shown
   * too; when that comes to nothing, this is told as a change. Returns the unpin.
   */
  open(doc: DocId, onChange?: (change: DocumentChange, state: Y.Doc) => void): Promise<() => void>
  /**
   * Follows all documents of a kind, until the documents are closed. Resolves when it has been told of all but those of
   * which nothing is stored that is true now (after a crash); these are loaded one after the other, `caughtUp` says when.
   */
  follow<S>(follower: Follower<S>): Promise<{ readonly caughtUp: Promise<void> }>
  /** Documents that are not in memory to which the name leads; those in memory may be among them. */
  named(name: string): Promise<readonly DocId[]>
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
  override readonly name: string = 'StorageError'
}

/** What is stored cannot be read: room on the disk, or trying again, does not help. */
export class UnreadableError extends StorageError {
  override readonly name = 'UnreadableError'
}
