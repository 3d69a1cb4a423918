import { z } from 'zod'
import { CHUNK_TYPES, SEARCH_METHODS, type ContextChunk, type FoundChunk } from '../../../crdt/context-chunk.ts'
import type { ContextAnswer, ContextSummary, ProjectContext } from '../../../node/services/context/context-service.ts'

const text = z.string()
const maybe = z.string().nullable()
const count = z.int().min(0)
const share = z.number().min(0).max(1)

export const WireChunk = z.strictObject({
  id: text,
  project_id: text,
  content: text,
  type: z.enum(CHUNK_TYPES),
  instance_id: maybe,
  task_id: maybe,
  files: z.array(text),
  importance_score: share,
  expires_at: maybe,
  created_at: text,
  created_by: text,
})

export const wireChunk = (chunk: ContextChunk): z.infer<typeof WireChunk> => ({
  id: chunk.id,
  project_id: chunk.projectId,
  content: chunk.content,
  type: chunk.type,
  instance_id: chunk.instanceId,
  task_id: chunk.taskId,
  files: [...chunk.files],
  importance_score: chunk.importance,
  expires_at: chunk.expiresAt,
  created_at: chunk.createdAt,
  created_by: chunk.createdBy,
})

export const WireContext = z.strictObject({
  summary: text,
  architecture: text,
  conventions: text,
  current_focus: text,
  recent_changes: text,
  compiled_context: text,
  /** Of `compiled_context`; counted as the models of one maker do, so an estimate for all others. */
  token_usage: z.strictObject({ total: count, max: count, percent: z.number(), is_estimate: z.literal(true) }),
  index: z.strictObject({ chunks: count, with_vector: count, is_behind: z.boolean(), problem: maybe }),
})

export const wireContext = ({ project, compiled, usage, index }: ProjectContext): z.infer<typeof WireContext> => ({
  summary: project.summary,
  architecture: project.architecture,
  conventions: project.conventions,
  current_focus: project.currentFocus,
  recent_changes: project.recentChanges,
  compiled_context: compiled,
  token_usage: { ...usage, is_estimate: true },
  index: {
    chunks: index.chunks,
    with_vector: index.withVector,
    is_behind: index.isBehind,
    problem: index.problem,
  },
})

const WireFound = WireChunk.extend({ similarity: share })

const wireFound = ({ chunk, similarity }: FoundChunk): z.infer<typeof WireFound> => ({
  ...wireChunk(chunk),
  similarity: Math.round(similarity * 10_000) / 10_000,
})

export const WireAnswer = z.strictObject({
  query: text,
  results: z.array(WireFound),
  total_results: count,
  search_method: z.enum(SEARCH_METHODS),
  /** Why vectors took no part, where an embedder is configured. */
  degraded: maybe,
})

export const wireAnswer = (query: string, answer: ContextAnswer): z.infer<typeof WireAnswer> => ({
  query,
  results: answer.results.map(wireFound),
  total_results: answer.results.length,
  search_method: answer.method,
  degraded: answer.degraded,
})

export const WireSummary = z.strictObject({
  summary: text,
  chunks_processed: count,
  tokens_used: count,
  tokens_estimated: z.boolean(),
  chunk: WireChunk.nullable(),
})

export const wireSummary = (summary: ContextSummary): z.infer<typeof WireSummary> => ({
  summary: summary.summary,
  chunks_processed: summary.chunksProcessed,
  tokens_used: summary.tokensUsed,
  tokens_estimated: summary.isEstimate,
  chunk: summary.chunk && wireChunk(summary.chunk),
})
