import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openLevelStore } from '../../node/adapters/level-store.ts'
import { ADDRESSES_FACT, encodeAddresses } from '../../node/cli/remembered.ts'
import { listen } from './ear.ts'
import { assemble, createWorld, gaps, isWhole, measureWhole, until, type Machine, type World } from './hosts.ts'

describe('finding each other by multicast alone', () => {
  let world: World
  let machines: Machine[]
  let other: Machine[]

  beforeAll(async () => {
    world = await createWorld()
    const lan = world.lab.segment('lan')
    machines = ['ash', 'birch', 'cedar'].map((name) => world.machine(name, lan))
    other = ['yew', 'zelkova'].map((name) => world.machine(name, lan))
    await assemble(machines)
    await assemble(other)
  })
  afterAll(() => world.dispose())

  it('makes the mesh whole after all restarted with other addresses and none remembered', async () => {
    await Promise.all(machines.map(({ node }) => node.cli('down')))
    await Promise.all(machines.map(({ node }) => node.stop()))
    for (const [i, machine] of machines.entries()) {
      await forgetAddresses(machine)
      machine.host.renumber(200 + i)
    }
    const [first, ...others] = machines
    await Promise.all(others.map((machine) => machine.start()))
    await first?.start()
    await measureWhole(
      '3 hosts with new addresses, none remembered, found each other by multicast (since the last was ready)',
      machines,
    )
  })

  it('tells a stranger who listens on the LAN the id of no mesh', async () => {
    const ear = await listen(world.lab.host('outsider', world.lab.segments[0]!), 5353, '224.0.0.251')
    // Every node asks every ten seconds, and is answered.
    const text = (): string => ear.heard.map((packet) => Buffer.from(packet, 'hex').toString('latin1')).join('\n')
    const tags = (): Set<string> => new Set(text().match(/_rookery-[0-9a-f]+/g))
    await until(() => tags().size === 2, 'the tags of both meshes are heard', 60_000)
    ear.stop()
    for (const { node } of [machines[0]!, other[0]!]) {
      expect(text()).not.toContain(node.meshId)
      expect(ear.heard.join()).not.toContain(node.meshId)
    }
    console.log(`overheard: ${ear.heard.length} multicast packets of two meshes, ${tags().size} tags, no mesh id`)
  })

  it('leaves another mesh on the same LAN alone', async () => {
    expect([await isWhole(other), await gaps(other)]).toEqual([true, ''])
    const seen = await Promise.all([...machines, ...other].map(async (machine) => (await machine.members()).length))
    expect(seen).toEqual([3, 3, 3, 2, 2])
  })
})

/** As if the node had never known where the others are. */
async function forgetAddresses(machine: Machine): Promise<void> {
  const meshes = join(machine.dataDir, 'meshes')
  for (const mesh of readdirSync(meshes)) {
    const store = await openLevelStore(join(meshes, mesh, 'store'))
    await store.putFact(ADDRESSES_FACT, encodeAddresses(new Map()))
    await store.close()
  }
}
