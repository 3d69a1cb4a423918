import { join } from 'node:path'
import type { Benchmark } from './benchmark.ts'
import { startChild } from './calls.ts'
import { startMember, startMesh } from './mesh-lab.ts'
import type { YWebsocketClientCalls } from './peers/y-websocket-client.ts'
import type { YWebsocketServerCalls } from './peers/y-websocket-server.ts'
import { median } from './statistics.ts'

/**
 * A node with a ticket joins a mesh with many tasks, each made by itself and so signed by itself: until the new member
 * lists them all, checked and durable. The peer's client gets them as one merged update.
 */
export const initialSync: Benchmark = async (context) => {
  const count = context.quick ? 1000 : 10_000
  const rounds = context.quick ? 1 : 3
  const { members, project, path } = await startMesh(context, 2)
  const [first, second] = members
  await second.stop()
  context.say(`making ${count} tasks`)
  await first.call('addTasks', { project, count, inFlight: 1 })
  const own: number[] = []
  for (let round = 0; round < rounds; round++) {
    const fresh = await startMember(context, join(path, `fresh-${round}`))
    own.push(await fresh.call('joinAndList', { ticket: await first.call('ticket'), count }))
    await fresh.stop()
  }
  await first.stop()

  const server = await startChild<YWebsocketServerCalls>(context, 'y-websocket-server')
  const url = `ws://127.0.0.1:${await server.call('port')}`
  const startClient = () => startChild<YWebsocketClientCalls>(context, 'y-websocket-client', [url])
  const author = await startClient()
  await author.call('enter', 'room')
  await author.call('addTasks', count)
  const peer: number[] = []
  for (let round = 0; round < rounds; round++) {
    const fresh = await startClient()
    peer.push(await fresh.call('enterAndList', { room: 'room', count }))
    await fresh.stop()
  }
  return [
    {
      what: `new member lists ${count.toLocaleString('en-US')} tasks`,
      unit: 'ms',
      rookery: median(own) / 1000,
      peer: { name: 'y-websocket', value: median(peer) / 1000 },
    },
  ]
}
