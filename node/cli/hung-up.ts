const GONE: readonly unknown[] = ['ECONNRESET', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE', 'ERR_STREAM_DESTROYED']

/** Whether what failed is that the other end of a stream has gone away, which it may at any time. */
export const hasHungUp = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && GONE.includes(error.code)
