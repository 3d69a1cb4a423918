import type { VectorIndex, VectorItem } from '../../node/ports/vector-index.ts'

/** Vectors in memory, compared one by one. */
export function createExactVectors(capacity = 1000): VectorIndex {
  const items = new Map<string, VectorItem>()
  const lengthOf = (): number | undefined => items.values().next().value?.vector.length
  return {
    capacity,
    get dimensions() {
      return lengthOf()
    },
    ids: () => [...items.keys()],
    async put(added) {
      const length = lengthOf() ?? added[0]?.vector.length
      if (added.some(({ vector }) => vector.length !== length)) throw new Error(`vectors here have ${length} numbers`)
      const fresh = added.filter(({ id }) => !items.has(id)).length
      if (items.size + fresh > capacity) throw new Error(`at most ${capacity} vectors`)
      for (const item of added) items.set(item.id, item)
    },
    async remove(ids) {
      for (const id of ids) items.delete(id)
    },
    async nearest(vector, groups, limit) {
      if (items.size > 0 && vector.length !== lengthOf()) throw new Error('another length')
      return [...items.values()]
        .filter(({ group }) => groups.includes(group))
        .map((item) => ({ id: item.id, similarity: cosine(item.vector, vector) }))
        .toSorted((a, b) => b.similarity - a.similarity)
        .slice(0, limit)
    },
    async clear() {
      items.clear()
    },
    close: async () => undefined,
  }
}

function cosine(a: Float32Array, b: Float32Array): number {
  let dot = 0
  let aa = 0
  let bb = 0
  for (let i = 0; i < a.length; i++) {
    const x = a[i] ?? 0
    const y = b[i] ?? 0
    dot += x * y
    aa += x * x
    bb += y * y
  }
  return dot / Math.sqrt(aa * bb)
}
