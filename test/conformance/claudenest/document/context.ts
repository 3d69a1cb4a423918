import { z } from 'zod'
import { count, percent, rest, shape, text, time, uuid } from './row.ts'
import type { RestRow } from './row.ts'

const brief = { summary: text, architecture: text, conventions: text, current_focus: text, recent_changes: text }
const type = z.enum(['task_completion', 'context_update', 'file_change', 'decision', 'summary', 'broadcast'])
const Found = shape({
  id: uuid,
  content: text,
  type,
  similarity: z.number().min(0).max(1),
  files: z.array(text),
  created_at: time,
})
const Chunk = shape({
  id: uuid,
  content: text,
  type,
  instance_id: text.nullable(),
  task_id: uuid.nullable(),
  files: z.array(text),
  importance_score: z.number().min(0).max(1),
  expires_at: time.nullable(),
  created_at: time,
})

export const contextRows: readonly RestRow[] = [
  rest('8.1', 'GET /api/projects/:project/context', {
    reply: shape({
      ...brief,
      compiled_context: text,
      token_usage: shape({ total: count, max: count, percent }),
    }),
    errors: ['PRJ_001'],
    says: [
      'compiles the brief and the chunks, most important first',
      'never takes more than maxContextTokens',
      'has the completed tasks',
    ],
  }),
  rest('8.2', 'POST /api/projects/:project/context/query', {
    body: { query: 'How is authentication implemented?', limit: 10, min_similarity: 0.7 },
    reply: shape({
      query: text,
      results: z.array(Found),
      total_results: count,
      search_method: z.enum(['vector', 'lexical', 'hybrid']),
    }),
    errors: ['PRJ_001'],
    says: [
      'finds by words, and says so',
      'respects min_similarity and limit',
      'filters by types and files',
      'refuses a query without words',
    ],
  }),
  rest('8.3', 'PATCH /api/projects/:project/context', {
    body: {
      summary: 'Updated summary',
      architecture: 'Updated architecture',
      conventions: 'Updated conventions',
      current_focus: 'New focus',
      recent_changes: 'Latest changes',
    },
    reply: shape(brief),
    errors: ['PRJ_001'],
    says: ['changes what is given and keeps the rest'],
  }),
  rest('8.4', 'POST /api/projects/:project/context/summarize', {
    reply: shape({ summary: text, chunks_processed: count, tokens_used: count }),
    errors: ['PRJ_001'],
    says: ['keeps the summary as a chunk'],
  }),
  rest('8.5', 'GET /api/projects/:project/context/chunks', {
    reply: z.array(Chunk),
    errors: ['PRJ_001'],
    says: ['filters by type and instance_id', 'lists newest first, in pages', 'leaves out what has expired'],
  }),
  rest('8.6', 'POST /api/projects/:project/context/chunks', {
    body: {
      content: 'Important decision: Using JWT for auth',
      type: 'decision',
      instance_id: 'instance_1',
      task_id: 'uuid',
      files: ['auth.php'],
      importance_score: 0.9,
      expires_at: '2026-03-02T00:00:00Z',
    },
    status: 201,
    reply: Chunk,
    errors: ['PRJ_001'],
    says: ['keeps all it was given', 'takes a content alone', 'refuses unknown types and an importance beyond 1'],
  }),
  rest('8.7', 'DELETE /api/projects/:project/context/chunks/:chunkId', {
    reply: z.null(),
    errors: ['PRJ_001', 'CTX_001'],
    says: ['removes the chunk on every gateway'],
  }),
]
