import { z } from 'zod'

/** A hybrid logical clock's reading: the wall clock, and a counter for what it cannot tell apart. */
export const Hlc = z.object({ ms: z.int().min(0), n: z.int().min(0) })
export type Hlc = z.infer<typeof Hlc>

/** A clock that is further ahead of ours than this is wrong: followed, it would drag every other clock along. */
export const HLC_AHEAD_MAX_MS = 5 * 60_000

/** Negative when `a` comes before `b`. */
export const compareHlc = (a: Hlc, b: Hlc): number => a.ms - b.ms || a.n - b.n

/** A reading later than every one that is known here, whatever the wall clock says; clocks far ahead are not followed. */
export function nextHlc(known: Iterable<Hlc>, wallMs: number): Hlc {
  const nowMs = Math.max(0, Math.trunc(wallMs))
  let latest: Hlc | undefined
  for (const reading of known) {
    if (reading.ms > nowMs + HLC_AHEAD_MAX_MS) continue
    if (!latest || compareHlc(reading, latest) > 0) latest = reading
  }
  return latest && latest.ms >= nowMs ? { ms: latest.ms, n: latest.n + 1 } : { ms: nowMs, n: 0 }
}
