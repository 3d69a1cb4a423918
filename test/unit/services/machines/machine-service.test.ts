import { afterEach, describe, expect, it } from 'vitest'
import type { Actor } from '../../../../crdt/actor.ts'
import { writeBridge, type AgentFacts, type BridgeRecord } from '../../../../crdt/bridge-records.ts'
import { machineDoc, meshDoc } from '../../../../crdt/ids.ts'
import { readMachineFacts, writeSession } from '../../../../crdt/machine-document.ts'
import { machineIdOf } from '../../../../crdt/machine-id.ts'
import type { Result } from '../../../../crdt/result.ts'
import { err, ok } from '../../../../crdt/result.ts'
import { domainError } from '../../../../crdt/errors.ts'
import type { HostFacts } from '../../../../node/ports/machine-probe.ts'
import type { MachineTokens } from '../../../../node/services/accounts/account-tokens.ts'
import {
  createMachineService,
  type Machines,
  type MachineServiceDeps,
} from '../../../../node/services/machines/machine-service.ts'
import { localActor, settle, SimMesh, type SimNode } from '../../../support/services-mesh.ts'

const HOST: HostFacts = {
  hostname: 'desk.local',
  platform: 'linux',
  arch: 'x64',
  nodeVersion: '24.21.0',
  claudeVersion: '2.1.330',
  claudePath: '/usr/bin/claude',
  agents: { claude: '/usr/bin/claude' },
}
const CONFIGURED = { name: 'desk', rookeryVersion: '0.1.0', capabilities: ['gpu'], maxSessions: 10, alwaysOn: false }
const PAGE = { page: 1, perPage: 15 }

const started: Machines[] = []
afterEach(() => {
  for (const machines of started.splice(0)) machines.stop()
})

/** Tokens by machine, as the account service would keep them. */
function simTokens(): MachineTokens & { readonly of: Map<string, string> } {
  const of = new Map<string, string>()
  return {
    of,
    issue: async (_, machine) => {
      of.set(machine, `mn_${of.size}`)
      return ok({ token: of.get(machine)! })
    },
    revokeAll: async (_, machine) => {
      of.delete(machine)
      return ok(null)
    },
  }
}

async function start(node: SimNode, options: Partial<MachineServiceDeps> = {}): Promise<Machines> {
  const machines = await createMachineService({
    self: node.peer,
    documents: node.documents,
    membership: node.membership,
    presence: node.presence,
    rpc: node.rpc,
    probe: { facts: async () => HOST },
    configured: CONFIGURED,
    machineTokens: simTokens(),
    removeMember: async () => err(domainError('member_not_found')),
    events: node.events,
    clock: node.mesh.clock,
    random: node.random,
    ...options,
  })
  started.push(machines)
  return machines
}

async function twoMachines() {
  const mesh = new SimMesh()
  const [one, two] = [mesh.add(1), mesh.add(2)]
  const a = await start(one)
  const b = await start(two, { configured: { ...CONFIGURED, name: 'laptop' } })
  one.sees(two.peer, 'online')
  two.sees(one.peer, 'online')
  await settle()
  one.told.splice(0)
  two.told.splice(0)
  return { mesh, one, two, a, b }
}

const value = <T>(result: Result<T>): T => {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message}`)
  return result.value
}
const codeOf = (result: Result<unknown>): string => (result.ok ? 'ok' : result.error.code)
const narrow = (actor: Actor, ...abilities: string[]): Actor => ({ ...actor, abilities })

describe('the machines of the mesh', () => {
  it('[M19] have the id that follows from the peer id, the same on every node', async () => {
    const { one, two, a, b } = await twoMachines()
    expect(machineIdOf(one.peer)).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect([a.self, b.self]).toEqual([machineIdOf(one.peer), machineIdOf(two.peer)])
    expect(value(await a.get(b.self))).toEqual({
      ...HOST,
      ...CONFIGURED,
      name: 'laptop',
      id: b.self,
      node: two.peer,
      bridge: null,
      status: 'online',
      offlineReason: null,
      activeSessions: 0,
      lastSeenAt: new Date(one.mesh.clock.wallMs()).toISOString(),
      connectedAt: new Date(one.mesh.clock.wallMs()).toISOString(),
      createdAt: new Date(one.mesh.clock.wallMs()).toISOString(),
    })
    expect(codeOf(await a.get('no uuid'))).toBe('machine_not_found')
  })

  it('are found by name, host name and status, page by page', async () => {
    const { one, two, a, b } = await twoMachines()
    const names = async (filter: Parameters<Machines['list']>[0], page = PAGE) =>
      (await a.list(filter, page)).items.map(({ name }) => name)
    expect(await names({})).toEqual(['desk', 'laptop'])
    expect(await names({ search: 'LAP' })).toEqual(['laptop'])
    expect(await names({ search: 'desk.local' })).toEqual(['desk', 'laptop'])
    expect(await names({}, { page: 2, perPage: 1 })).toEqual(['laptop'])
    expect((await a.list({}, { page: 2, perPage: 1 })).total).toBe(2)
    one.sees(two.peer, 'stale')
    expect(await names({ status: 'connecting' })).toEqual(['laptop'])
    one.sees(two.peer, 'away')
    expect(await names({ status: 'offline' })).toEqual(['laptop'])
    expect(value(await a.get(b.self)).connectedAt).toBeNull()
    expect(await names({ status: 'online' })).toEqual(['desk'])
  })

  it('are told of once per change, on every node', async () => {
    const { one, two, b } = await twoMachines()
    const event = { type: 'machine.changed', machineId: b.self }
    one.sees(two.peer, 'away')
    one.sees(two.peer, 'gone')
    expect(one.told).toEqual([event])
    const session = {
      id: '10000000-0000-4000-8000-000000000001' as never,
      machineId: b.self,
      node: two.peer,
      mode: 'interactive',
      agent: 'shell',
      projectPath: '/tmp',
      status: 'running',
      ptySize: { cols: 120, rows: 40 },
      createdAt: '2026-11-23T12:00:00.000Z',
      startedAt: null,
      endedAt: null,
      exitCode: null,
      createdBy: 'someone',
      problem: null,
      usage: null,
    } as const
    await two.documents.write(machineDoc(two.peer), undefined, (state) => writeSession(state, session))
    expect([one.told.length, two.told]).toEqual([2, [event]])
    expect(value(await started[0]!.get(b.self)).activeSessions).toBe(1)
    await two.documents.write(machineDoc(two.peer), undefined, (state) =>
      writeSession(state, { ...session, ptySize: { cols: 80, rows: 24 } }),
    )
    expect([one.told.length, two.told.length]).toEqual([2, 1])
  })

  it('[M13] read as unknown where a document holds no valid facts', async () => {
    const { one, two, a, b } = await twoMachines()
    await two.documents.write(machineDoc(two.peer), undefined, (state) => {
      state.getMap('facts').set('self', { name: 7, maxSessions: 'many' })
      state.getMap('profile').set('createdAt', { not: 'a time' })
      state.getMap('sessions').set('__proto__', { status: 'running' })
    })
    expect(value(await a.get(b.self))).toMatchObject({ name: two.member.name, platform: 'unknown', activeSessions: 0 })
    expect(one.log.lines).toEqual([])
  })

  it('come and go with their members', async () => {
    const { mesh, one, two, a, b } = await twoMachines()
    mesh.remove(two)
    await settle()
    expect((await a.list({}, PAGE)).items.map(({ id }) => id)).toEqual([a.self])
    expect(one.told).toEqual([{ type: 'machine.changed', machineId: b.self }])
  })
})

describe('changing a machine', () => {
  it('is done by the machine itself and survives its restart, until its configuration says otherwise', async () => {
    const { one, two, a, b } = await twoMachines()
    const actor = localActor(one)
    const changed = value(await a.update(actor, b.self, { name: ' Work laptop ', maxSessions: 15 }))
    expect([changed.name, changed.maxSessions, changed.capabilities]).toEqual(['Work laptop', 15, ['gpu']])
    expect(readMachineFacts(one.doc(machineDoc(two.peer)))?.name).toBe('Work laptop')
    b.stop()
    const laptop = { ...CONFIGURED, name: 'laptop' }
    const restarted = await start(two, { configured: laptop })
    expect(value(await restarted.get(b.self))).toMatchObject({ name: 'Work laptop', maxSessions: 15 })
    restarted.stop()
    const reconfigured = await start(two, { configured: { ...laptop, name: 'kitchen' } })
    expect(value(await reconfigured.get(b.self))).toMatchObject({ name: 'kitchen', maxSessions: 15 })
  })

  it('is refused when it is offline, unknown, not allowed or nonsense', async () => {
    const { one, two, a, b } = await twoMachines()
    const actor = localActor(one)
    expect(codeOf(await a.update(narrow(actor, 'machine:read'), b.self, { name: 'x' }))).toBe('forbidden')
    expect(codeOf(await a.update(actor, 'unknown', { name: 'x' }))).toBe('machine_not_found')
    const invalid = await a.update(actor, b.self, { maxSessions: 0 })
    expect(invalid.ok ? undefined : Object.keys(invalid.error.details!.fields!)).toEqual(['max_sessions'])
    two.isOffline = true
    expect(codeOf(await a.update(actor, b.self, { name: 'x' }))).toBe('machine_offline')
    expect(codeOf(await a.environment(b.self))).toBe('machine_offline')
    expect(value(await a.get(b.self)).name).toBe('laptop')
  })

  it('is refused by the machine itself too, whatever the asking node let through', async () => {
    const { one, two } = await twoMachines()
    const { MachineFactsRecord: reply } = await import('../../../../crdt/machine-document.ts')
    const actor = narrow(localActor(one), 'machine:read')
    expect(codeOf(await one.rpc.call(two.peer, 'machine.update', { actor, input: { name: 'x' }, reply }))).toBe(
      'forbidden',
    )
  })

  it('asks the machine for its environment', async () => {
    const { a, b } = await twoMachines()
    expect(value(await a.environment(b.self))).toEqual({ ...HOST, ...CONFIGURED, name: 'laptop' })
  })
})

describe('removing a machine', () => {
  it('[M19] removes the member, and needs the ability to administer machines', async () => {
    const mesh = new SimMesh()
    const [one, two] = [mesh.add(1), mesh.add(2)]
    const removed: string[] = []
    const a = await start(one, { removeMember: async (peer) => ok(removed.push(peer)) })
    const actor = localActor(one)
    expect(codeOf(await a.remove(narrow(actor, 'machine:write'), machineIdOf(two.peer)))).toBe('forbidden')
    expect(removed).toEqual([])
    expect(codeOf(await a.remove(narrow(actor, 'machine:admin'), machineIdOf(two.peer)))).toBe('ok')
    expect(removed).toEqual([two.peer])
    expect(codeOf(await a.remove(actor, 'unknown'))).toBe('machine_not_found')
  })
})

describe('a bridged machine', () => {
  it('[M19] is registered, shown everywhere, changed, and removed with its token', async () => {
    const mesh = new SimMesh()
    const [one, two] = [mesh.add(1), mesh.add(2)]
    const tokens = simTokens()
    const a = await start(one, { machineTokens: tokens })
    const b = await start(two)
    const actor = localActor(one)
    const { machine, token } = value(
      await a.register(actor, { name: 'MacBook Pro', platform: 'darwin', maxSessions: 4 }),
    )
    expect(tokens.of.get(machine.id)).toBe(token)
    expect(machine).toMatchObject({
      name: 'MacBook Pro',
      platform: 'darwin',
      node: null,
      status: 'offline',
      maxSessions: 4,
    })
    expect(value(await b.get(machine.id))).toEqual(machine)
    expect(value(await b.update(localActor(two), machine.id, { name: 'MacBook' })).name).toBe('MacBook')
    expect(value(await a.get(machine.id)).name).toBe('MacBook')
    expect(codeOf(await a.nodeOf(machine.id))).toBe('machine_offline')
    const renewed = value(await a.regenerateToken(actor, machine.id)).token
    expect(tokens.of.get(machine.id)).toBe(renewed)
    expect(codeOf(await a.regenerateToken(actor, a.self))).toBe('forbidden')
    expect(codeOf(await a.remove(actor, machine.id))).toBe('ok')
    expect(tokens.of.size).toBe(0)
    expect(codeOf(await b.get(machine.id))).toBe('machine_not_found')
  })

  it('[M19] is where its agent is: at the gateway that says so last, and as reachable as that', async () => {
    const { one, two, a } = await twoMachines()
    const { machine } = value(await a.register(localActor(one), { name: 'host', maxSessions: 8 }))
    const says = (node: SimNode, since: number, state: BridgeRecord['state'], facts: AgentFacts = {}) =>
      node.documents.write(machineDoc(node.peer), undefined, (doc) =>
        writeBridge(doc, machine.id, { since, state, at: '2027-01-15T08:00:00.000Z', facts }),
      )
    const shown = async () => {
      const { status, offlineReason, bridge } = value(await a.get(machine.id))
      return [status, offlineReason, bridge]
    }
    expect(await shown()).toEqual(['offline', 'Its agent has not connected to any gateway yet.', null])
    await says(one, 5, 'connected')
    expect(await shown()).toEqual(['online', null, one.peer])
    await says(two, 6, 'connected', { arch: 'arm64', maxSessions: 4 })
    expect(await shown()).toEqual(['online', null, two.peer])
    expect(value(await a.get(machine.id))).toMatchObject({ name: 'host', arch: 'arm64', maxSessions: 4 })
    expect(value(await a.sessionNodeOf(machine.id))).toEqual({ machineId: machine.id, peer: two.peer, isBridged: true })
    expect(codeOf(await a.nodeOf(machine.id))).toBe('machine_unsupported')
    one.sees(two.peer, 'stale')
    const unreachable = 'The gateway that its agent is connected to (laptop) is out of reach.'
    expect(await shown()).toEqual(['connecting', unreachable, two.peer])
    one.sees(two.peer, 'gone')
    expect(await shown()).toEqual(['offline', unreachable, two.peer])
    expect(codeOf(await a.sessionNodeOf(machine.id))).toBe('machine_offline')
    one.sees(two.peer, 'online')
    await says(two, 6, 'away')
    expect(await shown()).toEqual([
      'connecting',
      'The connection of its agent to laptop has just broken off.',
      two.peer,
    ])
    await says(two, 6, 'gone')
    expect(await shown()).toEqual(['offline', 'Its agent is not connected to any gateway.', two.peer])
  })

  it('[M13] is believed of gateways only, and of no machine that has a node', async () => {
    const mesh = new SimMesh()
    const [one, two] = [mesh.add(1), mesh.add(2, ['run', 'control'])]
    const a = await start(one)
    one.sees(two.peer, 'online')
    const { machine } = value(await a.register(localActor(one), { name: 'host' }))
    await two.documents.write(machineDoc(two.peer), undefined, (doc) => {
      for (const id of [machine.id, a.self])
        doc.getMap('bridges').set(id, { since: 9, state: 'connected', at: '2027-01-15T08:00:00.000Z', facts: {} })
    })
    expect(value(await a.get(machine.id)).status).toBe('offline')
    expect(value(await a.get(a.self)).bridge).toBe(null)
  })

  it('stays removed when it is changed elsewhere at the same time', async () => {
    const mesh = new SimMesh()
    const [one, two] = [mesh.add(1), mesh.add(2)]
    const [a, b] = [await start(one), await start(two)]
    const { machine } = value(await a.register(localActor(one), { name: 'host' }))
    two.isCut = true
    value(await a.remove(localActor(one), machine.id))
    value(await b.update(localActor(two), machine.id, { name: 'renamed' }))
    mesh.connect()
    expect(codeOf(await a.get(machine.id))).toBe('machine_not_found')
    expect(codeOf(await b.get(machine.id))).toBe('machine_not_found')
  })

  it('[M13] is not there when its record is nonsense', async () => {
    const { one, two, a } = await twoMachines()
    await two.documents.write(meshDoc, undefined, (state) => {
      state.getMap('bridged').set('10000000-0000-4000-8000-000000000009', { name: 'x', maxSessions: -1 })
      state.getMap('bridged').set('__proto__', 'x')
    })
    expect((await a.list({}, PAGE)).total).toBe(2)
    expect(one.log.lines).toEqual([])
  })
})
