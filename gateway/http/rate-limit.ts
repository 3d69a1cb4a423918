import type { Clock } from '../../node/ports/clock.ts'

/** `probe` and `page` are ours: health checks and the first page must not eat the documented limits. */
export const RATE_LIMITS = {
  authentication: 10,
  pairing: 10,
  api: 1000,
  websocket: 10,
  probe: 6000,
  page: 600,
  /** Tokens that turned out to be wrong, per address. */
  guess: 120,
} as const
export type RateGroup = keyof typeof RATE_LIMITS

export const RATE_WINDOW_MS = 60_000

/** Keys remembered per group; the oldest window is forgotten first. A key costs some 200 bytes. */
export const RATE_KEYS_MAX = 10_000

export type Allowance = {
  readonly allowed: boolean
  readonly limit: number
  readonly remaining: number
  /** Until the window ends. */
  readonly resetMs: number
}

export type RateLimiter = {
  /** Counts one request; a refused one does not count. */
  take(key: string): Allowance
  /** The same answer without counting. */
  peek(key: string): Allowance
}

/** Fixed windows of a minute, each starting with its key's first request. Memory is bounded by `RATE_KEYS_MAX`. */
export function createRateLimiter(limit: number, clock: Clock): RateLimiter {
  const windows = new Map<string, { endsAt: number; used: number }>()
  const current = (key: string, now: number): { endsAt: number; used: number } => {
    const known = windows.get(key)
    return known !== undefined && known.endsAt > now ? known : { endsAt: now + RATE_WINDOW_MS, used: 0 }
  }
  const answer = (key: string, cost: 0 | 1): Allowance => {
    const now = clock.monoMs()
    const window = current(key, now)
    const allowed = window.used < limit
    if (allowed && cost === 1) {
      window.used++
      // Re-inserting a fresh window keeps the map ordered by start, so its first key is the oldest.
      if (window.used === 1) windows.delete(key)
      windows.set(key, window)
      forgetOldest(windows)
    }
    return { allowed, limit, remaining: Math.max(0, limit - window.used), resetMs: window.endsAt - now }
  }
  return { take: (key) => answer(key, 1), peek: (key) => answer(key, 0) }
}

function forgetOldest(windows: Map<string, unknown>): void {
  if (windows.size <= RATE_KEYS_MAX) return
  for (const key of windows.keys()) {
    windows.delete(key)
    return
  }
}
