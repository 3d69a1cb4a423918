/**
 * One run of one process. When it ends nothing reaches it any more and nothing leaves it: its timers never fire, its
 * reads, writes and sends never answer. So whatever code of it still waits, waits for ever.
 */
export class Life {
  isAlive = true
  /** Grows whenever something reached the process; an observer sees by it what to look at again. */
  activity = 0

  touch(): void {
    this.activity += 1
  }
}

/** What the dead hear. */
export const never = <T>(): Promise<T> => new Promise(() => undefined)
