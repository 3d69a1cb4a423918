import { runInThreads } from '../threads.ts'
import { addTally, emptyTally, type Job, type Tally } from './batch.ts'

export type PoolOptions = {
  readonly jobs: readonly Job[]
  readonly threads: number
  readonly signal: AbortSignal
  readonly onProgress: (soFar: Tally) => void
}

/** Runs the jobs in threads; when aborted it returns what was counted until then. @throws when a thread breaks */
export async function runPool({ jobs, threads, signal, onProgress }: PoolOptions): Promise<Tally> {
  const total = emptyTally()
  const left = jobs.toReversed()
  await runInThreads({
    program: new URL('worker.ts', import.meta.url),
    threads: Math.min(threads, jobs.length),
    take: () => (signal.aborted ? undefined : left.pop()),
    onResult: (tally: Tally) => {
      addTally(total, tally)
      onProgress(total)
    },
  })
  return total
}
