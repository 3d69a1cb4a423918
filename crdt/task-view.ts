import { z } from 'zod'
import { GUARANTEES } from './guarantee.ts'
import { InstanceId, PeerId, ProjectId, TaskId } from './ids.ts'
import { TaskFields } from './task-record.ts'
import { TASK_STATUSES } from './task.ts'
import type { Task } from './task.ts'

const { estimated_tokens: estimatedTokens, ...sameNames } = TaskFields.shape

/** A task as one node tells it to another. */
export const TaskView: z.ZodType<Task> = z.object({
  ...sameNames,
  estimatedTokens,
  id: TaskId,
  projectId: ProjectId,
  status: z.enum(TASK_STATUSES),
  createdAt: z.string(),
  createdBy: z.string(),
  isBlocked: z.boolean(),
  claim: z
    .object({
      instanceId: InstanceId,
      node: PeerId,
      tokenId: z.string(),
      leaseId: z.string(),
      fencingToken: z.number(),
      guarantee: z.enum(GUARANTEES),
      claimedAt: z.string(),
    })
    .nullable(),
  completion: z
    .object({
      summary: z.string(),
      filesModified: z.array(z.string()),
      completedAt: z.string(),
      instanceId: InstanceId,
    })
    .nullable(),
})
