import type { Benchmark } from './benchmark.ts'
import { startHttpMesh, type HttpMesh } from './http-mesh.ts'
import { quantile, ratePerSecond, timeEach } from './statistics.ts'

const IN_FLIGHT = 32

/**
 * Taking a free task as a client of the HTTP API does, through the node that is not the voter: the claim also becomes a
 * signed, durable entry of the task's document.
 */
export const claims: Benchmark = async (context) => {
  const mesh = await startHttpMesh(context)
  const [warmUp, each, inFlight] = context.quick ? [30, 60, 150] : [100, 300, 600]
  const tasks = await mesh.addTasks(warmUp + each + inFlight)
  const claim = (task: string | undefined) => claimOverHttp(mesh, task ?? '')
  await ratePerSecond(warmUp, IN_FLIGHT, () => claim(tasks.pop()))
  const durations = await timeEach(each, () => claim(tasks.pop()))
  const rate = await ratePerSecond(inFlight, IN_FLIGHT, () => claim(tasks.pop()))
  return [
    { what: 'POST …/claim on another node, p50', unit: 'µs', rookery: quantile(durations, 0.5) },
    { what: 'the same, p99', unit: 'µs', rookery: quantile(durations, 0.99) },
    { what: `the same, ${IN_FLIGHT} in flight`, unit: 'per s', rookery: rate },
  ]
}

async function claimOverHttp({ onB }: HttpMesh, task: string): Promise<void> {
  const { status, body } = await onB.post(`/api/tasks/${task}/claim`, { instance_id: 'bench-1' })
  if (status !== 200) throw new Error(`a claim was answered with ${status}: ${JSON.stringify(body)}`)
}
