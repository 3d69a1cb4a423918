import { parentPort } from 'node:worker_threads'
import { tallySeed } from './batch.ts'
import type { Shape } from './leases/swarm.ts'

export type Job = { readonly seed: number; readonly shape: Shape; readonly twice: boolean }

if (!parentPort) throw new Error('to be started by the pool only')
const port = parentPort
port.on('message', ({ seed, shape, twice }: Job) => {
  void tallySeed(seed, shape, twice).then((tally) => port.postMessage(tally))
})
