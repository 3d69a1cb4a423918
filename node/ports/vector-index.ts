export type VectorItem = {
  readonly id: string
  /** Searches are within groups. */
  readonly group: string
  readonly vector: Float32Array
}

export type VectorHit = { readonly id: string; readonly similarity: number }

/** Vectors of one model, all of one length, searched by cosine similarity. Not the only copy of anything. */
export interface VectorIndex {
  /** More than this it does not take; what that is depends on how it works. */
  readonly capacity: number
  /** Length of the vectors in it; undefined while there are none. */
  readonly dimensions: number | undefined
  ids(): readonly string[]
  /** Adds or replaces; on disk when it resolves. Rejects vectors of another length, and what exceeds the capacity. */
  put(items: readonly VectorItem[]): Promise<void>
  /** Unknown ids are ignored. */
  remove(ids: readonly string[]): Promise<void>
  /** The nearest first. @throws for a vector of another length */
  nearest(vector: Float32Array, groups: readonly string[], limit: number): Promise<readonly VectorHit[]>
  clear(): Promise<void>
  close(): Promise<void>
}
