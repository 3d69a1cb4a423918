import type * as Y from 'yjs'
import { ChunkRecord } from './context-chunk.ts'
import { ChunkId } from './ids.ts'

/*
 * How the context of a project lies in documents `context/<project>/<peer>/<n>`, its segments: each is written by one
 * member alone and closed when it is full, so that nobody has to keep all texts of a project in memory to read or add one.
 *   map `chunks`   <chunk id> → ChunkRecord, written once
 *   map `removed`  <chunk id> → when; of chunks in segments of others, whose authors then take them out
 */
const CHUNKS = 'chunks'
const REMOVED = 'removed'

/** A segment with so much in it is not added to. Loaded it takes about as much memory, and a few milliseconds. */
export const SEGMENT_BYTES_MAX = 256 * 1024
/** Changes in one segment: what is taken out leaves a struct behind. */
export const SEGMENT_STRUCTS_MAX = 4000
/** More is not read: an honest author never gets there. */
const READ_MAX = 2 * SEGMENT_STRUCTS_MAX

export type Segment = {
  readonly chunks: ReadonlyMap<ChunkId, ChunkRecord>
  readonly removed: ReadonlySet<ChunkId>
}

/** What the segment says; what is not valid is not there. The same on every replica with the same content. */
export function readSegment(state: Y.Doc): Segment {
  const chunks = new Map<ChunkId, ChunkRecord>()
  for (const [key, value] of state.getMap(CHUNKS)) {
    const id = ChunkId.safeParse(key)
    const record = ChunkRecord.safeParse(value)
    if (id.success && record.success) chunks.set(id.data, record.data)
    if (chunks.size >= READ_MAX) break
  }
  const removed = new Set<ChunkId>()
  for (const key of state.getMap(REMOVED).keys()) {
    const id = ChunkId.safeParse(key)
    if (id.success) removed.add(id.data)
    if (removed.size >= READ_MAX) break
  }
  return { chunks, removed }
}

export function addChunk(state: Y.Doc, id: ChunkId, record: ChunkRecord): void {
  state.getMap(CHUNKS).set(id, record)
}

/** Takes out a chunk of the author's own, for good: nobody else writes here. */
export function dropChunk(state: Y.Doc, id: ChunkId): void {
  const chunks = state.getMap(CHUNKS)
  if (chunks.has(id)) chunks.delete(id)
}

/** Says that a chunk in a segment of somebody else is to be gone. */
export function markRemoved(state: Y.Doc, id: ChunkId, at: string): void {
  state.getMap(REMOVED).set(id, at)
}

/** Whether the segment takes no more: the next one is begun. */
export function isFull(state: Y.Doc): boolean {
  let structs = 0
  for (const ofClient of state.store.clients.values()) structs += ofClient.length
  if (structs >= SEGMENT_STRUCTS_MAX) return true
  let chars = 0
  for (const value of state.getMap(CHUNKS).values()) chars += contentLength(value)
  return chars >= SEGMENT_BYTES_MAX
}

/** Texts are nearly all that a record takes; in most of them a character is a byte. */
function contentLength(value: unknown): number {
  const content = typeof value === 'object' && value !== null && 'content' in value ? value.content : undefined
  return typeof content === 'string' ? content.length : 0
}
