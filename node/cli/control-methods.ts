import { userInfo } from 'node:os'
import { z } from 'zod'
import { Capability } from '../../crdt/capability.ts'
import { domainError } from '../../crdt/errors.ts'
import { LOCK_POLICIES } from '../../crdt/project.ts'
import { err, ok, type Result } from '../../crdt/result.ts'
import { PTY_COLS, PTY_ROWS, SESSION_MODES } from '../../crdt/session.ts'
import { PRIORITIES, TASK_STATUSES, TaskInput } from '../../crdt/task.ts'
import { ForceReason, PARENTS_MAX } from '../../protocols/membership/records.ts'
import type { Services } from '../services/services.ts'
import { localActor, method, type ControlContext, type ControlMethod } from './control-method.ts'
import { USER_METHODS } from './control-users.ts'
import { goOnWithout, restoredView } from './restored-view.ts'

/** Who acts when nobody is named: the node's own user, under the machine's name, which tells it from other machines'. */
const localInstance = ({ services, self }: ControlContext): string => {
  const name = services.mesh.members().find(({ peerId }) => peerId === self)?.name ?? self
  return `${userName()}@${name}`
}

/** Where no account has this number, as in some containers, there is no name to ask for. */
function userName(): string {
  try {
    return userInfo().username
  } catch {
    return `uid-${process.getuid?.() ?? 0}`
  }
}

/** Lists are asked for in one piece; a mesh has at most this many of anything that the command line lists. */
const PAGE = { page: 1, perPage: 100_000 }

/** As many as one configuration can name. */
const VOTERS_MAX = 63

/** Left out: the user of this node. */
const instance = z.string().min(1).max(128).exactOptional()
const projectSettings = z.strictObject({
  lockPolicy: z.enum(LOCK_POLICIES).exactOptional(),
  caseFold: z.boolean().exactOptional(),
})
const taskProof = { id: z.string(), fencing_token: z.int().optional() }
const hex = (byteLength: number) =>
  z
    .hex()
    .length(2 * byteLength)
    .lowercase()

export const CONTROL_METHODS = {
  'mesh.status': method(z.strictObject({}), async ({ services }) => {
    const status = await services.mesh.status()
    const setupCode = services.accounts.setupCode()
    const electorate = services.electorate.view()
    return ok({ ...status, electorate, ...(setupCode === undefined ? {} : { setupCode }) })
  }),
  'mesh.invite': method(
    z.strictObject({ capabilities: z.array(Capability).optional(), expiresInMs: z.int().min(1000).optional() }),
    ({ services }, { capabilities, expiresInMs }) =>
      services.mesh.invite({
        ...(capabilities === undefined ? {} : { capabilities }),
        ...(expiresInMs === undefined ? {} : { expiresInMs }),
      }),
  ),
  'mesh.join': method(
    z.strictObject({ ticket: z.string().max(4096), name: z.string().min(1).max(64).optional() }),
    ({ join }, { ticket, name }) => join(ticket, name),
  ),
  'mesh.leave': method(z.strictObject({}), ({ leave }) => leave()),
  'mesh.remove': method(z.strictObject({ member: z.string() }), ({ services }, { member }) =>
    services.mesh.remove(member),
  ),
  'mesh.peers': method(z.strictObject({}), async ({ services }) => ok(services.peers.list())),
  'voters.view': method(z.strictObject({}), async ({ services }) => ok(services.electorate.view())),
  'voters.set': method(
    z.strictObject({
      members: z.array(z.string().min(1)).min(1).max(VOTERS_MAX),
      force: z.strictObject({ reason: ForceReason }).optional(),
    }),
    ({ services }, { members, force }, signal) =>
      services.electorate.set(force === undefined ? { members } : { members, force }, signal),
  ),
  'recovery.status': method(z.strictObject({}), async ({ services }) => ok(services.recovery.status())),
  'recovery.create': method(z.strictObject({ publicKey: hex(32) }), ({ services }, { publicKey }) =>
    services.recovery.create(publicKey),
  ),
  'recovery.use': method(
    z.strictObject({ recoveryKey: hex(32), parents: z.array(hex(32)).max(PARENTS_MAX), proof: hex(64) }),
    ({ services }, proof) => services.recovery.use(proof),
  ),
  'restored.view': method(z.strictObject({}), async (context) => ok(restoredView(context))),
  'restored.goOn': method(z.strictObject({ without: z.array(z.string().min(1)).min(1) }), (context, { without }) =>
    goOnWithout(context, without),
  ),
  'storage.view': method(z.strictObject({}), async ({ storage }) => ok(await storage.view())),
  'storage.budget': method(z.strictObject({}), async ({ storage }) => ok(storage.budget())),
  'node.metrics': method(z.strictObject({}), async ({ metrics }) =>
    ok({ contentType: metrics.contentType, text: await metrics.text() }),
  ),
  'node.health': method(z.strictObject({}), async ({ health }) => ok(await health())),
  'node.down': method(z.strictObject({ killSessions: z.boolean() }), ({ shutDown }, options) => shutDown(options)),

  ...USER_METHODS,

  'machine.list': method(z.strictObject({}), async ({ services }) =>
    ok((await services.machines.list({}, PAGE)).items),
  ),
  'machine.wake': method(z.strictObject({ machine: z.string() }), async ({ services, self }, { machine }) => {
    const target = await findMachine(services, machine)
    return target.ok ? await services.wake.wake(localActor(self), target.value) : target
  }),

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
    ({ services, self }, { id, summary, files, fencing_token }) =>
      services.tasks.complete(localActor(self), id, { summary, filesModified: files, ...proof(fencing_token) }),
  ),
  'task.release': method(
    z.strictObject({ ...taskProof, reason: z.string().max(2000) }),
    ({ services, self }, { id, reason, fencing_token }) =>
      services.tasks.release(localActor(self), id, { reason, ...proof(fencing_token) }),
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
    (context, { project, path, instance = localInstance(context), fencing_token }) =>
      context.services.locks.release(localActor(context.self), project, {
        path,
        instanceId: instance,
        ...proof(fencing_token),
      }),
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

  'session.start': method(
    z.strictObject({
      machine: z.string().optional(),
      mode: z.enum(SESSION_MODES).default('interactive'),
      agent: z.string().optional(),
      path: z.string().optional(),
      prompt: z.string().optional(),
      cols: z.int().min(PTY_COLS.min).max(PTY_COLS.max).default(PTY_COLS.default),
      rows: z.int().min(PTY_ROWS.min).max(PTY_ROWS.max).default(PTY_ROWS.default),
    }),
    async ({ services, self }, { machine, mode, agent, path, prompt, cols, rows }) => {
      const target = await findMachine(services, machine)
      if (!target.ok) return target
      return await services.sessions.create(localActor(self), target.value, {
        mode,
        ptySize: { cols, rows },
        ...(agent === undefined ? {} : { agent }),
        ...(path === undefined ? {} : { projectPath: path }),
        ...(prompt === undefined ? {} : { initialPrompt: prompt }),
      })
    },
  ),
  'session.list': method(z.strictObject({ machine: z.string().optional() }), async ({ services }, { machine }) => {
    const one = machine === undefined ? undefined : await findMachine(services, machine)
    if (one && !one.ok) return one
    const ids = one ? [one.value] : (await services.machines.list({}, PAGE)).items.map(({ id }) => id)
    const pages = await Promise.all(ids.map((id) => services.sessions.list(id, {}, PAGE)))
    return ok(pages.flatMap((page) => (page.ok ? page.value.items : [])))
  }),
  'session.get': method(z.strictObject({ id: z.string() }), ({ services }, { id }) => services.sessions.get(id)),
  'session.kill': method(z.strictObject({ id: z.string() }), ({ services, self }, { id }) =>
    services.sessions.remove(localActor(self), id),
  ),
} as const satisfies Record<string, ControlMethod>

export type ControlMethodName = keyof typeof CONTROL_METHODS

const proof = (fencingToken: number | undefined): { fencingToken?: number } =>
  fencingToken === undefined ? {} : { fencingToken }

/** A machine by its id, its node's peer id or an unambiguous name; this one when nothing is said. */
async function findMachine(services: Services, nameOrId: string | undefined): Promise<Result<string>> {
  if (nameOrId === undefined) return ok(services.machines.self)
  const { items } = await services.machines.list({}, PAGE)
  const byId = items.find(({ id, node }) => id === nameOrId || node === nameOrId)
  if (byId) return ok(byId.id)
  const named = items.filter(({ name }) => name === nameOrId)
  const [only] = named
  if (only && named.length === 1) return ok(only.id)
  return err(
    domainError('machine_not_found', {
      message: only
        ? `${named.length} machines are called ${nameOrId}: use the peer id (\`rookery members\` lists them).`
        : `No machine is called ${nameOrId}.`,
    }),
  )
}
