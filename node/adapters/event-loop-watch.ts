import { monitorEventLoopDelay } from 'node:perf_hooks'
import { every, type Clock } from '../ports/clock.ts'
import type { EventLoopDelay } from '../ports/event-loop.ts'

/** How often the loop is looked at: what is looked for lasts longer, and an idle node must not be woken often. */
const RESOLUTION_MS = 100
/** What was measured is forgotten after one to two of these. */
const WINDOW_MS = 60_000

export type EventLoopWatch = { delay(): EventLoopDelay; stop(): void }

export function watchEventLoop(clock: Clock): EventLoopWatch {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  histogram.enable()
  // The histogram has the time from look to look: what is beyond the resolution is the delay.
  const late = (ns: number): number => (Number.isFinite(ns) ? Math.max(0, ns / 1e6 - RESOLUTION_MS) : 0)
  const read = (): EventLoopDelay =>
    histogram.count === 0
      ? { p50Ms: 0, p99Ms: 0, maxMs: 0 }
      : {
          p50Ms: late(histogram.percentile(50)),
          p99Ms: late(histogram.percentile(99)),
          maxMs: late(histogram.max),
        }
  let before = read()
  const cancel = every(clock, WINDOW_MS, () => {
    before = read()
    histogram.reset()
  })
  return {
    delay() {
      const now = read()
      return {
        p50Ms: Math.max(before.p50Ms, now.p50Ms),
        p99Ms: Math.max(before.p99Ms, now.p99Ms),
        maxMs: Math.max(before.maxMs, now.maxMs),
      }
    },
    stop() {
      cancel()
      histogram.disable()
    },
  }
}
