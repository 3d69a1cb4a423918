import { v5 } from 'uuid'
import type { ProjectId } from './ids.ts'

export const ACTIVITY_TYPES = [
  'task_created',
  'task_claimed',
  'task_released',
  'task_completed',
  'file_locked',
  'file_unlocked',
  'broadcast',
] as const
export type ActivityType = (typeof ACTIVITY_TYPES)[number]

/** Something that happened in a project, for people to read. Times are ISO 8601 UTC. */
export type Activity = {
  /** The same on every node that saw it. */
  readonly id: string
  readonly type: ActivityType
  /** Who did it; null for what no instance does, as creating a task. */
  readonly instanceId: string | null
  readonly details: Readonly<Record<string, string | null>>
  readonly createdAt: string
}

const ACTIVITY_NAMESPACE = '0c1f5c1e-0b8f-4e4b-9d58-6f9b3f5f0f4e'

/** Made of what happened, so that every node calls it the same. */
export const activityId = (type: ActivityType, ...of: readonly string[]): string =>
  v5([type, ...of].join('\n'), ACTIVITY_NAMESPACE)

/** A message to everybody, or to one instance, who works on a project. */
export type Broadcast = {
  readonly id: string
  readonly projectId: ProjectId
  readonly type: string
  readonly content: string
  /** `all`, or the id of an instance. */
  readonly target: string
  readonly createdAt: string
}

export const TARGET_ALL = 'all'
