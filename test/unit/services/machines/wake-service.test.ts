import { describe, expect, it, onTestFinished } from 'vitest'
import { machineDoc } from '../../../../crdt/ids.ts'
import { readLinks, type LanLink } from '../../../../crdt/lan-link.ts'
import { machineIdOf } from '../../../../crdt/machine-id.ts'
import type { Machine } from '../../../../crdt/machine.ts'
import type { Result } from '../../../../crdt/result.ts'
import type { Lan, OwnLink } from '../../../../node/ports/lan.ts'
import { unknownFacts } from '../../../../node/services/machines/machine-facts.ts'
import { createWakeService, type WakeService } from '../../../../node/services/machines/wake-service.ts'
import { localActor, SimMesh, type SimNode } from '../../../support/services-mesh.ts'

const LAN = '192.168.1.0/24'
const ELSEWHERE = '10.0.0.0/8'

const link = (n: number, subnet = LAN): OwnLink => ({
  mac: `02:00:00:00:00:0${n}`,
  subnet,
  address: `192.168.1.${n}`,
  broadcast: '192.168.1.255',
})
const stated = ({ mac, subnet }: OwnLink): LanLink => ({ mac, subnet })

type SimLan = Lan & { here: OwnLink[]; isBroken: boolean; readonly sent: string[] }

function simLan(...here: OwnLink[]): SimLan {
  const lan: SimLan = {
    here,
    isBroken: false,
    sent: [],
    links: () => lan.here,
    wake: async (mac, { subnet }) => {
      if (lan.isBroken) throw new Error('the network is down')
      lan.sent.push(`${mac} on ${subnet}`)
    },
  }
  return lan
}

type Seat = { readonly node: SimNode; readonly lan: SimLan; readonly wake: WakeService }

/** Machines with one interface each, on these subnets; the last is asleep. */
async function machinesOn(...subnets: string[]) {
  const mesh = new SimMesh()
  const nodes = subnets.map((_, i) => mesh.add(i + 1))
  const status = new Map<SimNode, Machine['status']>(nodes.map((node) => [node, 'online']))
  status.set(nodes.at(-1)!, 'offline')
  const machines = {
    all: () => [bridged, ...nodes.map((node, i) => machineOf(node, `machine-${i}`, status.get(node)!))],
  }
  const seats: Seat[] = []
  for (const [i, node] of nodes.entries()) {
    const lan = simLan(link(i + 1, subnets[i]))
    const { peer: self, documents, rpc, log } = node
    const wake = await createWakeService({ self, documents, machines, rpc, lan, clock: mesh.clock, log })
    onTestFinished(() => wake.stop())
    seats.push({ node, lan, wake })
  }
  const asleep = nodes.at(-1)!
  const ask = (seat: Seat, node = asleep): Promise<Result<unknown>> =>
    seat.wake.wake(localActor(seat.node), machineIdOf(node.peer))
  return { mesh, seats, asleep, status, ask, sent: () => seats.map(({ lan }) => lan.sent) }
}

const machineOf = (node: SimNode, name: string, status: Machine['status']): Machine => ({
  ...unknownFacts(name),
  id: machineIdOf(node.peer),
  node: node.peer,
  bridge: null,
  status,
  offlineReason: null,
  activeSessions: 0,
  lastSeenAt: null,
  connectedAt: null,
  createdAt: '2026-11-23T12:00:00.000Z',
})

const bridged: Machine = {
  ...machineOf({ peer: 'bridged' } as unknown as SimNode, 'bridged', 'offline'),
  node: null,
}

const codeOf = (result: Result<unknown>): string => (result.ok ? 'ok' : result.error.code)
const asked = (result: Result<unknown>): unknown => (result.ok ? (result.value as { by: unknown }).by : result.error)

describe('waking a machine', () => {
  it('sends a magic packet to the address it stated, from a member on its network, asked from another one', async () => {
    const { seats, ask, sent } = await machinesOn(ELSEWHERE, LAN, LAN)
    expect(asked(await ask(seats[0]!))).toEqual(['machine-1'])
    expect(sent()).toEqual([[], ['02:00:00:00:00:03 on 192.168.1.0/24'], []])
  })

  it('is done by this machine itself where it can, and by a few others, since one subnet is in many homes', async () => {
    const { seats, ask, sent } = await machinesOn(LAN, LAN, LAN, LAN, LAN, LAN)
    expect(asked(await ask(seats[4]!))).toEqual(['machine-4', 'machine-0', 'machine-1'])
    expect(sent().map(({ length }) => length)).toEqual([1, 1, 0, 0, 1, 0])
  })

  it('is refused for a machine that is awake, is not known, or never said where it is', async () => {
    const { seats, ask, sent, asleep, status } = await machinesOn(LAN, LAN)
    const [seat] = seats as [Seat, Seat]
    const actor = localActor(seat.node)
    const wakeable = async (): Promise<string[]> => [...(await seat.wake.wakeable())]
    expect(await wakeable()).toEqual([machineIdOf(asleep.peer)])
    expect(codeOf(await seat.wake.wake(actor, bridged.id))).toBe('wake_unsupported')
    expect(codeOf(await seat.wake.wake(actor, 'nobody'))).toBe('machine_not_found')
    status.set(asleep, 'online')
    expect(codeOf(await ask(seat))).toBe('machine_awake')
    expect(await wakeable()).toEqual([])
    expect(sent()).toEqual([[], []])
    // Whoever has just fallen silent may be falling asleep.
    status.set(asleep, 'connecting')
    expect(codeOf(await ask(seat))).toBe('ok')
  })

  it('says on which network nobody is awake', async () => {
    const { seats, ask, status } = await machinesOn(ELSEWHERE, LAN, LAN)
    status.set(seats[1]!.node, 'offline')
    expect(await ask(seats[0]!)).toEqual({
      ok: false,
      error: {
        code: 'wake_unreachable',
        message: 'No member of the mesh is awake on a network of machine-2 (192.168.1.0/24).',
      },
    })
  })

  it('succeeds when one of the asked could send, and tells of the refusal when none could', async () => {
    const { seats, ask } = await machinesOn(ELSEWHERE, LAN, LAN, LAN)
    seats[1]!.lan.isBroken = true
    expect(asked(await ask(seats[0]!))).toEqual(['machine-2'])
    seats[2]!.node.isOffline = true
    expect(codeOf(await ask(seats[0]!))).toBe('wake_unreachable')
    seats[1]!.node.isOffline = true
    expect(codeOf(await ask(seats[0]!))).toBe('machine_offline')
  })

  it('needs the ability where it is asked and where it is done', async () => {
    const { seats, asleep } = await machinesOn(ELSEWHERE, LAN, LAN)
    const [far, near] = seats as [Seat, Seat, Seat]
    const actor = localActor(far.node, ['machine:read'])
    expect(codeOf(await far.wake.wake(actor, machineIdOf(asleep.peer)))).toBe('forbidden')
    const method = near.node.methods.get('machine.wake')!
    const signal = new AbortController().signal
    const input = { machine: machineIdOf(asleep.peer) }
    expect(codeOf(await method.run(actor, input, far.node.peer, signal))).toBe('forbidden')
    expect(near.lan.sent).toEqual([])
  })

  it('takes a machine from whoever asks, never an address', async () => {
    const { seats, asleep } = await machinesOn(LAN, LAN)
    const { input } = seats[0]!.node.methods.get('machine.wake')!
    const machine = machineIdOf(asleep.peer)
    expect(input.safeParse({ machine }).success).toBe(true)
    expect(input.safeParse({ machine, mac: '02:00:00:00:00:09' }).success).toBe(false)
    expect(input.safeParse({ machine: '02:00:00:00:00:09' }).success).toBe(false)
  })

  it('broadcasts only so often for one member, and for the next all the same', async () => {
    const { seats, ask, mesh } = await machinesOn(ELSEWHERE, LAN, ELSEWHERE, LAN)
    const [one, near, two] = seats as [Seat, Seat, Seat, Seat]
    for (let i = 0; i < 12; i++) expect(codeOf(await ask(one))).toBe('ok')
    expect(codeOf(await ask(one))).toBe('rate_limited')
    expect(near.lan.sent.length).toBe(12)
    expect(codeOf(await ask(two))).toBe('ok')
    await mesh.clock.advance(60_000)
    expect(codeOf(await ask(one))).toBe('ok')
  })

  it('goes to where the machine was last: what it states follows it, and stays when it has no network', async () => {
    const { seats, asleep, mesh } = await machinesOn(LAN, LAN)
    const [watcher, mover] = seats as [Seat, Seat]
    const known = (): readonly LanLink[] => readLinks(watcher.node.doc(machineDoc(asleep.peer)))
    expect(known()).toEqual([stated(link(2))])
    mover.lan.here = [link(2, ELSEWHERE)]
    await mesh.clock.advance(30_000)
    expect(known()).toEqual([stated(link(2, ELSEWHERE))])
    mover.lan.here = []
    await mesh.clock.advance(30_000)
    expect(known()).toEqual([stated(link(2, ELSEWHERE))])
  })
})
