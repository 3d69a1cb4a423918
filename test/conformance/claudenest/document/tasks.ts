import { z } from 'zod'
import { count, flatAndNested, rest, shape, text, time, uuid } from './row.ts'
import type { RestRow } from './row.ts'

const Task = shape({
  id: uuid,
  title: text,
  description: text,
  priority: z.enum(['low', 'medium', 'high', 'critical']),
  status: text,
  /** Null while nobody works on it. */
  assigned_to: text.nullable(),
  is_claimed: z.boolean(),
  is_blocked: z.boolean(),
  files: z.array(text),
  estimated_tokens: count.nullable(),
  created_at: time,
})
const OneTask = flatAndNested('task', Task)

export const taskRows: readonly RestRow[] = [
  rest('7.1', 'GET /api/projects/:project/tasks', {
    reply: z.array(Task),
    errors: ['PRJ_001'],
    says: ['lists in the order of work', 'filters by status and priority', 'pages'],
  }),
  rest('7.2', 'POST /api/projects/:project/tasks', {
    body: {
      title: 'Implement authentication',
      description: 'Add JWT-based authentication system',
      priority: 'high',
      files: ['auth.php', 'User.php'],
      dependencies: [],
      estimated_tokens: 2000,
    },
    status: 201,
    reply: OneTask,
    errors: ['PRJ_001'],
    says: [
      'keeps all it was given',
      'refuses unknown fields and priorities, naming them',
      'refuses unknown dependencies',
    ],
  }),
  rest('7.3', 'GET /api/projects/:project/tasks/next-available', {
    reply: OneTask.nullable(),
    errors: ['PRJ_001'],
    says: [
      'answers the most urgent task that waits for no other, the oldest of them',
      'answers null when there is none',
      'claims nothing',
    ],
  }),
  rest('7.4', 'GET /api/tasks/:id', { reply: OneTask, errors: ['TSK_001'], says: ['is the same flat and nested'] }),
  rest('7.5', 'PATCH /api/tasks/:id', {
    reply: OneTask,
    errors: ['TSK_001'],
    says: ['changes what is given and keeps the rest', 'refuses a circle of dependencies, and unknown ones'],
  }),
  rest('7.6', 'DELETE /api/tasks/:id', { reply: z.null(), errors: ['TSK_001'], says: ['removes the task'] }),
  rest('7.7', 'POST /api/tasks/:id/claim', {
    body: { instance_id: 'instance_1' },
    reply: shape({ task: Task, message: z.literal('Task claimed successfully') }),
    errors: ['TSK_001', 'TSK_002'],
    says: [
      'answers the task flat, too',
      'says that the claim is certified',
      'names the holder to the second',
      'takes assigned_to for instance_id',
    ],
  }),
  rest('7.8', 'POST /api/tasks/:id/release', {
    body: { reason: 'Blocked by dependency' },
    reply: OneTask,
    errors: ['TSK_001', 'TSK_003'],
    says: ['gives the task back', 'lets another token release with the fencing token'],
  }),
  rest('7.9', 'POST /api/tasks/:id/complete', {
    body: {
      summary: 'Implemented JWT auth with refresh tokens',
      files_modified: ['auth.php', 'User.php', 'config/auth.php'],
    },
    reply: OneTask,
    errors: ['TSK_001', 'TSK_003'],
    says: [
      'completes the task with summary and files',
      'takes completion_summary for summary',
      'lets the tasks go on that waited for it',
    ],
  }),
]

/** What the daemon of the document calls, and the document does not list. */
export const claimNextRow: RestRow = rest('7.7', 'POST /api/projects/:project/tasks/claim-next', {
  body: { instance_id: 'instance_1' },
  reply: OneTask.nullable(),
  errors: ['PRJ_001'],
  says: ['claims the next task in one step', 'answers null when there is none', 'gives each task to one of many'],
})
