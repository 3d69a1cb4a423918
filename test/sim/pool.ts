import { addTally, emptyTally, type Tally } from './batch.ts'
import type { Shape } from './leases/swarm.ts'
import { runInThreads } from './threads.ts'
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
  await runInThreads({
    program: new URL('worker.ts', import.meta.url),
    threads: Math.min(options.jobs, options.seeds),
    take: takeJob,
    onResult: (tally: Tally) => {
      addTally(total, tally)
      options.onProgress(total)
    },
  })
  return total
}
