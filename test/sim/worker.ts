import { parentPort, workerData } from 'node:worker_threads'
import type { Simulator } from './simulator.ts'
import { tallySeed, type Job } from './tally.ts'

/* A thread of `pool.ts`, with the module of a simulator as its data: it answers every job with a tally. */

if (!parentPort) throw new Error('to be started by the pool only')
const port = parentPort
const { simulator } = (await import(workerData as string)) as { readonly simulator: Simulator }
port.on('message', (job: Job) => {
  void tallySeed(simulator, job).then((tally) => port.postMessage(tally))
})
