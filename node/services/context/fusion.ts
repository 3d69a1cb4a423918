import type { ContextChunk, FoundChunk } from '../../../crdt/context-chunk.ts'

/** How little the first places differ: of reciprocal rank fusion, as it was published. */
const RANK_OFFSET = 60
/** How much importance moves a result: from a quarter down (0) to a quarter up (1). */
const IMPORTANCE_WEIGHT = 0.5

/**
 * One ranking of several, by the sum of reciprocal ranks, moved by importance; a chunk in several lists has the highest of
 * its similarities.
 */
export function fuse(lists: readonly (readonly FoundChunk[])[]): FoundChunk[] {
  const fused = new Map<string, { chunk: ContextChunk; similarity: number; score: number }>()
  for (const list of lists)
    for (const [i, { chunk, similarity }] of list.entries()) {
      const known = fused.get(chunk.id)
      fused.set(chunk.id, {
        chunk,
        similarity: Math.max(similarity, known?.similarity ?? 0),
        score: (known?.score ?? 0) + 1 / (RANK_OFFSET + i + 1),
      })
    }
  const scoreOf = ({ chunk, score }: { chunk: ContextChunk; score: number }): number =>
    score * (1 + (chunk.importance - 0.5) * IMPORTANCE_WEIGHT)
  return [...fused.values()]
    .toSorted((a, b) => scoreOf(b) - scoreOf(a) || (a.chunk.id < b.chunk.id ? -1 : 1))
    .map(({ chunk, similarity }) => ({ chunk, similarity }))
}
