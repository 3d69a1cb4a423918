import type { Capability } from '../../crdt/capability.ts'
import type { PeerId } from '../../crdt/ids.ts'
import type { Audit } from '../ports/audit.ts'
import type { MachineProbe } from '../ports/machine-probe.ts'
import { hasCapability } from '../../protocols/membership/membership.ts'
import { createArgon2Hasher } from '../adapters/argon2-hasher.ts'
import { createLan } from '../adapters/lan.ts'
import { createMachineProbe } from '../adapters/machine-probe.ts'
import { pairingWords } from '../adapters/pairing-words.ts'
import type { Metrics } from '../ports/metrics.ts'
import { createAccountService, type Accounts } from '../services/accounts/account-service.ts'
import { createEventHub, type EventHub } from '../services/event-hub.ts'
import { serveJoins } from '../services/membership/join-service.ts'
import { openPendingCompletions, type PendingCompletions } from '../services/context/pending-completions.ts'
import { createLockService } from '../services/locks/lock-composition.ts'
import { createMachineService, type Machines } from '../services/machines/machine-service.ts'
import { createWakeService } from '../services/machines/wake-service.ts'
import { isEmptyMesh } from '../services/membership/mesh-service.ts'
import type { PairingService } from '../services/pairing/pairing.ts'
import { createPairingService, type PairingServiceDeps } from '../services/pairing/pairing-service.ts'
import { createPeersService, type PeersService } from '../services/membership/peers-service.ts'
import { createRecoveryService } from '../services/membership/recovery-service.ts'
import { createProjectService } from '../services/projects/project-service.ts'
import { createRpc, type RpcDeps } from '../services/rpc/rpc-service.ts'
import type { Rpc } from '../services/rpc/rpc.ts'
import type { Services } from '../services/services.ts'
import type { Commands } from '../services/commands/command-composition.ts'
import { createTaskService } from '../services/tasks/task-composition.ts'
import { watchAvailability } from '../services/voters/availability-watch.ts'
import { createElectorateService } from '../services/voters/electorate-service.ts'
import { hostName } from './config.ts'
import { goOnline } from './go-online.ts'
import { hasSessionEnded, hasSessionIn } from './hosted-sessions.ts'
import { meterMesh } from './mesh-metrics.ts'
import { meshServiceOf } from './mesh-status.ts'
import { openInsight } from './mesh-insight.ts'
import { openMcp } from './mesh-mcp.ts'
import { logMembers } from './member-log.ts'
import { openMeshCore, type Cleanup, type MeshCore, type MeshNodeDeps } from './mesh-core.ts'
import { openPrograms } from './mesh-programs.ts'
import { openSkills } from './mesh-skills.ts'
import { rookeryVersion } from './version.ts'

/** Everything of one mesh on this node, wired and running. */
export type MeshNode = {
  readonly core: MeshCore
  readonly services: Services
  /** True while nothing would be lost by leaving this mesh for another one. */
  isEmpty(): Promise<boolean>
  killSessions(): Promise<void>
  /** Says goodbye, makes everything durable and lets go. Sessions go on. */
  stop(): Promise<void>
}

/**
 * Opens the current mesh of the data directory and joins its network. When it throws, whatever was opened is closed.
 */
export async function openMeshNode(deps: MeshNodeDeps, meshName: string): Promise<MeshNode> {
  const cleanup: Cleanup = []
  const stop = (): Promise<void> => undoAll(cleanup)
  try {
    const core = await openMeshCore(deps, meshName, cleanup)
    const { services, accounts, commands } = await openServices(deps, core, cleanup)
    cleanup.push(meterMesh(deps, core, meshName), logMembers(core))
    await goOnline(core, deps.config, cleanup)
    // Before the network, too: that they have ended is for the others to know.
    cleanup.push(() => commands.endAll())
    return {
      core,
      services,
      isEmpty: async () => await isEmpty(core, accounts, services),
      killSessions: async () => {
        for (const { spec } of core.hosts.list()) await core.hosts.kill(spec.id)
      },
      stop,
    }
  } catch (error) {
    await stop().catch((failure: unknown) => deps.log.error({ err: failure }, 'what was opened could not be closed'))
    throw error
  }
}

/** One that fails does not keep the others from being undone, least of all the store from being closed. */
async function undoAll(cleanup: Cleanup): Promise<void> {
  const failures: unknown[] = []
  for (const undo of cleanup.toReversed()) {
    try {
      await undo()
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, 'the node did not stop cleanly')
}

type Opened = { readonly services: Services; readonly accounts: Accounts; readonly commands: Commands }

async function openServices(deps: MeshNodeDeps, core: MeshCore, cleanup: Cleanup): Promise<Opened> {
  const { means, self, membership, documents, network, hosts } = core
  const { config, audit, metrics } = deps
  const may = (peer: PeerId, capability: Capability): boolean => hasCapability(membership.current(), peer, capability)
  const events = createEventHub(means.log)
  const rpc = openRpc(core, audit, may)
  const probe = createMachineProbe(process.env, config.sessions.agents)
  const directory = await openDirectory(deps, core, { rpc, probe, events, cleanup })
  const { accounts, machines } = directory
  const wake = await createWakeService({ ...means, self, documents, machines, rpc, lan: createLan() })
  cleanup.push(() => wake.stop())
  const isWorkedIn = (paths: ReadonlyMap<PeerId, string>): boolean => hasSessionIn(hosts, paths.get(self))
  const projects = await createProjectService({ ...means, documents, machines, rpc, probe, events, isWorkedIn })
  cleanup.push(() => projects.stop())
  core.names.ask = (peer) => machines.nameOf(peer)
  const { sessions, commands, bridge } = await openPrograms(
    deps,
    core,
    { rpc, probe, events, machines, projects, may },
    cleanup,
  )
  // After the sessions: whether an agent of the last run is still there decides about what it held.
  const { completions, ...work } = await openWork(
    { core, rpc, projects, events, ttlMs: config.lease.ttlMs, metrics },
    cleanup,
  )
  followMembership(core, { events, tasks: work.tasks })
  serveJoins({ ...means, network, membership, addressOf: (peer) => hostOf(network.connectionOf(peer)?.address) })
  const governance = await openGovernance(core, machines, cleanup)
  const peers = peersServiceOf(core)
  const mcp = await openMcp(deps, core, { rpc, machines, events, projects, probe }, cleanup)
  const around = { projects, ...work, completions, sessions, events, rpc, probe }
  const insight = await openInsight(deps, core, around, cleanup)
  return {
    services: {
      ...directory,
      wake,
      projects,
      ...work,
      ...insight,
      sessions,
      bridge,
      commands,
      mcp,
      skills: openSkills(deps, core, { machines, projects, rpc, probe, events }, cleanup),
      peers,
      ...governance,
      events,
    },
    accounts,
    commands,
  }
}

function openRpc({ means, network, complaints }: MeshCore, audit: Audit, hasCapability: RpcDeps['hasCapability']): Rpc {
  return createRpc({
    ...means,
    network,
    hasCapability,
    onMisconduct: complaints.complain,
    onRequest: (from, action, actor, refused) =>
      audit.record({ action, actor, from, outcome: refused === undefined ? 'allowed' : 'denied' }),
  })
}

type PairingMeans = Pick<PairingServiceDeps, 'machines' | 'mesh' | 'rpc' | 'events'>

/** How machines that nobody knows are let in. */
function openPairing(
  { identity, tlsFingerprint }: MeshNodeDeps,
  { means, self, membership, presence, nameOf }: MeshCore,
  shared: PairingMeans,
  cleanup: Cleanup,
): PairingService {
  const pairing = createPairingService({
    ...means,
    ...shared,
    self,
    membership,
    presence,
    nameOf,
    hasCapability: (peer, capability) => hasCapability(membership.current(), peer, capability),
    boxSecretKey: identity.box.secretKey,
    tlsFingerprint,
    wordsOf: pairingWords,
  })
  cleanup.push(() => pairing.stop())
  return pairing
}

type Governance = Pick<Services, 'recovery' | 'voters' | 'electorate'>

/** Who decides: admins and voters, and what becomes of the mesh without them. */
async function openGovernance(core: MeshCore, machines: Machines, cleanup: Cleanup): Promise<Governance> {
  const { means, self, store, membership, presence, nameOf, leases } = core
  const members = (): Iterable<PeerId> => membership.current().members.keys()
  const availability = await watchAvailability({ ...means, self, store, members, presence })
  cleanup.push(() => availability.stop())
  const voters = leases.changes
  const shared = { ...means, self, membership, nameOf }
  const isAlwaysOn = (peer: PeerId): boolean => machines.isAlwaysOn(peer)
  const electorate = createElectorateService({ ...shared, voters, presence, availability, isAlwaysOn })
  return { recovery: createRecoveryService(shared), voters, electorate }
}

function followMembership(
  { membership, network, documents, leases, means }: MeshCore,
  { events, tasks }: { events: EventHub; tasks: Work['tasks'] },
): void {
  membership.onChange(() => {
    network.membersChanged()
    leases.membershipChanged()
    tasks.votersChanged()
    events.publish({ type: 'members.changed' })
    documents.membershipChanged().catch((error: unknown) => {
      means.log.error({ err: error }, 'what a member that has left keeps this node waiting for could not be saved')
    })
  })
}

type DirectoryMeans = {
  readonly rpc: Rpc
  readonly probe: MachineProbe
  readonly events: EventHub
  readonly cleanup: Cleanup
}

type Directory = Pick<Services, 'mesh' | 'pairing'> & { readonly accounts: Accounts; readonly machines: Machines }

/** Who and what is in the mesh, and how others get in: people, machines, members. */
async function openDirectory(
  deps: MeshNodeDeps,
  core: MeshCore,
  { rpc, probe, events, cleanup }: DirectoryMeans,
): Promise<Directory> {
  const { means, self, membership, documents, presence, leases } = core
  const { config } = deps
  const accounts = await createAccountService({
    ...means,
    self,
    documents,
    membership,
    boxSecretKey: deps.identity.box.secretKey,
    leases,
    hasher: createArgon2Hasher(),
    registration: config.registration,
    signIn: deps.signIn,
  })
  cleanup.push(() => accounts.stop())
  const known: { machines?: Machines } = {}
  const mesh = meshServiceOf(deps, core, { accounts, nameOf: (peer) => known.machines?.nameOf(peer) })
  const machines = await createMachineService({
    ...means,
    self,
    documents,
    membership,
    presence,
    rpc,
    probe,
    configured: {
      name: config.name ?? membership.current().members.get(self)?.name ?? hostName(),
      rookeryVersion: rookeryVersion(),
      capabilities: [],
      maxSessions: config.sessions.max,
      alwaysOn: config.alwaysOn,
    },
    machineTokens: accounts.machineTokens,
    removeMember: (peer) => mesh.remove(peer),
    events,
  })
  known.machines = machines
  cleanup.push(() => machines.stop())
  return { accounts, machines, mesh, pairing: openPairing(deps, core, { machines, mesh, rpc, events }, cleanup) }
}

type Work = Pick<Services, 'locks'> & {
  readonly tasks: ReturnType<typeof createTaskService>
  readonly completions: PendingCompletions
}

type WorkDeps = Pick<Services, 'projects' | 'events'> & {
  readonly core: MeshCore
  readonly rpc: Rpc
  readonly ttlMs: number
  readonly metrics: Metrics
}

async function openWork({ core, rpc, projects, events, ttlMs, metrics }: WorkDeps, cleanup: Cleanup): Promise<Work> {
  const { means, self, store, membership, documents, leases, presence, boot, nameOf } = core
  const hasEnded = (instance: string): boolean =>
    hasSessionEnded(core.hosts, instance) || hasSessionEnded(core.commandHosts, instance)
  const shared = { ...means, self, documents, leases, presence, events, rpc, projects, nameOf, ttlMs, hasEnded }
  const completions = await openPendingCompletions({ ...means, store })
  const tasks = createTaskService({ ...shared, completions })
  cleanup.push(() => tasks.stop())
  const isMember = (peer: PeerId): boolean => membership.current().members.has(peer)
  const locks = createLockService({ ...shared, store, boot, isMember, metrics })
  cleanup.push(() => locks.stop())
  await tasks.start()
  await locks.start()
  return { tasks, locks, completions }
}

function peersServiceOf({ means, self, membership, presence, network, nameOf }: MeshCore): PeersService {
  return createPeersService({
    ...means,
    self,
    membership: () => membership.current(),
    presence,
    ways: network,
    nameOf,
  })
}

async function isEmpty({ membership }: MeshCore, accounts: Accounts, { projects }: Services): Promise<boolean> {
  const users = await accounts.listUsers()
  return isEmptyMesh({
    members: membership.current().members.size,
    users: users.ok ? users.value.length : 1,
    projects: (await projects.all()).length,
  })
}

const hostOf = (address: string | undefined): string | undefined => address?.split('/')[2]
