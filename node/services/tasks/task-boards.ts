import { z } from 'zod'
import { InstanceId, PeerId, ProjectId, projectDoc, projectOfDoc } from '../../../crdt/ids.ts'
import { TaskBoard } from '../../../crdt/task-board.ts'
import { taskEvent } from '../../../crdt/task-events.ts'
import { createClaimWatch } from '../claims/claim-watch.ts'
import type * as Y from 'yjs'
import type { DocId, TaskId } from '../../../crdt/ids.ts'
import type { TaskBoardRules, TaskTransition } from '../../../crdt/task-board.ts'
import type { StandingClaim } from '../../../crdt/task-entry.ts'
import type { Clock } from '../../ports/clock.ts'
import type { NameChanges } from '../../ports/feed-store.ts'
import type { Log } from '../../ports/log.ts'
import type { CertificateCheck } from '../claims/claim-certificate.ts'
import type { ClaimWatch } from '../claims/claim-watch.ts'
import type { Documents } from '../feeds/documents.ts'
import type { EventHub } from '../event-hub.ts'
import type { HeldLease, LeaseService } from '../leases/lease-service.ts'
import type { Presence } from '../sync/presence.ts'
import { TaskNames } from './task-names.ts'
import type { TaskOverview } from './task-service.ts'

export type TaskBoards = {
  /** Follows every project this node knows, now and later. What is there already is no event. */
  start(): Promise<void>
  stop(): void
  /** Runs the task with the board of the project, which is in memory until it is over. @throws StorageError */
  use<T>(projectId: ProjectId, task: (board: TaskBoard) => Promise<T>): Promise<T>
  /** Keeps the board of the project in memory, so that it is told when a claim on it falls silent. Returns the end. */
  hold(projectId: ProjectId): Promise<() => void>
  /** The project that has the task; of several, which only a member that copies ids can bring about, any. */
  projectOf(id: TaskId): Promise<ProjectId | undefined>
  overview(projectId: ProjectId): Promise<TaskOverview>
  /** Resolves when it is known which projects have claims of this node's last process. */
  known(): Promise<void>
  /** Projects with claims of this node. */
  claimedHere(): readonly ProjectId[]
  /** Takes in what the document says by now, and tells of it. */
  catchUp(board: TaskBoard): void
  /** The same after a write that failed: the document is being rebuilt without it. */
  reread(board: TaskBoard): Promise<void>
  /** Looks again at claims whose voters were not known. */
  reverify(): void
  /** Looks again at who is live: leases of this node have come back. */
  lookAgain(): void
  remainingMs(leaseId: string): number
}

export type TaskBoardsDeps = {
  documents: Documents
  leases: Pick<LeaseService, 'isValid'>
  presence: Pick<Presence, 'lastRenewedMonoMs'>
  events: EventHub
  clock: Clock
  log: Log
  self: PeerId
  certifies: CertificateCheck
  /** Told after another node has written to the project. */
  onOthersWrite: (board: TaskBoard) => void
  /** Length of a lease: how long a silent holder is still shown. */
  ttlMs?: number
}

/** What is kept of a board that is not in memory. */
const TaskSummary = z.object({
  /** Tasks that are not completed. */
  open: z.int().min(0),
  /** Claims on them that stood; their holders may have fallen silent. */
  claims: z.array(z.object({ lease: z.string(), node: PeerId, instance: InstanceId, issuedAtMs: z.number() })),
})
type TaskSummary = z.infer<typeof TaskSummary>

type Loaded = { readonly board: TaskBoard; readonly names: TaskNames }

/** Keys of leases on tasks: one space per mesh, so the project is part of it. */
export const taskResource = (projectId: ProjectId, id: TaskId) =>
  ({ kind: 'task', key: `${projectId}/${id}`, mode: 'exact' }) as const

/** The projects of the tasks that a lease is on. */
export const projectsOfLease = ({ resources }: Pick<HeldLease, 'resources'>): ProjectId[] =>
  resources.flatMap(({ kind, key }) => (kind === 'task' ? (ProjectId.safeParse(key.split('/')[0]).data ?? []) : []))

/** The boards of all projects, kept in step with the documents; every change becomes an event once. */
export const createTaskBoards = (deps: TaskBoardsDeps): TaskBoards => new Boards(deps)

class Boards implements TaskBoards {
  readonly #deps: TaskBoardsDeps
  readonly #watch: ClaimWatch
  readonly #loaded = new Map<DocId, Loaded>()
  readonly #away = new Map<DocId, TaskSummary>()
  #caughtUp: Promise<void> = Promise.resolve()
  #isStopped = false

  constructor(deps: TaskBoardsDeps) {
    this.#deps = deps
    const onFlip = (leaseId: string): void => {
      for (const { board } of this.#loaded.values()) this.#tell(board.refreshLease(leaseId))
    }
    this.#watch = createClaimWatch({ ...deps, onFlip })
  }

  async start(): Promise<void> {
    const { caughtUp } = await this.#deps.documents.follow<TaskSummary>({
      kind: 'project',
      part: 'tasks',
      summary: TaskSummary,
      loaded: (doc, state) => this.#enter(doc, state),
      changed: ({ doc, local }, state) => {
        this.#takeIn(doc, state)
        const board = this.#loaded.get(doc)?.board
        if (board && !local) this.#deps.onOthersWrite(board)
      },
      isNeeded: (doc) => this.#hasOwnClaim(doc),
      summarize: (doc) => this.#summarize(doc),
      names: (doc) => this.#namesOf(doc),
      stored: (doc) => this.#loaded.get(doc)?.names.stored(),
      away: (doc, summary) => {
        this.#loaded.get(doc)?.board.close()
        this.#loaded.delete(doc)
        this.#away.set(doc, summary)
      },
    })
    this.#caughtUp = caughtUp
  }

  /** Boards are followed on: what is kept of them is asked for when the documents are closed. */
  stop(): void {
    this.#isStopped = true
    this.#watch.stop()
  }

  async use<T>(projectId: ProjectId, task: (board: TaskBoard) => Promise<T>): Promise<T> {
    const release = await this.hold(projectId)
    try {
      const loaded = this.#loaded.get(projectDoc(projectId))
      if (!loaded) throw new Error(`The board of ${projectId} is not followed.`)
      return await task(loaded.board)
    } finally {
      release()
    }
  }

  hold(projectId: ProjectId): Promise<() => void> {
    return this.#deps.documents.open(projectDoc(projectId))
  }

  async projectOf(id: TaskId): Promise<ProjectId | undefined> {
    const inMemory = (): ProjectId | undefined =>
      [...this.#loaded.values()].find(({ board }) => board.has(id))?.board.projectId
    const found = inMemory()
    if (found !== undefined) return found
    await this.#caughtUp
    for (const doc of await this.#deps.documents.named(id)) {
      const projectId = projectOfDoc(doc)
      if (projectId !== undefined && (await this.use(projectId, async (board) => board.has(id)))) return projectId
    }
    // It may have come meanwhile.
    return inMemory()
  }

  async overview(projectId: ProjectId): Promise<TaskOverview> {
    const away = this.#away.get(projectDoc(projectId))
    if (!away) {
      return await this.use(projectId, async (board) => ({
        pending: board.count('pending'),
        instances: board.instances(),
      }))
    }
    const live = away.claims.filter(({ lease, ...claim }) => this.#watch.isLive({ leaseId: lease, ...claim }))
    return { pending: away.open - live.length, instances: live.map(({ instance }) => instance) }
  }

  known(): Promise<void> {
    return this.#caughtUp
  }

  claimedHere(): readonly ProjectId[] {
    const { self } = this.#deps
    const inMemory = [...this.#loaded.keys()].filter((doc) => this.#hasOwnClaim(doc))
    const away = [...this.#away].flatMap(([doc, { claims }]) => (claims.some(({ node }) => node === self) ? [doc] : []))
    return [...inMemory, ...away].flatMap((doc) => projectOfDoc(doc) ?? [])
  }

  catchUp(board: TaskBoard): void {
    const doc = projectDoc(board.projectId)
    this.#deps.documents.readOpen(doc, (state) => this.#takeIn(doc, state))
  }

  async reread(board: TaskBoard): Promise<void> {
    const doc = projectDoc(board.projectId)
    await this.#deps.documents.read(doc, (state) => this.#takeIn(doc, state))
  }

  reverify(): void {
    for (const { board } of this.#loaded.values()) this.#tell(board.reverify())
  }

  lookAgain(): void {
    this.#watch.lookAgain()
  }

  remainingMs(leaseId: string): number {
    return this.#watch.remainingMs(leaseId)
  }

  #enter(doc: DocId, state: Y.Doc): void {
    // One that had to be given up in between is still known: what differs now is news.
    if (this.#loaded.has(doc)) return this.#takeIn(doc, state)
    const projectId = projectOfDoc(doc)
    if (projectId === undefined) return
    const board = new TaskBoard(projectId, boardRules(projectId, this.#deps, this.#watch))
    board.sync(state)
    this.#loaded.set(doc, { board, names: new TaskNames(this.#away.has(doc)) })
    this.#away.delete(doc)
  }

  #takeIn(doc: DocId, state: Y.Doc): void {
    const loaded = this.#loaded.get(doc)
    if (!loaded) return
    const transitions = loaded.board.sync(state)
    loaded.names.note(transitions)
    this.#tell(transitions)
  }

  #namesOf(doc: DocId): NameChanges {
    const loaded = this.#loaded.get(doc)
    return loaded ? loaded.names.take(() => [...loaded.board.ids()]) : { added: [], removed: [] }
  }

  #hasOwnClaim(doc: DocId): boolean {
    const claimed = this.#loaded.get(doc)?.board.claimed() ?? []
    return claimed.some(({ claim }) => claim.node === this.#deps.self)
  }

  #summarize(doc: DocId): TaskSummary {
    const board = this.#loaded.get(doc)?.board
    const claims = board?.claimed() ?? []
    return {
      open: board ? board.size - board.count('completed') : 0,
      claims: claims.map(({ claim: { node, record } }) => ({
        lease: record.lease,
        node,
        instance: record.instance,
        issuedAtMs: Date.parse(record.at),
      })),
    }
  }

  #tell(transitions: readonly TaskTransition[]): void {
    if (this.#isStopped) return
    for (const transition of transitions) {
      const event = taskEvent(transition)
      if (event) this.#deps.events.publish(event)
    }
  }
}

const boardRules = (
  projectId: ProjectId,
  { documents, certifies }: Pick<TaskBoardsDeps, 'documents' | 'certifies'>,
  watch: ClaimWatch,
): TaskBoardRules => ({
  isWriter: (node, client) => documents.authorOf(projectDoc(projectId), client) === node,
  verify: (node, { task, lease: leaseId, token, instance: instanceId, certificate }) =>
    certifies({ node, leaseId, token, instanceId, resource: taskResource(projectId, task) }, certificate),
  isLive: ({ node, record }: StandingClaim) =>
    watch.isLive({ leaseId: record.lease, node, issuedAtMs: Date.parse(record.at) }),
})
