import { mkdir } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import type { MeshId, PeerId } from '../../crdt/ids.ts'
import { isFullMesh, neighboursIn } from '../../protocols/neighbours.ts'
import { hasCapability } from '../../protocols/membership/membership.ts'
import type { Crypto, Signer } from '../../protocols/crypto.ts'
import type { DataDirectory } from '../adapters/data-directory.ts'
import { openLeaseJournal } from '../adapters/lease-journal.ts'
import { damaged } from '../adapters/level-db.ts'
import { type LevelStore, openLevelStore } from '../adapters/level-store.ts'
import { createBridgedHosts } from '../adapters/bridged/bridged-hosts.ts'
import { joinHosts } from '../adapters/bridged/joined-hosts.ts'
import { createSessionHosts } from '../adapters/session-hosts.ts'
import { systemClock } from '../adapters/system-clock.ts'
import { systemRandom } from '../adapters/system-random.ts'
import type { Libp2pNetwork } from '../p2p/libp2p-network.ts'
import { createPeerNetwork } from '../p2p/network.ts'
import type { Audit } from '../ports/audit.ts'
import type { Clock } from '../ports/clock.ts'
import type { FeedStore } from '../ports/feed-store.ts'
import type { Log } from '../ports/log.ts'
import type { Metrics } from '../ports/metrics.ts'
import type { Random } from '../ports/random.ts'
import type { BridgedHosts } from '../ports/agent-link.ts'
import type { AnySpec, SessionHosts } from '../ports/session-host.ts'
import type { SignInMeans } from '../services/accounts/account-context.ts'
import { meterLeases } from '../services/claims/lease-meter.ts'
import { meterFeeds } from '../services/feeds/feed-meter.ts'
import { createDocuments, type DocumentsService } from '../services/feeds/documents-service.ts'
import { createLeaseService, type RunningLeaseService } from '../services/leases/lease-holder.ts'
import { openLeaseVoter, type LeaseVoter } from '../services/leases/lease-voter.ts'
import { createVoterLog } from '../services/leases/voter-log.ts'
import { createComplaints, type Complaints } from '../services/membership/complaints.ts'
import { watchContacts, type Contacts } from '../services/membership/contact-watch.ts'
import { loadMembership, type MembershipService } from '../services/membership/membership-service.ts'
import { createPresence, type PresenceService } from '../services/sync/presence-service.ts'
import { createRestoredService } from '../services/sync/restored-service.ts'
import { createSync, type SyncService } from '../services/sync/sync-service.ts'
import type { Config } from './config.ts'
import type { Identity } from './identity.ts'
import { journalFile, storeDir } from './mesh-files.ts'
import { freeListenAddresses, nextBoot, rememberedAddresses, rememberedPort } from './remembered.ts'
import { packageRoot, rookeryVersion } from './version.ts'

export type MeshNodeDeps = {
  readonly data: DataDirectory
  readonly identity: Identity
  readonly config: Config
  readonly log: Log
  readonly audit: Audit
  readonly metrics: Metrics
  /** Base address of the gateway, once there is one. */
  readonly http: () => string | null
  readonly signIn: SignInMeans
  /** SHA-256 of the gateway's own TLS certificate, if it has one. */
  readonly tlsFingerprint: () => string | null
  /** This node may write again: what it left out meanwhile is done by starting anew. */
  readonly onRestored: () => void
  /** The disk of the voter's journal failed: the process must end, since it no longer knows what it promised. */
  readonly onFatal: (cause: Error) => void
}

/** What has to be undone when the node stops, in the order in which it was done. */
export type Cleanup = (() => Promise<unknown> | void)[]

/** What every service is given. */
export type Means = {
  readonly crypto: Crypto
  readonly signer: Signer
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** The mesh below the services: who is in it, what is replicated, who holds what, who is there. */
export type MeshCore = {
  readonly means: Means
  readonly mesh: MeshId
  readonly self: PeerId
  /** Counts the starts of this node, durably. */
  readonly boot: number
  readonly store: LevelStore
  readonly membership: MembershipService
  readonly documents: DocumentsService
  readonly network: Libp2pNetwork
  readonly leases: RunningLeaseService
  readonly voter: LeaseVoter
  /** What people call a member: its machine's own name once that is known, else the one it joined with. */
  readonly nameOf: (peer: PeerId) => string
  /** Whoever knows the machines says so here. */
  readonly names: { ask: (peer: PeerId) => string | undefined }
  /** What parts that are opened later find wrong with themselves, in words; undefined: nothing. */
  readonly problems: (() => string | undefined)[]
  /** Of sessions, those of bridged machines, too. */
  readonly hosts: SessionHosts<AnySpec>
  readonly bridgedHosts: BridgedHosts
  /** Of commands: they end with the node. */
  readonly commandHosts: SessionHosts
  readonly presence: PresenceService
  readonly contacts: Contacts
  readonly complaints: Complaints
  readonly sync: SyncService
  /** Asks the others what this node has signed, while that is not known. */
  readonly restored: ReturnType<typeof createRestoredService>
}

export async function openMeshCore(deps: MeshNodeDeps, meshName: string, cleanup: Cleanup): Promise<MeshCore> {
  const { identity, log } = deps
  const means = { crypto: identity.crypto, signer: identity.signer, clock: systemClock, random: systemRandom, log }
  const folder = deps.data.meshDir(meshName)
  const store = await openLevelStore(storeDir(folder))
  cleanup.push(() => store.close())
  const membership = await loadMembership({ ...means, store })
  if (!membership) throw damaged(storeDir(folder), new Error('no membership log'))
  const { mesh } = membership
  const boot = await nextBoot(store)
  const documents = await createDocuments({ ...means, store, membership: () => membership.current() })
  cleanup.push(() => documents.close())
  cleanup.push(documents.restoration.onEnd(deps.onRestored))
  const complaints = createComplaints(systemClock)
  const hubs = (): ReadonlySet<PeerId> => new Set(leases.voters())
  const neighbours = neighboursIn(identity.signer.peer, () => membership.current(), hubs)
  const network = await openNetwork({ ...deps, membership, store, complaints, neighbours })
  const voter = await openOwnVoter({ ...deps, means, folder, membership, network }, cleanup)
  const names: MeshCore['names'] = { ask: () => undefined }
  const nameOf = (peer: PeerId): string => names.ask(peer) ?? membership.current().members.get(peer)?.name ?? peer
  const running = createLeaseService({
    ...means,
    network,
    membership: () => membership.current(),
    voterLog: createVoterLog(membership),
    nameOf,
    isOnline: (peer) => presence.state(peer) === 'online',
    timings: { ttlMs: deps.config.lease.ttlMs, holdMs: deps.config.lease.holdMs },
    boot,
    reached: (position, signal) => documents.reached(position, signal),
    voter,
  })
  cleanup.push(() => running.close())
  const leases = meterLeases(running, { metrics: deps.metrics, clock: systemClock })
  const hosting = openHosts(deps, cleanup)
  const presence = createPresence({
    ...means,
    mesh,
    store,
    network,
    members: () => membership.current().members,
    leases: () => leases.held().map(({ leaseId }) => leaseId),
    sessions: () => hosting.hosts.list().length,
    ttlMs: deps.config.lease.ttlMs,
  })
  const { peer: self } = identity.signer
  const rest = { means, mesh, self, boot, store, membership, documents, network, leases, voter, presence, ...hosting }
  const members = (): Iterable<PeerId> => membership.current().members.keys()
  const restored = createRestoredService({ ...means, mesh, self, network, documents, presence, members })
  const core = { ...rest, restored, complaints, names, nameOf, problems: [] }
  return { ...core, ...(await openSync(deps, core, cleanup)) }
}

type HostedHere = Pick<MeshCore, 'hosts' | 'bridgedHosts' | 'commandHosts'>

/** What sessions and commands run under. Those of sessions outlive the node. */
function openHosts({ data, log }: MeshNodeDeps, cleanup: Cleanup): HostedHere {
  // Agents ask the node by `rookery`, also where whoever started it said scripts/rookery.
  const path = [process.env.PATH, join(packageRoot(), 'scripts')].filter(Boolean).join(delimiter)
  const open = (folder: string): SessionHosts => {
    const hosts = createSessionHosts({ dataDir: data.path, folder, log, environment: { ...process.env, PATH: path } })
    cleanup.push(() => hosts.close())
    return hosts
  }
  const bridgedHosts = createBridgedHosts({ dataDir: data.path, log })
  cleanup.push(() => bridgedHosts.close())
  return { hosts: joinHosts(open('sessions'), bridgedHosts), bridgedHosts, commandHosts: open('executions') }
}

/** What keeps this node the same as the others, and knows how long it has not been compared with them. */
async function openSync(
  { config, metrics }: MeshNodeDeps,
  core: Omit<MeshCore, 'contacts' | 'sync'>,
  cleanup: Cleanup,
): Promise<Pick<MeshCore, 'contacts' | 'sync'>> {
  const { means, membership, documents, network, leases, complaints } = core
  const { log } = means
  const contacts = await watchContacts({
    ...means,
    ...core,
    membership: () => membership.current(),
    voters: () => leases.voters(),
    limitMs: config.sessions.staleAfterMs,
  })
  cleanup.push(() => contacts.stop())
  const sync = createSync({
    ...means,
    ...core,
    feeds: meterFeeds(documents, metrics),
    metrics,
    busyMs: () => {
      const { user, system } = process.threadCpuUsage()
      return (user + system) / 1000
    },
    passesOn: () => !isFullMesh(membership.current().members),
    addresses: network,
    onHeard: (peer) => contacts.heard(peer),
    onMisconduct: complaints.complain,
    onMismatch: (doc) => {
      log.warn({ doc }, 'this replica differs from another one with the same feeds: rebuilding it')
      documents.rebuild(doc).catch((error: unknown) => log.error({ err: error, doc }, 'a rebuild failed'))
    },
  })
  return { contacts, sync }
}

type NetworkDeps = MeshNodeDeps & {
  readonly membership: MembershipService
  readonly store: FeedStore
  readonly complaints: Complaints
  readonly neighbours: () => ReadonlySet<PeerId>
}

async function openNetwork(deps: NetworkDeps): Promise<Libp2pNetwork> {
  const { identity, config, log, membership, store, complaints, neighbours } = deps
  return await createPeerNetwork({
    seed: identity.seed,
    mesh: membership.mesh,
    listen: await freeListenAddresses(config.p2p.listen, await rememberedPort(store), log),
    mdns: config.p2p.mdns,
    relay: config.p2p.relay,
    dht: config.p2p.dht,
    isMember: (peer) => membership.current().members.has(peer),
    isRemoved: (peer) => membership.current().removed.has(peer),
    mayOpen: (peer, policy) =>
      policy.who === 'anyone' ||
      policy.capability === undefined ||
      hasCapability(membership.current(), peer, policy.capability),
    knownAddresses: rememberedAddresses(store, log),
    neighbours,
    agent: `rookery/${rookeryVersion()}`,
    clock: systemClock,
    log,
    onMisconduct: complaints.complain,
  })
}

type VoterSurroundings = Pick<MeshNodeDeps, 'log' | 'onFatal'> & {
  readonly means: Means
  readonly folder: string
  readonly membership: MembershipService
  readonly network: Libp2pNetwork
}

/** The voter of this node: every node has one, which stands ready until the mesh names it. */
async function openOwnVoter(
  { means, folder, membership, network, log, onFatal }: VoterSurroundings,
  cleanup: Cleanup,
): Promise<LeaseVoter> {
  const file = journalFile(folder)
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  const journal = await openLeaseJournal(file, { log, onFailure: onFatal })
  cleanup.push(() => journal.close())
  const voter = await openLeaseVoter({ ...means, network, journal, membership: () => membership.current() })
  cleanup.push(() => voter.close())
  return voter
}
