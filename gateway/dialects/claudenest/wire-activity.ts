import { z } from 'zod'
import { ACTIVITY_TYPES } from '../../../crdt/activity.ts'
import type { Activity, Broadcast } from '../../../crdt/activity.ts'
import type { Instance, ProjectStats } from '../../../node/services/projects/project-overview.ts'

const text = z.string()
const count = z.int().min(0)

export const WireStats = z.strictObject({
  /** An estimate: each model counts in its own way. */
  total_tokens: count,
  max_tokens: count,
  token_usage_percent: z.number().min(0),
  active_instances: count,
  total_tasks: count,
  completed_tasks: count,
  pending_tasks: count,
  in_progress_tasks: count,
  active_locks: count,
})

export const wireStats = (stats: ProjectStats): z.infer<typeof WireStats> => ({
  total_tokens: stats.tokens.total,
  max_tokens: stats.tokens.max,
  token_usage_percent: percentOf(stats.tokens),
  active_instances: stats.activeInstances,
  total_tasks: stats.tasks.pending + stats.tasks.inProgress + stats.tasks.completed,
  completed_tasks: stats.tasks.completed,
  pending_tasks: stats.tasks.pending,
  in_progress_tasks: stats.tasks.inProgress,
  active_locks: stats.activeLocks,
})

/** With one decimal, as the document shows it. */
export const percentOf = ({ total, max }: { total: number; max: number }): number =>
  Math.round((total / max) * 1000) / 10

export const WireInstance = z.strictObject({
  id: text,
  status: z.enum(['busy', 'idle']),
  /** Null: agents do not report it. */
  context_usage: z.number().nullable(),
  tasks_completed: count,
  current_task_id: text.nullable(),
  /** Seconds since the first of what it holds now, or since its session started. */
  uptime: count,
  machine_id: text.nullable(),
  session_id: text.nullable(),
  locks_count: count,
})

export const wireInstance = (instance: Instance, nowMs: number): z.infer<typeof WireInstance> => ({
  id: instance.id,
  status: instance.currentTaskId === null ? 'idle' : 'busy',
  context_usage: null,
  tasks_completed: instance.tasksCompleted,
  current_task_id: instance.currentTaskId,
  uptime: Math.max(0, Math.floor((nowMs - Date.parse(instance.since)) / 1000)),
  machine_id: instance.session?.machineId ?? null,
  session_id: instance.session?.id ?? null,
  locks_count: instance.locks,
})

export const WireActivity = z.strictObject({
  id: text,
  instance_id: text.nullable(),
  type: z.enum(ACTIVITY_TYPES),
  details: z.record(text, text.nullable()),
  created_at: text,
})

export const wireActivity = (activity: Activity): z.infer<typeof WireActivity> => ({
  id: activity.id,
  instance_id: activity.instanceId,
  type: activity.type,
  details: { ...activity.details },
  created_at: activity.createdAt,
})

export const WireBroadcast = z.strictObject({
  id: text,
  project_id: text,
  type: text,
  content: text,
  target: text,
  created_at: text,
})

export const wireBroadcast = (broadcast: Broadcast): z.infer<typeof WireBroadcast> => ({
  id: broadcast.id,
  project_id: broadcast.projectId,
  type: broadcast.type,
  content: broadcast.content,
  target: broadcast.target,
  created_at: broadcast.createdAt,
})
