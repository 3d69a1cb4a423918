import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { api, joinMesh, seesOnline } from '../support/nodes.ts'
import type { Benchmark } from './benchmark.ts'
import { startScratch } from './http-mesh.ts'
import { median, nowMicros } from './statistics.ts'

/** What is done once after a start is over by then. */
const SETTLE_MS = 3000

/** A node with gateway: how soon it answers after a restart, and what it takes while nothing happens. */
export const footprint: Benchmark = async (context) => {
  const scratch = await startScratch(context)
  let a = await scratch.start('alpha')
  const starts: number[] = []
  for (let round = 0; round < (context.quick ? 2 : 5); round++) {
    await a.stop()
    const began = nowMicros()
    a = await scratch.start('alpha')
    const { status } = await api(a).get('/api/health')
    if (status !== 200) throw new Error(`/api/health answered ${status}`)
    starts.push((nowMicros() - began) / 1000)
  }
  const b = await joinMesh(scratch, a, 'beta')
  await seesOnline(a, [a.peerId, b.peerId])
  await seesOnline(b, [a.peerId, b.peerId])
  const pids = [a, b].map(({ process }) => process.pid ?? 0)
  await sleep(SETTLE_MS)
  const seconds = context.quick ? 6 : 30
  const before = await Promise.all(pids.map(cpuNanoseconds))
  const began = nowMicros()
  await sleep(seconds * 1000)
  const after = await Promise.all(pids.map(cpuNanoseconds))
  const elapsedNs = (nowMicros() - began) * 1000
  const loads = after.map((used, index) => ((used - (before[index] ?? 0)) / elapsedNs) * 100)
  return [
    {
      what: 'memory (RSS) of an idle node with gateway, two in the mesh',
      unit: 'MB',
      rookery: Math.max(...(await Promise.all(pids.map(residentMb)))),
      goal: { most: 150 },
    },
    { what: `its CPU over ${seconds} s`, unit: '%', rookery: Math.max(...loads), goal: { most: 0.1 } },
    { what: 'restart until /api/health answers', unit: 'ms', rookery: median(starts) },
  ]
}

async function residentMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1024
}

/** Of all its threads, to the nanosecond: the usual clock ticks of 10 ms are as long as what is measured. */
async function cpuNanoseconds(pid: number): Promise<number> {
  const threads = await readdir(`/proc/${pid}/task`)
  const used = threads.map(async (thread) => {
    const [running = ''] = (await readFile(`/proc/${pid}/task/${thread}/schedstat`, 'utf8')).split(' ')
    return Number(running)
  })
  return (await Promise.all(used)).reduce((sum, value) => sum + value, 0)
}
