/** Turns texts into vectors, so that texts on one subject are near to each other. */
export interface Embedder {
  /** Names what makes vectors comparable: with another name, old vectors are of no use. */
  readonly model: string
  /** At most this many texts at once. */
  readonly batchMax: number
  /** One vector per text, all of one length and none of length zero. Rejects with a `ModelError`. */
  embed(texts: readonly string[], signal: AbortSignal): Promise<readonly Float32Array[]>
}
