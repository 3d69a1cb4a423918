import { parentPort as port, workerData } from 'node:worker_threads'
import { fuzz } from './fuzz.ts'
import { TARGETS } from './targets.ts'

export type WorkerData = {
  readonly seed: number
  readonly from: number
  readonly inputs: number
  /** Index of the input that is being worked on. */
  readonly progress: SharedArrayBuffer
}

const { seed, from, inputs, progress }: WorkerData = workerData
const at = new Int32Array(progress)
const report = await fuzz({ targets: TARGETS, seed, from, inputs, onInput: (index) => Atomics.store(at, 0, index) })
port?.postMessage(report)
