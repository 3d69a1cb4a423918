import { domainError } from '../../../crdt/errors.ts'
import type { PeerId, ProjectId } from '../../../crdt/ids.ts'
import { err, ok } from '../../../crdt/result.ts'
import { nextBoot } from '../../../node/cli/remembered.ts'
import type { Clock } from '../../../node/ports/clock.ts'
import type { FeedStore } from '../../../node/ports/feed-store.ts'
import type { Log } from '../../../node/ports/log.ts'
import type { Random } from '../../../node/ports/random.ts'
import { createEventHub } from '../../../node/services/event-hub.ts'
import { createDocuments, type DocumentsService } from '../../../node/services/feeds/documents-service.ts'
import type { ReceiveOutcome } from '../../../node/services/feeds/feed-exchange.ts'
import type { LeaseService } from '../../../node/services/leases/lease-service.ts'
import { createLiveLocks, type LiveLocks } from '../../../node/services/locks/lock-live.ts'
import { serveJoins } from '../../../node/services/membership/join-service.ts'
import { loadMembership, type MembershipService } from '../../../node/services/membership/membership-service.ts'
import { createMeshService, type MeshService } from '../../../node/services/membership/mesh-service.ts'
import { createPresence, type PresenceService } from '../../../node/services/sync/presence-service.ts'
import { createSync, type SyncService } from '../../../node/services/sync/sync-service.ts'
import { createTaskService, type RunningTaskService } from '../../../node/services/tasks/task-composition.ts'
import { writtenIfMember } from '../../../node/services/written.ts'
import { isFullMesh } from '../../../protocols/neighbours.ts'
import type { Membership } from '../../../protocols/membership/membership.ts'
import type { Signer } from '../../../protocols/crypto.ts'
import { plainProject } from '../../support/plain-project.ts'
import type { SimKeys } from './keys.ts'
import type { MemberNetwork } from './member-network.ts'

export type Means = {
  readonly crypto: SimKeys
  readonly signer: Signer
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly store: FeedStore
  readonly join: (membership: () => Membership) => MemberNetwork
}

export type Observer = {
  readonly received: (outcome: ReceiveOutcome, from: PeerId) => void
  readonly opened: (documents: DocumentsService) => void
}

/** The services of one process that carry replicated data. */
export type NodeServices = {
  readonly boot: number
  readonly membership: MembershipService
  readonly documents: DocumentsService
  readonly network: MemberNetwork
  readonly mesh: MeshService
  readonly tasks: RunningTaskService
  readonly live: LiveLocks
  readonly presence: PresenceService
  readonly sync: SyncService
  stop(): Promise<void>
}

/** Wired as `node/cli` wires them, without what needs a machine: sessions, projects, accounts and leases. */
export async function openServices(means: Means, observer: Observer): Promise<NodeServices> {
  const { store, log } = means
  const membership = await loadMembership(means)
  if (!membership) throw new Error('the store has no membership log')
  const { mesh } = membership
  const boot = await nextBoot(store)
  const documents = await createDocuments({ ...means, membership: () => membership.current() })
  observer.opened(documents)
  const network = means.join(() => membership.current())
  const presence = createPresence({
    ...means,
    mesh,
    network,
    members: () => membership.current().members,
    leases: () => [],
    sessions: () => 0,
  })
  const receive: DocumentsService['receive'] = async (envelopes, from) => {
    const outcome = await documents.receive(envelopes, from)
    observer.received(outcome, from)
    return outcome
  }
  const sync = createSync({
    ...means,
    network,
    feeds: { ...documents, receive },
    membership,
    presence,
    ...(network.addresses && { addresses: network.addresses }),
    passesOn: () => !isFullMesh(membership.current().members),
    onMismatch: (doc) => {
      log.warn({ doc }, 'this replica differs from another one with the same feeds: rebuilding it')
      documents.rebuild(doc).catch((error: unknown) => log.error({ err: error, doc }, 'a rebuild failed'))
    },
  })
  const work = await openWork(means, { documents, presence, boot })
  followMembership({ membership, network, documents, log })
  serveJoins({ ...means, network, membership, addressOf: () => undefined })
  network.start()
  sync.start()
  await presence.start()
  const stop = async (): Promise<void> => {
    presence.stop()
    await sync.stop()
    work.tasks.stop()
    await documents.close()
    await store.close()
  }
  return {
    boot,
    membership,
    documents,
    network,
    mesh: openMesh(means, { membership, documents, presence }),
    ...work,
    presence,
    sync,
    stop,
  }
}

type Shared = Pick<NodeServices, 'documents' | 'presence' | 'boot'>

async function openWork(
  { crypto, signer, clock, random, log }: Means,
  { documents, presence, boot }: Shared,
): Promise<Pick<NodeServices, 'tasks' | 'live'>> {
  const self = signer.peer
  const tasks = createTaskService({
    documents,
    presence,
    clock,
    random,
    log,
    self,
    crypto,
    events: createEventHub(log),
    leases: NO_LEASES,
    rpc: { serve: () => undefined, call: async () => err(domainError('machine_offline')) },
    projects: { get: async (id) => ok(plainProject(id as ProjectId)) },
    nameOf: (peer) => peer,
    hasEnded: () => false,
    completions: { begin: async () => undefined, end: async () => undefined },
  })
  await tasks.start()
  const live = createLiveLocks({
    documents,
    self,
    boot,
    log,
    kept: { save: async () => undefined },
    onWritten: async () => undefined,
  })
  await writtenIfMember(live.start())
  return { tasks, live }
}

/** As `node/cli/mesh-node.ts` does. */
function followMembership({
  membership,
  network,
  documents,
  log,
}: {
  membership: MembershipService
  network: MemberNetwork
  documents: DocumentsService
  log: Log
}): void {
  membership.onChange(() => {
    network.membersChanged()
    documents.membershipChanged().catch((error: unknown) => {
      log.error({ err: error }, 'what a member that has left keeps this node waiting for could not be saved')
    })
  })
}

function openMesh(
  { crypto, signer, clock, random }: Means,
  { membership, documents, presence }: Pick<NodeServices, 'membership' | 'documents' | 'presence'>,
): MeshService {
  return createMeshService({
    self: signer.peer,
    membership,
    presence,
    leases: { voters: () => [] },
    crypto,
    clock,
    random,
    keyFromSeed: crypto.keyFromSeed,
    addresses: () => [],
    connectionOf: () => undefined,
    feedHeads: (peer) => documents.headsOf(peer),
    documents: async () => [],
    http: () => null,
    setupCode: () => undefined,
    problemOf: () => null,
    problems: () => [],
  })
}

/** The lease simulator is about claims; here nobody gets one. */
const NO_LEASES: LeaseService = {
  acquire: async () => err({ why: 'no_quorum', missing: [] }),
  isValid: () => false,
  find: () => undefined,
  release: async () => undefined,
  settled: async () => undefined,
  extend: () => false,
  onEnd: () => () => undefined,
  held: () => [],
  resume: async () => false,
  discard: () => undefined,
  verified: () => undefined,
  voters: () => [],
}
