import { activityId } from '../../../crdt/activity.ts'
import type { Activity, ActivityType } from '../../../crdt/activity.ts'
import type { DomainEvent } from '../../../crdt/domain-event.ts'
import type { TaskId } from '../../../crdt/ids.ts'
import type { FileLock } from '../../../crdt/lock.ts'
import type { Task } from '../../../crdt/task.ts'

/** Of one project; some 150 kB at most. */
export const ACTIVITIES_KEPT_MAX = 500
/** Instances whose completed tasks are counted; the names are the callers' to choose. */
const INSTANCES_MAX = 10_000

/** What happened lately in one project: newest first. Pure; events and what was there before are put in. */
export class ActivityLog {
  readonly #kept = new Map<string, Activity>()
  readonly #claimers = new Map<TaskId, string>()
  readonly #lockers = new Map<string, FileLock>()
  readonly #completions = new Map<string, number>()
  /** While the list of tasks is read: those counted already. Before that nothing is counted, after that every event. */
  #counting: 'not yet' | Set<TaskId> | 'on' = 'not yet'

  latest(limit: number): readonly Activity[] {
    return [...this.#kept.values()].toSorted(newestFirst).slice(0, limit)
  }

  completedBy(instanceId: string): number {
    return this.#completions.get(instanceId) ?? 0
  }

  /** From now on the tasks there are are put in; each counts once, however often it is met. */
  beginReading(): void {
    this.#counting = new Set()
    this.#completions.clear()
  }

  endReading(): void {
    this.#counting = 'on'
  }

  addTask(task: Task): void {
    this.#keep(taskActivity(task, 'task_created', { at: task.createdAt, instanceId: null }))
    if (task.claim) this.#claimed(task)
    if (task.completion) this.#completed(task)
  }

  addLock(lock: FileLock): void {
    this.#lockers.set(lock.path, lock)
    const { path, reason, lockedAt, instanceId, leaseId } = lock
    const id = activityId('file_locked', leaseId, path)
    this.#keep({ id, type: 'file_locked', instanceId, details: { path, reason }, createdAt: lockedAt })
  }

  /** Takes in what is told, and when this node heard of it. */
  add(event: DomainEvent, at: string): void {
    switch (event.type) {
      case 'task.created':
        return this.addTask(event.task)
      case 'task.claimed':
        return this.#claimed(event.task)
      case 'task.released':
        return this.#released(event.task, { reason: event.reason, at })
      case 'task.completed':
        return this.#completed(event.task)
      case 'file.locked':
        return this.addLock(event.lock)
      case 'file.unlocked':
        return this.#unlocked(event.path, at)
      case 'project.broadcast': {
        const { id, type, content, target, createdAt } = event.broadcast
        return this.#keep({ id, type: 'broadcast', instanceId: null, details: { type, content, target }, createdAt })
      }
      case 'task.deleted':
        this.#claimers.delete(event.taskId)
        return
      case 'task.updated':
      case 'file.conflict':
      case 'project.created':
      case 'project.updated':
      case 'project.deleted':
      case 'session.created':
      case 'session.updated':
      case 'session.ended':
      case 'execution.queued':
      case 'execution.started':
      case 'execution.ended':
      case 'mcp.changed':
      case 'machine.changed':
      case 'pairing.changed':
      case 'skills.changed':
      case 'members.changed':
        return
      default:
        event satisfies never
    }
  }

  #claimed(task: Task): void {
    if (!task.claim) return
    const { instanceId, claimedAt: at, leaseId } = task.claim
    this.#claimers.set(task.id, instanceId)
    this.#keep(taskActivity(task, 'task_claimed', { at, instanceId, of: leaseId }))
  }

  #released(task: Task, { reason, at }: { reason: string; at: string }): void {
    const instanceId = this.#claimers.get(task.id) ?? null
    this.#claimers.delete(task.id)
    this.#keep(taskActivity(task, 'task_released', { at, instanceId, more: { reason } }))
  }

  #completed(task: Task): void {
    if (!task.completion) return
    const { instanceId, completedAt: at, summary } = task.completion
    this.#claimers.delete(task.id)
    this.#count(task.id, instanceId)
    this.#keep(taskActivity(task, 'task_completed', { at, instanceId, more: { summary: summary.slice(0, 500) } }))
  }

  #count(id: TaskId, instanceId: string): void {
    if (this.#counting === 'not yet') return
    if (this.#counting !== 'on') {
      if (this.#counting.has(id)) return
      this.#counting.add(id)
    }
    const count = this.completedBy(instanceId)
    if (count > 0 || this.#completions.size < INSTANCES_MAX) this.#completions.set(instanceId, count + 1)
  }

  #unlocked(path: string, at: string): void {
    const lock = this.#lockers.get(path)
    this.#lockers.delete(path)
    const id = activityId('file_unlocked', lock?.leaseId ?? at, path)
    this.#keep({ id, type: 'file_unlocked', instanceId: lock?.instanceId ?? null, details: { path }, createdAt: at })
  }

  #keep(activity: Activity): void {
    if (!this.#kept.has(activity.id)) this.#kept.set(activity.id, activity)
    if (this.#kept.size < 2 * ACTIVITIES_KEPT_MAX) return
    const surplus = [...this.#kept.values()].toSorted(newestFirst).slice(ACTIVITIES_KEPT_MAX)
    for (const { id } of surplus) this.#kept.delete(id)
  }
}

function taskActivity(
  task: Task,
  type: ActivityType,
  what: { at: string; instanceId: string | null; of?: string; more?: Readonly<Record<string, string>> },
): Activity {
  const { at: createdAt, instanceId, of = createdAt, more } = what
  const details = { task_id: task.id, task_title: task.title, ...more }
  return { id: activityId(type, task.id, of), type, instanceId, details, createdAt }
}

function newestFirst(a: Activity, b: Activity): number {
  if (a.createdAt !== b.createdAt) return a.createdAt < b.createdAt ? 1 : -1
  return a.id < b.id ? -1 : 1
}
