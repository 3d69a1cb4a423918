import { Worker } from 'node:worker_threads'
import { addTally, emptyTally, type Tally } from './batch.ts'
import type { Shape } from './swarm.ts'
import type { Job } from './worker.ts'

export type PoolOptions = {
  readonly firstSeed: number
  readonly seeds: number
  readonly shape: Shape
  readonly jobs: number
  /** So many of the seeds run twice. */
  readonly determinism: number
  readonly signal: AbortSignal
  readonly onProgress: (soFar: Tally) => void
}

/** Runs the seeds in threads; when aborted it returns what was counted until then. @throws when a thread breaks */
export async function runPool(options: PoolOptions): Promise<Tally> {
  const total = emptyTally()
  let next = 0
  const takeJob = (): Job | undefined => {
    if (next >= options.seeds || options.signal.aborted) return undefined
    const job = { seed: options.firstSeed + next, shape: options.shape, twice: next < options.determinism }
    next += 1
    return job
  }
  const count = (tally: Tally): void => {
    addTally(total, tally)
    options.onProgress(total)
  }
  const jobs = Math.min(options.jobs, options.seeds)
  await Promise.all(Array.from({ length: jobs }, () => runThread(takeJob, count)))
  return total
}

function runThread(takeJob: () => Job | undefined, count: (tally: Tally) => void): Promise<void> {
  const worker = new Worker(new URL('worker.ts', import.meta.url))
  return new Promise<void>((resolve, reject) => {
    const give = (): void => {
      const job = takeJob()
      if (job) worker.postMessage(job, [])
      else resolve()
    }
    worker.on('message', (tally: Tally) => {
      count(tally)
      give()
    })
    worker.on('error', reject)
    give()
  }).finally(() => void worker.terminate())
}
