import type { ContextChunk, ChunkRecord, ChunkType } from '../../crdt/context-chunk.ts'
import type { ChunkId, DocId, ProjectId } from '../../crdt/ids.ts'
import type { Page, PageRequest } from '../../crdt/page.ts'

/** What one document says by now. */
export type IndexedSegment = {
  readonly doc: DocId
  readonly project: ProjectId
  /** Names the state that was read; equal to the last one: there is nothing to do. */
  readonly position: string
  readonly chunks: ReadonlyMap<ChunkId, ChunkRecord>
  readonly removed: ReadonlySet<ChunkId>
}

export type ChunkFilter = {
  readonly types?: readonly ChunkType[] | undefined
  /** Chunks about at least one of these. */
  readonly files?: readonly string[] | undefined
  readonly instanceId?: string | undefined
  readonly taskId?: string | undefined
}

/** Which chunks are in question: those of a project under all its ids that are live now. */
export type ChunkScope = ChunkFilter & { readonly projects: readonly ProjectId[]; readonly nowMs: number }

/** A chunk that has words of the query; `coverage` as `FoundChunk.similarity` says. */
export type WordHit = { readonly chunk: ContextChunk; readonly coverage: number }

export type StoredChunk = { readonly id: ChunkId; readonly doc: DocId }
export type ChunkText = { readonly id: ChunkId; readonly project: ProjectId; readonly content: string }

/**
 * This node's own index of the chunks in all documents: texts, words, and which of them have vectors. Nothing in it is
 * the only copy: it can be emptied at any time and filled again. Calls are synchronous and take milliseconds at a hundred
 * thousand chunks. Every call may throw an `IndexDamagedError`; then `reset` makes it usable, and empty.
 */
export interface ChunkIndex {
  /** The documents in it, with their positions. */
  segments(): ReadonlyMap<DocId, string>
  /** Replaces what is known of a document. */
  putSegment(segment: IndexedSegment): void
  dropSegment(doc: DocId): void

  /** Live chunks only. */
  get(scope: ChunkScope, ids: readonly string[]): readonly ContextChunk[]
  /** Newest first. */
  list(scope: ChunkScope, page: PageRequest): Page<ContextChunk>
  count(scope: ChunkScope): number
  /** Most important first, then newest. */
  ranked(scope: ChunkScope, limit: number): readonly ContextChunk[]
  /** Best first. Undefined when the text has no word to look for. */
  search(scope: ChunkScope, text: string, limit: number): readonly WordHit[] | undefined
  /** The document that a live chunk of these projects lies in. */
  locate(scope: ChunkScope, id: string): StoredChunk | undefined

  /** Chunks in documents of one author (`/<peer>/` in their names) that have expired or been removed by others. */
  spent(author: string, nowMs: number, limit: number): readonly StoredChunk[]
  /** Takes out what has expired in documents of other authors; returns how many. */
  purgeExpired(nowMs: number, exceptOf: string): number

  /** The `limit` most important live chunks, less those that have a vector or cannot get one. */
  withoutVector(capacity: number, limit: number, nowMs: number): readonly ChunkText[]
  /** `no` marks chunks that the embedder refuses for good. */
  markVectors(ids: readonly string[], state: 'yes' | 'no'): void
  /** Forgets all marks, then marks these: what the vector index really has. */
  resetVectors(ids: Iterable<string>): void
  /** Vectors that should go: of chunks that are gone, or no longer among the `capacity` most important. */
  surplusVectors(capacity: number, limit: number): readonly string[]
  forgetSurplus(ids: readonly string[]): void
  vectorCount(scope: ChunkScope): number

  reset(): void
  close(): void
}

/** What is stored cannot be read (any more). */
export class IndexDamagedError extends Error {
  override readonly name = 'IndexDamagedError'
}
