import type { Clock } from '../../node/ports/clock.ts'

export type ManualClock = Clock & {
  /** Moves all three clocks on and runs what falls due, in order, letting promises settle after each. */
  advance(ms: number): Promise<void>
  /** Moves boot and wall time but not monotonic time: the host slept. */
  suspend(ms: number): void
  /** Moves wall time only. */
  stepWall(ms: number): void
}

/** A clock that stands still until it is told to move. */
export function createManualClock(startMs = 1_800_000_000_000): ManualClock {
  let mono = 1000
  let boot = 1000
  let wall = startMs
  let order = 0
  const timers = new Map<number, { at: number; task: () => void }>()
  const nextDue = (until: number): [number, { at: number; task: () => void }] | undefined =>
    [...timers].filter(([, t]) => t.at <= until).toSorted((a, b) => a[1].at - b[1].at || a[0] - b[0])[0]
  return {
    monoMs: () => mono,
    bootMs: () => boot,
    wallMs: () => wall,
    after(delayMs, task) {
      const id = order++
      timers.set(id, { at: mono + delayMs, task })
      return () => timers.delete(id)
    },
    soon: (task) => process.nextTick(task),
    async advance(ms) {
      const until = mono + ms
      await settle()
      for (let due = nextDue(until); due !== undefined; due = nextDue(until)) {
        timers.delete(due[0])
        const step = Math.max(0, due[1].at - mono)
        mono += step
        boot += step
        wall += step
        due[1].task()
        await settle()
      }
      const rest = until - mono
      mono += rest
      boot += rest
      wall += rest
    },
    suspend(ms) {
      boot += ms
      wall += ms
    },
    stepWall(ms) {
      wall += ms
    },
  }
}

/** Lets every promise that can settle without time passing do so. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 4; i++) await new Promise((resolve) => setImmediate(resolve))
}
