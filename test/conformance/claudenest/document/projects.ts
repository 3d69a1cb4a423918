import { z } from 'zod'
import { count, flatAndNested, percent, rest, shape, text, time, uuid } from './row.ts'
import type { RestRow } from './row.ts'

const Project = shape({
  id: uuid,
  name: text,
  project_path: text,
  summary: text,
  token_usage_percent: percent,
  active_instances_count: count,
  pending_tasks_count: count,
  created_at: time,
})

export const projectRows: readonly RestRow[] = [
  rest('6.1', 'GET /api/machines/:machine/projects', {
    reply: z.array(Project),
    errors: ['MCH_001'],
    says: ['counts the tasks that wait and the instances that work'],
  }),
  rest('6.2', 'POST /api/machines/:machine/projects', {
    body: {
      name: 'My Project',
      project_path: '/home/user/project',
      summary: 'Initial project description',
      architecture: 'MVC pattern with Laravel',
      conventions: 'PSR-12 coding standards',
      settings: { maxContextTokens: 8000, taskTimeoutMinutes: 60 },
    },
    status: 201,
    reply: flatAndNested('project', Project),
    errors: ['MCH_001', 'PRJ_002'],
    says: ['keeps all it was given', 'makes one project of a repository on two machines'],
  }),
  rest('6.3', 'GET /api/projects/:id', { reply: flatAndNested('project', Project), errors: ['PRJ_001'] }),
  rest('6.4', 'PATCH /api/projects/:id', {
    body: {
      summary: 'Updated description',
      current_focus: 'Implementing auth',
      recent_changes: 'Added JWT authentication',
    },
    reply: flatAndNested('project', Project),
    errors: ['PRJ_001'],
    says: ['changes what is given and keeps the rest', 'changes how files are locked, and refuses what is no policy'],
  }),
  rest('6.5', 'DELETE /api/projects/:id', { reply: z.null(), errors: ['PRJ_001'], says: ['removes the project'] }),
  rest('6.6', 'GET /api/projects/:id/stats', {
    reply: shape({
      total_tokens: count,
      max_tokens: count,
      token_usage_percent: percent,
      active_instances: count,
      total_tasks: count,
      completed_tasks: count,
      pending_tasks: count,
      in_progress_tasks: count,
      active_locks: count,
    }),
    errors: ['PRJ_001'],
    says: ['counts tasks, instances and locks', 'estimates the tokens of what agents are told'],
  }),
  rest('6.7', 'GET /api/projects/:id/instances', {
    reply: z.array(
      shape({
        id: text,
        status: text,
        /** Null where the agent does not report it. */
        context_usage: percent.nullable(),
        tasks_completed: count,
        current_task_id: uuid.nullable(),
        uptime: count,
      }),
    ),
    errors: ['PRJ_001'],
    says: ['knows who holds a claim or a lock, and counts what they have done', 'knows sessions in the project folder'],
  }),
  rest('6.8', 'GET /api/projects/:id/activity', {
    reply: z.array(
      shape({
        id: uuid,
        /** Null where no instance did it. */
        instance_id: text.nullable(),
        type: text,
        details: z.record(text, z.unknown()),
        created_at: time,
      }),
    ),
    errors: ['PRJ_001'],
    says: ['names task and title of what happened to a task', 'tells the newest first, as many as asked for'],
  }),
  rest('6.9', 'POST /api/projects/:id/broadcast', {
    body: { type: 'announcement', content: 'Restarting server in 5 minutes', target: 'all' },
    reply: shape({}),
    errors: ['PRJ_001'],
    says: [
      'reaches who follows the project, on every gateway',
      'takes message for content',
      'is found in the context by who was not there, for a day',
    ],
  }),
]
