import type { DomainEvent } from './domain-event.ts'
import type { TaskTransition } from './task-board.ts'

/** Told when a claim ends without its holder having said why. */
const FELL_SILENT = 'expired'

/** What a change of one task means to those who watch the board: one event, the most telling one. */
export function taskEvent({ before, after, reason }: TaskTransition): DomainEvent | undefined {
  if (!after) {
    return before && { type: 'task.deleted', projectId: before.projectId, taskId: before.id }
  }
  const { projectId } = after
  if (!before) return { type: 'task.created', projectId, task: after }
  if (after.completion && after.completion.completedAt !== before.completion?.completedAt) {
    const { summary } = after.completion
    return { type: 'task.completed', projectId, task: after, summary, node: before.claim?.node ?? null }
  }
  if (after.claim && after.claim.leaseId !== before.claim?.leaseId) {
    return { type: 'task.claimed', projectId, task: after, instanceId: after.claim.instanceId }
  }
  if (before.claim && !after.claim) {
    return { type: 'task.released', projectId, task: after, reason: reason ?? FELL_SILENT }
  }
  return { type: 'task.updated', projectId, task: after }
}
