import { uptime } from 'node:os'
import type { Clock } from '../ports/clock.ts'

/** setTimeout cannot wait longer (2^31 - 1 ms); longer delays fire at this bound at the latest. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1

/** The host's clocks. On Linux `performance.now()` pauses in suspend and `os.uptime()` does not (10 ms steps). */
export const systemClock: Clock = {
  monoMs: () => performance.now(),
  bootMs: () => uptime() * 1000,
  wallMs: () => Date.now(),
  after(delayMs, task) {
    const timer = setTimeout(task, Math.min(Math.max(0, delayMs), TIMEOUT_MS_MAX))
    timer.unref()
    return () => clearTimeout(timer)
  },
  soon: (task) => process.nextTick(task),
}
