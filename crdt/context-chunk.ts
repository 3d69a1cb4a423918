import { z } from 'zod'
import { InstanceId, TaskId, type ChunkId, type ProjectId } from './ids.ts'

export const CHUNK_TYPES = [
  'task_completion',
  'context_update',
  'file_change',
  'decision',
  'summary',
  'broadcast',
] as const
export type ChunkType = (typeof CHUNK_TYPES)[number]

export const CHUNK_CHARS_MAX = 50_000
export const CHUNK_FILES_MAX = 100
/** A record beyond this would not fit an envelope. */
export const CHUNK_BYTES_MAX = 128 * 1024
/** Where nothing else is said; on a scale from 0 (of little use) to 1 (must be known). */
export const IMPORTANCE_DEFAULT = 0.5

const isoTime = z.iso.datetime()
const body = {
  content: z.string().min(1).max(CHUNK_CHARS_MAX),
  type: z.enum(CHUNK_TYPES),
  instance_id: InstanceId.nullable(),
  task_id: TaskId.nullable(),
  files: z.array(z.string().min(1).max(1024)).max(CHUNK_FILES_MAX),
  importance_score: z.number().min(0).max(1),
  expires_at: isoTime.nullable(),
}

/** A chunk as its author writes it, once. Unknown properties are dropped, not refused: a newer release may add some. */
export const ChunkRecord = z.object({ ...body, created_at: isoTime, created_by: z.string().min(1).max(128) })
export type ChunkRecord = z.infer<typeof ChunkRecord>

/** What a caller says of a chunk. */
export const ChunkInput = z.strictObject({
  content: z.string().trim().min(1).max(CHUNK_CHARS_MAX),
  type: body.type.default('context_update'),
  instance_id: z.string().trim().min(1).max(128).nullable().default(null),
  task_id: TaskId.nullable().default(null),
  files: body.files.default([]),
  importance_score: body.importance_score.default(IMPORTANCE_DEFAULT),
  expires_at: z.iso.datetime({ offset: true }).nullable().default(null),
})
export type ChunkInput = z.infer<typeof ChunkInput>

/** A piece of shared knowledge of a project, as every surface reads it. Times are ISO 8601 UTC. */
export type ContextChunk = {
  readonly id: ChunkId
  readonly projectId: ProjectId
  readonly content: string
  readonly type: ChunkType
  readonly instanceId: string | null
  readonly taskId: TaskId | null
  readonly files: readonly string[]
  readonly importance: number
  readonly expiresAt: string | null
  readonly createdAt: string
  readonly createdBy: string
}

export type FoundChunk = {
  readonly chunk: ContextChunk
  /**
   * From 0 to 1, the higher of: the cosine between query and chunk, where their vectors were compared, and the share of
   * the query's words that the chunk has, the rarer a word the more it counts.
   */
  readonly similarity: number
}

export const SEARCH_METHODS = ['vector', 'lexical', 'hybrid'] as const
/** What took part: comparison of vectors, of words, or both. */
export type SearchMethod = (typeof SEARCH_METHODS)[number]
