import { z } from 'zod'
import type { Guarantee } from './guarantee.ts'
import type { InstanceId, PeerId, ProjectId, TaskId } from './ids.ts'

export const PRIORITIES = ['low', 'medium', 'high', 'critical'] as const
export type Priority = (typeof PRIORITIES)[number]

export const TASK_STATUSES = ['pending', 'in_progress', 'completed'] as const
export type TaskStatus = (typeof TASK_STATUSES)[number]

/** The claim in force on a task: the highest fencing token wins. */
export type TaskClaim = {
  readonly instanceId: InstanceId
  /** Node that holds and renews the lease. */
  readonly node: PeerId
  /** Token of the API caller that claimed; releasing and completing are bound to it. */
  readonly tokenId: string
  readonly leaseId: string
  readonly fencingToken: number
  /** Always `certified`: without a quorum a task cannot be claimed. */
  readonly guarantee: Guarantee
  readonly claimedAt: string
}

/** A task as every surface reads it. Times are ISO 8601 UTC. */
export type Task = {
  readonly id: TaskId
  readonly projectId: ProjectId
  readonly title: string
  readonly description: string
  readonly priority: Priority
  readonly status: TaskStatus
  readonly files: readonly string[]
  readonly dependencies: readonly TaskId[]
  readonly estimatedTokens: number | null
  readonly createdAt: string
  readonly createdBy: string
  /** True while a dependency exists that is not completed. */
  readonly isBlocked: boolean
  /** Present while a live claim exists; a claim whose holder fell silent is gone from here after its lease's length. */
  readonly claim: TaskClaim | null
  readonly completion: {
    readonly summary: string
    readonly filesModified: readonly string[]
    readonly completedAt: string
    readonly instanceId: InstanceId
  } | null
}

export const TaskInput = z.strictObject({
  title: z.string().trim().min(1).max(500),
  description: z.string().max(50_000).default(''),
  priority: z.enum(PRIORITIES).default('medium'),
  files: z.array(z.string().min(1).max(1024)).max(500).default([]),
  dependencies: z.array(z.string()).max(100).default([]),
  estimated_tokens: z.int().min(0).max(1_000_000_000).nullable().default(null),
})
export type TaskInput = z.infer<typeof TaskInput>
