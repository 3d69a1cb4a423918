import { randomUUID } from 'node:crypto'
import { domainError, type DomainError } from '../../crdt/errors.ts'
import { InstanceId, MachineId, ProjectId, TaskId } from '../../crdt/ids.ts'
import type { FileLock } from '../../crdt/lock.ts'
import type { Machine } from '../../crdt/machine.ts'
import { paginate } from '../../crdt/page.ts'
import { DEFAULT_PROJECT_SETTINGS, type Project } from '../../crdt/project.ts'
import { err, ok, type Result } from '../../crdt/result.ts'
import { PRIORITIES, type Task } from '../../crdt/task.ts'
import type { EventHub } from '../../node/services/event-hub.ts'
import type { LockService } from '../../node/services/lock-service.ts'
import type { MachineService } from '../../node/services/machine-service.ts'
import type { ProjectService } from '../../node/services/project-service.ts'
import type { TaskService } from '../../node/services/task-service.ts'
import { identity } from './identity.ts'

const now = (): string => new Date().toISOString()
const self = identity(1).peer

export function createMemoryMachines(): MachineService {
  const machines = new Map<string, Machine>()
  const add = (name: string, facts: Partial<Machine>): Machine => {
    const machine: Machine = {
      id: MachineId.parse(randomUUID()),
      node: null,
      name,
      hostname: name,
      platform: 'linux',
      arch: 'x64',
      nodeVersion: '24.21.0',
      rookeryVersion: '0.1.0',
      claudeVersion: null,
      claudePath: null,
      agents: {},
      capabilities: [],
      maxSessions: 10,
      status: 'offline',
      activeSessions: 0,
      lastSeenAt: null,
      connectedAt: null,
      createdAt: now(),
      ...facts,
    }
    machines.set(machine.id, machine)
    return machine
  }
  const own = add('nest', { node: self, status: 'online', connectedAt: now(), lastSeenAt: now() })
  const find = (id: string): Result<Machine> => {
    const machine = machines.get(id)
    return machine === undefined ? err(domainError('machine_not_found')) : ok(machine)
  }
  return {
    self: own.id,
    list: async ({ search, status }, page) =>
      paginate(
        [...machines.values()].filter(
          (machine) =>
            (status === undefined || machine.status === status) &&
            (search === undefined || `${machine.name} ${machine.hostname}`.includes(search)),
        ),
        page,
      ),
    get: async (id) => find(id),
    register: async (_actor, { name, ...facts }) => ok({ machine: add(name, facts), token: `mn_${randomUUID()}` }),
    async update(_actor, id, change) {
      const found = find(id)
      if (!found.ok) return found
      const machine = { ...found.value, ...change }
      machines.set(id, machine)
      return ok(machine)
    },
    async remove(_actor, id) {
      return machines.delete(id) ? ok(null) : err(domainError('machine_not_found'))
    },
    async environment(id) {
      const found = find(id)
      return found.ok && found.value.status === 'offline' ? err(domainError('machine_offline')) : found
    },
    async nodeOf(id) {
      const found = find(id)
      if (!found.ok) return found
      const { node } = found.value
      return node === null ? err(domainError('machine_offline')) : ok({ machineId: found.value.id, peer: node })
    },
  }
}

export function createMemoryProjects(machines: MachineService, events: EventHub): ProjectService {
  const projects = new Map<string, Project>()
  const find = (id: string): Result<Project> => {
    const project = projects.get(id)
    return project === undefined ? err(domainError('project_not_found')) : ok(project)
  }
  return {
    async list(machineId, page) {
      const machine = await machines.get(machineId)
      return machine.ok ? ok(paginate([...projects.values()], page)) : machine
    },
    all: async () => [...projects.values()],
    async create(actor, machineId, input) {
      const node = await machines.nodeOf(machineId)
      if (!node.ok) return node
      const isTaken = [...projects.values()].some(({ paths }) => paths[node.value.peer] === input.projectPath)
      if (isTaken) return err(domainError('project_exists'))
      const project: Project = {
        id: ProjectId.parse(randomUUID()),
        name: input.name ?? 'project',
        summary: input.summary ?? '',
        architecture: input.architecture ?? '',
        conventions: input.conventions ?? '',
        currentFocus: '',
        recentChanges: '',
        settings: { ...DEFAULT_PROJECT_SETTINGS, ...input.settings },
        repository: null,
        paths: { [node.value.peer]: input.projectPath },
        createdAt: now(),
        createdBy: actor.id,
      }
      projects.set(project.id, project)
      events.publish({ type: 'project.created', projectId: project.id })
      return ok(project)
    },
    get: async (id) => find(id),
    async update(_actor, id, change) {
      const found = find(id)
      if (!found.ok) return found
      const project: Project = {
        ...found.value,
        ...change,
        settings: { ...found.value.settings, ...change.settings },
      }
      projects.set(id, project)
      events.publish({ type: 'project.updated', projectId: project.id })
      return ok(project)
    },
    async remove(_actor, id) {
      const found = find(id)
      if (!found.ok) return found
      projects.delete(id)
      events.publish({ type: 'project.deleted', projectId: found.value.id })
      return ok(null)
    },
  }
}

export function createMemoryTasks(projects: ProjectService, events: EventHub): TaskService {
  const tasks = new Map<string, Task>()
  let fence = 2 ** 32
  const find = (id: string): Result<Task> => {
    const task = tasks.get(id)
    return task === undefined ? err(domainError('task_not_found')) : ok(task)
  }
  const isOpen = (id: string): boolean => tasks.get(id)?.status !== 'completed' && tasks.has(id)
  const put = (task: Task): Task => {
    const fresh = { ...task, isBlocked: task.dependencies.some(isOpen) }
    tasks.set(task.id, fresh)
    return fresh
  }
  const free = (projectId: string): Task | undefined =>
    [...tasks.values()]
      .filter((task) => task.projectId === projectId && task.status === 'pending' && !task.dependencies.some(isOpen))
      .toSorted((a, b) => PRIORITIES.indexOf(b.priority) - PRIORITIES.indexOf(a.priority))[0]
  const claim: TaskService['claim'] = async (actor, id, instanceId) => {
    const found = find(id)
    if (!found.ok) return found
    const task = found.value
    if (task.claim !== null) {
      return err(domainError('task_claimed', { details: { holder: { instanceId: task.claim.instanceId } } }))
    }
    const instance = InstanceId.parse(instanceId)
    fence++
    const claimed = put({
      ...task,
      status: 'in_progress',
      claim: {
        instanceId: instance,
        node: self,
        tokenId: actor.tokenId,
        leaseId: randomUUID(),
        fencingToken: fence,
        claimedAt: now(),
      },
    })
    events.publish({ type: 'task.claimed', projectId: task.projectId, task: claimed, instanceId })
    return ok(claimed)
  }
  const mayEnd = (task: Task, tokenId: string, proof: { fencingToken?: number; instanceId?: string }): boolean =>
    task.claim !== null &&
    (task.claim.tokenId === tokenId || task.claim.fencingToken === proof.fencingToken) &&
    (proof.instanceId === undefined || proof.instanceId === task.claim.instanceId)
  return {
    async list(projectId, { status, priority }, page) {
      const project = await projects.get(projectId)
      if (!project.ok) return project
      const shown = [...tasks.values()].filter(
        (task) =>
          task.projectId === projectId &&
          (status === undefined || task.status === status) &&
          (priority === undefined || task.priority === priority),
      )
      return ok(paginate(shown, page))
    },
    async create(actor, projectId, input) {
      const project = await projects.get(projectId)
      if (!project.ok) return project
      const { estimated_tokens: estimatedTokens, dependencies, ...rest } = input
      const task = put({
        ...rest,
        id: TaskId.parse(randomUUID()),
        projectId: project.value.id,
        status: 'pending',
        dependencies: dependencies.map((id) => TaskId.parse(id)),
        estimatedTokens,
        createdAt: now(),
        createdBy: actor.id,
        isBlocked: false,
        claim: null,
        completion: null,
      })
      events.publish({ type: 'task.created', projectId: task.projectId, task })
      return ok(task)
    },
    async next(projectId) {
      const project = await projects.get(projectId)
      return project.ok ? ok(free(projectId) ?? null) : project
    },
    get: async (id) => find(id),
    async update(_actor, id, { estimated_tokens: estimatedTokens, dependencies: _dependencies, ...change }) {
      const found = find(id)
      if (!found.ok) return found
      return ok(put({ ...found.value, ...change, ...(estimatedTokens === undefined ? {} : { estimatedTokens }) }))
    },
    async remove(_actor, id) {
      const found = find(id)
      if (!found.ok) return found
      tasks.delete(id)
      events.publish({ type: 'task.deleted', projectId: found.value.projectId, taskId: found.value.id })
      return ok(null)
    },
    claim,
    async claimNext(actor, projectId, instanceId) {
      const project = await projects.get(projectId)
      if (!project.ok) return project
      const task = free(projectId)
      return task === undefined ? ok(null) : await claim(actor, task.id, instanceId)
    },
    async release(actor, id, input) {
      const found = find(id)
      if (!found.ok) return found
      if (!mayEnd(found.value, actor.tokenId, input)) return err(domainError('task_not_claimed_by_caller'))
      const task = put({ ...found.value, status: 'pending', claim: null })
      events.publish({ type: 'task.released', projectId: task.projectId, task, reason: input.reason })
      return ok(task)
    },
    async complete(actor, id, input) {
      const found = find(id)
      if (!found.ok) return found
      const { claim: held } = found.value
      if (held === null || !mayEnd(found.value, actor.tokenId, input)) {
        return err(domainError('task_not_claimed_by_caller'))
      }
      const { summary, filesModified } = input
      const completion = { summary, filesModified, completedAt: now(), instanceId: held.instanceId }
      const task = put({ ...found.value, status: 'completed', claim: null, completion })
      events.publish({ type: 'task.completed', projectId: task.projectId, task, summary })
      return ok(task)
    },
  }
}

export function createMemoryLocks(projects: ProjectService, events: EventHub): LockService {
  const locks = new Map<string, FileLock>()
  let fence = 2 ** 32
  const key = (projectId: string, path: string): string => `${projectId} ${path}`
  const inProject = async <T>(projectId: string, then: () => Result<T>): Promise<Result<T>> => {
    const project = await projects.get(projectId)
    return project.ok ? then() : project
  }
  const held = (lock: FileLock): DomainError => {
    const { instanceId, reason, expiresAt } = lock
    return domainError('lock_held', {
      details: { holder: { instanceId, expiresAt, ...(reason === null ? {} : { reason }) } },
    })
  }
  const take = (
    tokenId: string,
    projectId: string,
    input: { path: string; instanceId: string; reason?: string; durationMinutes?: number },
  ): Result<FileLock> => {
    const existing = locks.get(key(projectId, input.path))
    if (existing !== undefined && existing.instanceId !== input.instanceId) return err(held(existing))
    fence++
    const lock: FileLock = {
      projectId: ProjectId.parse(projectId),
      path: input.path,
      instanceId: InstanceId.parse(input.instanceId),
      reason: input.reason ?? null,
      lockedAt: now(),
      expiresAt: new Date(Date.now() + (input.durationMinutes ?? 30) * 60_000).toISOString(),
      node: self,
      tokenId,
      leaseId: randomUUID(),
      fencingToken: fence,
    }
    locks.set(key(projectId, input.path), lock)
    events.publish({ type: 'file.locked', projectId: lock.projectId, lock })
    return ok(lock)
  }
  const drop = (lock: FileLock): Result<null> => {
    locks.delete(key(lock.projectId, lock.path))
    events.publish({ type: 'file.unlocked', projectId: lock.projectId, path: lock.path })
    return ok(null)
  }
  const mine = (projectId: string, path: string, instanceId: string): Result<FileLock> => {
    const lock = locks.get(key(projectId, path))
    return lock?.instanceId === instanceId ? ok(lock) : err(domainError('lock_not_held_by_caller'))
  }
  return {
    list: (projectId) =>
      inProject(projectId, () => ok([...locks.values()].filter((lock) => lock.projectId === projectId))),
    acquire: (actor, projectId, input) => inProject(projectId, () => take(actor.tokenId, projectId, input)),
    check: (projectId, path) => inProject(projectId, () => ok(locks.get(key(projectId, path)) ?? null)),
    extend: (_actor, projectId, { path, instanceId, additionalMinutes }) =>
      inProject(projectId, () => {
        const found = mine(projectId, path, instanceId)
        if (!found.ok) return found
        const expiresAt = new Date(Date.parse(found.value.expiresAt) + additionalMinutes * 60_000).toISOString()
        const lock = { ...found.value, expiresAt }
        locks.set(key(projectId, path), lock)
        return ok(lock)
      }),
    bulk: (actor, projectId, { paths, allOrNothing, ...input }) =>
      inProject(projectId, () => {
        const blocked = paths.flatMap((path) => {
          const lock = locks.get(key(projectId, path))
          return lock === undefined || lock.instanceId === input.instanceId ? [] : [{ path, error: held(lock) }]
        })
        if (allOrNothing === true && blocked.length > 0) return ok({ acquired: [], failed: blocked })
        const acquired = paths.flatMap((path) => {
          const taken = take(actor.tokenId, projectId, { ...input, path })
          return taken.ok ? [taken.value] : []
        })
        return ok({ acquired, failed: blocked })
      }),
    release: (_actor, projectId, { path, instanceId }) =>
      inProject(projectId, () => {
        const found = mine(projectId, path, instanceId)
        return found.ok ? drop(found.value) : found
      }),
    forceRelease: (_actor, projectId, path) =>
      inProject(projectId, () => {
        const lock = locks.get(key(projectId, path))
        return lock === undefined ? err(domainError('lock_not_held_by_caller')) : drop(lock)
      }),
  }
}
