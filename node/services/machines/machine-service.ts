import { z } from 'zod'
import { can, type Actor } from '../../../crdt/actor.ts'
import { domainError, invalidField, type DomainError } from '../../../crdt/errors.ts'
import { MachineId, machineDoc, meshDoc, type PeerId } from '../../../crdt/ids.ts'
import { MachineFactsRecord } from '../../../crdt/machine-document.ts'
import { machineIdOf } from '../../../crdt/machine-id.ts'
import type { Machine, MachineFacts, MachineStatus } from '../../../crdt/machine.ts'
import { BridgedRecord, readBridged, removeBridged, writeBridged } from '../../../crdt/mesh-document.ts'
import { paginate, type Page, type PageRequest } from '../../../crdt/page.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import { uuidFromRandom } from '../../../crdt/uuid.ts'
import type { Clock } from '../../ports/clock.ts'
import type { MachineProbe } from '../../ports/machine-probe.ts'
import type { Random } from '../../ports/random.ts'
import type { MachineTokens } from '../accounts/account-tokens.ts'
import type { Documents } from '../feeds/documents.ts'
import type { EventHub } from '../event-hub.ts'
import { changeFacts, effectiveFacts, MachineChange, publishFacts, unknownFacts } from './machine-facts.ts'
import { watchMachines, type Bridge, type MachineDirectory } from './machine-directory.ts'
import type { Presence } from '../sync/presence.ts'
import type { Rpc } from '../rpc/rpc.ts'
import type { MembershipSource } from '../accounts/sealed-accounts.ts'
import { written, writtenIfMember } from '../written.ts'

/** Sessions of a machine without a node of which nobody has said more. Its agent may allow fewer. */
const BRIDGED_SESSIONS_MAX_DEFAULT = 10

export type MachineService = {
  list(filter: { search?: string; status?: MachineStatus }, page: PageRequest): Promise<Page<Machine>>
  get(id: string): Promise<Result<Machine>>
  /** A bridged record: a host that appears in the mesh without a node behind it. Answers with its `mn_` token. */
  register(
    actor: Actor,
    input: Partial<MachineFacts> & { name: string },
  ): Promise<Result<{ machine: Machine; token: string }>>
  update(
    actor: Actor,
    id: string,
    change: { name?: string; maxSessions?: number; capabilities?: readonly string[] },
  ): Promise<Result<Machine>>
  /** For a member's machine this removes the member and needs `machine:admin`. */
  remove(actor: Actor, id: string): Promise<Result<null>>
  /**
   * A fresh token for a bridged machine; the earlier one ends everywhere, with the sockets that it had opened.
   * @errors machine_not_found, forbidden (a member has a key of its own), storage_failed
   */
  regenerateToken(actor: Actor, id: string): Promise<Result<{ token: string }>>
  /** Facts asked of the machine itself; refused with `machine_offline` when it cannot answer. */
  environment(id: string): Promise<Result<MachineFacts>>
  /**
   * The node behind a machine id, for the calls that must cross the mesh.
   * @errors machine_not_found, machine_offline, machine_unsupported (a bridged one, whose agent is there)
   */
  nodeOf(id: string): Promise<Result<{ machineId: MachineId; peer: PeerId }>>
  /** The node that keeps the sessions of a machine: its own, or the gateway its agent is connected to. */
  sessionNodeOf(id: string): Promise<Result<{ machineId: MachineId; peer: PeerId; isBridged: boolean }>>
  readonly self: MachineId
}

export type MachineServiceDeps = {
  readonly self: PeerId
  readonly documents: Documents
  readonly membership: MembershipSource
  readonly presence: Presence
  readonly rpc: Rpc
  readonly probe: Pick<MachineProbe, 'facts'>
  /** What this machine's configuration says about it. */
  readonly configured: Pick<MachineFacts, 'name' | 'rookeryVersion' | 'capabilities' | 'maxSessions' | 'alwaysOn'>
  /** Undefined on a node that serves no users: bridged machines cannot be registered there. */
  readonly machineTokens: MachineTokens | undefined
  /** Removes a member from the mesh. */
  readonly removeMember: (peer: PeerId) => Promise<Result<unknown>>
  readonly events: EventHub
  readonly clock: Clock
  readonly random: Random
}

export type Machines = MachineService & {
  /** Every machine of the mesh as this node knows it. */
  all(): readonly Machine[]
  /** The latest connection of the agent of a machine without a node. */
  bridgeOf(id: MachineId): Bridge | undefined
  /** What a member's machine calls itself, once it has said so. */
  nameOf(peer: PeerId): string | undefined
  /** Whether a member's machine says that it is always on. */
  isAlwaysOn(peer: PeerId): boolean
  stop(): void
}

/** Publishes this machine's facts, serves `machine.*` to other members, and follows everybody's. */
export async function createMachineService(deps: MachineServiceDeps): Promise<Machines> {
  const configured: MachineFacts = { ...(await deps.probe.facts()), ...deps.configured }
  await publishOwnFacts(deps, configured)
  serveMachine(deps, configured)
  const directory = await watchMachines(deps)
  const context = { deps, directory }
  return {
    self: machineIdOf(deps.self),
    all: () => directory.all(),
    list: async (filter, page) => paginate(select(directory.all(), filter), page),
    get: async (id) => found(directory.find(id)),
    register: (actor, input) => register(context, actor, input),
    update: (actor, id, change) => update(context, actor, { id, change }),
    remove: (actor, id) => remove(context, actor, id),
    environment: (id) => environment(context, id),
    nodeOf: async (id) => nodeOf(directory, id),
    sessionNodeOf: async (id) => sessionNodeOf(directory, id),
    bridgeOf: (id) => directory.bridgeOf(id),
    regenerateToken: (actor, id) => regenerateToken(context, actor, id),
    nameOf: (peer) => directory.nameOf(peer),
    isAlwaysOn: (peer) => directory.isAlwaysOn(peer),
    stop: () => directory.stop(),
  }
}

type Context = { readonly deps: MachineServiceDeps; readonly directory: MachineDirectory }

async function publishOwnFacts({ documents, self, clock }: MachineServiceDeps, facts: MachineFacts): Promise<void> {
  const now = new Date(clock.wallMs()).toISOString()
  await writtenIfMember(documents.write(machineDoc(self), undefined, (state) => publishFacts(state, facts, now)))
}

function serveMachine({ rpc, documents, probe, self }: MachineServiceDeps, configured: MachineFacts): void {
  rpc.serve({
    name: 'machine.update',
    input: MachineChange,
    run: async (actor, change) => {
      if (!can(actor, 'machine:write')) return err(domainError('forbidden'))
      const changed = await written(
        documents.write(machineDoc(self), actor, (state) => changeFacts(state, configured, change)),
      )
      return changed.ok ? ok(changed.value.value) : changed
    },
  })
  rpc.serve({
    name: 'machine.environment',
    input: z.strictObject({}),
    run: async () => {
      const now: MachineFacts = { ...configured, ...(await probe.facts()) }
      return ok(await documents.read(machineDoc(self), (state) => effectiveFacts(state, now)))
    },
  })
}

const found = (machine: Machine | undefined): Result<Machine> =>
  machine ? ok(machine) : err(domainError('machine_not_found'))

function nodeOf(directory: MachineDirectory, id: string): Result<{ machineId: MachineId; peer: PeerId }> {
  const machine = directory.find(id)
  if (!machine) return err(domainError('machine_not_found'))
  if (machine.node) return ok({ machineId: machine.id, peer: machine.node })
  return err(machine.status === 'online' ? domainError('machine_unsupported') : offline(machine))
}

function sessionNodeOf(
  directory: MachineDirectory,
  id: string,
): Result<{ machineId: MachineId; peer: PeerId; isBridged: boolean }> {
  const machine = directory.find(id)
  if (!machine) return err(domainError('machine_not_found'))
  if (machine.node) return ok({ machineId: machine.id, peer: machine.node, isBridged: false })
  if (machine.status === 'offline' || !machine.bridge) return err(offline(machine))
  return ok({ machineId: machine.id, peer: machine.bridge, isBridged: true })
}

const offline = ({ offlineReason }: Machine): DomainError =>
  domainError('machine_offline', offlineReason === null ? {} : { message: `The machine is offline. ${offlineReason}` })

function select(
  machines: readonly Machine[],
  { search, status }: { search?: string; status?: MachineStatus },
): Machine[] {
  const text = search?.trim().toLowerCase() ?? ''
  return machines
    .filter((machine) => status === undefined || machine.status === status)
    .filter(({ name, hostname }) => [name, hostname].some((field) => field.toLowerCase().includes(text)))
    .sort((a, b) => a.name.localeCompare(b.name) || (a.id < b.id ? -1 : 1))
}

async function register(
  { deps, directory }: Context,
  actor: Actor,
  input: Partial<MachineFacts> & { name: string },
): Promise<Result<{ machine: Machine; token: string }>> {
  const { machineTokens, documents, random, clock } = deps
  if (!can(actor, 'machine:write') || !machineTokens) return err(domainError('forbidden'))
  const createdAt = new Date(clock.wallMs()).toISOString()
  const unknown = { ...unknownFacts(input.name), maxSessions: BRIDGED_SESSIONS_MAX_DEFAULT }
  const record = BridgedRecord.safeParse({ ...unknown, ...input, name: input.name.trim(), createdAt })
  if (!record.success) return err(inputError(record.error))
  const id = MachineId.parse(uuidFromRandom(random.bytes(16)))
  const issued = await machineTokens.issue(actor, id, record.data.name)
  if (!issued.ok) return issued
  const added = await written(documents.write(meshDoc, actor, (state) => writeBridged(state, id, record.data)))
  if (!added.ok) return added
  directory.refresh()
  const machine = found(directory.find(id))
  return machine.ok ? ok({ machine: machine.value, token: issued.value.token }) : machine
}

async function update(
  { deps, directory }: Context,
  actor: Actor,
  { id, change }: { id: string; change: Parameters<MachineService['update']>[2] },
): Promise<Result<Machine>> {
  if (!can(actor, 'machine:write')) return err(domainError('forbidden'))
  const machine = directory.find(id)
  if (!machine) return err(domainError('machine_not_found'))
  const checked = MachineChange.safeParse(change)
  if (!checked.success) return err(inputError(checked.error))
  if (!machine.node) {
    const changed = await written(
      deps.documents.write(meshDoc, actor, (state) => {
        // What its agent says of it is no part of what was registered.
        const record = readBridged(state).get(machine.id)
        if (record) writeBridged(state, machine.id, BridgedRecord.parse({ ...record, ...checked.data }))
      }),
    )
    if (!changed.ok) return changed
    directory.refresh()
    return found(directory.find(id))
  }
  const facts = await deps.rpc.call(machine.node, 'machine.update', {
    actor,
    input: checked.data,
    reply: MachineFactsRecord,
  })
  return facts.ok ? ok({ ...machine, ...facts.value }) : facts
}

async function remove({ deps, directory }: Context, actor: Actor, id: string): Promise<Result<null>> {
  const machine = directory.find(id)
  if (!can(actor, machine && !machine.node ? 'machine:write' : 'machine:admin')) return err(domainError('forbidden'))
  if (!machine) return err(domainError('machine_not_found'))
  if (machine.node) {
    const removed = await deps.removeMember(machine.node)
    return removed.ok ? ok(null) : removed
  }
  const revoked = await deps.machineTokens?.revokeAll(actor, machine.id)
  if (revoked && !revoked.ok) return revoked
  const at = new Date(deps.clock.wallMs()).toISOString()
  const gone = await written(deps.documents.write(meshDoc, actor, (state) => removeBridged(state, machine.id, at)))
  directory.refresh()
  return gone.ok ? ok(null) : gone
}

async function environment({ deps, directory }: Context, id: string): Promise<Result<MachineFacts>> {
  const machine = directory.find(id)
  // What its agent has stated is all there is to know.
  if (machine && !machine.node && machine.status === 'online') return ok(machine)
  const node = nodeOf(directory, id)
  if (!node.ok) return node
  const { self } = deps
  const actor: Actor = {
    kind: 'machine',
    id: machineIdOf(self),
    tokenId: `local:${self}`,
    abilities: ['machine:read'],
    gateway: self,
  }
  return deps.rpc.call(node.value.peer, 'machine.environment', { actor, input: {}, reply: MachineFactsRecord })
}

async function regenerateToken(
  { deps, directory }: Context,
  actor: Actor,
  id: string,
): Promise<Result<{ token: string }>> {
  if (!can(actor, 'machine:write') || !deps.machineTokens) return err(domainError('forbidden'))
  const machine = directory.find(id)
  if (!machine) return err(domainError('machine_not_found'))
  if (machine.node)
    return err(domainError('forbidden', { message: 'A member of the mesh has a key of its own and needs no token.' }))
  return deps.machineTokens.issue(actor, machine.id, machine.name)
}

/** Fields by the names the documents use. */
const WIRE_NAMES: Readonly<Record<string, string>> = {
  maxSessions: 'max_sessions',
  nodeVersion: 'node_version',
  rookeryVersion: 'agent_version',
  claudeVersion: 'claude_version',
  claudePath: 'claude_path',
}

function inputError(error: z.ZodError): DomainError {
  const issue = error.issues[0]
  const field = String(issue?.path[0] ?? 'name')
  return invalidField(WIRE_NAMES[field] ?? field, issue?.message ?? 'Not valid.')
}
