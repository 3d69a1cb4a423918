import { describe, expect, it } from 'vitest'
import type { Actor } from '../../../crdt/actor.ts'
import type { PeerId } from '../../../crdt/ids.ts'
import { TaskInput } from '../../../crdt/task.ts'
import { toHex } from '../../../protocols/codec.ts'
import { CONNECTED_MIN } from '../../../node/p2p/neighbourhood.ts'
import { calmPlan } from './plan.ts'
import type { Process, SimNode } from './sim-node.ts'
import { World } from './world.ts'
import { BOARD } from './writer.ts'

/** Takes minutes. */
const IS_LONG = process.env.ROOKERY_LONG === '1'
const NODES = 100
/** Distances 1, 2, 4, … to both sides. */
const NEIGHBOURS = 2 * Math.floor(Math.log2(NODES))
/** Those that stood in for neighbours on either side, and have not been hung up on. */
const CONNECTIONS_MAX = NEIGHBOURS + CONNECTED_MIN
const ASLEEP = 0.3 * NODES
/** Much less than until anti-entropy comes round. */
const PASSED_ON_MS = 2000
const STEP_MS = 5000
const MINUTE_MS = 60_000

describe.runIf(IS_LONG)(`a mesh of ${NODES} nodes`, () => {
  it('[M16] [M17] stays connected with few connections each, also when a third is away, and passes on what is new at once', async () => {
    const world = new World(calmPlan(1, NODES))
    await world.found()
    await until(world, () => world.counts.joins === NODES - 1 && isCalm(world))
    const everybody = awake(world)
    expect(everybody).toHaveLength(NODES)
    expect(connectionsOf(everybody).max).toBeLessThanOrEqual(CONNECTIONS_MAX)
    expect(onlineFor(everybody)).toEqual(new Set([NODES]))
    expect(await reachOfAWrite(world, everybody)).toBe(NODES)

    const sleepers = world.nodes.filter((_, n) => n % 10 < 3)
    for (const node of sleepers) node.crash(false)
    const left = awake(world)
    expect(await reachOfAWrite(world, left)).toBe(NODES - ASLEEP)
    await world.time.run(world.time.nowMs + MINUTE_MS)
    expect(onlineFor(left)).toEqual(new Set([NODES - ASLEEP]))
    expect(connectionsOf(left).min).toBeGreaterThanOrEqual(CONNECTED_MIN)

    for (const node of sleepers) void node.start()
    await until(world, () => isCalm(world) && isInStep(world))
    expect(onlineFor(awake(world))).toEqual(new Set([NODES]))
    expect(connectionsOf(awake(world)).max).toBeLessThanOrEqual(CONNECTIONS_MAX)
    expect(world.violations.found).toEqual([])
    await world.close()
  })
})

const awake = (world: World): Process[] => world.nodes.flatMap(({ process }) => process ?? [])
const peersOf = (processes: readonly Process[]): PeerId[] => processes.map(({ node }) => node.peer)

/** Everybody has all neighbours, and nobody else any more. */
function isCalm(world: World): boolean {
  const processes = awake(world)
  return (
    processes.length === NODES && connectionsOf(processes).max <= CONNECTIONS_MAX && onlineFor(processes).size === 1
  )
}

function connectionsOf(processes: readonly Process[]): { min: number; max: number } {
  const counts = processes.map(({ network }) => network.connected().length)
  return { min: Math.min(...counts), max: Math.max(...counts) }
}

/** How many each of them sees online; one number when all agree. */
function onlineFor(processes: readonly Process[]): Set<number> {
  const all = peersOf(processes)
  return new Set(processes.map(({ presence }) => all.filter((peer) => presence.state(peer) === 'online').length))
}

/** How many have what one of them wrote, a short while later. */
async function reachOfAWrite(world: World, processes: readonly Process[]): Promise<number> {
  const [writer] = processes
  if (!writer) throw new Error('nobody is there')
  const title = `told at ${world.time.nowMs}`
  const created = await world.settled(writer.tasks.create(actorOf(writer.node), BOARD, TaskInput.parse({ title })))
  if (!created.ok) throw new Error(created.error.message)
  await world.time.run(world.time.nowMs + PASSED_ON_MS)
  const found = await Promise.all(
    processes.map(async ({ tasks }) => (await world.settled(tasks.get(created.value.id))).ok),
  )
  return found.filter(Boolean).length
}

/** Whether all have applied the same. */
function isInStep(world: World): boolean {
  const positions = awake(world).map(({ documents, membership }) =>
    [...documents.vectors()]
      .flatMap(([doc, authors]) => [...authors].map(([author, { seq }]) => `${doc} ${author} ${seq}`))
      .concat(membership.heads().map(toHex))
      .toSorted()
      .join(),
  )
  return new Set(positions).size === 1
}

async function until(world: World, isTrue: () => boolean): Promise<void> {
  const { time } = world
  for (const endMs = time.nowMs + 30 * MINUTE_MS; !isTrue();) {
    if (time.nowMs > endMs) throw new Error(`still not so: ${JSON.stringify(connectionsOf(awake(world)))}`)
    await time.run(time.nowMs + STEP_MS)
  }
}

const actorOf = ({ peer }: SimNode): Actor => ({
  kind: 'local',
  id: 'local',
  tokenId: `local:${peer}`,
  abilities: ['*'],
  gateway: peer,
})
