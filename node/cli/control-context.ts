import { z } from 'zod'
import { CHUNK_TYPES, ChunkInput } from '../../crdt/context-chunk.ts'
import { instance, localActor, localInstance, method, type ControlMethod } from './control-method.ts'

const types = z.array(z.enum(CHUNK_TYPES)).min(1).optional()

/** What the command line may ask about the context of a project. */
export const CONTEXT_METHODS = {
  'context.show': method(z.strictObject({ project: z.string() }), ({ services }, { project }) =>
    services.context.get(project),
  ),
  'context.search': method(
    z.strictObject({
      project: z.string(),
      query: z.string().trim().min(1).max(4000),
      limit: z.int().min(1).max(100),
      min_similarity: z.number().min(0).max(1),
      types,
      files: z.array(z.string().min(1)).min(1).optional(),
    }),
    ({ services }, { project, query, limit, min_similarity: minSimilarity, types: ofTypes, files }) =>
      services.context.query(project, { query, limit, minSimilarity, filter: { types: ofTypes, files } }),
  ),
  'context.add': method(
    z.strictObject({ project: z.string(), chunk: ChunkInput.omit({ instance_id: true }), instance }),
    (context, { project, chunk, instance: id = localInstance(context) }) =>
      context.services.context.add(localActor(context.self), project, { ...chunk, instance_id: id }),
  ),
  'context.remove': method(
    z.strictObject({ project: z.string(), id: z.string() }),
    ({ services, self }, { project, id }) => services.context.remove(localActor(self), project, id),
  ),
} as const satisfies Record<string, ControlMethod>
