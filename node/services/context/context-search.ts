import type { FoundChunk } from '../../../crdt/context-chunk.ts'
import type { ChunkScope } from '../../ports/chunk-index.ts'
import type { VectorHit } from '../../ports/vector-index.ts'
import type { ContextAnswer, ContextQuery } from './context-service.ts'
import { fuse } from './fusion.ts'
import type { IndexKeeper } from './index-keeper.ts'
import type { MeaningSearch } from './meaning-search.ts'

/** Results of each kind that are fused: enough that what both find moves up. */
const CANDIDATES_MIN = 50
/** Vectors are not filtered by type or file: so many more are looked at. */
const FILTERED_FACTOR = 8

/** Searches by words and, where vectors can be had, by meaning. */
export async function searchContext(
  { keeper, meaning }: { keeper: IndexKeeper; meaning: MeaningSearch | undefined },
  scope: ChunkScope,
  { query, limit, minSimilarity }: ContextQuery,
): Promise<ContextAnswer> {
  const candidates = Math.max(CANDIDATES_MIN, limit)
  const { types, files, instanceId, taskId } = scope
  const isFiltered = [types, files, instanceId, taskId].some((condition) => condition !== undefined)
  const nearest = await meaning?.search(query, scope.projects, candidates * (isFiltered ? FILTERED_FACTOR : 1))
  const hits = nearest && 'hits' in nearest ? nearest.hits : undefined
  const byMeaning = hits && withChunks(keeper, scope, hits)
  const byWords = keeper
    .use((index) => index.search(scope, query, candidates))
    ?.map(({ chunk, coverage }) => ({ chunk, similarity: coverage }))
  const lists = [byMeaning ?? [], byWords ?? []].map((list) =>
    list.filter(({ similarity }) => similarity >= minSimilarity).slice(0, candidates),
  )
  return {
    results: fuse(lists).slice(0, limit),
    method: byMeaning === undefined ? 'lexical' : byWords === undefined ? 'vector' : 'hybrid',
    degraded: nearest && 'why' in nearest ? nearest.why : null,
  }
}

function withChunks(keeper: IndexKeeper, scope: ChunkScope, hits: readonly VectorHit[]): FoundChunk[] {
  const ids = hits.map(({ id }) => id)
  const chunks = new Map(keeper.use((index) => index.get(scope, ids)).map((chunk) => [String(chunk.id), chunk]))
  return hits.flatMap(({ id, similarity }) => {
    const chunk = chunks.get(id)
    // The numbers of a vector are rounded: what is equal may come out a little above 1.
    return chunk ? [{ chunk, similarity: Math.min(1, Math.max(0, similarity)) }] : []
  })
}
