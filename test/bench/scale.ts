import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Benchmark, Context, Measurement } from './benchmark.ts'
import { startChild } from './calls.ts'
import { startMember, startMesh, until } from './mesh-lab.ts'
import type { YMapsCalls } from './peers/y-maps.ts'
import type { YWebsocketClientCalls } from './peers/y-websocket-client.ts'
import type { YWebsocketServerCalls } from './peers/y-websocket-server.ts'
import { median } from './statistics.ts'

/** Written together, so that making the tasks takes seconds; a new member gets them as few large envelopes. */
const IN_FLIGHT = 256
const SAMPLES = 50
/** What a large project is compared with. */
const SMALL = 100

/** One project with very many tasks: what a new member, a restart, an update and a page of the list cost. */
export const scale: Benchmark = async (context) => {
  const count = context.quick ? 10_000 : 100_000
  const { members, project, path } = await startMesh(context, 2)
  const [first, second] = members
  const folder = join(path, 'small')
  await mkdir(folder)
  const small = await first.call('addProject', folder)
  context.say(`making ${count} tasks`)
  await first.call('addTasks', { project: small, count: SMALL, inFlight: IN_FLIGHT })
  await first.call('addTasks', { project, count, inFlight: IN_FLIGHT })
  await until(async () => (await second.call('countTasks', project)) === count)
  const updates = async (of: string) => median(await first.call('timeUpdates', { project: of, count: SAMPLES }))
  const pages = async (of: string) => median(await second.call('timePages', { project: of, count: SAMPLES }))
  const peer = `a project of ${SMALL}`
  const update = { rookery: await updates(project), peer: { name: peer, value: await updates(small) } }
  const page = { rookery: await pages(project), peer: { name: peer, value: await pages(small) } }
  const inUse = await second.call('memoryBytes')
  await second.stop()

  const began = performance.now()
  const again = await startMember(context, join(path, 'node-2'))
  await again.call('countProjects')
  const restart = performance.now() - began
  const atRest = await again.call('memoryBytes')
  const load = await again.call('loadTasks', project)
  await again.stop()
  const replay = await replayMaps(context, join(path, 'y-maps'), count)

  const fresh = await startMember(context, join(path, 'fresh'))
  const sync = await fresh.call('joinAndList', { ticket: await first.call('ticket'), count })
  await fresh.stop()
  await first.stop()
  const websocket = await syncByWebsocket(context, count)

  const what = (text: string): string => `${count.toLocaleString('en-US')} tasks in one project: ${text}`
  const maps = (value: number) => ({ name: 'Yjs map of maps, replayed', value })
  return [
    {
      what: what('a new member lists them'),
      unit: 'ms',
      rookery: sync / 1000,
      peer: { name: 'y-websocket', value: websocket / 1000 },
    },
    { what: what('restart until projects are listed'), unit: 'ms', rookery: restart, goal: { most: 3000 } },
    {
      what: what('the first page after it'),
      unit: 'ms',
      rookery: load.micros / 1000,
      peer: maps(replay.micros / 1000),
      goal: { most: 0.3 },
    },
    {
      what: what('heap they take'),
      unit: 'MB',
      rookery: load.bytes / 1e6,
      peer: maps(replay.bytes / 1e6),
      goal: { most: 0.35 },
    },
    { what: what('one update, durable, p50'), unit: 'µs', ...update, goal: { most: 1.5 } },
    { what: what('a page of 50 of a filtered list, p50'), unit: 'µs', ...page, goal: { most: 1.5 } },
    { what: what('memory (RSS) of a member that uses it'), unit: 'MB', rookery: inUse / 1e6 },
    { what: what('memory (RSS) of a member that does not'), unit: 'MB', rookery: atRest / 1e6 },
  ] satisfies Measurement[]
}

async function replayMaps(context: Context, dir: string, count: number): Promise<{ micros: number; bytes: number }> {
  const writer = await startChild<YMapsCalls>(context, 'y-maps', [dir])
  await writer.call('fill', count)
  await writer.stop()
  const reader = await startChild<YMapsCalls>(context, 'y-maps', [dir])
  const { size, ...cost } = await reader.call('load')
  if (size !== count) throw new Error(`${size} of ${count} tasks were replayed`)
  await reader.stop()
  return cost
}

/** Microseconds until a new client has all tasks, as one merged update. */
async function syncByWebsocket(context: Context, count: number): Promise<number> {
  const server = await startChild<YWebsocketServerCalls>(context, 'y-websocket-server')
  const url = `ws://127.0.0.1:${await server.call('port')}`
  const startClient = () => startChild<YWebsocketClientCalls>(context, 'y-websocket-client', [url])
  const author = await startClient()
  await author.call('enter', 'room')
  await author.call('addTasksTogether', { count, perUpdate: IN_FLIGHT })
  // The first may still wait for the author; then the server has all.
  const first = await startClient()
  await first.call('enterAndList', { room: 'room', count })
  const second = await startClient()
  return await second.call('enterAndList', { room: 'room', count })
}
