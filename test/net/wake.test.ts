import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { assemble, createWorld, signIn, until, type Machine, type World } from './hosts.ts'
import { listen, type Ear } from './ear.ts'

/** Where magic packets go. */
const WAKE_PORT = 9
const HEARD_WITHIN_MS = 10_000

describe('waking a host', () => {
  let world: World
  let machines: Machine[]
  let nearby: Ear
  let faraway: Ear

  beforeAll(async () => {
    world = await createWorld()
    const [office, home] = [world.lab.segment('office'), world.lab.segment('home')]
    world.lab.router('uplink', [office, home])
    // The laptop is in the office; the server, awake, and the desktop, asleep, are at home.
    machines = [world.machine('laptop', office), world.machine('server', home), world.machine('desktop', home)]
    await assemble(machines)
    nearby = await listen(world.lab.host('tap-home', home), WAKE_PORT)
    faraway = await listen(world.lab.host('tap-office', office), WAKE_PORT)
  }, 180_000)
  afterAll(async () => {
    nearby.stop()
    faraway.stop()
    await world.dispose()
  })

  it('[MCH_004] is refused while it is awake', async () => {
    const [laptop] = machines as [Machine]
    expect((await laptop.node.cli('wake', 'desktop')).json.error.code).toBe('machine_awake')
  })

  it('sends the packet on its own LAN, asked for from another one, by command and over HTTP', async () => {
    const [laptop, , desktop] = machines as [Machine, Machine, Machine]
    const magic = `${'ff'.repeat(6)}${desktop.host.mac.replaceAll(':', '').repeat(16)}`
    const token = (await signIn([laptop])).get(laptop)!
    await desktop.node.cli('down')
    await until(() => isOffline(laptop, desktop), 'the desktop is missed', HEARD_WITHIN_MS * 3)

    const woken = await laptop.node.cli('wake', 'desktop')
    expect([woken.code, woken.json?.sent_by]).toEqual([0, ['server']])
    await until(() => nearby.heard.length >= 3, 'the packet and its repeats', HEARD_WITHIN_MS)
    expect(new Set(nearby.heard)).toEqual(new Set([magic]))

    const before = nearby.heard.length
    const { id } = (await laptop.ask('machine.list')).find(({ name }: { name: string }) => name === 'desktop')
    const answer = await laptop.http('POST', `/api/machines/${id}/wake`, { token })
    expect([answer.status, answer.body.data?.message]).toEqual([200, 'Wake-on-LAN signal sent'])
    await until(() => nearby.heard.length > before, 'another one', HEARD_WITHIN_MS)
    expect(faraway.heard).toEqual([])
    console.log(`captured: ${nearby.heard.length} magic packets on the LAN of the sleeping host, 0 on the other`)
  })

  it('[MCH_006] says so when nobody is awake on its LAN', async () => {
    const [laptop, server] = machines as [Machine, Machine]
    await server.node.cli('down')
    await until(() => isOffline(laptop, server), 'the server is missed', HEARD_WITHIN_MS * 3)
    const { code, json } = await laptop.node.cli('wake', 'desktop')
    expect([code, json.error.code]).toEqual([1, 'wake_unreachable'])
  })
})

const isOffline = async (from: Machine, other: Machine): Promise<boolean> =>
  (await from.ask('machine.list')).some(
    ({ name, status }: { name: string; status: string }) => name === other.name && status === 'offline',
  )
