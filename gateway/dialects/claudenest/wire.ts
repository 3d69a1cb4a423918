import { z } from 'zod'
import { GUARANTEES } from '../../../crdt/guarantee.ts'
import type { FileLock, LockNotice } from '../../../crdt/lock.ts'
import type { Machine, MachineFacts } from '../../../crdt/machine.ts'
import { LOCK_POLICIES } from '../../../crdt/project.ts'
import type { Project } from '../../../crdt/project.ts'
import { SESSION_MODES, SESSION_STATUSES } from '../../../crdt/session.ts'
import type { Session, SessionLogEntry } from '../../../crdt/session.ts'
import { PRIORITIES, TASK_STATUSES } from '../../../crdt/task.ts'
import type { Task } from '../../../crdt/task.ts'
import type { ApiToken, User } from '../../../crdt/user.ts'
import type { ProjectSummary } from '../../../node/services/projects/project-overview.ts'
import { percentOf } from './wire-activity.ts'

const text = z.string()
const maybe = z.string().nullable()
const count = z.int().min(0)

export const WireUser = z.strictObject({
  id: text,
  email: text,
  name: text,
  avatar_url: maybe,
  email_verified_at: maybe,
  role: z.enum(['owner', 'member']),
})

export const wireUser = (user: User): z.infer<typeof WireUser> => ({
  id: user.id,
  email: user.email,
  name: user.name,
  avatar_url: user.avatarUrl,
  email_verified_at: user.emailVerifiedAt,
  role: user.role,
})

export const WireToken = z.strictObject({
  id: text,
  name: text,
  abilities: z.array(text),
  last_used_at: maybe,
  expires_at: maybe,
  is_active: z.boolean(),
  created_at: text,
})

export const wireToken = (token: ApiToken, nowMs: number): z.infer<typeof WireToken> => ({
  id: token.id,
  name: token.name,
  abilities: [...token.abilities],
  last_used_at: token.lastUsedAt,
  expires_at: token.expiresAt,
  is_active: token.expiresAt === null || Date.parse(token.expiresAt) > nowMs,
  created_at: token.createdAt,
})

export const WireEnvironment = z.strictObject({
  platform: text,
  hostname: text,
  arch: text,
  node_version: text,
  agent_version: text,
  claude_version: maybe,
  claude_path: maybe,
  agents: z.record(text, text),
  capabilities: z.array(text),
  max_sessions: count,
})

export const wireEnvironment = (facts: MachineFacts): z.infer<typeof WireEnvironment> => ({
  platform: facts.platform,
  hostname: facts.hostname,
  arch: facts.arch,
  node_version: facts.nodeVersion,
  agent_version: facts.rookeryVersion,
  claude_version: facts.claudeVersion,
  claude_path: facts.claudePath,
  agents: { ...facts.agents },
  capabilities: [...facts.capabilities],
  max_sessions: facts.maxSessions,
})

export const WireMachine = WireEnvironment.extend({
  id: text,
  name: text,
  status: z.enum(['online', 'offline', 'connecting']),
  offline_reason: maybe,
  active_sessions_count: count,
  last_seen_at: maybe,
  connected_at: maybe,
  created_at: text,
  peer_id: maybe,
  bridge_peer_id: maybe,
})

export const wireMachine = (machine: Machine): z.infer<typeof WireMachine> => ({
  ...wireEnvironment(machine),
  id: machine.id,
  name: machine.name,
  status: machine.status,
  offline_reason: machine.offlineReason,
  active_sessions_count: machine.activeSessions,
  last_seen_at: machine.lastSeenAt,
  connected_at: machine.connectedAt,
  created_at: machine.createdAt,
  peer_id: machine.node,
  bridge_peer_id: machine.bridge,
})

export const WireSession = z.strictObject({
  id: text,
  machine_id: text,
  mode: z.enum(SESSION_MODES),
  agent: text,
  project_path: text,
  status: z.enum(SESSION_STATUSES),
  pty_size: z.strictObject({ cols: count, rows: count }),
  /** What the agent itself says; null while it has said nothing. */
  total_tokens: count.nullable(),
  total_cost: z.number().nullable(),
  created_at: text,
  started_at: maybe,
  ended_at: maybe,
  exit_code: z.int().nullable(),
  problem: maybe,
  duration: count,
  formatted_duration: text,
})

export function wireSession(session: Session, nowMs: number): z.infer<typeof WireSession> {
  const duration = secondsBetween(session.startedAt, session.endedAt, nowMs)
  return {
    id: session.id,
    machine_id: session.machineId,
    mode: session.mode,
    agent: session.agent,
    project_path: session.projectPath,
    status: session.status,
    pty_size: { cols: session.ptySize.cols, rows: session.ptySize.rows },
    total_tokens: session.usage && session.usage.inputTokens + session.usage.outputTokens,
    total_cost: session.usage?.costUsd ?? null,
    created_at: session.createdAt,
    started_at: session.startedAt,
    ended_at: session.endedAt,
    exit_code: session.exitCode,
    problem: session.problem,
    duration,
    formatted_duration: formatDuration(duration),
  }
}

function secondsBetween(from: string | null, to: string | null, nowMs: number): number {
  if (from === null) return 0
  return Math.max(0, Math.floor(((to === null ? nowMs : Date.parse(to)) - Date.parse(from)) / 1000))
}

/** `1h 0m`, `5m 3s`, `7s`. */
export function formatDuration(seconds: number): string {
  if (seconds >= 3600) return `${Math.floor(seconds / 3600)}h ${Math.floor((seconds % 3600) / 60)}m`
  return seconds >= 60 ? `${Math.floor(seconds / 60)}m ${seconds % 60}s` : `${seconds}s`
}

export const WireLog = z.strictObject({
  id: text,
  type: z.enum(['input', 'output', 'error']),
  data: text,
  metadata: z.record(text, z.unknown()),
  created_at: text,
})

export const wireLog = (entry: SessionLogEntry): z.infer<typeof WireLog> => ({
  id: entry.id,
  type: entry.type,
  data: entry.data,
  metadata: { ...entry.metadata },
  created_at: entry.createdAt,
})

export const WireProject = z.strictObject({
  id: text,
  name: text,
  project_path: maybe,
  paths: z.record(text, text),
  summary: text,
  architecture: text,
  conventions: text,
  current_focus: text,
  recent_changes: text,
  settings: z.strictObject({
    maxContextTokens: count,
    taskTimeoutMinutes: count,
    lockPolicy: z.enum(LOCK_POLICIES),
    caseFold: z.boolean(),
  }),
  total_tokens: count,
  max_tokens: count,
  token_usage_percent: z.number(),
  active_instances_count: count,
  pending_tasks_count: count,
  created_at: text,
})

/** A project together with what its tasks and the asked machine add. */
export type ProjectView = {
  readonly project: Project
  /** Where it lies on the machine that was asked about, or on any. */
  readonly path: string | null
  readonly summary: ProjectSummary
}

export const wireProject = (view: ProjectView): z.infer<typeof WireProject> => ({
  id: view.project.id,
  name: view.project.name,
  project_path: view.path,
  paths: { ...view.project.paths },
  summary: view.project.summary,
  architecture: view.project.architecture,
  conventions: view.project.conventions,
  current_focus: view.project.currentFocus,
  recent_changes: view.project.recentChanges,
  settings: { ...view.project.settings },
  total_tokens: view.summary.tokens.total,
  max_tokens: view.summary.tokens.max,
  token_usage_percent: percentOf(view.summary.tokens),
  active_instances_count: view.summary.activeInstances,
  pending_tasks_count: view.summary.pendingTasks,
  created_at: view.project.createdAt,
})

export const WireTask = z.strictObject({
  id: text,
  project_id: text,
  title: text,
  description: text,
  priority: z.enum(PRIORITIES),
  status: z.enum(TASK_STATUSES),
  assigned_to: maybe,
  is_claimed: z.boolean(),
  is_blocked: z.boolean(),
  files: z.array(text),
  dependencies: z.array(text),
  estimated_tokens: z.int().nullable(),
  fencing_token: z.number().nullable(),
  /** Of the claim; null while there is none. */
  guarantee: z.enum(GUARANTEES).nullable(),
  claimed_at: maybe,
  completed_at: maybe,
  completion_summary: maybe,
  files_modified: z.array(text),
  created_at: text,
})

export const wireTask = (task: Task): z.infer<typeof WireTask> => ({
  id: task.id,
  project_id: task.projectId,
  title: task.title,
  description: task.description,
  priority: task.priority,
  status: task.status,
  assigned_to: task.claim?.instanceId ?? task.completion?.instanceId ?? null,
  is_claimed: task.claim !== null,
  is_blocked: task.isBlocked,
  files: [...task.files],
  dependencies: [...task.dependencies],
  estimated_tokens: task.estimatedTokens,
  fencing_token: task.claim?.fencingToken ?? null,
  guarantee: task.claim?.guarantee ?? null,
  claimed_at: task.claim?.claimedAt ?? null,
  completed_at: task.completion?.completedAt ?? null,
  completion_summary: task.completion?.summary ?? null,
  files_modified: [...(task.completion?.filesModified ?? [])],
  created_at: task.createdAt,
})

export const WireLock = z.strictObject({
  path: text,
  /** The glob that was asked for; `path` is what had to be covered for it. */
  pattern: maybe,
  project_id: text,
  locked_by: text,
  instance_id: text,
  reason: maybe,
  locked_at: text,
  expires_at: text,
  remaining_seconds: count,
  is_locked: z.literal(true),
  guarantee: z.enum(GUARANTEES),
  /** Names of the voters without which the lock is provisional. */
  missing_voters: z.array(text),
  /** Null while the lock is provisional. */
  fencing_token: z.number().nullable(),
})

/** Never says more seconds than the lock was given, whatever the clock of the machine that holds it. */
export const wireLock = (lock: FileLock, nowMs: number): z.infer<typeof WireLock> => ({
  path: lock.path,
  pattern: lock.pattern,
  project_id: lock.projectId,
  locked_by: lock.instanceId,
  instance_id: lock.instanceId,
  reason: lock.reason,
  locked_at: lock.lockedAt,
  expires_at: lock.expiresAt,
  remaining_seconds: Math.max(
    0,
    Math.ceil((Date.parse(lock.expiresAt) - Math.max(nowMs, Date.parse(lock.lockedAt))) / 1000),
  ),
  is_locked: true,
  guarantee: lock.guarantee,
  missing_voters: [...lock.missingVoters],
  fencing_token: lock.fencingToken,
})

/** Told to everybody who follows the project; whose lock it was finds itself under `lostBy`. */
export const wireConflict = ({ id, paths, instanceId, conflict }: LockNotice): object => ({
  path: paths[0],
  paths,
  lostBy: instanceId,
  lockedBy: conflict?.instanceId ?? null,
  lockedPath: conflict?.path ?? null,
  since: conflict?.since ?? null,
  guarantee: conflict?.guarantee ?? null,
  noticeId: id,
})
