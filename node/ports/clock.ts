export type Cancel = () => void

/**
 * The three clocks of a host and its timers (leases.md of the field: which one serves whom matters).
 * `monoMs` never jumps but may pause while the host is suspended; `bootMs` counts suspension; `wallMs` may be stepped.
 */
export interface Clock {
  monoMs(): number
  bootMs(): number
  wallMs(): number
  /** Runs `task` once after `delayMs` of monotonic time. The timer never keeps the process alive by itself. */
  after(delayMs: number, task: () => void): Cancel
  /**
   * Runs `task` when all that is going on now has come to rest, promises included, and before anything else happens: what
   * is collected until then is what one event has brought about.
   */
  soon(task: () => void): void
}

/** Repeats `task` every `periodMs` until cancelled; the next round is set after the task has run. */
export function every(clock: Clock, periodMs: number, task: () => void): Cancel {
  let cancel: Cancel
  const arm = (): void => {
    cancel = clock.after(periodMs, () => {
      arm()
      task()
    })
  }
  arm()
  return () => cancel()
}
