import type { PeerId } from '../../crdt/ids.ts'
import { hasCapability } from '../../protocols/membership/membership.ts'
import { createArgon2Hasher } from '../adapters/argon2-hasher.ts'
import { createMachineProbe } from '../adapters/machine-probe.ts'
import { createSigner } from '../adapters/node-crypto.ts'
import { createAccountService, type Accounts } from '../services/account-service.ts'
import { createEventHub } from '../services/event-hub.ts'
import { serveJoins } from '../services/join-service.ts'
import { createLockService } from '../services/lock-composition.ts'
import { createMachineService, type Machines } from '../services/machine-service.ts'
import { createMeshService, isEmptyMesh } from '../services/mesh-service.ts'
import type { MeshService } from '../services/mesh-service.ts'
import { createProjectService } from '../services/project-service.ts'
import { createRpc } from '../services/rpc-service.ts'
import type { Rpc } from '../services/rpc.ts'
import type { Services } from '../services/services.ts'
import { createSessionService } from '../services/session-composition.ts'
import { createTaskService } from '../services/task-composition.ts'
import { openMeshCore, type Cleanup, type MeshCore, type MeshNodeDeps } from './mesh-core.ts'
import { rememberPort } from './remembered.ts'
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
  const stop = async (): Promise<void> => {
    for (const undo of cleanup.toReversed()) await undo()
  }
  try {
    const core = await openMeshCore(deps, meshName, cleanup)
    const { services, accounts } = await openServices(deps, core, cleanup)
    await goOnline(core, cleanup)
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
    await stop()
    throw error
  }
}

async function goOnline({ network, store, sync, presence }: MeshCore, cleanup: Cleanup): Promise<void> {
  await network.start()
  cleanup.push(() => network.stop())
  await rememberPort(store, network.addresses())
  sync.start()
  await presence.start()
  cleanup.push(() => presence.stop())
}

async function openServices(
  deps: MeshNodeDeps,
  core: MeshCore,
  cleanup: Cleanup,
): Promise<{ services: Services; accounts: Accounts }> {
  const { means, self, membership, documents, network, leases, presence, hosts } = core
  const { config, audit } = deps
  const may = (peer: PeerId, capability: Parameters<typeof hasCapability>[2]): boolean =>
    hasCapability(membership.current(), peer, capability)
  const events = createEventHub(means.log)
  const rpc = createRpc({
    ...means,
    network,
    hasCapability: may,
    onRequest: (from, action, actor, refused) =>
      audit.record({ action, actor, from, outcome: refused === undefined ? 'allowed' : 'denied' }),
  })
  const probe = createMachineProbe(process.env)
  const accounts = await createAccountService({
    ...means,
    self,
    documents,
    membership,
    boxSecretKey: deps.identity.box.secretKey,
    leases,
    hasher: createArgon2Hasher(),
    registration: config.registration,
  })
  cleanup.push(() => accounts.stop())
  const known: { machines?: Machines } = {}
  const nameOf = (peer: PeerId): string | undefined => known.machines?.nameOf(peer)
  const mesh = meshServiceOf(deps, core, { accounts, nameOf })
  const machines = await createMachineService({
    ...means,
    self,
    documents,
    membership,
    presence,
    rpc,
    probe,
    configured: {
      name: config.name,
      rookeryVersion: rookeryVersion(),
      capabilities: [],
      maxSessions: config.sessions.max,
    },
    machineTokens: accounts.machineTokens,
    removeMember: (peer) => mesh.remove(peer),
    events,
  })
  known.machines = machines
  cleanup.push(() => machines.stop())
  const projects = await createProjectService({ ...means, documents, machines, rpc, probe, events })
  cleanup.push(() => projects.stop())
  const work = await openWork({ core, rpc, projects, events, nameOf, ttlMs: config.lease.ttlMs }, cleanup)
  const sessions = await createSessionService({
    ...means,
    documents,
    membership,
    machines,
    rpc,
    network,
    hosts,
    probe,
    events,
    audit,
    hasCapability: may,
    refusal: ({ from }) =>
      from === self || config.sessions.remote
        ? undefined
        : 'This machine takes no sessions from others (sessions.remote).',
  })
  cleanup.push(() => sessions.stop())
  membership.onChange((current, previous) => {
    network.membersChanged()
    work.tasks.votersChanged()
    events.publish({ type: 'members.changed' })
    if (current.removed.size !== previous.removed.size) void documents.membershipChanged()
  })
  serveJoins({ ...means, network, membership, addressOf: (peer) => hostOf(network.connectionOf(peer)?.address) })
  return { services: { accounts, machines, projects, ...work, sessions, mesh, events }, accounts }
}

type Work = Pick<Services, 'locks'> & { readonly tasks: ReturnType<typeof createTaskService> }

type WorkDeps = Pick<Services, 'projects' | 'events'> & {
  readonly core: MeshCore
  readonly rpc: Rpc
  readonly nameOf: (peer: PeerId) => string | undefined
  readonly ttlMs: number
}

async function openWork({ core, rpc, projects, events, ttlMs, ...names }: WorkDeps, cleanup: Cleanup): Promise<Work> {
  const { means, self, membership, documents, leases, presence, boot } = core
  const nameOf = (peer: PeerId): string => names.nameOf(peer) ?? membership.current().members.get(peer)?.name ?? peer
  const shared = { ...means, self, documents, leases, presence, events, rpc, projects, nameOf, ttlMs }
  const tasks = createTaskService(shared)
  cleanup.push(() => tasks.stop())
  const locks = createLockService({ ...shared, boot })
  cleanup.push(() => locks.stop())
  await tasks.start()
  await locks.start()
  return { tasks, locks }
}

function meshServiceOf(
  deps: MeshNodeDeps,
  core: MeshCore,
  { accounts, nameOf }: { accounts: Accounts; nameOf: (peer: PeerId) => string | undefined },
): MeshService {
  const { means, self, membership, presence, leases, network, documents, sync, voter } = core
  return createMeshService({
    ...means,
    self,
    membership,
    presence,
    leases,
    nameOf,
    keyFromSeed: createSigner,
    addresses: () => network.addresses(),
    connectionOf: (peer) => network.connectionOf(peer),
    feedHeads: (peer) => documents.headsOf(peer),
    documents: async () =>
      documents
        .info()
        .map(({ doc, authors, envelopes, waiting }) => ({ id: doc, authors, envelopes, pending: waiting })),
    http: deps.http,
    setupCode: () => accounts.setupCode(),
    problemOf: (peer) => sync.problems().get(peer) ?? documents.frozen().get(peer) ?? null,
    problems: () => [voter?.problem()].filter((problem) => problem !== undefined),
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
