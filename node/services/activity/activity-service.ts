import { ok } from '../../../crdt/result.ts'
import { ActivityLog } from './activity-log.ts'
import type { Activity } from '../../../crdt/activity.ts'
import type { DomainEvent } from '../../../crdt/domain-event.ts'
import type { ProjectId } from '../../../crdt/ids.ts'
import type { Result } from '../../../crdt/result.ts'
import type { Cancel, Clock } from '../../ports/clock.ts'
import type { EventHub } from '../event-hub.ts'
import type { LockService } from '../locks/lock-service.ts'
import type { ProjectService } from '../projects/project-service.ts'
import type { TaskService } from '../tasks/task-service.ts'

export type ActivityService = {
  /**
   * Newest first: what this node saw happen since it started, whoever did it, and before that what tasks and locks tell of
   * themselves. @errors project_not_found
   */
  list(projectId: string, limit: number): Promise<Result<readonly Activity[]>>
  /** How many tasks of the project each instance has completed. @errors project_not_found */
  completedBy(projectId: string): Promise<Result<(instanceId: string) => number>>
}

export type ActivityServiceDeps = {
  readonly projects: Pick<ProjectService, 'get'>
  readonly tasks: Pick<TaskService, 'list'>
  readonly locks: Pick<LockService, 'list'>
  readonly events: EventHub
  readonly clock: Clock
}

/** Tasks that are looked at in one go when a log is begun; other work gets its turn in between. */
const TASKS_PER_LOOK = 1000

/** Follows all projects from now on; what was there before is read when somebody first asks. */
export function createActivityService(deps: ActivityServiceDeps): ActivityService & { stop: Cancel } {
  const logs = new Map<ProjectId, ActivityLog>()
  const begun = new Map<ProjectId, Promise<Result<null>>>()
  const logOf = (id: ProjectId): ActivityLog => {
    const log = logs.get(id) ?? new ActivityLog()
    logs.set(id, log)
    return log
  }
  const stop = deps.events.subscribe((event) => {
    if (event.type === 'project.deleted') {
      logs.delete(event.projectId)
      begun.delete(event.projectId)
    } else {
      const projectId = projectOf(event)
      if (projectId !== undefined) logOf(projectId).add(event, new Date(deps.clock.wallMs()).toISOString())
    }
  })
  const known = async (projectId: string): Promise<Result<ActivityLog>> => {
    const project = await deps.projects.get(projectId)
    if (!project.ok) return project
    const { id } = project.value
    const log = logOf(id)
    const reading = begun.get(id) ?? begin(deps, id, log)
    begun.set(id, reading)
    const read = await reading
    if (read.ok) return ok(log)
    begun.delete(id)
    return read
  }
  return {
    async list(projectId, limit) {
      const log = await known(projectId)
      return log.ok ? ok(log.value.latest(limit)) : log
    },
    async completedBy(projectId) {
      const log = await known(projectId)
      return log.ok ? ok((instanceId) => log.value.completedBy(instanceId)) : log
    },
    stop,
  }
}

function projectOf(event: DomainEvent): ProjectId | undefined {
  return 'projectId' in event ? event.projectId : undefined
}

async function begin(deps: ActivityServiceDeps, projectId: ProjectId, log: ActivityLog): Promise<Result<null>> {
  const locks = await deps.locks.list(projectId)
  if (!locks.ok) return locks
  for (const lock of locks.value) log.addLock(lock)
  log.beginReading()
  for (let page = 1; ; page++) {
    const tasks = await deps.tasks.list(projectId, {}, { page, perPage: TASKS_PER_LOOK })
    if (!tasks.ok) return tasks
    for (const task of tasks.value.items) log.addTask(task)
    if (page * TASKS_PER_LOOK >= tasks.value.total) break
    await new Promise<void>((resolve) => deps.clock.after(0, resolve))
  }
  log.endReading()
  return ok(null)
}
