import type { Benchmark, Context } from './benchmark.ts'
import { startChild } from './calls.ts'
import { startMesh, until } from './mesh-lab.ts'
import type { YWebsocketClientCalls } from './peers/y-websocket-client.ts'
import type { YWebsocketServerCalls } from './peers/y-websocket-server.ts'
import { median, medianOfRounds, quantile } from './statistics.ts'

const NODES = 5
/** Longer than an update takes, so that none meets the one before; with more nodes than cores it takes longer. */
const PAUSE_MS = { pair: 2, all: 10 }
const FLOODED_TASKS = 64
const IN_FLIGHT = 256

/**
 * One task update from its call on A to its event on B: signed at A and durable on both; the peer relays through a
 * server, unsigned and in memory.
 */
export const propagation: Benchmark = async (context) => {
  const own = await measurePair(context, await ownGroup(context, 2))
  const peer = await measurePair(context, await peerGroup(context, 2))
  const ownAll = await measureAll(context, await ownGroup(context, NODES))
  const peerAll = await measureAll(context, await peerGroup(context, NODES))
  return [
    {
      what: 'task update A→B, signed and durable, p50',
      unit: 'µs',
      rookery: own.p50,
      peer: { name: 'y-websocket', value: peer.p50 },
      goal: { most: 1 },
    },
    { what: 'the same, p99', unit: 'µs', rookery: own.p99, peer: { name: 'y-websocket', value: peer.p99 } },
    {
      what: 'task updates A→B',
      unit: 'per s',
      rookery: own.rate,
      peer: { name: 'y-websocket', value: peer.rate },
      goal: { least: 1.5 },
    },
    {
      what: `task update A→all of ${NODES} nodes, p50`,
      unit: 'µs',
      rookery: ownAll,
      peer: { name: 'WebSocket hub', value: peerAll },
      goal: { most: 1.1 },
    },
  ]
}

/** What both kinds of members can do. */
type Replica = {
  readonly watch: () => Promise<void>
  readonly send: (count: number) => Promise<void>
  readonly flood: (count: number) => Promise<number>
  readonly countArrivals: () => Promise<number>
  readonly takeArrivals: () => Promise<number[]>
  readonly finalArrived: () => Promise<number>
}
type Group = { readonly sender: Replica; readonly receivers: readonly Replica[]; readonly stop: () => Promise<void> }

async function measurePair(
  context: Context,
  { sender, receivers, stop }: Group,
): Promise<{ p50: number; p99: number; rate: number }> {
  const [receiver] = receivers
  if (!receiver) throw new Error('nobody receives')
  await receiver.watch()
  const flood = async (count: number): Promise<number> => {
    const arrived = receiver.finalArrived()
    const began = await sender.flood(count)
    return (count / ((await arrived) - began)) * 1e6
  }
  await flood(context.quick ? 1000 : 4000) // warms up
  await receiver.takeArrivals()
  const count = context.quick ? 300 : 1500
  await sender.send(count)
  await until(async () => (await receiver.countArrivals()) === count)
  const arrivals = await receiver.takeArrivals()
  const rate = await medianOfRounds(context.quick ? 2 : 5, () => flood(context.quick ? 4000 : 10_000))
  await stop()
  return { p50: median(arrivals), p99: quantile(arrivals, 0.99), rate }
}

/** The median time until the last of all receivers has an update. */
async function measureAll(context: Context, { sender, receivers, stop }: Group): Promise<number> {
  for (const receiver of receivers) await receiver.watch()
  const round = async (count: number): Promise<number[][]> => {
    await sender.send(count)
    for (const receiver of receivers) await until(async () => (await receiver.countArrivals()) === count)
    return await Promise.all(receivers.map((receiver) => receiver.takeArrivals()))
  }
  await round(context.quick ? 100 : 300) // warms up
  const [first = [], ...others] = await round(context.quick ? 200 : 600)
  await stop()
  return median(first.map((arrival, index) => Math.max(arrival, ...others.map((other) => other[index] ?? 0))))
}

async function ownGroup(context: Context, size: number): Promise<Group> {
  const { members, project } = await startMesh(context, size)
  const [first, ...others] = members
  const tasks = await first.call('addTasks', { project, count: FLOODED_TASKS, inFlight: FLOODED_TASKS })
  for (const other of others) await until(async () => (await other.call('countTasks', project)) === FLOODED_TASKS)
  const replica = (member: typeof first): Replica => ({
    watch: () => member.call('watchUpdates'),
    countArrivals: () => member.call('countArrivals'),
    takeArrivals: () => member.call('takeArrivals'),
    finalArrived: () => member.call('finalArrived'),
    send: async (count) =>
      await member.call('sendUpdates', {
        task: tasks[0] ?? '',
        count,
        pauseMs: size > 2 ? PAUSE_MS.all : PAUSE_MS.pair,
      }),
    flood: async (count) => await member.call('floodUpdates', { tasks, count, inFlight: IN_FLIGHT }),
  })
  return {
    sender: replica(first),
    receivers: others.map(replica),
    stop: async () => void (await Promise.all(members.map((member) => member.stop()))),
  }
}

async function peerGroup(context: Context, size: number): Promise<Group> {
  const server = await startChild<YWebsocketServerCalls>(context, 'y-websocket-server')
  const url = `ws://127.0.0.1:${await server.call('port')}`
  const starting = Array.from({ length: size }, async () => {
    const client = await startChild<YWebsocketClientCalls>(context, 'y-websocket-client', [url])
    await client.call('enter', 'room')
    return client
  })
  const [first, ...others] = await Promise.all(starting)
  if (!first) throw new Error('an empty group')
  const tasks = await first.call('addTasks', FLOODED_TASKS)
  for (const other of others) await until(async () => (await other.call('countTasks')) === FLOODED_TASKS)
  const replica = (client: typeof first): Replica => ({
    watch: () => client.call('watchUpdates'),
    countArrivals: () => client.call('countArrivals'),
    takeArrivals: () => client.call('takeArrivals'),
    finalArrived: () => client.call('finalArrived'),
    send: async (count) => {
      const [task] = tasks
      if (task) await client.call('sendUpdates', { task, count, pauseMs: size > 2 ? PAUSE_MS.all : PAUSE_MS.pair })
    },
    flood: async (count) => await client.call('floodUpdates', { tasks, count }),
  })
  return {
    sender: replica(first),
    receivers: others.map(replica),
    stop: async () => void (await Promise.all([server, first, ...others].map((child) => child.stop()))),
  }
}
