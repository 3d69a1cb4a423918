import { TaskId } from './ids.ts'
import { paginateRuns } from './page.ts'
import { deletedTasks, splitTaskKey } from './task-document.ts'
import {
  bestCompletion,
  ClaimReader,
  readBody,
  readCompletion,
  standingClaim,
  statusOf,
  taskView,
} from './task-entry.ts'
import { TaskQueue } from './task-queue.ts'
import { TaskSource } from './task-source.ts'
import type * as Y from 'yjs'
import type { Page, PageRequest } from './page.ts'
import type { InstanceId, PeerId, ProjectId } from './ids.ts'
import type { RecordRules, ShownTask, StandingClaim, TaskEntry } from './task-entry.ts'
import type { ClaimRecord } from './task-record.ts'
import { TASK_STATUSES } from './task.ts'
import type { Priority, Task, TaskStatus } from './task.ts'

export type TaskTransition = {
  readonly projectId: ProjectId
  readonly before: ShownTask | undefined
  readonly after: ShownTask | undefined
  /** What the holder said when it gave the claim back; undefined when it has just fallen silent. */
  readonly reason: string | undefined
}

export type TaskBoardRules = RecordRules & {
  /** Does its holder still renew it, as far as this node knows? When the answer changes, tell `refreshLease`. */
  readonly isLive: (claim: StandingClaim) => boolean
}

/** Beyond this many changes at once the order is made anew instead of mended. */
const BULK_CHANGES = 1000

/**
 * The tasks of one project as they are read: an index in memory that follows the document change by change. Content
 * that makes no sense is not shown and hurts nothing else. A page costs what is on it, however long the list is.
 */
export class TaskBoard {
  readonly projectId: ProjectId
  readonly #rules: TaskBoardRules
  readonly #reader: ClaimReader
  #source: TaskSource | undefined
  #entries = new Map<TaskId, TaskEntry>()
  #claimsBy = new Map<PeerId, Map<TaskId, ClaimRecord>>()
  #dependents = new Map<TaskId, Set<TaskId>>()
  readonly #tasksByLease = new Map<string, TaskId>()
  readonly #all = new TaskQueue<ShownTask>()
  readonly #byStatus: Readonly<Record<TaskStatus, TaskQueue<ShownTask>>> = {
    pending: new TaskQueue(),
    in_progress: new TaskQueue(),
    completed: new TaskQueue(),
  }
  readonly #available = new TaskQueue<ShownTask>()

  constructor(projectId: ProjectId, rules: TaskBoardRules) {
    this.projectId = projectId
    this.#rules = rules
    this.#reader = new ClaimReader(rules)
  }

  get size(): number {
    return this.#all.size
  }

  count(status: TaskStatus): number {
    return this.#byStatus[status].size
  }

  get(id: TaskId): Task | undefined {
    const shown = this.#entries.get(id)?.shown
    return shown && taskView(this.projectId, shown)
  }

  has(id: TaskId): boolean {
    return this.#entries.get(id)?.shown !== undefined
  }

  *ids(): Generator<TaskId> {
    for (const { id, shown } of this.#entries.values()) if (shown) yield id
  }

  /** In the order of work: the most urgent first, then the oldest. */
  list({ priority, status }: { status?: TaskStatus; priority?: Priority }, page: PageRequest): Page<Task> {
    const queue = status === undefined ? this.#all : this.#byStatus[status]
    const { items, ...rest } = paginateRuns(queue.lanes(priority), page)
    return { items: items.map((shown) => taskView(this.projectId, shown)), ...rest }
  }

  /** The first task in the order of work that can be claimed. */
  next(isSkipped: (id: TaskId) => boolean = () => false): Task | undefined {
    for (const lane of this.#available.lanes()) {
      const shown = lane.find(({ id }) => !isSkipped(id))
      if (shown) return taskView(this.projectId, shown)
    }
    return undefined
  }

  /** Tasks whose claim stands; the holder may have fallen silent. */
  claimed(): { readonly id: TaskId; readonly claim: StandingClaim }[] {
    const claims: { id: TaskId; claim: StandingClaim }[] = []
    for (const id of this.#tasksByLease.values()) {
      const claim = this.standing(id)
      if (claim) claims.push({ id, claim })
    }
    return claims
  }

  /** Who holds a claim and renews it, once per claim. */
  instances(): InstanceId[] {
    return this.#byStatus.in_progress
      .lanes()
      .flatMap((lane) => lane.flatMap(({ claim }) => claim?.record.instance ?? []))
  }

  standing(id: TaskId): StandingClaim | undefined {
    const entry = this.#entries.get(id)
    return entry && standingClaim(entry, this.#reader)
  }

  /** What the node says of its claim of the task, if anything. */
  saidBy(node: PeerId, id: TaskId): ClaimRecord | undefined {
    return this.#entries.get(id)?.claims?.get(node)
  }

  /** Whether others than the node have claimed the task, or ended a claim of it. */
  hasOthers(node: PeerId, id: TaskId): boolean {
    const { claims, completions } = this.#entries.get(id) ?? {}
    return [...(claims?.keys() ?? []), ...(completions?.keys() ?? [])].some((author) => author !== node)
  }

  taskOfLease(lease: string): TaskId | undefined {
    return this.#tasksByLease.get(lease)
  }

  /** Takes in what changed in the document since the last call; another `Y.Doc` than last time is read anew. */
  sync(doc: Y.Doc): TaskTransition[] {
    const touched = new Set<TaskId>()
    if (this.#source?.doc !== doc) {
      this.#source?.close()
      this.#source = new TaskSource(doc)
      const shown = [...this.#entries.values()].filter((entry) => entry.shown)
      this.#entries = new Map(shown.map((entry) => [entry.id, { ...emptyEntry(entry.id), shown: entry.shown }]))
      this.#claimsBy = new Map()
      this.#dependents = new Map()
      this.#tasksByLease.clear()
      for (const { id } of shown) touched.add(id)
    }
    this.#takeIn(this.#source, touched)
    return this.#refresh(touched)
  }

  /** The holder of this lease fell silent, or was heard again. */
  refreshLease(lease: string): TaskTransition[] {
    const id = this.#tasksByLease.get(lease)
    return id === undefined ? [] : this.#refresh(new Set([id]))
  }

  /** Looks again at claims that could not be verified. */
  reverify(): TaskTransition[] {
    if (!this.#source) return []
    this.#reader.forget()
    this.#source.touchAuthors()
    return this.sync(this.#source.doc)
  }

  close(): void {
    this.#source?.close()
    this.#source = undefined
  }

  #takeIn(source: TaskSource, touched: Set<TaskId>): void {
    const changes = source.take()
    const bodies = new Set<TaskId>()
    for (const key of changes.bodies) {
      const id = TaskId.safeParse(key)
      if (id.success) bodies.add(id.data)
    }
    for (const key of changes.edits) {
      const parts = splitTaskKey(key)
      if (!parts) continue
      this.#entry(parts.id).isEdited = true
      bodies.add(parts.id)
    }
    for (const id of bodies) this.#takeBody(source.doc, id, touched)
    for (const key of changes.deleted) {
      const id = TaskId.safeParse(key)
      if (!id.success || !deletedTasks(source.doc).has(key)) continue
      this.#entry(id.data).isDeleted = true
      touched.add(id.data)
    }
    for (const key of changes.completions) {
      const read = readCompletion(source.doc, key, this.#rules.isWriter)
      if (!read) continue
      const entry = this.#entry(read.id)
      if (read.completion) (entry.completions ??= new Map()).set(read.author, read.completion)
      else entry.completions?.delete(read.author)
      touched.add(read.id)
    }
    for (const author of changes.authors) this.#takeClaims(source.doc, author, touched)
  }

  #takeBody(doc: Y.Doc, id: TaskId, touched: Set<TaskId>): void {
    const entry = this.#entry(id)
    for (const dependency of entry.body?.dependencies ?? []) this.#dependents.get(dependency)?.delete(id)
    entry.body = readBody(doc, entry)
    for (const dependency of entry.body?.dependencies ?? []) {
      const dependents = this.#dependents.get(dependency)
      if (dependents) dependents.add(id)
      else this.#dependents.set(dependency, new Set([id]))
    }
    touched.add(id)
  }

  #takeClaims(doc: Y.Doc, author: PeerId, touched: Set<TaskId>): void {
    const before = this.#claimsBy.get(author)
    const after = this.#reader.read(doc, author)
    this.#claimsBy.set(author, after)
    for (const [id, record] of after) {
      if (before?.get(id) === record) continue
      const entry = this.#entry(id)
      ;(entry.claims ??= new Map()).set(author, record)
      touched.add(id)
    }
    for (const id of before?.keys() ?? []) {
      if (after.has(id)) continue
      this.#entry(id).claims?.delete(author)
      touched.add(id)
    }
  }

  #entry(id: TaskId): TaskEntry {
    const entry = this.#entries.get(id) ?? emptyEntry(id)
    this.#entries.set(id, entry)
    return entry
  }

  /** Shows the touched tasks anew, and those that wait for them. */
  #refresh(touched: Set<TaskId>): TaskTransition[] {
    const transitions: TaskTransition[] = []
    const isBulk = touched.size > BULK_CHANGES
    // A set also yields what is added while it is walked.
    for (const id of touched) {
      const entry = this.#entries.get(id)
      if (!entry) continue
      const before = entry.shown
      const after = this.#look(entry)
      // Also when it says the same: what it was read from may be of a document that is no longer in use.
      entry.shown = after
      if (!isBulk) this.#reorder(before, after)
      if (this.#isSame(before, after)) continue
      for (const dependent of this.#dependents.get(id) ?? []) touched.add(dependent)
      transitions.push({ projectId: this.projectId, before, after, reason: reasonOf(entry, before) })
    }
    if (isBulk) this.#order()
    return transitions
  }

  #look(entry: TaskEntry): ShownTask | undefined {
    if (entry.lease !== undefined) this.#tasksByLease.delete(entry.lease)
    if (!entry.body || entry.isDeleted) return undefined
    const standing = standingClaim(entry, this.#reader)
    entry.lease = standing?.record.lease
    if (entry.lease !== undefined) this.#tasksByLease.set(entry.lease, entry.id)
    const claim = standing && this.#rules.isLive(standing) ? standing : undefined
    const completion = claim ? undefined : bestCompletion(entry, this.#reader)
    const isBlocked = !completion && entry.body.dependencies.some((dependency) => this.#isOpen(dependency))
    return { id: entry.id, body: entry.body, claim, completion, isBlocked }
  }

  /** A dependency that was deleted, or never was, holds nobody up. */
  #isOpen(id: TaskId): boolean {
    const entry = this.#entries.get(id)
    if (!entry?.body || entry.isDeleted) return false
    const claim = standingClaim(entry, this.#reader)
    return bestCompletion(entry, this.#reader) === undefined || (claim !== undefined && this.#rules.isLive(claim))
  }

  #isSame(a: ShownTask | undefined, b: ShownTask | undefined): boolean {
    if (a === undefined || b === undefined) return a === b
    return JSON.stringify(taskView(this.projectId, a)) === JSON.stringify(taskView(this.projectId, b))
  }

  #reorder(before: ShownTask | undefined, after: ShownTask | undefined): void {
    const move = (queue: TaskQueue<ShownTask>, belongs: (shown: ShownTask) => boolean): void =>
      queue.change(before && belongs(before) ? before : undefined, after && belongs(after) ? after : undefined)
    move(this.#all, () => true)
    move(this.#available, isAvailable)
    for (const status of TASK_STATUSES) move(this.#byStatus[status], (shown) => statusOf(shown) === status)
  }

  #order(): void {
    this.#all.fill([...this.#entries.values()].flatMap(({ shown }) => shown ?? []))
    this.#available.fillFrom(this.#all, isAvailable)
    for (const status of TASK_STATUSES)
      this.#byStatus[status].fillFrom(this.#all, (shown) => statusOf(shown) === status)
  }
}

const emptyEntry = (id: TaskId): TaskEntry => ({
  id,
  body: undefined,
  isEdited: false,
  isDeleted: false,
  claims: undefined,
  completions: undefined,
  lease: undefined,
  shown: undefined,
})

function reasonOf({ claims }: TaskEntry, before: ShownTask | undefined): string | undefined {
  if (!before?.claim) return undefined
  const record = claims?.get(before.claim.node)
  return record?.state === 'released' && record.lease === before.claim.record.lease ? record.reason : undefined
}

const isAvailable = (shown: ShownTask): boolean => statusOf(shown) === 'pending' && !shown.isBlocked
