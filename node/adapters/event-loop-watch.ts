import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { every, type Clock } from '../ports/clock.ts'
import type { EventLoopDelay } from '../ports/event-loop.ts'

/** How often the loop is looked at: what is looked for lasts longer. */
const RESOLUTION_MS = 100
/** How often it is asked whether it had anything to do. */
const CALM_LOOK_MS = 1000
/** It is looked at closely until it had so little to do for so long. */
const CLOSELY_FOR_MS = 10_000
/** What was measured is forgotten after one to two of these. */
const WINDOW_MS = 60_000

export type EventLoopWatch = { delay(): EventLoopDelay; stop(): void }

/**
 * Looks closely only while the loop is at work: ten looks a second would be most of what an idle node does. Between two calm
 * looks it was busy for less than a tenth, or what held it up is told by how long it was busy at a stretch on average: never
 * too much, and too little for a single stretch among others.
 */
export function watchEventLoop(clock: Clock): EventLoopWatch {
  const closely = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  // The histogram has the time from look to look: what is beyond the resolution is the delay.
  const late = (ns: number): number => (Number.isFinite(ns) ? Math.max(0, ns / 1e6 - RESOLUTION_MS) : 0)
  let calmMaxMs = 0
  const read = (): EventLoopDelay => {
    const { count } = closely
    const [p50Ms, p99Ms, maxMs] =
      count === 0 ? [0, 0, 0] : [late(closely.percentile(50)), late(closely.percentile(99)), late(closely.max)]
    return { p50Ms, p99Ms, maxMs: Math.max(maxMs, calmMaxMs) }
  }
  let before = read()
  let last = stateOfLoop()
  let closelyUntilMs = 0
  const look = (): void => {
    const now = stateOfLoop()
    const busyMs = now.activeMs - last.activeMs
    const stretchMs = busyMs / Math.max(1, now.loops - last.loops)
    const isCalm = busyMs < RESOLUTION_MS
    last = now
    if (!isCalm) {
      if (closelyUntilMs === 0) calmMaxMs = Math.max(calmMaxMs, stretchMs)
      closelyUntilMs = clock.monoMs() + CLOSELY_FOR_MS
      closely.enable()
    } else if (closelyUntilMs !== 0 && clock.monoMs() > closelyUntilMs) {
      closelyUntilMs = 0
      closely.disable()
    }
  }
  const cancels = [
    every(clock, CALM_LOOK_MS, look),
    every(clock, WINDOW_MS, () => {
      before = read()
      calmMaxMs = 0
      closely.reset()
    }),
  ]
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
      for (const cancel of cancels) cancel()
      closely.disable()
    },
  }
}

const stateOfLoop = (): { activeMs: number; loops: number } => ({
  activeMs: performance.eventLoopUtilization().active,
  loops: performance.nodeTiming.uvMetricsInfo.loopCount,
})
