import { z } from 'zod'
import { ProjectId, TaskId } from '../../../crdt/ids.ts'
import { PRIORITIES, TASK_STATUSES, TaskInput } from '../../../crdt/task.ts'
import type { Task } from '../../../crdt/task.ts'
import type { ClaimProof } from '../../../node/services/tasks/task-service.ts'
import { none } from '../../http/dialect.ts'
import type { Wire } from '../../http/dialect.ts'
import { ACROSS_MESH, instanceId, pageFields, pageOf } from './inputs.ts'
import { route } from './deps.ts'
import { WireTask, wireTask } from './wire.ts'

const ofProject = { params: z.strictObject({ project: ProjectId }), missing: 'project_not_found' } as const
const byId = { params: z.strictObject({ id: TaskId }), missing: 'task_not_found', query: none.query } as const

const TaskReply = WireTask.extend({ task: WireTask })
const MessageReply = TaskReply.extend({ message: z.string() })

const flatTask = (task: Task): Wire => ({ data: { ...wireTask(task), task: wireTask(task) } })
const maybeTask = (task: Task | null): Wire => (task === null ? { data: null } : flatTask(task))
const withMessage =
  (message: string) =>
  (task: Task): Wire => ({ data: { ...wireTask(task), task: wireTask(task), message } })

/** The same fields as on creation, none of them with a default. */
const TaskPatch = z.strictObject({
  title: z.string().trim().min(1).max(500).exactOptional(),
  description: z.string().max(50_000).exactOptional(),
  priority: z.enum(PRIORITIES).exactOptional(),
  files: z.array(z.string().min(1).max(1024)).max(500).exactOptional(),
  dependencies: z.array(z.string()).max(100).exactOptional(),
  estimated_tokens: z.int().min(0).max(1_000_000_000).nullable().exactOptional(),
})

const proofFields = {
  instance_id: instanceId.exactOptional(),
  fencing_token: z.int().min(0).exactOptional(),
}
const proofOf = (body: {
  readonly instance_id?: string | undefined
  readonly fencing_token?: number | undefined
}): ClaimProof => ({
  ...(body.instance_id === undefined ? {} : { instanceId: body.instance_id }),
  ...(body.fencing_token === undefined ? {} : { fencingToken: body.fencing_token }),
})

const CLAIMING = [
  'task_claimed',
  'task_closed',
  'task_blocked',
  'quorum_unreachable',
  'superseded',
  'limit_reached',
  'machine_offline',
  'cancelled',
] as const
const ENDING = ['task_not_claimed_by_caller', 'task_closed', 'superseded', ...ACROSS_MESH] as const

const claimBody = { body: z.strictObject({ instance_id: instanceId }), aliases: { assigned_to: 'instance_id' } }

export const taskRoutes = [
  route({
    doc: '7.1 List tasks',
    method: 'GET',
    path: '/api/projects/:project/tasks',
    policy: { ability: 'task:read' },
    ...ofProject,
    query: z.object({
      status: z.enum(TASK_STATUSES).exactOptional(),
      priority: z.enum(PRIORITIES).exactOptional(),
      ...pageFields(20),
    }),
    body: none.body,
    reply: z.array(WireTask),
    run: ({ services }, { params, query }) => {
      const filter = {
        ...(query.status === undefined ? {} : { status: query.status }),
        ...(query.priority === undefined ? {} : { priority: query.priority }),
      }
      return services.tasks.list(params.project, filter, pageOf(query))
    },
    toWire: (page) => ({ data: page.items.map(wireTask), page }),
  }),
  route({
    doc: '7.2 Create task',
    method: 'POST',
    path: '/api/projects/:project/tasks',
    policy: { ability: 'task:write' },
    errors: ['limit_reached'],
    status: 201,
    ...ofProject,
    query: none.query,
    body: TaskInput,
    reply: TaskReply,
    run: ({ services }, { actor, params, body }) => services.tasks.create(actor, params.project, body),
    toWire: flatTask,
  }),
  route({
    doc: '7.3 Get next available task',
    method: 'GET',
    path: '/api/projects/:project/tasks/next-available',
    policy: { ability: 'task:read' },
    ...ofProject,
    query: none.query,
    body: none.body,
    reply: TaskReply.nullable(),
    run: ({ services }, { params }) => services.tasks.next(params.project),
    toWire: maybeTask,
  }),
  route({
    doc: '7.7 Claim task (ours: pick and claim in one step)',
    method: 'POST',
    path: '/api/projects/:project/tasks/claim-next',
    policy: { ability: 'task:claim' },
    errors: ['no_task_available', ...CLAIMING],
    ...ofProject,
    query: none.query,
    ...claimBody,
    reply: TaskReply.nullable(),
    run: ({ services }, { actor, params, body }) => services.tasks.claimNext(actor, params.project, body.instance_id),
    toWire: maybeTask,
  }),
  route({
    doc: '7.4 Get task',
    method: 'GET',
    path: '/api/tasks/:id',
    policy: { ability: 'task:read' },
    ...byId,
    body: none.body,
    reply: TaskReply,
    run: ({ services }, { params }) => services.tasks.get(params.id),
    toWire: flatTask,
  }),
  route({
    doc: '7.5 Update task',
    method: 'PATCH',
    path: '/api/tasks/:id',
    policy: { ability: 'task:write' },
    ...byId,
    body: TaskPatch,
    reply: TaskReply,
    run: ({ services }, { actor, params, body }) => services.tasks.update(actor, params.id, body),
    toWire: flatTask,
  }),
  route({
    doc: '7.6 Delete task',
    method: 'DELETE',
    path: '/api/tasks/:id',
    policy: { ability: 'task:write' },
    ...byId,
    body: none.body,
    reply: z.null(),
    run: ({ services }, { actor, params }) => services.tasks.remove(actor, params.id),
    toWire: () => ({ data: null }),
  }),
  route({
    doc: '7.7 Claim task',
    method: 'POST',
    path: '/api/tasks/:id/claim',
    policy: { ability: 'task:claim' },
    errors: CLAIMING,
    ...byId,
    ...claimBody,
    reply: MessageReply,
    run: ({ services }, { actor, params, body }) => services.tasks.claim(actor, params.id, body.instance_id),
    toWire: withMessage('Task claimed successfully'),
  }),
  route({
    doc: '7.8 Release task',
    method: 'POST',
    path: '/api/tasks/:id/release',
    policy: { ability: 'task:claim' },
    errors: ENDING,
    ...byId,
    body: z.strictObject({ reason: z.string().max(2000).default(''), ...proofFields }),
    reply: MessageReply,
    run: ({ services }, { actor, params, body, signal }) =>
      services.tasks.release(actor, params.id, { ...proofOf(body), reason: body.reason }, signal),
    toWire: withMessage('Task released'),
  }),
  route({
    doc: '7.9 Complete task',
    method: 'POST',
    path: '/api/tasks/:id/complete',
    policy: { ability: 'task:claim' },
    errors: ENDING,
    ...byId,
    body: z.strictObject({
      summary: z.string().max(50_000).default(''),
      files_modified: z.array(z.string().min(1).max(1024)).max(500).default([]),
      ...proofFields,
    }),
    aliases: { completion_summary: 'summary' },
    reply: MessageReply,
    run: ({ services }, { actor, params, body, signal }) => {
      const { summary, files_modified: filesModified } = body
      return services.tasks.complete(actor, params.id, { ...proofOf(body), summary, filesModified }, signal)
    },
    toWire: withMessage('Task completed'),
  }),
]
