import { parentPort } from 'node:worker_threads'
import { tallySeed } from './batch.ts'

export type Job = { readonly seed: number; readonly twice: boolean }

if (!parentPort) throw new Error('to be started by the pool only')
const port = parentPort
port.on('message', ({ seed, twice }: Job) => {
  void tallySeed(seed, twice).then((tally) => port.postMessage(tally))
})
