import { domainError, invalidField } from '../../../crdt/errors.ts'
import { projectDoc, TaskId, type InstanceId } from '../../../crdt/ids.ts'
import { err } from '../../../crdt/result.ts'
import { written } from '../written.ts'
import type * as Y from 'yjs'
import type { Actor } from '../../../crdt/actor.ts'
import type { PeerId } from '../../../crdt/ids.ts'
import type { Project } from '../../../crdt/project.ts'
import type { Result } from '../../../crdt/result.ts'
import type { TaskBoard } from '../../../crdt/task-board.ts'
import type { Task } from '../../../crdt/task.ts'
import type { Crypto } from '../../../protocols/crypto.ts'
import type { Random } from '../../ports/random.ts'
import type { Documents, FeedPosition } from '../feeds/documents.ts'
import type { PendingCompletions } from '../context/pending-completions.ts'
import type { LeaseService } from '../leases/lease-service.ts'
import type { ProjectService } from '../projects/project-service.ts'
import type { Rpc } from '../rpc/rpc.ts'
import type { TaskBoards, TaskBoardsDeps } from './task-boards.ts'

export type TaskServiceDeps = Omit<TaskBoardsDeps, 'certifies' | 'leases' | 'onOthersWrite'> & {
  leases: LeaseService
  rpc: Rpc
  random: Random
  crypto: Pick<Crypto, 'sha256'>
  projects: Pick<ProjectService, 'get'>
  /** What people call a member; the peer id where it has no name. */
  nameOf: (peer: PeerId) => string
  /** Told before a completion is written, and when it was not written after all. */
  completions: Pick<PendingCompletions, 'begin' | 'end'>
  /** Whether the agent is known to have ended; most agents cannot be asked. */
  hasEnded: (instance: InstanceId) => boolean
}

export type Located = { readonly project: Project; readonly board: TaskBoard; readonly id: TaskId; readonly task: Task }

/**
 * Runs with a task that is found by its id alone, in whichever project it lies. A task of a deleted project is gone with
 * it.
 */
export async function withTask<T>(
  deps: { projects: Pick<ProjectService, 'get'>; boards: TaskBoards },
  id: string,
  run: (located: Located) => Promise<Result<T>>,
): Promise<Result<T>> {
  const taskId = TaskId.safeParse(id)
  const projectId = taskId.success ? await deps.boards.projectOf(taskId.data) : undefined
  if (!taskId.success || projectId === undefined) return err(domainError('task_not_found'))
  const project = await deps.projects.get(projectId)
  if (!project.ok) return err(domainError('task_not_found'))
  return await deps.boards.use(projectId, async (board) => {
    const task = board.get(taskId.data)
    return task ? await run({ project: project.value, board, id: task.id, task }) : err(domainError('task_not_found'))
  })
}

/** Writes to the project's document and takes it in; resolves once it is durable, or once it is gone again. */
export async function writeTask<T>(
  deps: { documents: Documents; boards: TaskBoards },
  board: TaskBoard,
  actor: Actor | undefined,
  change: (state: Y.Doc) => T,
): Promise<Result<{ value: T; position: FeedPosition }>> {
  const result = await written(deps.documents.write(projectDoc(board.projectId), actor, change))
  if (result.ok) deps.boards.catchUp(board)
  else await written(deps.boards.reread(board))
  return result
}

export const unknownTasks = (ids: readonly string[]): ReturnType<typeof invalidField> =>
  invalidField('dependencies', `No task of this project has the id ${ids.join(', ')}.`)
