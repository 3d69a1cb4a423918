import { afterAll, beforeAll, describe, it } from 'vitest'
import { assemble, createWorld, isWhole, report, until, type Machine, type World } from './hosts.ts'

/** Long enough for redialling to have become rare. */
const CUT_MS = 90_000
/** The longest pause between two tries, and the try. */
const BACK_WITHIN_MS = 330_000

describe('an uplink that was cut for a while', () => {
  let world: World
  let machines: Machine[]

  beforeAll(async () => {
    world = await createWorld()
    const [home, office] = [world.lab.segment('home'), world.lab.segment('office')]
    world.lab.router('uplink', [home, office])
    machines = [world.machine('ash', home), world.machine('birch', office)]
    await assemble(machines)
  }, 180_000)
  afterAll(() => world.dispose())

  it('is used again without anybody saying that it is back: no multicast crosses it, no address changed', async () => {
    const [ash, birch] = machines as [Machine, Machine]
    const { legs } = world.lab.routers[0]!
    const cut = performance.now()
    world.lab.partition([ash.host], [legs.get(world.lab.segments[0]!)!])
    await until(async () => !(await isWhole([ash, birch])), 'they miss each other', CUT_MS)
    await until(() => performance.now() - cut > CUT_MS, 'the cut has lasted', 2 * CUT_MS)
    world.lab.heal()
    const ms = await until(() => isWhole(machines), 'they see each other', BACK_WITHIN_MS)
    report('an uplink between two LANs was cut for 90 s: they see each other', ms)
  }, 600_000)
})
