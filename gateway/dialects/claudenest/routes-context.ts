import { z } from 'zod'
import { CHUNK_FILES_MAX, CHUNK_TYPES, ChunkInput } from '../../../crdt/context-chunk.ts'
import { ChunkId, ProjectId, TaskId } from '../../../crdt/ids.ts'
import { BRIEF_CHARS_MAX } from '../../../crdt/project-document.ts'
import { none } from '../../http/dialect.ts'
import { instanceId, pageFields, pageOf } from './inputs.ts'
import { route } from './deps.ts'
import {
  WireAnswer,
  wireAnswer,
  WireChunk,
  wireChunk,
  WireContext,
  wireContext,
  WireSummary,
  wireSummary,
} from './wire-context.ts'

const ofProject = { params: z.strictObject({ project: ProjectId }), missing: 'project_not_found' } as const
const ChunkReply = WireChunk.extend({ chunk: WireChunk })

const QUERY_CHARS_MAX = 4000
const RESULTS = { default: 10, most: 100 }
const type = z.enum(CHUNK_TYPES)
const prose = z.string().max(BRIEF_CHARS_MAX)

export const contextRoutes = [
  route({
    doc: '8.1 Get project context',
    method: 'GET',
    path: '/api/projects/:project/context',
    policy: { ability: 'context:read' },
    ...ofProject,
    query: none.query,
    body: none.body,
    reply: WireContext,
    run: ({ services }, { params }) => services.context.get(params.project),
    toWire: (context) => ({ data: wireContext(context) }),
  }),
  route({
    doc: '8.2 Query context',
    method: 'POST',
    path: '/api/projects/:project/context/query',
    policy: { ability: 'context:read' },
    ...ofProject,
    query: none.query,
    body: z.strictObject({
      query: z.string().trim().min(1).max(QUERY_CHARS_MAX),
      limit: z.int().min(1).max(RESULTS.most).default(RESULTS.default),
      min_similarity: z.number().min(0).max(1).default(0),
      types: z.array(type).min(1).max(CHUNK_TYPES.length).exactOptional(),
      files: z.array(z.string().min(1).max(1024)).min(1).max(CHUNK_FILES_MAX).exactOptional(),
      instance_id: instanceId.exactOptional(),
      task_id: TaskId.exactOptional(),
    }),
    reply: WireAnswer,
    run: ({ services }, { params, body }) =>
      services.context.query(params.project, {
        query: body.query,
        limit: body.limit,
        minSimilarity: body.min_similarity,
        filter: { types: body.types, files: body.files, instanceId: body.instance_id, taskId: body.task_id },
      }),
    toWire: (answer, { body }) => ({ data: wireAnswer(body.query, answer) }),
  }),
  route({
    doc: '8.3 Update context',
    method: 'PATCH',
    path: '/api/projects/:project/context',
    policy: { ability: 'project:write' },
    ...ofProject,
    query: none.query,
    body: z.strictObject({
      summary: prose.exactOptional(),
      architecture: prose.exactOptional(),
      conventions: prose.exactOptional(),
      current_focus: prose.exactOptional(),
      recent_changes: prose.exactOptional(),
    }),
    reply: WireContext,
    run: ({ services }, { actor, params, body }) => {
      const { current_focus: focus, recent_changes: changes, ...rest } = body
      return services.context.update(actor, params.project, {
        ...rest,
        ...(focus === undefined ? {} : { currentFocus: focus }),
        ...(changes === undefined ? {} : { recentChanges: changes }),
      })
    },
    toWire: (context) => ({ data: wireContext(context) }),
  }),
  route({
    doc: '8.4 Summarize context',
    method: 'POST',
    path: '/api/projects/:project/context/summarize',
    policy: { ability: 'context:write' },
    errors: ['cancelled', 'model_failed', 'model_missing', 'rate_limited', 'forbidden', 'too_large'],
    ...ofProject,
    query: none.query,
    body: none.body,
    reply: WireSummary,
    run: ({ services }, { actor, params }) => services.context.summarise(actor, params.project),
    toWire: (summary) => ({ data: wireSummary(summary) }),
  }),
  route({
    doc: '8.5 List context chunks',
    method: 'GET',
    path: '/api/projects/:project/context/chunks',
    policy: { ability: 'context:read' },
    ...ofProject,
    query: z.object({
      type: type.exactOptional(),
      instance_id: instanceId.exactOptional(),
      task_id: TaskId.exactOptional(),
      ...pageFields(20),
    }),
    body: none.body,
    reply: z.array(WireChunk),
    run: ({ services }, { params, query }) => {
      const types = query.type === undefined ? undefined : [query.type]
      const filter = { types, instanceId: query.instance_id, taskId: query.task_id }
      return services.context.list(params.project, filter, pageOf(query))
    },
    toWire: (page) => ({ data: page.items.map(wireChunk), page }),
  }),
  route({
    doc: '8.6 Add context chunk',
    method: 'POST',
    path: '/api/projects/:project/context/chunks',
    policy: { ability: 'context:write' },
    errors: ['limit_reached', 'too_large'],
    status: 201,
    ...ofProject,
    query: none.query,
    body: ChunkInput,
    reply: ChunkReply,
    run: ({ services }, { actor, params, body }) => services.context.add(actor, params.project, body),
    toWire: (chunk) => ({ data: { ...wireChunk(chunk), chunk: wireChunk(chunk) } }),
  }),
  route({
    doc: '8.7 Delete context chunk',
    method: 'DELETE',
    path: '/api/projects/:project/context/chunks/:chunkId',
    policy: { ability: 'context:write' },
    errors: ['project_not_found'],
    params: z.strictObject({ project: ProjectId, chunkId: ChunkId }),
    missing: 'chunk_not_found',
    query: none.query,
    body: none.body,
    reply: z.null(),
    run: ({ services }, { actor, params }) => services.context.remove(actor, params.project, params.chunkId),
    toWire: () => ({ data: null }),
  }),
]
