import { PeerId } from './ids.ts'
import { taskBodies, taskClaims, taskCompletions, taskEdits, splitTaskKey } from './task-document.ts'
import { ClaimRecord, Completion, TASK_FIELDS, TaskBody, TaskFields } from './task-record.ts'
import { writtenAt, writtenIn } from './written-values.ts'
import type { ClaimedRecord, ReleasedRecord } from './task-record.ts'
import type { Written } from './written-values.ts'
import type * as Y from 'yjs'
import type { ProjectId, TaskId } from './ids.ts'
import type { Task, TaskStatus } from './task.ts'

/** What the document says about one task, parsed; what did not parse is not here. */
export type TaskEntry = {
  readonly id: TaskId
  body: TaskBody | undefined
  isEdited: boolean
  isDeleted: boolean
  /** Undefined until there is one: most of 100,000 tasks have neither. */
  claims: Map<PeerId, ClaimRecord> | undefined
  completions: Map<PeerId, Completion> | undefined
  /** Of the standing claim. */
  lease: string | undefined
  /** Undefined while there is nothing to show. */
  shown: ShownTask | undefined
}

/** What is shown of a task, without what can be made from it: there may be 100,000. `taskView` is the whole. */
export type ShownTask = {
  readonly id: TaskId
  readonly body: TaskBody
  /** The claim in force, when its holder still renews it. */
  readonly claim: StandingClaim | undefined
  readonly completion: Completion | undefined
  readonly isBlocked: boolean
}

export type StandingClaim = { readonly node: PeerId; readonly record: ClaimedRecord }

/**
 * The body with the newest valid value of each edited field; without edits the very object that the document holds, so
 * that nothing is kept twice. It may have properties that are not known here.
 */
export function readBody(doc: Y.Doc, { id, isEdited }: { id: TaskId; isEdited: boolean }): TaskBody | undefined {
  const stored = taskBodies(doc).get(id)
  if (!TaskBody.safeParse(stored).success) return undefined
  if (!isEdited) return stored as TaskBody
  const body = { ...(stored as TaskBody) }
  const edits = taskEdits(doc)
  for (const field of TASK_FIELDS) {
    const key = `${id}/${field}`
    if (!edits.has(key)) continue
    const edited = SomeFields.safeParse({ [field]: edits.get(key) })
    if (edited.success) Object.assign(body, edited.data)
  }
  return body
}

const SomeFields = TaskFields.partial()

/** @returns the task and author of a completion's key, and the completion unless it is gone, invalid or by another */
export function readCompletion(
  doc: Y.Doc,
  key: string,
  isWriter: RecordRules['isWriter'],
): { id: TaskId; author: PeerId; completion: Completion | undefined } | undefined {
  const parts = splitTaskKey(key)
  const author = PeerId.safeParse(parts?.rest)
  if (!parts || !author.success) return undefined
  const written = writtenAt(taskCompletions(doc), key)
  const isOwn = written !== undefined && isWriter(author.data, written.client)
  return {
    id: parts.id,
    author: author.data,
    completion: isOwn ? Completion.safeParse(written.value).data : undefined,
  }
}

/** What a node says that the voters granted it. */
export type Granted = Pick<ClaimedRecord, 'task' | 'lease' | 'token' | 'instance' | 'certificate'>

export type RecordRules = {
  /** Whether this node wrote what has this Yjs client id. */
  readonly isWriter: (node: PeerId, client: number) => boolean
  /** Was this granted to this node by the voters? Asked once per record. */
  readonly verify: (node: PeerId, granted: Granted) => boolean
}

/** How a claim ends. */
type ClaimEnd = ReleasedRecord | Completion

/** Parses each stored record once, however often the array around it changes. */
export class ClaimReader {
  readonly #rules: RecordRules
  #parsed = new WeakMap<object, ClaimRecord | 'invalid'>()
  #proven = new WeakMap<ClaimEnd, boolean>()

  constructor(rules: RecordRules) {
    this.#rules = rules
  }

  /** The author's newest valid record of each task. */
  read(doc: Y.Doc, author: PeerId): Map<TaskId, ClaimRecord> {
    const records = new Map<TaskId, ClaimRecord>()
    for (const written of writtenIn(taskClaims(doc, author))) {
      const record = this.#parse(author, written)
      if (record !== undefined && record.token >= (records.get(record.task)?.token ?? 0)) {
        records.set(record.task, record)
      }
    }
    return records
  }

  /** What could not be verified before may be now: the voters' keys may have arrived since. */
  forget(): void {
    this.#parsed = new WeakMap()
    this.#proven = new WeakMap()
  }

  /**
   * Whether the token of an end is one that its author was granted. Only asked for where it decides something, so that
   * the ends of 100,000 tasks cost no signature.
   */
  isProven(node: PeerId, task: TaskId, end: ClaimEnd): boolean {
    const { certificate } = end
    if (!certificate) return false
    const isProven = this.#proven.get(end) ?? this.#rules.verify(node, { ...end, task, certificate })
    this.#proven.set(end, isProven)
    return isProven
  }

  #parse(author: PeerId, { value, client }: Written): ClaimRecord | undefined {
    if (typeof value !== 'object' || value === null) return undefined
    const known = this.#parsed.get(value)
    if (known !== undefined) return known === 'invalid' ? undefined : known
    const record = this.#rules.isWriter(author, client) ? ClaimRecord.safeParse(value).data : undefined
    const isValid = record !== undefined && (record.state === 'released' || this.#rules.verify(author, record))
    this.#parsed.set(value, isValid ? record : 'invalid')
    return isValid ? record : undefined
  }
}

/** Of a claim that is named beside the end. */
export type Proofs = Pick<ClaimReader, 'isProven'>

/**
 * The claim with the highest fencing token, unless its author has ended it, or somebody who proves to have been granted
 * a higher token has. Whether its holder still renews it is another question.
 */
export function standingClaim(entry: TaskEntry, proofs: Proofs): StandingClaim | undefined {
  let standing: StandingClaim | undefined
  for (const [node, record] of entry.claims ?? [])
    if (record.state === 'claimed' && record.token > (standing?.record.token ?? -1)) standing = { node, record }
  if (!standing) return undefined
  const { node: holder, record: claim } = standing
  const isOver = endsOf(entry).some(
    ({ node, end }) =>
      (node === holder && end.lease === claim.lease) ||
      (end.token >= claim.token && proofs.isProven(node, entry.id, end)),
  )
  return isOver ? undefined : standing
}

function endsOf({ claims, completions }: TaskEntry): { node: PeerId; end: ClaimEnd }[] {
  const ends: { node: PeerId; end: ClaimEnd }[] = []
  for (const [node, end] of claims ?? []) if (end.state === 'released') ends.push({ node, end })
  for (const [node, end] of completions ?? []) ends.push({ node, end })
  return ends
}

/**
 * The one with the highest token among those that prove theirs; if none does, among all. A completion of a lower token
 * than a claim in force came too late and is history only; when that claim ends without a completion of its own, the
 * late one counts after all, since the work has been delivered.
 */
export function bestCompletion(entry: TaskEntry, proofs: Proofs): Completion | undefined {
  const all = [...(entry.completions ?? [])]
  const proven = all.length > 1 ? all.filter(([node, end]) => proofs.isProven(node, entry.id, end)) : []
  let best: Completion | undefined
  for (const [, completion] of proven.length > 0 ? proven : all)
    if (completion.token > (best?.token ?? -1)) best = completion
  return best
}

export const statusOf = ({ claim, completion }: ShownTask): TaskStatus =>
  claim ? 'in_progress' : completion ? 'completed' : 'pending'

export function taskView(projectId: ProjectId, shown: ShownTask): Task {
  const { id, body, claim, completion, isBlocked } = shown
  return {
    id,
    projectId,
    title: body.title,
    description: body.description,
    priority: body.priority,
    status: statusOf(shown),
    files: body.files,
    dependencies: body.dependencies,
    estimatedTokens: body.estimated_tokens,
    createdAt: body.created_at,
    createdBy: body.created_by,
    isBlocked,
    claim: claim ? claimView(claim) : null,
    completion: completion ? completionView(completion) : null,
  }
}

const completionView = (completion: Completion): NonNullable<Task['completion']> => ({
  summary: completion.summary,
  filesModified: completion.files_modified,
  completedAt: completion.at,
  instanceId: completion.instance,
})

const claimView = ({ node, record }: StandingClaim): NonNullable<Task['claim']> => ({
  instanceId: record.instance,
  node,
  tokenId: record.tokenId,
  leaseId: record.lease,
  fencingToken: record.token,
  guarantee: 'certified',
  claimedAt: record.at,
})
