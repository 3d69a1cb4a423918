import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { api, joinMesh, seesOnline } from '../support/nodes.ts'
import type { Benchmark } from './benchmark.ts'
import { startScratch } from './http-mesh.ts'
import { median, nowMicros } from './statistics.ts'

/** What is done once after a start is over by then, the collection of its garbage included. */
const SETTLE_MS = 30_000
const MEMBERS = ['alpha', 'beta', 'gamma'] as const

/** A node with gateway: how soon it answers after a restart, and what it takes while nothing happens in a mesh of three. */
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
  const nodes = [a]
  for (const name of MEMBERS.slice(1)) nodes.push(await joinMesh(scratch, a, name))
  for (const node of nodes)
    await seesOnline(
      node,
      nodes.map(({ peerId }) => peerId),
    )
  const pids = nodes.map(({ process }) => process.pid ?? 0)
  await sleep(context.quick ? SETTLE_MS / 10 : SETTLE_MS)
  const seconds = context.quick ? 6 : 120
  const before = await Promise.all(pids.map(effortOf))
  const began = nowMicros()
  await sleep(seconds * 1000)
  const after = await Promise.all(pids.map(effortOf))
  const elapsedNs = (nowMicros() - began) * 1000
  const spent = (what: keyof Effort): number[] => after.map((now, i) => now[what] - (before[i]?.[what] ?? 0))
  return [
    {
      what: 'memory (RSS) of an idle node with gateway, three in the mesh',
      unit: 'MB',
      rookery: Math.max(...(await Promise.all(pids.map(residentMb)))),
      goal: { most: 150 },
    },
    {
      what: `its CPU over ${seconds} s`,
      unit: '%',
      rookery: (Math.max(...spent('cpuNs')) / elapsedNs) * 100,
      goal: { most: 0.1 },
    },
    {
      what: 'how often that wakes a thread of it',
      unit: 'per s',
      rookery: Math.max(...spent('waits')) / (elapsedNs / 1e9),
    },
    { what: 'restart until /api/health answers', unit: 'ms', rookery: median(starts) },
  ]
}

async function residentMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1024
}

/** Of all threads together: time on a CPU, and how often they waited, which is how often they were woken. */
type Effort = { readonly cpuNs: number; readonly waits: number }

/** To the nanosecond: the usual clock ticks of 10 ms are as long as what is measured. */
async function effortOf(pid: number): Promise<Effort> {
  const threads = await readdir(`/proc/${pid}/task`)
  const efforts = threads.map(async (thread) => {
    const [running = ''] = (await readFile(`/proc/${pid}/task/${thread}/schedstat`, 'utf8')).split(' ')
    const status = await readFile(`/proc/${pid}/task/${thread}/status`, 'utf8')
    return { cpuNs: Number(running), waits: Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1]) }
  })
  return (await Promise.all(efforts)).reduce(
    (sum, { cpuNs, waits }) => ({ cpuNs: sum.cpuNs + cpuNs, waits: sum.waits + waits }),
    { cpuNs: 0, waits: 0 },
  )
}
