import { Worker } from 'node:worker_threads'

export type ThreadWork<Job, Result> = {
  /** The program of a thread: answers every message, a job, with one message, its result. */
  readonly program: URL
  readonly threads: number
  /** The next job; undefined when there is none left. */
  readonly take: () => Job | undefined
  readonly onResult: (result: Result) => void
}

/** Resolves when there are no jobs left and those begun are done. @throws when a thread breaks */
export async function runInThreads<Job, Result>({ threads, ...work }: ThreadWork<Job, Result>): Promise<void> {
  await Promise.all(Array.from({ length: threads }, () => runThread(work)))
}

async function runThread<Job, Result>({
  program,
  take,
  onResult,
}: Omit<ThreadWork<Job, Result>, 'threads'>): Promise<void> {
  const worker = new Worker(program)
  try {
    await new Promise<void>((resolve, reject) => {
      const give = (): void => {
        const job = take()
        if (job === undefined) resolve()
        else worker.postMessage(job, [])
      }
      worker.on('message', (result: Result) => {
        onResult(result)
        give()
      })
      worker.on('error', reject)
      give()
    })
  } finally {
    await worker.terminate()
  }
}
