import type { Clock } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'

/** What an earlier process of this node held, until the voters have said what became of it. */
export type Resuming = {
  /**
   * Owns the work, which may take as long as the voters are silent, once it is `known` what there is to do. To be called
   * once.
   */
  begin(known: Promise<void>, work: () => Promise<void>): void
  /**
   * Waited for by everything that depends on who holds what: until it is known, a holder would be told that it holds
   * nothing. Patience is limited; after that the answer is that of somebody who holds nothing.
   */
  known(): Promise<void>
  /** The node stops: what is not known by then is neither resumed nor lost, and left for the next start. */
  stop(): void
  readonly isStopped: boolean
}

/** Voters that can be reached have answered by then. What is asked in a process's first moments takes that much longer. */
const PATIENCE_MS = 2000

export function createResuming({ clock, log }: { clock: Clock; log: Log }): Resuming {
  let known: Promise<void> = Promise.resolve()
  let isStopped = false
  return {
    begin(ready, work) {
      const { promise, resolve } = Promise.withResolvers<void>()
      known = promise
      const run = async (): Promise<void> => {
        await ready
        const cancel = clock.after(PATIENCE_MS, resolve)
        await work().finally(cancel)
      }
      run()
        .catch((error: unknown) => log.error({ err: error }, 'what the last run held could not be resumed'))
        .finally(resolve)
    },
    known: () => known,
    stop() {
      isStopped = true
    },
    get isStopped() {
      return isStopped
    },
  }
}
