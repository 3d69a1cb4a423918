import { Worker } from 'node:worker_threads'
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
  const count = (tally: Tally): void => {
    addTally(total, tally)
    onProgress(total)
  }
  const take = (): Job | undefined => (signal.aborted ? undefined : left.pop())
  await Promise.all(Array.from({ length: Math.min(threads, jobs.length) }, () => runThread(take, count)))
  return total
}

async function runThread(take: () => Job | undefined, count: (tally: Tally) => void): Promise<void> {
  const worker = new Worker(new URL('worker.ts', import.meta.url))
  try {
    await new Promise<void>((resolve, reject) => {
      const give = (): void => {
        const job = take()
        // oxlint-disable-next-line unicorn/require-post-message-target-origin -- that is for windows
        if (job) worker.postMessage(job)
        else resolve()
      }
      worker.on('message', (tally: Tally) => {
        count(tally)
        give()
      })
      worker.on('error', reject)
      give()
    })
  } finally {
    await worker.terminate()
  }
}
