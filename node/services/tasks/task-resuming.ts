import { AGENT_ENDED } from '../claims/ended-instance.ts'
import { withdraw } from './task-ending.ts'
import type { TaskId } from '../../../crdt/ids.ts'
import type { TaskBoard } from '../../../crdt/task-board.ts'
import type { StandingClaim } from '../../../crdt/task-entry.ts'
import type { EndingDeps } from './task-ending.ts'
import type { TaskUpholding } from './task-upholding.ts'

type ResumingDeps = EndingDeps & { upholding: Pick<TaskUpholding, 'hold'> }
type Left = { readonly board: TaskBoard; readonly id: TaskId; readonly claim: StandingClaim }

/**
 * Goes on with the claims of an earlier process of this node, under the same leases and fencing tokens, where their
 * voters allow it; the others go back to the board. The certificates are those in the documents.
 */
export async function resumeTasks(deps: ResumingDeps): Promise<void> {
  const resume = (board: TaskBoard): Promise<unknown> =>
    Promise.all(
      board
        .claimed()
        .filter(({ claim }) => claim.node === deps.self && !deps.leases.find(claim.record.lease))
        .map((claimed) => resumeTask(deps, { board, ...claimed })),
    )
  await Promise.all(deps.boards.claimedHere().map((projectId) => deps.boards.use(projectId, resume)))
}

async function resumeTask(deps: ResumingDeps, { board, id, claim: { record } }: Left): Promise<void> {
  const { lease: leaseId, instance } = record
  const end = (reason: string): Promise<void> => withdraw(deps, { board, id, leaseId, reason })
  const certificate = deps.leases.verified(record.certificate)
  const project = await deps.projects.get(board.projectId)
  if (!certificate || !project.ok) return await end(RESTARTED)
  const untilMs = Date.parse(record.at) + project.value.settings.taskTimeoutMinutes * 60_000
  const isOver = untilMs <= deps.clock.wallMs()
  if (isOver || deps.hasEnded(instance)) {
    deps.leases.discard(certificate)
    return await end(isOver ? 'expired' : AGENT_ENDED)
  }
  if (await deps.leases.resume(certificate, untilMs)) {
    deps.upholding.hold(board.projectId, record)
    deps.boards.lookAgain()
  } else if (!deps.resuming.isStopped) await end(RESTARTED)
}

const RESTARTED = 'The node that held it was restarted.'
