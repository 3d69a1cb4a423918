import { putClaim } from '../../../crdt/task-document.ts'
import { writeTask } from './task-deps.ts'
import type { ProjectId } from '../../../crdt/ids.ts'
import type { TaskBoard } from '../../../crdt/task-board.ts'
import type { ClaimedRecord } from '../../../crdt/task-record.ts'
import type { Cancel } from '../../ports/clock.ts'
import type { Turns } from '../claims/claim-turns.ts'
import type { TaskBoards } from './task-boards.ts'
import type { TaskServiceDeps } from './task-deps.ts'

export type TaskUpholding = {
  /** This process holds the lease of the claim, which is in the document now. */
  hold(projectId: ProjectId, record: ClaimedRecord): void
  /** Another node has written to the project: a claim of ours that is gone is put back, as long as its lease is held. */
  look(board: TaskBoard): void
  stop(): void
}

type UpholdingDeps = Pick<TaskServiceDeps, 'clock' | 'documents' | 'leases' | 'log' | 'self'> & {
  boards: TaskBoards
  turns: Turns
}

/** Somebody who takes claims out again and again costs this node one write in that time. */
const PUT_BACK_AFTER_MS = 1000

/**
 * Any member can take out of a document what others have put there. The lease of a claim knows nothing of that, so the
 * node that holds it says again what it has said.
 */
export const createTaskUpholding = (deps: UpholdingDeps): TaskUpholding => new Upholding(deps)

class Upholding implements TaskUpholding {
  readonly #deps: UpholdingDeps
  /** By lease. */
  readonly #held = new Map<ProjectId, Map<string, ClaimedRecord>>()
  readonly #due = new Map<ProjectId, Cancel>()

  constructor(deps: UpholdingDeps) {
    this.#deps = deps
  }

  hold(projectId: ProjectId, record: ClaimedRecord): void {
    this.#held.set(projectId, this.#heldIn(projectId).set(record.lease, record))
  }

  look(board: TaskBoard): void {
    const { projectId } = board
    if (this.#due.has(projectId) || this.#missing(board).length === 0) return
    const putBack = (): void => {
      this.#due.delete(projectId)
      this.#putBack(projectId).catch((error: unknown) =>
        this.#deps.log.error({ err: error, project: projectId }, 'claims of this node could not be put back'),
      )
    }
    this.#due.set(projectId, this.#deps.clock.after(PUT_BACK_AFTER_MS, putBack))
  }

  stop(): void {
    for (const cancel of this.#due.values()) cancel()
  }

  async #putBack(projectId: ProjectId): Promise<void> {
    const { boards, turns } = this.#deps
    await boards.use(projectId, async (board) => {
      // In turn with endings of the task: what is being ended is not missing.
      for (const record of this.#missing(board)) await turns(record.task, () => this.#putBackOne(board, record))
    })
  }

  async #putBackOne(board: TaskBoard, record: ClaimedRecord): Promise<void> {
    const { log, self } = this.#deps
    const written = await writeTask(this.#deps, board, undefined, (state) => {
      const isMissing = this.#missing(board).includes(record)
      if (isMissing) putClaim(state, self, record)
      return isMissing
    })
    const of = { task: record.task, project: board.projectId }
    if (!written.ok) log.warn({ ...of, code: written.error.code }, 'a claim of this node could not be put back')
    else if (written.value.value) log.warn(of, 'another member took a claim of this node out of the project: put back')
  }

  /** Claims under leases that this node holds and that nothing is said of any more. */
  #missing(board: TaskBoard): ClaimedRecord[] {
    const { self } = this.#deps
    return [...this.#heldIn(board.projectId).values()].filter(({ task }) => !board.saidBy(self, task))
  }

  /** Lets go of what has ended: where nobody else writes, nobody looks for what is missing. */
  #heldIn(projectId: ProjectId): Map<string, ClaimedRecord> {
    const { leases } = this.#deps
    const held = this.#held.get(projectId) ?? new Map<string, ClaimedRecord>()
    for (const lease of held.keys()) if (!leases.find(lease)) held.delete(lease)
    return held
  }
}
