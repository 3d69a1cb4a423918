import { machineIdOf } from '../../../crdt/machine-id.ts'
import { PeerId } from '../../../crdt/ids.ts'
import { ok } from '../../../crdt/result.ts'
import { hasEnded } from '../../../crdt/session.ts'
import type { FileLock } from '../../../crdt/lock.ts'
import type { Project } from '../../../crdt/project.ts'
import type { Result } from '../../../crdt/result.ts'
import type { Session } from '../../../crdt/session.ts'
import type { Task, TaskStatus } from '../../../crdt/task.ts'
import type { ActivityService } from '../activity/activity-service.ts'
import type { LockService } from '../locks/lock-service.ts'
import type { SessionService } from '../sessions/session-service.ts'
import type { TaskService } from '../tasks/task-service.ts'
import type { ProjectService } from './project-service.ts'

/** An agent at work, known by what it holds (a claim, a lock) or by its session in the project's folder. */
export type Instance = {
  readonly id: string
  readonly currentTaskId: string | null
  readonly locks: number
  readonly tasksCompleted: number
  /** Since its session started, or since the first of what it holds now. */
  readonly since: string
  readonly session: Session | null
}

/** Tokens of what an agent is told of the project, estimated, and how many it may take. */
export type TokenUse = { readonly total: number; readonly max: number }

export type ProjectSummary = {
  readonly activeInstances: number
  readonly pendingTasks: number
  readonly tokens: TokenUse
}

export type ProjectStats = {
  readonly tokens: TokenUse
  readonly activeInstances: number
  readonly activeLocks: number
  readonly tasks: { readonly pending: number; readonly inProgress: number; readonly completed: number }
}

export type ProjectOverview = {
  /** What its tasks, locks and agents add to a project that is known. */
  summary(project: Project): Promise<Result<ProjectSummary>>
  /** @errors project_not_found */
  stats(projectId: string): Promise<Result<ProjectStats>>
  /** Those that have been at work longest first. @errors project_not_found */
  instances(projectId: string): Promise<Result<readonly Instance[]>>
}

export type ProjectOverviewDeps = {
  readonly projects: Pick<ProjectService, 'get'>
  readonly tasks: Pick<TaskService, 'list' | 'overview'>
  readonly locks: Pick<LockService, 'list'>
  readonly sessions: Pick<SessionService, 'list'>
  readonly activity: Pick<ActivityService, 'completedBy'>
  /** Of everything that agents are told of the project. */
  readonly tokensOf: (project: Project) => Promise<number>
}

/** Claims and sessions that are looked at: no mesh runs more agents on one project. */
const LOOKED_AT_MAX = 1000

export function createProjectOverview(deps: ProjectOverviewDeps): ProjectOverview {
  return {
    async summary(project) {
      const tasks = await deps.tasks.overview(project.id)
      if (!tasks.ok) return tasks
      const locks = await deps.locks.list(project.id)
      if (!locks.ok) return locks
      const { pending, instances } = tasks.value
      const sessions = await sessionsIn(deps, project)
      const active = [...instances, ...locks.value.map((lock) => lock.instanceId), ...sessions.map(({ id }) => id)]
      return ok({
        activeInstances: new Set(active).size,
        pendingTasks: pending,
        tokens: await tokensOf(deps, project),
      })
    },
    async stats(projectId) {
      const project = await deps.projects.get(projectId)
      return project.ok ? await statsOf(deps, project.value) : project
    },
    async instances(projectId) {
      const project = await deps.projects.get(projectId)
      if (!project.ok) return project
      const completedBy = await deps.activity.completedBy(projectId)
      if (!completedBy.ok) return completedBy
      const active = await activeIn(deps, project.value)
      if (!active.ok) return active
      const instances = [...active.value.instances].map(([id, held]) => instanceOf(id, held, completedBy.value(id)))
      return ok(instances.toSorted((a, b) => (a.since < b.since ? -1 : 1)))
    },
  }
}

async function statsOf(deps: ProjectOverviewDeps, project: Project): Promise<Result<ProjectStats>> {
  const counts: number[] = []
  for (const status of ['pending', 'in_progress', 'completed'] as const) {
    const counted = await countTasks(deps, project, status)
    if (!counted.ok) return counted
    counts.push(counted.value)
  }
  const [pending = 0, inProgress = 0, completed = 0] = counts
  const active = await activeIn(deps, project)
  if (!active.ok) return active
  return ok({
    tokens: await tokensOf(deps, project),
    activeInstances: active.value.instances.size,
    activeLocks: active.value.locks,
    tasks: { pending, inProgress, completed },
  })
}

const tokensOf = async (deps: ProjectOverviewDeps, project: Project): Promise<TokenUse> => ({
  total: await deps.tokensOf(project),
  max: project.settings.maxContextTokens,
})

async function countTasks(deps: ProjectOverviewDeps, { id }: Project, status: TaskStatus): Promise<Result<number>> {
  const page = await deps.tasks.list(id, { status }, { page: 1, perPage: 1 })
  return page.ok ? ok(page.value.total) : page
}

type Held = { readonly tasks: Task[]; readonly locks: FileLock[]; session: Session | null }

async function activeIn(
  deps: ProjectOverviewDeps,
  project: Project,
): Promise<Result<{ instances: ReadonlyMap<string, Held>; locks: number }>> {
  const first = { page: 1, perPage: LOOKED_AT_MAX }
  const tasks = await deps.tasks.list(project.id, { status: 'in_progress' }, first)
  if (!tasks.ok) return tasks
  const locks = await deps.locks.list(project.id)
  if (!locks.ok) return locks
  const instances = new Map<string, Held>()
  const of = (id: string): Held => {
    const held = instances.get(id) ?? { tasks: [], locks: [], session: null }
    instances.set(id, held)
    return held
  }
  for (const task of tasks.value.items) if (task.claim) of(task.claim.instanceId).tasks.push(task)
  for (const lock of locks.value) of(lock.instanceId).locks.push(lock)
  for (const session of await sessionsIn(deps, project)) of(session.id).session = session
  return ok({ instances, locks: locks.value.length })
}

/** Sessions that run in the project's folder, on whichever machine: an agent there goes by its session's id. */
async function sessionsIn(deps: ProjectOverviewDeps, { paths }: Project): Promise<Session[]> {
  const running: Session[] = []
  for (const [node, folder] of Object.entries(paths)) {
    const peer = PeerId.safeParse(node)
    if (!peer.success) continue
    const listed = await deps.sessions.list(machineIdOf(peer.data), {}, { page: 1, perPage: LOOKED_AT_MAX })
    if (!listed.ok) continue // a machine that has left the mesh
    running.push(...listed.value.items.filter((one) => !hasEnded(one.status) && isWithin(one.projectPath, folder)))
  }
  return running
}

const isWithin = (path: string, folder: string): boolean =>
  path === folder || path.startsWith(/[\\/]$/.test(folder) ? folder : `${folder}/`) || path.startsWith(`${folder}\\`)

function instanceOf(id: string, { tasks, locks, session }: Held, tasksCompleted: number): Instance {
  const since = [
    ...(session === null ? [] : [session.startedAt ?? session.createdAt]),
    ...tasks.flatMap(({ claim }) => claim?.claimedAt ?? []),
    ...locks.map(({ lockedAt }) => lockedAt),
  ].toSorted((a, b) => (a < b ? -1 : 1))
  const [current] = tasks.toSorted((a, b) => ((a.claim?.claimedAt ?? '') < (b.claim?.claimedAt ?? '') ? 1 : -1))
  return {
    id,
    currentTaskId: current?.id ?? null,
    locks: locks.length,
    tasksCompleted,
    since: session?.startedAt ?? since[0] ?? '',
    session,
  }
}
