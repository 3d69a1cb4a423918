import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { FuzzReport } from './fuzz.ts'
import type { WorkerData } from './worker.ts'

/** A decoder that takes longer for one input hangs: the slowest takes milliseconds. */
const HANG_MS = 20_000

/** What a thread may use beyond what it starts with, before it is taken for a decoder without bounds. */
const HEAP_MB_MAX = 1024

export type Hang = { readonly hangsAt: number }

/** Fuzzes in a thread of its own, which is ended when one input takes for ever. */
export async function fuzzWatched(options: Omit<WorkerData, 'progress'>): Promise<FuzzReport | Hang> {
  const progress = new SharedArrayBuffer(4)
  const worker = new Worker(new URL('worker.ts', import.meta.url), {
    workerData: { ...options, progress } satisfies WorkerData,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX },
  })
  const at = new Int32Array(progress)
  let last = -1
  const { promise: hanging, resolve } = Promise.withResolvers<Hang>()
  const watch = setInterval(() => {
    const now = Atomics.load(at, 0)
    if (now === last && now !== 0) resolve({ hangsAt: now })
    last = now
  }, HANG_MS)
  try {
    // A thread that runs out of memory or throws rejects here.
    return await Promise.race([once(worker, 'message').then(([report]: FuzzReport[]) => found(report)), hanging])
  } finally {
    clearInterval(watch)
    await worker.terminate()
  }
}

function found(report: FuzzReport | undefined): FuzzReport {
  if (!report) throw new Error('the thread ended without a report')
  return report
}
