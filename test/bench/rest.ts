import autocannon from 'autocannon'
import type { Benchmark } from './benchmark.ts'
import { startChild } from './calls.ts'
import { startHttpMesh } from './http-mesh.ts'
import type { BareFastifyCalls } from './peers/bare-fastify.ts'
import { median } from './statistics.ts'

const CONNECTIONS = 32

/** Reading one task with everything a request passes: host, origin, rate limit, token, ability, input, envelope. */
export const rest: Benchmark = async (context) => {
  const mesh = await startHttpMesh(context)
  const [task = ''] = await mesh.addTasks(1)
  const path = `/api/tasks/${task}`
  const { body } = await mesh.onA.get(path)
  await mesh.b.stop()
  const bare = await startChild<BareFastifyCalls>(context, 'bare-fastify')
  const own = { url: new URL(path, mesh.a.http).href, headers: { authorization: `Bearer ${mesh.token}` } }
  const peer = { url: new URL(path, await bare.call('serve', { path, body })).href, headers: own.headers }
  const seconds = context.quick ? 2 : 4
  await perSecond(own, 1)
  await perSecond(peer, 1)
  const [ours, theirs]: [number[], number[]] = [[], []]
  for (let round = 0; round < (context.quick ? 1 : 3); round++) {
    ours.push(await perSecond(own, seconds))
    theirs.push(await perSecond(peer, seconds))
  }
  return [
    {
      what: 'REST reads of a task, gate and token included',
      unit: 'per s',
      rookery: median(ours),
      peer: { name: 'bare fastify', value: median(theirs) },
      goal: { least: 0.65 },
    },
  ]
}

async function perSecond(target: { url: string; headers: Record<string, string> }, duration: number): Promise<number> {
  const result = await autocannon({ ...target, duration, connections: CONNECTIONS })
  if (result.non2xx > 0 || result.errors > 0)
    throw new Error(`${result.non2xx} refusals and ${result.errors} errors from ${target.url}`)
  return result['2xx'] / result.duration
}
