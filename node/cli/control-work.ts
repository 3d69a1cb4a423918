import { z } from 'zod'
import { domainError } from '../../crdt/errors.ts'
import { LOCK_POLICIES } from '../../crdt/project.ts'
import { err, ok } from '../../crdt/result.ts'
import { PRIORITIES, TASK_STATUSES, TaskInput } from '../../crdt/task.ts'
import { instance, localActor, localInstance, method, PAGE, type ControlMethod } from './control-method.ts'

const projectSettings = z.strictObject({
  lockPolicy: z.enum(LOCK_POLICIES).exactOptional(),
  caseFold: z.boolean().exactOptional(),
})
const taskProof = { id: z.string(), fencing_token: z.int().optional() }

/** What the command line may ask about projects, their tasks and their locks. */
export const WORK_METHODS = {
  'project.list': method(z.strictObject({}), async ({ services }) => ok(await services.projects.all())),
  'project.add': method(
    z.strictObject({ path: z.string(), name: z.string().min(1).max(255).optional() }),
    ({ services, self }, { path, name }) =>
      services.projects.create(
        localActor(self),
        services.machines.self,
        name === undefined ? { projectPath: path } : { projectPath: path, name },
      ),
  ),
  'project.set': method(
    z.strictObject({ project: z.string(), settings: projectSettings }),
    ({ services, self }, { project, settings }) => services.projects.update(localActor(self), project, { settings }),
  ),

  'task.add': method(
    z.strictObject({ project: z.string(), task: TaskInput }),
    ({ services, self }, { project, task }) => services.tasks.create(localActor(self), project, task),
  ),
  'task.list': method(
    z.strictObject({
      project: z.string(),
      status: z.enum(TASK_STATUSES).optional(),
      priority: z.enum(PRIORITIES).optional(),
    }),
    async ({ services }, { project, status, priority }) => {
      const filter = { ...(status === undefined ? {} : { status }), ...(priority === undefined ? {} : { priority }) }
      const page = await services.tasks.list(project, filter, PAGE)
      return page.ok ? ok(page.value.items) : page
    },
  ),
  'task.next': method(z.strictObject({ project: z.string() }), ({ services }, { project }) =>
    services.tasks.next(project),
  ),
  'task.claim': method(
    z.strictObject({ id: z.string(), instance }),
    (context, { id, instance = localInstance(context) }) =>
      context.services.tasks.claim(localActor(context.self), id, instance),
  ),
  'task.claimNext': method(
    z.strictObject({ project: z.string(), instance }),
    async (context, { project, instance = localInstance(context) }) => {
      const claimed = await context.services.tasks.claimNext(localActor(context.self), project, instance)
      return claimed.ok && claimed.value === null ? err(domainError('no_task_available')) : claimed
    },
  ),
  'task.complete': method(
    z.strictObject({ ...taskProof, summary: z.string().max(50_000), files: z.array(z.string()).max(500) }),
    ({ services, self }, { id, summary, files, fencing_token }, signal) =>
      services.tasks.complete(localActor(self), id, { summary, filesModified: files, ...proof(fencing_token) }, signal),
  ),
  'task.release': method(
    z.strictObject({ ...taskProof, reason: z.string().max(2000) }),
    ({ services, self }, { id, reason, fencing_token }, signal) =>
      services.tasks.release(localActor(self), id, { reason, ...proof(fencing_token) }, signal),
  ),

  'lock.acquire': method(
    z.strictObject({
      project: z.string(),
      path: z.string(),
      instance,
      reason: z.string().optional(),
      minutes: z.number().positive().optional(),
      exclusive: z.boolean().default(false),
    }),
    (context, { project, path, instance = localInstance(context), reason, minutes, exclusive }) =>
      context.services.locks.acquire(localActor(context.self), project, {
        path,
        instanceId: instance,
        exclusive,
        ...(reason === undefined ? {} : { reason }),
        ...(minutes === undefined ? {} : { durationMinutes: minutes }),
      }),
  ),
  'lock.release': method(
    z.strictObject({ project: z.string(), path: z.string(), instance, fencing_token: z.int().optional() }),
    (context, { project, path, instance = localInstance(context), fencing_token }, signal) => {
      const lock = { path, instanceId: instance, ...proof(fencing_token) }
      return context.services.locks.release(localActor(context.self), project, lock, signal)
    },
  ),
  'lock.list': method(z.strictObject({ project: z.string() }), ({ services }, { project }) =>
    services.locks.list(project),
  ),
  'lock.check': method(z.strictObject({ project: z.string(), path: z.string() }), ({ services }, { project, path }) =>
    services.locks.check(project, path),
  ),
  'lock.notices': method(z.strictObject({ project: z.string() }), ({ services }, { project }) =>
    services.locks.notices(project),
  ),
  'lock.dismiss': method(
    z.strictObject({ project: z.string(), id: z.string() }),
    ({ services, self }, { project, id }) => services.locks.dismissNotice(localActor(self), project, id),
  ),
} as const satisfies Record<string, ControlMethod>

const proof = (fencingToken: number | undefined): { fencingToken?: number } =>
  fencingToken === undefined ? {} : { fencingToken }
