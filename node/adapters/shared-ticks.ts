import type { Cancel } from '../ports/clock.ts'

/** Waking up costs an idle process more than what it then does: periodic tasks are run together, at whole seconds. */
const TICK_MS = 1000

type Task = { dueTick: number; readonly periodTicks: number; readonly run: () => void }

/**
 * Periodic tasks that share one timer. A task comes up to half a second early or late at first, and then keeps its period
 * in whole seconds, rounded down; what takes less than a second is not for here.
 */
export class SharedTicks {
  readonly #nowMs: () => number
  readonly #tasks = new Set<Task>()
  #timer: NodeJS.Timeout | undefined
  #armedTick = Infinity

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  takes(periodMs: number): boolean {
    return periodMs >= TICK_MS
  }

  every(periodMs: number, run: () => void): Cancel {
    const periodTicks = Math.floor(periodMs / TICK_MS)
    const task = { dueTick: this.#tick() + periodTicks, periodTicks, run }
    this.#tasks.add(task)
    if (task.dueTick < this.#armedTick) this.#arm()
    return () => {
      this.#tasks.delete(task)
      if (this.#tasks.size === 0) this.#arm()
    }
  }

  #tick(): number {
    return Math.round(this.#nowMs() / TICK_MS)
  }

  #arm(): void {
    clearTimeout(this.#timer)
    this.#armedTick = Math.min(...[...this.#tasks].map(({ dueTick }) => dueTick))
    if (this.#tasks.size === 0) return
    const delayMs = Math.ceil(this.#armedTick * TICK_MS - this.#nowMs())
    this.#timer = setTimeout(() => this.#run(), Math.max(1, delayMs))
    this.#timer.unref()
  }

  #run(): void {
    const tick = Math.max(this.#armedTick, this.#tick())
    const due = [...this.#tasks].filter(({ dueTick }) => dueTick <= tick)
    for (const task of due) task.dueTick = tick + task.periodTicks
    this.#arm()
    for (const task of due) if (this.#tasks.has(task)) task.run()
  }
}
