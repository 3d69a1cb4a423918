import { afterAll, beforeAll, describe, it } from 'vitest'
import { assemble, createWorld, measureWhole, report, until, type Machine, type World } from './hosts.ts'

/** Three keep-alives: every connection has been given up by then. */
const ASLEEP_MS = 45_000
const NOTICED_WITHIN_MS = 45_000

describe('a host that sleeps', () => {
  let world: World
  let machines: Machine[]

  beforeAll(async () => {
    world = await createWorld()
    const lan = world.lab.segment('lan')
    machines = ['ash', 'birch', 'cedar'].map((name) => world.machine(name, lan))
    await assemble(machines)
  }, 180_000)
  afterAll(async () => {
    // A stopped process answers nobody, not even who wants to end it.
    for (const { node } of machines ?? []) node.process.kill('SIGCONT')
    await world.dispose()
  })

  it('is missed by the others, and is back soon after it wakes', async () => {
    const [ash, birch, cedar] = machines as [Machine, Machine, Machine]
    const slept = performance.now()
    cedar.node.process.kill('SIGSTOP')
    const misses = async (machine: Machine): Promise<boolean> =>
      (await machine.members()).find(({ name }) => name === cedar.name)?.online === false
    report(
      'a stopped node was shown as not online by the others',
      await until(async () => (await misses(ash)) && (await misses(birch)), 'both miss it', NOTICED_WITHIN_MS),
    )
    await until(() => performance.now() - slept > ASLEEP_MS, 'it has slept', 2 * ASLEEP_MS)
    cedar.node.process.kill('SIGCONT')
    await measureWhole('a node woke after 45 s', machines)
  })
})
