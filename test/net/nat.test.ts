import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { assemble, createWorld, measureWhole, type Machine, type World } from './hosts.ts'

describe('a host behind a NAT', () => {
  let world: World
  let server: Machine
  let desktop: Machine

  beforeAll(async () => {
    world = await createWorld()
    const [home, internet] = [world.lab.segment('home'), world.lab.internet()]
    world.lab.router('box', [home, internet], { hide: true })
    server = world.machine('server', internet)
    desktop = world.machine('desktop', home)
    await assemble([server, desktop])
  }, 180_000)
  afterAll(() => world.dispose())

  it('is a full member: it dials, and dials again when the other side was restarted', async () => {
    const seenAt = async (): Promise<string> =>
      (await server.members()).find(({ name }) => name === 'desktop')?.reachedBy ?? ''
    // The address of the box: the desktop's own cannot be reached from there.
    expect(await seenAt()).toContain(world.lab.segments[1]!.address(1))
    await server.node.cli('down')
    await server.start()
    await measureWhole('a host behind a NAT found the restarted one outside', [server, desktop])
    expect(await seenAt()).toContain(world.lab.segments[1]!.address(1))
  })
})
