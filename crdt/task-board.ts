import { TaskId } from './ids.ts'
import { paginateRuns } from './page.ts'
import { deletedTasks, splitTaskKey } from './task-document.ts'
import { bestCompletion, ClaimReader, readBody, readCompletion, standingClaim, taskView } from './task-entry.ts'
import { TaskQueue } from './task-queue.ts'
import { TaskSource } from './task-source.ts'
import type * as Y from 'yjs'
import type { Page, PageRequest } from './page.ts'
import type { PeerId, ProjectId } from './ids.ts'
import type { StandingClaim, TaskEntry } from './task-entry.ts'
import type { ClaimedRecord, ClaimRecord } from './task-record.ts'
import type { Priority, Task, TaskStatus } from './task.ts'

export type TaskTransition = {
  readonly before: Task | undefined
  readonly after: Task | undefined
  /** What the holder said when it gave the claim back; undefined when it has just fallen silent. */
  readonly reason: string | undefined
}

export type TaskBoardRules = {
  /** Was this claim granted to this node by the voters? Asked once per record. */
  readonly verify: (node: PeerId, record: ClaimedRecord) => boolean
  /** Does its holder still renew it, as far as this node knows? When the answer changes, tell `refreshLease`. */
  readonly isLive: (claim: StandingClaim) => boolean
}

/** Beyond this many changes at once the order is made anew instead of mended. */
const BULK_CHANGES = 1000

/**
 * The tasks of one project as they are read: an index in memory that follows the document change by change. Content
 * that makes no sense is not shown and hurts nothing else.
 */
export class TaskBoard {
  readonly projectId: ProjectId
  readonly #rules: TaskBoardRules
  readonly #reader: ClaimReader
  #source: TaskSource | undefined
  #entries = new Map<TaskId, TaskEntry>()
  #claimsBy = new Map<PeerId, Map<TaskId, ClaimRecord>>()
  #dependents = new Map<TaskId, Set<TaskId>>()
  readonly #shown = new Map<TaskId, Task>()
  readonly #tasksByLease = new Map<string, TaskId>()
  readonly #all = new TaskQueue<Task>()
  readonly #available = new TaskQueue<Task>()

  constructor(projectId: ProjectId, rules: TaskBoardRules) {
    this.projectId = projectId
    this.#rules = rules
    this.#reader = new ClaimReader(rules.verify)
  }

  get size(): number {
    return this.#shown.size
  }

  get(id: TaskId): Task | undefined {
    return this.#shown.get(id)
  }

  /** In the order of work: the most urgent first, then the oldest. */
  list(filter: { status?: TaskStatus; priority?: Priority }, page: PageRequest): Page<Task> {
    const { priority, status } = filter
    const lanes = this.#all.lanes(priority)
    if (status === undefined) return paginateRuns(lanes, page)
    return paginateRuns(
      lanes.map((lane) => lane.filter((task) => task.status === status)),
      page,
    )
  }

  /** The first task in the order of work that can be claimed. */
  next(isSkipped: (id: TaskId) => boolean = () => false): Task | undefined {
    for (const lane of this.#available.lanes()) {
      const task = lane.find(({ id }) => !isSkipped(id))
      if (task) return task
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

  standing(id: TaskId): StandingClaim | undefined {
    const entry = this.#entries.get(id)
    return entry && standingClaim(entry)
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
      this.#entries = new Map()
      this.#claimsBy = new Map()
      this.#dependents = new Map()
      this.#tasksByLease.clear()
      for (const id of this.#shown.keys()) touched.add(id)
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
      const read = readCompletion(source.doc, key)
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
    let entry = this.#entries.get(id)
    if (!entry) {
      entry = {
        id,
        body: undefined,
        isEdited: false,
        isDeleted: false,
        claims: undefined,
        completions: undefined,
        lease: undefined,
      }
      this.#entries.set(id, entry)
    }
    return entry
  }

  /** Shows the touched tasks anew, and those that wait for them. */
  #refresh(touched: Set<TaskId>): TaskTransition[] {
    const transitions: TaskTransition[] = []
    const isBulk = touched.size > BULK_CHANGES
    // A set also yields what is added while it is walked.
    for (const id of touched) {
      const before = this.#shown.get(id)
      const after = this.#view(id)
      if (sameTask(before, after)) continue
      for (const dependent of this.#dependents.get(id) ?? []) touched.add(dependent)
      if (after) this.#shown.set(id, after)
      else this.#shown.delete(id)
      if (!isBulk) this.#reorder(before, after)
      transitions.push({ before, after, reason: this.#reasonOf(id, before) })
    }
    if (isBulk) {
      this.#all.fill(this.#shown.values())
      this.#available.fill([...this.#shown.values()].filter(isAvailable))
    }
    return transitions
  }

  #view(id: TaskId): Task | undefined {
    const entry = this.#entries.get(id)
    if (entry?.lease !== undefined) this.#tasksByLease.delete(entry.lease)
    if (!entry?.body || entry.isDeleted) return undefined
    const standing = standingClaim(entry)
    entry.lease = standing?.record.lease
    if (entry.lease !== undefined) this.#tasksByLease.set(entry.lease, id)
    const claim = standing && this.#rules.isLive(standing) ? standing : undefined
    const isBlocked = entry.body.dependencies.some((dependency) => this.#isOpen(dependency))
    return taskView(entry, entry.body, { projectId: this.projectId, claim, isBlocked })
  }

  /** A dependency that was deleted, or never was, holds nobody up. */
  #isOpen(id: TaskId): boolean {
    const entry = this.#entries.get(id)
    if (!entry?.body || entry.isDeleted) return false
    const claim = standingClaim(entry)
    return bestCompletion(entry) === undefined || (claim !== undefined && this.#rules.isLive(claim))
  }

  #reorder(before: Task | undefined, after: Task | undefined): void {
    if (before) {
      this.#all.remove(before)
      if (isAvailable(before)) this.#available.remove(before)
    }
    if (after) {
      this.#all.add(after)
      if (isAvailable(after)) this.#available.add(after)
    }
  }

  #reasonOf(id: TaskId, before: Task | undefined): string | undefined {
    if (!before?.claim) return undefined
    const record = this.#entries.get(id)?.claims?.get(before.claim.node)
    return record?.state === 'released' && record.lease === before.claim.leaseId ? record.reason : undefined
  }
}

const isAvailable = (task: Task): boolean => task.status === 'pending' && !task.isBlocked

function sameTask(a: Task | undefined, b: Task | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  return JSON.stringify(a) === JSON.stringify(b)
}
