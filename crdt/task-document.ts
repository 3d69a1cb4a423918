import type * as Y from 'yjs'
import { z } from 'zod'
import { PeerId, TaskId } from './ids.ts'
import { RELEASED_KEPT_MAX, TASK_FIELDS } from './task-record.ts'
import type { ClaimRecord, Completion, TaskBody, TaskField, TaskFields } from './task-record.ts'

const CLAIMS_PREFIX = 'claims/'

export const taskBodies = (doc: Y.Doc): Y.Map<unknown> => doc.getMap('tasks')
export const taskEdits = (doc: Y.Doc): Y.Map<unknown> => doc.getMap('edits')
export const deletedTasks = (doc: Y.Doc): Y.Map<unknown> => doc.getMap('deleted')
export const taskCompletions = (doc: Y.Doc): Y.Map<unknown> => doc.getMap('completions')
export const taskClaims = (doc: Y.Doc, author: PeerId): Y.Array<unknown> => doc.getArray(CLAIMS_PREFIX + author)

/** Every peer that has ever claimed here. */
export function claimAuthors(doc: Y.Doc): PeerId[] {
  const authors: PeerId[] = []
  for (const name of doc.share.keys()) {
    if (!name.startsWith(CLAIMS_PREFIX)) continue
    const peer = PeerId.safeParse(name.slice(CLAIMS_PREFIX.length))
    if (peer.success) authors.push(peer.data)
  }
  return authors
}

/** Splits `<task id>/<rest>`; undefined for anything else. */
export function splitTaskKey(key: string): { id: TaskId; rest: string } | undefined {
  const id = TaskId.safeParse(key.slice(0, 36))
  return id.success && key[36] === '/' ? { id: id.data, rest: key.slice(37) } : undefined
}

export function addTask(doc: Y.Doc, id: TaskId, body: TaskBody): void {
  taskBodies(doc).set(id, body)
}

/** Fields that are not named keep their value, also against a concurrent edit of theirs. */
export function editTask(doc: Y.Doc, id: TaskId, changes: Partial<TaskFields>): void {
  for (const field of TASK_FIELDS) {
    const value = changes[field]
    if (value !== undefined) taskEdits(doc).set(editKey(id, field), value)
  }
}

/** For good: a concurrent edit or claim does not bring the task back. */
export function deleteTask(doc: Y.Doc, id: TaskId, at: string): void {
  deletedTasks(doc).set(id, { at })
  taskBodies(doc).delete(id)
  for (const field of TASK_FIELDS) {
    const key = editKey(id, field)
    if (taskEdits(doc).has(key)) taskEdits(doc).delete(key)
  }
}

/** Replaces what the author said before about its claim of this task. */
export function putClaim(doc: Y.Doc, author: PeerId, record: ClaimRecord): void {
  const claims = taskClaims(doc, author)
  dropClaims(claims, record.task)
  claims.push([record])
}

/** Also takes the author's claim off the board. */
export function completeTask(doc: Y.Doc, author: PeerId, id: TaskId, completion: Completion): void {
  dropClaims(taskClaims(doc, author), id)
  taskCompletions(doc).set(`${id}/${author}`, completion)
}

const editKey = (id: TaskId, field: TaskField): string => `${id}/${field}`

/** Takes out the task's entries, what is no record, and the oldest released entries beyond the limit. */
function dropClaims(claims: Y.Array<unknown>, task: TaskId): void {
  const heads = claims.toArray().map((value) => ClaimHead.safeParse(value).data)
  let released = heads.filter((head) => head?.state === 'released' && head.task !== task).length
  const isDropped = heads.map((head) => {
    if (head === undefined || head.task === task) return true
    return head.state === 'released' && released-- >= RELEASED_KEPT_MAX
  })
  for (let i = isDropped.length - 1; i >= 0; i--) if (isDropped[i]) claims.delete(i)
}

/** Enough to know a record by: the whole would be parsed some thousand times per claim. */
const ClaimHead = z.object({ task: z.string(), state: z.enum(['claimed', 'released']) })
