import { ProjectId, projectDoc } from '../../../crdt/ids.ts'
import { TaskBoard } from '../../../crdt/task-board.ts'
import { taskEvent } from '../../../crdt/task-events.ts'
import { createClaimWatch } from '../claims/claim-watch.ts'
import type * as Y from 'yjs'
import type { DocId, PeerId, TaskId } from '../../../crdt/ids.ts'
import type { TaskBoardRules, TaskTransition } from '../../../crdt/task-board.ts'
import type { StandingClaim } from '../../../crdt/task-entry.ts'
import type { Task } from '../../../crdt/task.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import type { CertificateCheck } from '../claims/claim-certificate.ts'
import type { ClaimWatch } from '../claims/claim-watch.ts'
import type { Documents } from '../feeds/documents.ts'
import type { EventHub } from '../event-hub.ts'
import type { LeaseService } from '../leases/lease-service.ts'
import type { Presence } from '../sync/presence.ts'

export type TaskBoards = {
  /** Opens every project this node knows, now and later. What is there already is no event. */
  start(): Promise<void>
  stop(): void
  board(projectId: ProjectId): Promise<TaskBoard>
  find(id: TaskId): Promise<{ readonly board: TaskBoard; readonly task: Task } | undefined>
  /** Takes in what the document says by now, and tells of it. */
  catchUp(board: TaskBoard): void
  /** The same after a write that failed: the document is being rebuilt without it. */
  reread(board: TaskBoard): Promise<void>
  all(): readonly TaskBoard[]
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
  /** Length of a lease: how long a silent holder is still shown. */
  ttlMs?: number
}

type OpenBoard = { readonly board: TaskBoard; readonly close: () => void }

/** Keys of leases on tasks: one space per mesh, so the project is part of it. */
export const taskResource = (projectId: ProjectId, id: TaskId) =>
  ({ kind: 'task', key: `${projectId}/${id}`, mode: 'exact' }) as const

/** The boards of all projects, kept in step with the documents; every change becomes an event once. */
export const createTaskBoards = (deps: TaskBoardsDeps): TaskBoards => new Boards(deps)

class Boards implements TaskBoards {
  readonly #deps: TaskBoardsDeps
  readonly #watch: ClaimWatch
  readonly #opening = new Map<DocId, Promise<OpenBoard>>()
  readonly #open = new Map<DocId, TaskBoard>()
  #stopFollowing: () => void = () => undefined
  #isStopped = false

  constructor(deps: TaskBoardsDeps) {
    this.#deps = deps
    const onFlip = (leaseId: string): void => {
      for (const board of this.#open.values()) this.#tell(board.refreshLease(leaseId))
    }
    this.#watch = createClaimWatch({ ...deps, onFlip })
  }

  async start(): Promise<void> {
    this.#stopFollowing = this.#deps.documents.onDocument((doc) => this.#follow(doc))
    await Promise.all(this.#deps.documents.list().map(async (doc) => await this.#ensure(doc, false)))
  }

  stop(): void {
    this.#isStopped = true
    this.#stopFollowing()
    this.#watch.stop()
    for (const opened of this.#opening.values()) opened.then(({ close }) => close()).catch(() => undefined)
  }

  async board(projectId: ProjectId): Promise<TaskBoard> {
    const opened = await this.#ensure(projectDoc(projectId), true)
    if (!opened) throw new Error(`${projectId} is no project id`)
    return opened.board
  }

  async find(id: TaskId): Promise<{ readonly board: TaskBoard; readonly task: Task } | undefined> {
    for (const opened of this.#opening.values()) {
      const { board } = await opened
      const task = board.get(id)
      if (task) return { board, task }
    }
    return undefined
  }

  catchUp(board: TaskBoard): void {
    this.#tell(this.#deps.documents.readOpen(projectDoc(board.projectId), (state) => board.sync(state)))
  }

  async reread(board: TaskBoard): Promise<void> {
    this.#tell(await this.#deps.documents.read(projectDoc(board.projectId), (state) => board.sync(state)))
  }

  all(): readonly TaskBoard[] {
    return [...this.#open.values()]
  }

  reverify(): void {
    for (const board of this.#open.values()) this.#tell(board.reverify())
  }

  lookAgain(): void {
    this.#watch.lookAgain()
  }

  remainingMs(leaseId: string): number {
    return this.#watch.remainingMs(leaseId)
  }

  #follow(doc: DocId): void {
    if (this.#isStopped) return
    this.#ensure(doc, true).catch((error: unknown) =>
      this.#deps.log.error({ err: error, doc }, 'a project could not be opened'),
    )
  }

  async #ensure(doc: DocId, isNews: boolean): Promise<OpenBoard | undefined> {
    const projectId = projectIdOf(doc)
    if (projectId === undefined) return undefined
    let opened = this.#opening.get(doc)
    if (!opened) {
      opened = this.#begin(doc, projectId, isNews)
      this.#opening.set(doc, opened)
      // A board that could not be opened is tried again when somebody asks for it.
      opened.catch(() => this.#opening.delete(doc))
    }
    return await opened
  }

  async #begin(doc: DocId, projectId: ProjectId, isNews: boolean): Promise<OpenBoard> {
    const board = new TaskBoard(projectId, boardRules(projectId, this.#deps.certifies, this.#watch))
    let isFilled = isNews
    const take = (state: Y.Doc): void => {
      const transitions = board.sync(state)
      if (isFilled) this.#tell(transitions)
      isFilled = true
    }
    const unpin = await this.#deps.documents.open(doc, (_change, state) => take(state))
    this.#deps.documents.readOpen(doc, take)
    this.#open.set(doc, board)
    const close = (): void => {
      unpin()
      board.close()
    }
    return { board, close }
  }

  #tell(transitions: readonly TaskTransition[]): void {
    for (const transition of transitions) {
      const event = taskEvent(transition)
      if (event) this.#deps.events.publish(event)
    }
  }
}

function projectIdOf(doc: DocId): ProjectId | undefined {
  const [kind, id] = doc.split('/')
  return kind === 'project' ? ProjectId.safeParse(id).data : undefined
}

const boardRules = (projectId: ProjectId, certifies: CertificateCheck, watch: ClaimWatch): TaskBoardRules => ({
  verify: (node, record) =>
    certifies(
      {
        node,
        leaseId: record.lease,
        token: record.token,
        instanceId: record.instance,
        resource: taskResource(projectId, record.task),
      },
      record.certificate,
    ),
  isLive: ({ node, record }: StandingClaim) =>
    watch.isLive({ leaseId: record.lease, node, issuedAtMs: Date.parse(record.at) }),
})
