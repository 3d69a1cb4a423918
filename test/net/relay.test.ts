import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { addTask, shareProject } from './board.ts'
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

describe('two hosts behind a NAT each, and a member on the internet', () => {
  let world: World
  let server: Machine
  let desktop: Machine
  let laptop: Machine
  let project: string

  beforeAll(async () => {
    world = await createWorld()
    const [home, hotel, internet] = [world.lab.segment('home'), world.lab.segment('hotel'), world.lab.internet()]
    world.lab.router('box', [home, internet], { hide: true })
    world.lab.router('portal', [hotel, internet], { hide: true })
    server = world.machine('server', internet)
    desktop = world.machine('desktop', home)
    laptop = world.machine('laptop', hotel)
    await assemble([server, desktop, laptop])
    project = await shareProject([server, desktop, laptop])
  }, 240_000)
  afterAll(() => world.dispose())

  const wayTo = async (from: Machine, to: Machine): Promise<string> =>
    (await from.members()).find(({ name }) => name === to.name)?.reachedBy ?? ''

  it('reach each other through it', async () => {
    expect([await wayTo(desktop, laptop), await wayTo(laptop, desktop)]).toEqual([
      expect.stringContaining('p2p-circuit'),
      expect.stringContaining('p2p-circuit'),
    ])
    const id = await addTask(desktop, project, 'seen in the hotel')
    const sees = async (): Promise<boolean> =>
      (await laptop.ask('task.list', { project })).some((task: { id: string }) => task.id === id)
    report('a task from behind one NAT was seen behind the other', await until(sees, 'it is there', WHOLE_WITHIN_MS))
  })

  it('do so again after the relay was restarted', async () => {
    await server.node.cli('down')
    await server.start()
    await measureWhole(
      'the relay was restarted: all see each other',
      [server, desktop, laptop],
      async () => (await wayTo(desktop, laptop)) !== '' && (await wayTo(laptop, desktop)) !== '',
    )
  })
})
