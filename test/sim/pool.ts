import { Worker } from 'node:worker_threads'
import type { Shape, Simulator } from './simulator.ts'
import { addTally, emptyTally, type Job, type Tally } from './tally.ts'

export type PoolOptions = {
  readonly firstSeed: number
  readonly seeds: number
  readonly shape?: Shape
  readonly threads: number
  /** So many of the seeds run twice. */
  readonly determinism: number
  readonly signal?: AbortSignal
  readonly onTally?: (more: Tally, total: Tally) => void
}

/** Runs the seeds in threads; when aborted it returns what was counted until then. @throws when a thread breaks */
export async function runPool(simulator: Simulator, options: PoolOptions): Promise<Tally> {
  const { firstSeed, seeds, shape = {}, threads, determinism, signal, onTally } = options
  const total = emptyTally(simulator)
  let next = 0
  const take = (): Job | undefined => {
    if (next >= seeds || signal?.aborted) return undefined
    const job = { seed: firstSeed + next, shape, twice: next < determinism }
    next += 1
    return job
  }
  const add = (more: Tally): void => {
    addTally(total, more)
    onTally?.(more, total)
  }
  await Promise.all(Array.from({ length: Math.min(threads, seeds) }, () => runThread(simulator, take, add)))
  return total
}

async function runThread(
  { module }: Simulator,
  take: () => Job | undefined,
  add: (more: Tally) => void,
): Promise<void> {
  const worker = new Worker(new URL('worker.ts', import.meta.url), { workerData: module })
  try {
    await new Promise<void>((resolve, reject) => {
      const give = (): void => {
        const job = take()
        if (job === undefined) resolve()
        else worker.postMessage(job, [])
      }
      worker.on('message', (tally: Tally) => {
        add(tally)
        give()
      })
      worker.on('error', reject)
      give()
    })
  } finally {
    await worker.terminate()
  }
}
