import type { DomainEvent } from './domain-event.ts'
import { taskView } from './task-entry.ts'
import type { TaskTransition } from './task-board.ts'

/** Told when a claim ends without its holder having said why. */
const FELL_SILENT = 'expired'

/** What a change of one task means to those who watch the board: one event, the most telling one. */
export function taskEvent({ projectId, before, after, reason }: TaskTransition): DomainEvent | undefined {
  if (!after) return before && { type: 'task.deleted', projectId, taskId: before.id }
  const task = taskView(projectId, after)
  if (!before) return { type: 'task.created', projectId, task }
  if (task.completion && task.completion.completedAt !== before.completion?.at) {
    const { summary } = task.completion
    return { type: 'task.completed', projectId, task, summary, node: before.claim?.node ?? null }
  }
  if (task.claim && task.claim.leaseId !== before.claim?.record.lease) {
    return { type: 'task.claimed', projectId, task, instanceId: task.claim.instanceId }
  }
  if (before.claim && !task.claim) return { type: 'task.released', projectId, task, reason: reason ?? FELL_SILENT }
  return { type: 'task.updated', projectId, task }
}
