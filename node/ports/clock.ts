export type Cancel = () => void

/**
 * The three clocks of a host, and its timers. Which one serves whom matters:
 * `monoMs` never jumps but may pause while the host is suspended; `bootMs` counts suspension; `wallMs` may be stepped.
 */
export interface Clock {
  monoMs(): number
  bootMs(): number
  wallMs(): number
  /** Runs `task` once after `delayMs` of monotonic time. The timer never keeps the process alive by itself. */
  after(delayMs: number, task: () => void): Cancel
  /**
   * Repeats `task` every `periodMs` at the same moments as other periodic tasks, so that an idle host is woken seldom. The
   * period is kept to within half a second. Undefined for what is too short for that.
   */
  together?(periodMs: number, task: () => void): Cancel | undefined
  /**
   * Runs `task` when all that is going on now has come to rest, promises included, and before anything else happens: what
   * is collected until then is what one event has brought about.
   */
  soon(task: () => void): void
}

/** Repeats `task` every `periodMs` until cancelled, together with others where the clock does that. */
export function every(clock: Clock, periodMs: number, task: () => void): Cancel {
  const together = clock.together?.(periodMs, task)
  if (together) return together
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
