import type { Clock } from '../ports/clock.ts'

export type RateLimit = { readonly count: number; readonly perMs: number; readonly keysMax: number }

/** A token bucket per key. Memory is bounded: when there are too many keys, the one used longest ago starts afresh. */
export type RateLimiter = {
  /** Takes one token. Undefined when there was one, otherwise the time until there is. */
  take(key: string): number | undefined
}

export function createRateLimiter(clock: Pick<Clock, 'monoMs'>, limit: RateLimit): RateLimiter {
  const buckets = new Map<string, { tokens: number; atMs: number }>()
  const msPerToken = limit.perMs / limit.count
  return {
    take(key) {
      const nowMs = clock.monoMs()
      const before = buckets.get(key) ?? { tokens: limit.count, atMs: nowMs }
      const tokens = Math.min(limit.count, before.tokens + (nowMs - before.atMs) / msPerToken)
      const isFree = tokens >= 1
      // Re-inserting keeps the map in order of use.
      buckets.delete(key)
      buckets.set(key, { tokens: isFree ? tokens - 1 : tokens, atMs: nowMs })
      for (const oldest of buckets.keys()) {
        if (buckets.size <= limit.keysMax) break
        buckets.delete(oldest)
      }
      return isFree ? undefined : Math.ceil((1 - tokens) * msPerToken)
    },
  }
}
