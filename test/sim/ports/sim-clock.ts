import type { Cancel, Clock } from '../../../node/ports/clock.ts'
import type { Life } from './life.ts'
import type { VirtualTime } from './virtual-time.ts'

type Timer = { readonly dueMs: number; readonly fire: () => void; cancel: Cancel }

/** Timers of real systems are late rather than early; this keeps rounding from making them early. */
const LATE_MS = 1e-6

/**
 * The clocks of one host, which run at a rate of their own. Monotonic time, and with it every timer, stands still while
 * the host is suspended; boot time goes on; both start over at a reboot. Wall time can be stepped.
 */
export class SimClock {
  readonly #time: VirtualTime
  #sinceMs: number
  #monoMs: number
  #bootMs: number
  /** Wall time minus boot time. */
  #wallOffsetMs: number
  #rate = 1
  #isSuspended = false
  readonly #timers = new Set<Timer>()

  constructor(time: VirtualTime, start: { bootMs: number; wallMs: number }) {
    this.#time = time
    this.#sinceMs = time.nowMs
    this.#monoMs = start.bootMs
    this.#bootMs = start.bootMs
    this.#wallOffsetMs = start.wallMs - start.bootMs
  }

  get isSuspended(): boolean {
    return this.#isSuspended
  }

  /** The clock as one process has it. */
  port(life: Life): Clock {
    return {
      monoMs: () => this.monoMs(),
      bootMs: () => this.bootMs(),
      wallMs: () => this.wallMs(),
      after: (delayMs, task) => (life.isAlive ? this.#after(life, delayMs, task) : () => undefined),
      soon: (task) => process.nextTick(() => life.isAlive && task()),
    }
  }

  monoMs(): number {
    return this.#isSuspended ? this.#monoMs : this.#monoMs + this.#elapsedMs()
  }

  bootMs(): number {
    return this.#bootMs + this.#elapsedMs()
  }

  wallMs(): number {
    return this.bootMs() + this.#wallOffsetMs
  }

  setRate(rate: number): void {
    this.#fold()
    this.#rate = rate
    this.#rearm()
  }

  stepWall(ms: number): void {
    this.#wallOffsetMs += ms
  }

  suspend(): void {
    this.#fold()
    this.#isSuspended = true
    for (const timer of this.#timers) timer.cancel()
  }

  resume(): void {
    this.#fold()
    this.#isSuspended = false
    this.#rearm()
  }

  /** The host starts anew; wall time goes on. */
  reboot(bootMs: number): void {
    this.#fold()
    this.#wallOffsetMs += this.#bootMs - bootMs
    this.#monoMs = bootMs
    this.#bootMs = bootMs
    this.#isSuspended = false
  }

  /** The process of this host has ended. */
  dropTimers(): void {
    for (const timer of this.#timers) timer.cancel()
    this.#timers.clear()
  }

  #elapsedMs(): number {
    return (this.#time.nowMs - this.#sinceMs) * this.#rate
  }

  #fold(): void {
    const elapsedMs = this.#elapsedMs()
    this.#sinceMs = this.#time.nowMs
    this.#bootMs += elapsedMs
    if (!this.#isSuspended) this.#monoMs += elapsedMs
  }

  #after(life: Life, delayMs: number, task: () => void): Cancel {
    const timer: Timer = {
      dueMs: this.monoMs() + Math.max(0, delayMs),
      fire: () => {
        this.#timers.delete(timer)
        life.touch()
        task()
      },
      cancel: () => undefined,
    }
    this.#timers.add(timer)
    this.#arm(timer)
    return () => {
      timer.cancel()
      this.#timers.delete(timer)
    }
  }

  #rearm(): void {
    for (const timer of this.#timers) {
      timer.cancel()
      this.#arm(timer)
    }
  }

  #arm(timer: Timer): void {
    if (this.#isSuspended) return
    timer.cancel = this.#time.after((timer.dueMs - this.monoMs()) / this.#rate + LATE_MS, timer.fire)
  }
}
