import { join } from 'node:path'
import type { Benchmark, Measurement } from './benchmark.ts'
import { startMember, startMesh, until } from './mesh-lab.ts'
import { median } from './statistics.ts'

/** Written together, so that making the tasks takes seconds; a new member gets them as few large envelopes. */
const IN_FLIGHT = 256
const SAMPLES = 20

/** One project with very many tasks: what a new member, a restart, an update and a page of the list cost. */
export const scale: Benchmark = async (context) => {
  const count = context.quick ? 10_000 : 100_000
  const { members, project, path } = await startMesh(context, 2)
  const [first, second] = members
  context.say(`making ${count} tasks`)
  await first.call('addTasks', { project, count, inFlight: IN_FLIGHT })
  await until(async () => (await second.call('countTasks', project)) === count)
  const author = median(await first.call('timeUpdates', { project, count: SAMPLES }))
  const page = median(await second.call('timePages', { project, count: SAMPLES }))
  const memory = await second.call('memoryBytes')
  await second.stop()
  const began = performance.now()
  const again = await startMember(context, join(path, 'node-2'))
  await until(async () => (await again.call('countTasks', project)) === count)
  const restart = performance.now() - began
  await again.stop()
  const fresh = await startMember(context, join(path, 'fresh'))
  const sync = await fresh.call('joinAndList', { ticket: await first.call('ticket'), count })
  const what = (text: string): string => `${count.toLocaleString('en-US')} tasks in one project: ${text}`
  return [
    { what: what('a new member lists them'), unit: 'ms', rookery: sync / 1000 },
    { what: what('restart until they are listed'), unit: 'ms', rookery: restart },
    { what: what('one update, durable, p50'), unit: 'µs', rookery: author },
    { what: what('a page of 50, p50'), unit: 'µs', rookery: page },
    { what: what('memory (RSS) of a member'), unit: 'MB', rookery: memory / 1e6 },
  ] satisfies Measurement[]
}
