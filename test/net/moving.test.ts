import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Segment } from './lab.ts'
import { assemble, createWorld, measureWhole, type Machine, type World } from './hosts.ts'

describe('a host that changes its address while its node runs', () => {
  let world: World
  let machines: Machine[]
  let cafe: Segment

  beforeAll(async () => {
    world = await createWorld()
    const home = world.lab.segment('home')
    cafe = world.lab.segment('cafe')
    world.lab.router('uplink', [home, cafe])
    machines = ['ash', 'birch', 'cedar'].map((name) => world.machine(name, home))
    await assemble(machines)
  }, 180_000)
  afterAll(() => world.dispose())

  it('is back within 30 s after a new address on the same LAN', async () => {
    const [, , cedar] = machines as [Machine, Machine, Machine]
    cedar.host.renumber(77)
    await measureBack('a new address on the same LAN', machines, cedar)
  })

  it('is back within 30 s after a move to another network, behind a router', async () => {
    const [, , cedar] = machines as [Machine, Machine, Machine]
    cedar.host.moveTo(cafe, 88)
    await measureBack('moved to another network', machines, cedar)
  })

  it('is back within 30 s after the move home', async () => {
    const [ash, , cedar] = machines as [Machine, Machine, Machine]
    cedar.host.moveTo(world.lab.segments[0]!, 99)
    await measureBack('moved home again', machines, cedar)
    expect(await reachedAt(ash, cedar)).toContain(cedar.host.address)
  })
})

const reachedAt = async (from: Machine, to: Machine): Promise<string> =>
  (await from.members()).find(({ name }) => name === to.name)?.reachedBy ?? ''

/** Presence lags behind: what counts is a connection that uses the new address, on both sides, and all see all. */
async function measureBack(what: string, machines: readonly Machine[], moved: Machine): Promise<void> {
  const others = machines.filter((machine) => machine !== moved)
  await measureWhole(what, machines, async () => {
    const ways = await Promise.all(others.map((other) => reachedAt(other, moved)))
    return ways.every((way) => way.includes(`/${moved.host.address}/`))
  })
}
