import { domainError, invalidField } from '../../../crdt/errors.ts'
import { TaskId } from '../../../crdt/ids.ts'
import { err, ok } from '../../../crdt/result.ts'
import { closesCycle } from '../../../crdt/task-dependencies.ts'
import { addTask, deleteTask, editTask } from '../../../crdt/task-document.ts'
import { TASK_BYTES_MAX } from '../../../crdt/task-record.ts'
import { uuidFromRandom } from '../../../crdt/uuid.ts'
import { unknownTasks, withTask, writeTask } from './task-deps.ts'
import type { Result } from '../../../crdt/result.ts'
import type { TaskBoard } from '../../../crdt/task-board.ts'
import type { TaskFields } from '../../../crdt/task-record.ts'
import type { Task } from '../../../crdt/task.ts'
import type { TaskBoards } from './task-boards.ts'
import type { TaskServiceDeps } from './task-deps.ts'
import type { TaskChange, TaskService } from './task-service.ts'

/** What was measured to work: the board of so many is built in about a second. */
export const TASKS_PER_PROJECT_MAX = 100_000

export function createTaskEditing(
  deps: TaskServiceDeps & { boards: TaskBoards },
): Pick<TaskService, 'create' | 'update' | 'remove'> {
  const now = (): string => new Date(deps.clock.wallMs()).toISOString()
  return {
    async create(actor, projectId, input) {
      const project = await deps.projects.get(projectId)
      if (!project.ok) return project
      return await deps.boards.use(project.value.id, async (board) => {
        if (board.size >= TASKS_PER_PROJECT_MAX) return err(domainError('limit_reached'))
        const dependencies = knownTasks(board, input.dependencies)
        if (!dependencies.ok) return dependencies
        const body = { ...input, dependencies: dependencies.value, created_at: now(), created_by: actor.id }
        if (jsonBytes(body) > TASK_BYTES_MAX) return err(domainError('too_large'))
        const id = TaskId.parse(uuidFromRandom(deps.random.bytes(16)))
        const result = await writeTask(deps, board, actor, (state) => addTask(state, id, body))
        // It may have been deleted by another within the same moment.
        return result.ok ? shown(board, id) : result
      })
    },
    update: (actor, id, change) =>
      withTask(deps, id, async ({ board, id: taskId }) => {
        const fields = checkChange(board, taskId, change)
        if (!fields.ok) return fields
        const result = await writeTask(deps, board, actor, (state) => editTask(state, taskId, fields.value))
        return result.ok ? shown(board, taskId) : result
      }),
    remove: (actor, id) =>
      withTask(deps, id, async ({ board, id: taskId }) => {
        const result = await writeTask(deps, board, actor, (state) => deleteTask(state, taskId, now()))
        return result.ok ? ok(null) : result
      }),
  }
}

function shown(board: TaskBoard, id: TaskId): Result<Task> {
  const task = board.get(id)
  return task ? ok(task) : err(domainError('task_not_found'))
}

function checkChange(board: TaskBoard, id: TaskId, change: TaskChange): Result<Partial<TaskFields>> {
  if (jsonBytes(change) > TASK_BYTES_MAX) return err(domainError('too_large'))
  const { dependencies: wanted, ...fields } = change
  if (wanted === undefined) return ok(fields)
  const dependencies = knownTasks(board, wanted)
  if (!dependencies.ok) return dependencies
  if (closesCycle(id, dependencies.value, (other) => board.get(other)?.dependencies ?? [])) {
    return err(invalidField('dependencies', 'The task would wait for itself.'))
  }
  return ok({ ...fields, dependencies: dependencies.value })
}

function knownTasks(board: TaskBoard, ids: readonly string[]): Result<TaskId[]> {
  const known = new Set<TaskId>()
  const unknown: string[] = []
  for (const id of ids) {
    const parsed = TaskId.safeParse(id)
    if (parsed.success && board.has(parsed.data)) known.add(parsed.data)
    else unknown.push(id)
  }
  return unknown.length > 0 ? err(unknownTasks(unknown)) : ok([...known])
}

const jsonBytes = (value: unknown): number => new TextEncoder().encode(JSON.stringify(value)).byteLength
