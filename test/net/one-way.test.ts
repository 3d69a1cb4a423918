import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { addTask, boardsAgree, claim, lock, shareProject } from './board.ts'
import {
  assemble,
  createWorld,
  measureWhole,
  report,
  until,
  WHOLE_WITHIN_MS,
  type Machine,
  type World,
} from './hosts.ts'

/** Longer than the keep-alive, so that the connections are given up while the cut lasts. */
const GIVEN_UP_WITHIN_MS = 60_000

describe('a cut in one direction', () => {
  let world: World
  let machines: Machine[]
  let project: string

  beforeAll(async () => {
    world = await createWorld()
    const lan = world.lab.segment('lan')
    machines = ['ash', 'birch', 'cedar'].map((name) => world.machine(name, lan))
    await assemble(machines)
    project = await shareProject(machines)
  }, 180_000)
  afterAll(() => world.dispose())

  it('loses nothing, certifies through those who hear each other, and is whole again afterwards', async () => {
    const [ash, birch, cedar] = machines as [Machine, Machine, Machine]
    world.lab.cutOneWay(ash.host, birch.host)
    const tasks = [await addTask(ash, project, 'said into the void'), await addTask(birch, project, 'said to the deaf')]
    const start = performance.now()
    const has = async (machine: Machine, id: string): Promise<boolean> =>
      (await machine.ask('task.list', { project })).some((task: { id: string }) => task.id === id)
    await until(async () => await has(birch, tasks[0]!), 'the task got around the cut, through the third', 90_000)
    await until(async () => await has(ash, tasks[1]!), 'the other task got around the cut, through the third', 90_000)
    report('what one of the deaf two wrote was on the other, through the third', performance.now() - start)

    // Two of three are a quorum, and each of the two hears the third.
    expect(await lock(ash, project, 'src/ash.ts')).toBe('certified')
    expect(await lock(birch, project, 'src/birch.ts')).toBe('certified')
    expect(await claim(birch, tasks[0]!)).toBe('claimed')
    expect(await lock(birch, project, 'src/ash.ts')).toBe('lock_held')

    const lacks = async (a: Machine, b: Machine): Promise<boolean> =>
      (await a.members()).find(({ name }) => name === b.name)?.reachedBy === null
    report(
      'the connection with a dead direction was given up by both',
      await until(
        async () => (await lacks(ash, birch)) && (await lacks(birch, ash)),
        'it is given up',
        GIVEN_UP_WITHIN_MS,
      ),
    )
    expect(await lock(ash, project, 'src/late.ts')).toBe('certified')

    world.lab.heal()
    await measureWhole('a one-way cut healed', machines)
    report(
      'every replica identical after that',
      await until(() => boardsAgree(machines, project), 'every replica shows the same', WHOLE_WITHIN_MS),
    )
    expect((await cedar.ask('task.list', { project })).map(({ id }: { id: string }) => id).toSorted()).toEqual(
      tasks.toSorted(),
    )
  })
})
