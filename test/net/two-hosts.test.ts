import { afterAll, beforeAll, expect, it } from 'vitest'
import { assemble, createWorld, type Machine, type World } from './hosts.ts'

/** The shortest there is: the continuous integration runs this one. */
let world: World
let machines: Machine[]

beforeAll(async () => {
  world = await createWorld()
  const lan = world.lab.segment('lan')
  machines = ['ash', 'birch'].map((name) => world.machine(name, lan))
  await assemble(machines)
})
afterAll(() => world.dispose())

it('lets two hosts join by a ticket and reach each other at their own addresses', async () => {
  const [ash, birch] = machines as [Machine, Machine]
  const reached = async (from: Machine, to: Machine): Promise<string | null | undefined> =>
    (await from.members()).find(({ name }) => name === to.name)?.reachedBy
  expect([await reached(ash, birch), await reached(birch, ash)]).toEqual([
    expect.stringContaining(`/${birch.host.address}/`),
    expect.stringContaining(`/${ash.host.address}/`),
  ])
})
