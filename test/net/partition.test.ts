import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Json } from '../support/nodes.ts'
import { addTask, boardsAgree, claim, httpTasks, lock, shareProject } from './board.ts'
import {
  assemble,
  createWorld,
  report,
  signIn,
  until,
  WHOLE_WITHIN_MS,
  measureWhole,
  type Machine,
  type World,
} from './hosts.ts'

const NAMES = ['ash', 'birch', 'cedar', 'elm', 'fir']
/** Written on each side while they cannot hear each other. */
const TASKS_PER_SIDE = 20
/** Twice the keep-alive, and what a busy machine adds. */
const GIVEN_UP_WITHIN_MS = 60_000

describe('a partition of two and three', () => {
  let world: World
  let machines: Machine[]
  let few: Machine[]
  let most: Machine[]
  let project: string
  let tokens: Map<Machine, string>

  beforeAll(async () => {
    world = await createWorld()
    const lan = world.lab.segment('lan')
    machines = NAMES.map((name) => world.machine(name, lan))
    few = machines.slice(0, 2)
    most = machines.slice(2)
    await assemble(machines)
    project = await shareProject(machines)
    tokens = await signIn(machines)
  }, 240_000)
  afterAll(() => world.dispose())

  it('[L2.8] goes on where the majority is, promises nothing where it is not, and is one again after healing', async () => {
    const [ash, birch] = few as [Machine, Machine]
    const [cedar, elm] = most as [Machine, Machine]
    const contested = await addTask(ash, project, 'wanted on both sides')
    await until(() => boardsAgree(machines, project), 'all have the task', WHOLE_WITHIN_MS)

    world.lab.partition(
      few.map(({ host }) => host),
      most.map(({ host }) => host),
    )
    report(
      'both sides noticed the cut',
      await until(() => isApart(few, most), 'all connections are given up', GIVEN_UP_WITHIN_MS),
    )

    expect(await claim(ash, contested)).toBe('quorum_unreachable')
    expect(await claim(cedar, contested)).toBe('claimed')
    expect(await lock(birch, project, 'src/both.ts')).toBe('provisional')
    expect(await lock(elm, project, 'src/both.ts')).toBe('certified')
    expect(await lock(ash, project, 'src/ash.ts')).toBe('provisional')
    expect(await lock(cedar, project, 'src/cedar.ts')).toBe('certified')
    for (let i = 0; i < TASKS_PER_SIDE; i++) {
      await addTask(few[i % 2]!, project, `left ${i}`)
      await addTask(most[i % 3]!, project, `right ${i}`)
    }

    world.lab.heal()
    const healed = performance.now()
    await measureWhole('a partition of 2|3 healed: all see each other', machines)
    await until(() => boardsAgree(machines, project), 'every replica shows the same', WHOLE_WITHIN_MS)
    report('a partition of 2|3 healed: every replica identical', performance.now() - healed, WHOLE_WITHIN_MS)
    await until(async () => (await provisional(machines, project)) === 0, 'nothing is provisional', WHOLE_WITHIN_MS)
    await until(() => boardsAgree(machines, project), 'every replica shows the same', WHOLE_WITHIN_MS)
    report('a partition of 2|3 healed: provisional locks settled', performance.now() - healed, WHOLE_WITHIN_MS)

    const boards = await Promise.all(machines.map((machine) => httpTasks(machine, project, tokens.get(machine)!)))
    expect(boards[0]!.length).toBe(1 + 2 * TASKS_PER_SIDE)
    for (const board of boards) expect(board).toEqual(boards[0])
    expect(boards[0]!.find(({ id }) => id === contested)).toMatchObject({ isClaimed: true, holder: 'agent-cedar' })
    const locks: Json[] = await ash.ask('lock.list', { project })
    expect(locks.map(({ path, instanceId, guarantee }) => `${path} ${instanceId} ${guarantee}`).toSorted()).toEqual([
      'src/ash.ts agent-ash certified',
      'src/both.ts agent-elm certified',
      'src/cedar.ts agent-cedar certified',
    ])
    // Whoever lost is told, on every machine.
    const notices: Json[] = await elm.ask('lock.notices', { project })
    expect(notices.map(({ paths, instanceId, why }) => [paths, instanceId, why])).toEqual([
      [['src/both.ts'], 'agent-birch', 'yield'],
    ])
  })
})

/** Whether nobody on one side has a connection to anybody on the other. */
async function isApart(left: readonly Machine[], right: readonly Machine[]): Promise<boolean> {
  const lacks = async (machine: Machine, others: readonly Machine[]): Promise<boolean> => {
    const members = await machine.members()
    return others.every(({ name }) => members.find((member) => member.name === name)?.reachedBy === null)
  }
  const all = await Promise.all([...left.map((one) => lacks(one, right)), ...right.map((one) => lacks(one, left))])
  return all.every(Boolean)
}

async function provisional(machines: readonly Machine[], project: string): Promise<number> {
  const lists = await Promise.all(machines.map((machine) => machine.ask('lock.list', { project })))
  return lists.flat().filter(({ guarantee }: Json) => guarantee !== 'certified').length
}
