import { uptime } from 'node:os'
import type { Clock } from '../ports/clock.ts'
import { SharedTicks } from './shared-ticks.ts'

/** setTimeout cannot wait longer (2^31 - 1 ms); longer delays fire at this bound at the latest. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1

const monoMs = (): number => performance.now()
const ticks = new SharedTicks(monoMs)

/** The host's clocks. On Linux `performance.now()` pauses in suspend and `os.uptime()` does not (10 ms steps). */
export const systemClock: Clock = {
  monoMs,
  bootMs: () => uptime() * 1000,
  wallMs: () => Date.now(),
  after(delayMs, task) {
    const timer = setTimeout(task, Math.min(Math.max(0, delayMs), TIMEOUT_MS_MAX))
    timer.unref()
    return () => clearTimeout(timer)
  },
  together: (periodMs, task) => (ticks.takes(periodMs) ? ticks.every(periodMs, task) : undefined),
  soon: (task) => process.nextTick(task),
}
