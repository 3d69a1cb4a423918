import { CHUNK_CHARS_MAX, CHUNK_FILES_MAX, ChunkInput, type ContextChunk } from '../../../crdt/context-chunk.ts'
import { TARGET_ALL, type Broadcast } from '../../../crdt/activity.ts'
import type { ProjectId } from '../../../crdt/ids.ts'
import type { Project } from '../../../crdt/project.ts'
import type { Result } from '../../../crdt/result.ts'
import type { Task } from '../../../crdt/task.ts'
import type { ChunkFilter } from '../../ports/chunk-index.ts'
import type { ContextDeps } from './context-deps.ts'

/** A broadcast is about now; a completed task is worth knowing of. */
const IMPORTANCE = { broadcast: 0.7, taskCompletion: 0.6 }
/** Who was away for longer finds the project as it is then. */
const BROADCAST_MS = 24 * 3_600_000
/** Of one project, the newest: a member may send one a second. */
const BROADCASTS_MAX = 100

type NewChunk = { readonly project: Project; readonly input: ChunkInput; readonly by: string }

export type NotesDeps = Pick<ContextDeps, 'projects' | 'tasks' | 'completions' | 'clock' | 'log'> & {
  readonly add: (chunk: NewChunk) => Promise<Result<ContextChunk>>
  /** Takes out the oldest live chunk that fits the filter. */
  readonly dropOldest: (project: Project, filter: ChunkFilter) => Promise<void>
  /** How many live chunks of a project fit the filter. */
  readonly count: (project: Project, filter: ChunkFilter) => number
  /** Resolves when everything that is known now can be found. */
  readonly settled: () => Promise<void>
}

/** What the node adds to the context by itself. */
export type ContextNotes = {
  /** On the node that held the claim, so once in the mesh. */
  completion(projectId: ProjectId, task: Task): Promise<void>
  /** What an earlier process completed, and did not come to add. */
  resume(): Promise<void>
  /** For who was not there when it was sent. @errors as adding a chunk */
  broadcast(broadcast: Broadcast, by: string): Promise<Result<ContextChunk>>
}

export function createContextNotes(deps: NotesDeps): ContextNotes {
  const { projects, completions, log } = deps
  const completion = async (projectId: ProjectId, task: Task): Promise<void> => {
    const project = await projects.get(projectId)
    if (project.ok && task.completion && !isNoted(project.value, task)) {
      const { instanceId, filesModified, summary } = task.completion
      const input = ChunkInput.parse({
        content: `${task.title}\n\n${summary}`.trim().slice(0, CHUNK_CHARS_MAX),
        type: 'task_completion',
        instance_id: instanceId,
        task_id: task.id,
        files: filesModified.slice(0, CHUNK_FILES_MAX),
        importance_score: IMPORTANCE.taskCompletion,
      })
      const added = await deps.add({ project: project.value, input, by: instanceId })
      if (!added.ok) log.warn({ task: task.id, code: added.error.code }, 'a completed task is not in the context')
      // With room on the disk again the next start adds it.
      if (!added.ok && added.error.code === 'storage_failed') return
    }
    await completions.end(task.id)
  }
  const isNoted = (project: Project, { id }: Task): boolean =>
    deps.count(project, { types: ['task_completion'], taskId: id }) > 0
  return {
    completion,
    async resume() {
      const left = completions.all()
      if (left.length > 0) await deps.settled()
      for (const { task: id, project, instance } of left) {
        const task = await deps.tasks.get(id)
        // Not completed, or by somebody else later: then there is nothing to add.
        if (task.ok && task.value.completion?.instanceId === instance) await completion(project, task.value)
        else await completions.end(id)
      }
    },
    async broadcast({ projectId, content, target }, by) {
      const project = await projects.get(projectId)
      if (!project.ok) return project
      const among = { types: ['broadcast'] } as const
      if (deps.count(project.value, among) >= BROADCASTS_MAX) await deps.dropOldest(project.value, among)
      const input = ChunkInput.parse({
        content: target === TARGET_ALL ? content : `To ${target}: ${content}`,
        type: 'broadcast',
        importance_score: IMPORTANCE.broadcast,
        expires_at: new Date(deps.clock.wallMs() + BROADCAST_MS).toISOString(),
      })
      return await deps.add({ project: project.value, input, by })
    },
  }
}
