import { cancelled } from './ask-yes.ts'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Lets work that would leave something behind clean up after Ctrl-C (or a terminal that is closed): its signal is aborted
 * instead of the process being ended at once. A second Ctrl-C ends it. What the work throws after the first is `cancelled`.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const interrupted = new AbortController()
  const interrupt = (): void => interrupted.abort(cancelled())
  for (const name of SIGNALS) process.once(name, interrupt)
  try {
    return await work(interrupted.signal)
  } catch (error) {
    interrupted.signal.throwIfAborted()
    throw error
  } finally {
    for (const name of SIGNALS) process.off(name, interrupt)
  }
}
