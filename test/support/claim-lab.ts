import type { Actor } from '../../crdt/actor.ts'
import type { DomainEvent } from '../../crdt/domain-event.ts'
import type { MeshId, PeerId } from '../../crdt/ids.ts'
import { ProjectId } from '../../crdt/ids.ts'
import type { Project, ProjectSettings, RepositoryIdentity } from '../../crdt/project.ts'
import { DEFAULT_PROJECT_SETTINGS } from '../../crdt/project.ts'
import { domainError } from '../../crdt/errors.ts'
import { err, ok } from '../../crdt/result.ts'
import { createDocuments, type DocumentsService } from '../../node/services/feeds/documents-service.ts'
import { createEventHub, type EventHub } from '../../node/services/event-hub.ts'
import { createLeaseService } from '../../node/services/leases/lease-holder.ts'
import { openLeaseVoter, prepareVoterJournal } from '../../node/services/leases/lease-voter.ts'
import type { VoterLog } from '../../node/services/leases/voter-change.ts'
import { createLockService, type RunningLockService } from '../../node/services/locks/lock-composition.ts'
import type { Rpc } from '../../node/services/rpc/rpc.ts'
import type { Presence } from '../../node/services/sync/presence.ts'
import { openPendingCompletions } from '../../node/services/context/pending-completions.ts'
import { createRpc } from '../../node/services/rpc/rpc-service.ts'
import { createTaskService, type RunningTaskService } from '../../node/services/tasks/task-composition.ts'
import { encodeCanonical } from '../../protocols/codec.ts'
import { pack, Signatures } from '../../protocols/lease/signing.ts'
import type { Member, Membership } from '../../protocols/membership/membership.ts'
import { createManualClock, settle, type ManualClock } from './clock.ts'
import { plainProject } from './plain-project.ts'
import { createSeededRandom, crypto, identity } from './identity.ts'
import { createRecordedLog } from './log.ts'
import { createSimDisk, type SimDisk } from './lease-sim-journal.ts'
import { createMemoryNetwork } from './memory-network.ts'
import { createMemoryStore } from './memory-store.ts'

const MESH = 'ab'.repeat(32) as MeshId
export const PROJECT = ProjectId.parse('00000000-0000-4000-8000-000000000001')

/** What the services under test say of the mesh, changed by assignment. */
export type LabProject = {
  id: ProjectId
  repository: RepositoryIdentity | null
  isDeleted: boolean
  settings?: Partial<ProjectSettings>
}

export type LabNode = {
  readonly peer: PeerId
  readonly documents: DocumentsService
  readonly store: ReturnType<typeof createMemoryStore>
  /** Of its voter's journal. */
  readonly disk: SimDisk
  readonly leases: ReturnType<typeof createLeaseService>
  readonly tasks: RunningTaskService
  readonly locks: RunningLockService
  readonly rpc: Rpc
  readonly events: EventHub
  readonly told: DomainEvent[]
  readonly log: ReturnType<typeof createRecordedLog>
  /** Somebody with a token of their own, at this node's gateway. */
  actor(token: string, abilities?: readonly string[]): Actor
}

/**
 * Real documents, leases, voters, calls, tasks and locks of several nodes over the memory network and one clock.
 * Envelopes travel at once between connected nodes.
 */
export class ClaimLab {
  readonly clock: ManualClock = createManualClock()
  readonly nodes: LabNode[] = []
  readonly projects: LabProject[] = [{ id: PROJECT, repository: null, isDeleted: false }]
  /** Nodes that are neither heard nor reached. */
  readonly cut = new Set<PeerId>()
  /** Nodes that envelopes do not reach, while everything else does. */
  readonly deaf = new Set<PeerId>()
  /** Agents that every node knows to have ended. */
  readonly ended = new Set<string>()
  /** Ordered pairs of nodes, `<from> <to>`, between which nothing passes. */
  readonly #split = new Set<string>()
  readonly #network = createMemoryNetwork()
  readonly #heartbeats = new Map<PeerId, Heartbeats>()
  readonly #boots = new Map<number, number>()
  readonly #crashed = new Map<LabNode, LabNode['store']>()
  #membership: Membership | undefined

  /** `voters` of the nodes vote, the first ones. */
  static async create({ nodes = 2, voters = 1 }: { nodes?: number; voters?: number } = {}): Promise<ClaimLab> {
    const lab = new ClaimLab()
    const disks = Array.from({ length: nodes }, () => createSimDisk())
    const incs = await Promise.all(
      disks.slice(0, voters).map((disk, n) => prepareVoterJournal(disk.open(), createSeededRandom(n + 50))),
    )
    const founder = identity(0)
    const config = new Signatures({ crypto, signer: founder }).sign('config', {
      v: 1 as const,
      space: MESH,
      epoch: 1,
      voters: incs.map((inc, n) => ({ node: identity(n).peer, inc })),
      prev: null,
      by: founder.peer,
    })
    const leaseConfig = encodeCanonical(pack(config))
    const members = new Map<PeerId, Member>()
    const capabilities = new Set(['store', 'control', 'run', 'gateway', 'vote'] as const)
    for (let n = 0; n < nodes; n++) {
      const { peer } = identity(n)
      members.set(peer, { peer, name: `node ${n}`, boxKey: new Uint8Array(32), capabilities, seniority: n })
    }
    lab.#membership = {
      mesh: MESH,
      founder: founder.peer,
      members,
      removed: new Map(),
      invites: new Map(),
      leaseConfig,
      voterSets: [],
      voterFaults: [],
      recoveryKeys: [],
      voided: new Set(),
      heads: [],
    }
    for (const [n, disk] of disks.entries()) lab.nodes.push(await lab.#start(n, disk))
    for (const a of lab.nodes) for (const b of lab.nodes) if (a !== b) lab.#network.connect(a.peer, b.peer)
    await lab.sync()
    return lab
  }

  /** The node dies: nobody hears or reaches it any more. */
  disconnect(node: LabNode): void {
    this.cut.add(node.peer)
    for (const other of this.nodes) if (other !== node) this.#network.disconnect(node.peer, other.peer)
  }

  async reconnect(...nodes: readonly LabNode[]): Promise<void> {
    for (const { peer } of nodes) this.cut.delete(peer)
    for (const { peer } of nodes) {
      for (const other of this.nodes) {
        if (other.peer !== peer && this.#reaches(peer, other.peer)) this.#network.connect(peer, other.peer)
      }
    }
    await this.sync()
  }

  /** Cuts the mesh: nothing passes between nodes of different groups. Replaces an earlier cut. */
  async split(...groups: readonly (readonly LabNode[])[]): Promise<void> {
    const groupOf = (node: LabNode): number => groups.findIndex((group) => group.includes(node))
    this.#split.clear()
    for (const a of this.nodes) {
      for (const b of this.nodes) {
        if (a === b || groupOf(a) === groupOf(b)) continue
        this.#split.add(`${a.peer} ${b.peer}`)
        this.#network.disconnect(a.peer, b.peer)
      }
    }
    await this.reconnect(...this.nodes)
  }

  /** Everybody reaches everybody again, and knows what the others wrote. */
  async heal(): Promise<void> {
    await this.split(this.nodes)
  }

  /** The membership log takes a member out; what it wrote stays until somebody cuts it off. */
  async expel(node: LabNode): Promise<void> {
    const before = this.#membership
    if (!before) throw new Error('no membership yet')
    this.disconnect(node)
    this.#membership = { ...before, members: new Map([...before.members].filter(([peer]) => peer !== node.peer)) }
    for (const { events } of this.nodes) events.publish({ type: 'members.changed' })
    await settle()
  }

  /** The process of a node dies; only what was durable is left. */
  async crash(node: LabNode): Promise<void> {
    if (this.#crashed.has(node)) return
    this.disconnect(node)
    await stop(node)
    node.disk.crash()
    this.#crashed.set(node, node.store.crash())
  }

  /** The process of a node starts again; one that still lives dies first. */
  async restart(n: number): Promise<LabNode> {
    const old = this.nodes[n]
    if (!old) throw new Error(`no node ${n}`)
    await this.crash(old)
    const boot = (this.#boots.get(n) ?? 1) + 1
    this.#boots.set(n, boot)
    const node = await this.#start(n, old.disk, { store: this.#crashed.get(old) ?? old.store, boot })
    this.nodes[n] = node
    await this.reconnect(node)
    return node
  }

  /**
   * Brings everything that was written to everybody who can be reached. Everybody sends before anybody has received: what
   * one decides on hearing of another crosses with what the other decides on hearing of the one.
   */
  async sync(): Promise<void> {
    const pairs = this.nodes.flatMap((from) => this.nodes.flatMap((to) => (from === to ? [] : [{ from, to }])))
    // As often as there are nodes: then what the first knew has come to the last, through all the others.
    for (const _ of this.nodes) {
      const parcels = await Promise.all(pairs.map(async (pair) => ({ ...pair, bytes: await this.#missing(pair) })))
      if (parcels.every(({ bytes }) => bytes.length === 0)) break
      await Promise.all(parcels.map(({ from, to, bytes }) => to.documents.receive(bytes, from.peer)))
    }
    await settle()
  }

  /** One heartbeat of every reachable node. */
  beat(): void {
    for (const { peer, leases } of this.nodes) {
      const beat = { atMs: this.clock.monoMs(), leases: new Set(leases.held().map(({ leaseId }) => leaseId)) }
      for (const to of this.nodes)
        if (to.peer === peer || this.#reaches(to.peer, peer)) this.#heart(to.peer).hear(peer, beat)
    }
  }

  /** Time passes, with a heartbeat every five seconds. */
  async pass(ms: number): Promise<void> {
    for (let rest = ms; rest > 0; rest -= 5000) {
      this.beat()
      await this.clock.advance(Math.min(5000, rest))
      await settle()
    }
    this.beat()
  }

  async close(): Promise<void> {
    for (const node of this.nodes) if (!this.#crashed.has(node)) await stop(node)
  }

  project = async (id: string) => {
    const known = this.projects.find((project) => project.id === id && !project.isDeleted)
    return known ? ok(projectView(known)) : err(domainError('project_not_found'))
  }

  async #start(n: number, disk: SimDisk, { store, boot } = { store: createMemoryStore(), boot: 1 }): Promise<LabNode> {
    const { clock } = this
    const signer = identity(n)
    const { peer } = signer
    const log = createRecordedLog()
    const random = createSeededRandom(100 * boot + n)
    const membership = (): Membership => {
      if (!this.#membership) throw new Error('no membership yet')
      return this.#membership
    }
    const network = this.#network.join(peer)
    const documents = await createDocuments({ store, crypto, signer, clock, random, log, membership })
    const shared = { network, membership, crypto, signer, clock, random, log }
    const voter = await openLeaseVoter({ ...shared, journal: disk.open() })
    const leases = createLeaseService({
      ...shared,
      boot,
      reached: (position, signal) => documents.reached(position, signal),
      voter,
      voterLog: NO_VOTER_LOG,
      nameOf: (of) => membership().members.get(of)?.name ?? of,
      isOnline: (of) => this.#reaches(peer, of),
    })
    const events = createEventHub(log)
    const told: DomainEvent[] = []
    events.subscribe((event) => told.push(event))
    const rpc = createRpc({ network, clock, log, hasCapability: () => true })
    const presence = this.#heart(peer)
    const nameOf = (of: PeerId): string => membership().members.get(of)?.name ?? of
    const deps = { documents, leases, presence, events, clock, log, self: peer, rpc, crypto, nameOf }
    const projects = { get: this.project }
    const hasEnded = (instance: string): boolean => this.ended.has(instance)
    const completions = await openPendingCompletions({ store, log })
    const tasks = createTaskService({ ...deps, random, projects, hasEnded, completions })
    const isMember = (of: PeerId): boolean => membership().members.has(of)
    const locks = createLockService({ ...deps, random, projects, boot, isMember, store, hasEnded })
    await tasks.start()
    await locks.start()
    const actor = (tokenId: string, abilities: readonly string[] = ['*']): Actor => ({
      kind: 'user',
      id: `user of ${tokenId}`,
      tokenId,
      abilities: [...abilities],
      gateway: peer,
    })
    const node = { peer, documents, store, disk, leases, tasks, locks, rpc, events, told, log, actor }
    documents.onAppend((envelopes) => {
      for (const to of this.nodes) {
        if (to.peer === peer || !this.#hears(to.peer, peer)) continue
        void to.documents.receive(
          envelopes.map(({ bytes }) => bytes),
          peer,
        )
      }
    })
    return node
  }

  #hears(to: PeerId, from: PeerId): boolean {
    return this.#reaches(to, from) && !this.deaf.has(to)
  }

  #reaches(to: PeerId, from: PeerId): boolean {
    return !this.cut.has(from) && !this.cut.has(to) && !this.#split.has(`${from} ${to}`)
  }

  #heart(peer: PeerId): Heartbeats {
    const known = this.#heartbeats.get(peer) ?? createHeartbeats(this.clock)
    this.#heartbeats.set(peer, known)
    return known
  }

  async #missing({ from, to }: { from: LabNode; to: LabNode }): Promise<Uint8Array[]> {
    if (!this.#hears(to.peer, from.peer)) return []
    const envelopes: Uint8Array[] = []
    for await (const bytes of from.documents.missing(to.documents.vectors(), Infinity)) envelopes.push(bytes)
    return envelopes
  }
}

/** Nobody changes the voters here. */
const NO_VOTER_LOG: VoterLog = {
  publishSealed: async () => ok(null),
  publishForced: async () => ok(null),
  publishFault: async () => ok(null),
}

type Beat = { readonly atMs: number; readonly leases: ReadonlySet<string> }
type Heartbeats = Pick<Presence, 'lastRenewedMonoMs' | 'state' | 'onChange'> & { hear(from: PeerId, beat: Beat): void }

/** Three periods of five seconds without a heartbeat: away. */
const AWAY_MS = 15_000

/** What one node has heard of the others. */
function createHeartbeats(clock: ManualClock): Heartbeats {
  const heard = new Map<PeerId, Beat>()
  const listeners = new Set<(peer: PeerId) => void>()
  const state = (of: PeerId) => (clock.monoMs() - (heard.get(of)?.atMs ?? -Infinity) < AWAY_MS ? 'online' : 'away')
  return {
    state,
    lastRenewedMonoMs: (of, lease) => (heard.get(of)?.leases.has(lease) ? heard.get(of)?.atMs : undefined),
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    hear(from, beat) {
      const isNews = state(from) !== 'online'
      heard.set(from, beat)
      for (const listener of isNews ? listeners : []) listener(from)
    },
  }
}

async function stop({ tasks, locks, leases, documents }: LabNode): Promise<void> {
  tasks.stop()
  locks.stop()
  await leases.close()
  await documents.close()
}

const projectView = ({ id, repository, settings }: LabProject): Project =>
  plainProject(id, { repository, settings: { ...DEFAULT_PROJECT_SETTINGS, ...settings } })

export const codeOf = (result: { ok: boolean; error?: { code: string } }): string =>
  result.ok ? 'ok' : (result.error?.code ?? 'unknown')

/** What has been answered by now: a code, or `waits`. */
export function answerOf(asked: Promise<Parameters<typeof codeOf>[0]>): () => Promise<string> {
  let code = 'waits'
  asked.then(
    (answer) => (code = codeOf(answer)),
    () => (code = 'failed'),
  )
  return async () => {
    await settle()
    return code
  }
}

export function valueOf<T>(
  result: { ok: true; value: T } | { ok: false; error: { code: string; message: string } },
): T {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message}`)
  return result.value
}

/** Settles what is under way while time moves on in small steps, until the promise is there. */
export async function passing<T>(lab: ClaimLab, promise: Promise<T>, stepMs = 100): Promise<T> {
  let isDone = false
  const done = promise.finally(() => (isDone = true))
  done.catch(() => undefined)
  for (let i = 0; i < 400; i++) {
    await settle()
    if (isDone) break
    await lab.clock.advance(stepMs)
  }
  return await done
}
