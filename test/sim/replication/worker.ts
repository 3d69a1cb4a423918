import { parentPort } from 'node:worker_threads'
import { tallySeed, type Job } from './batch.ts'

if (!parentPort) throw new Error('to be started by the pool only')
const port = parentPort
port.on('message', (job: Job) => {
  void tallySeed(job).then((tally) => port.postMessage(tally))
})
