import type { Actor } from '../../../crdt/actor.ts'
import type { InstanceId } from '../../../crdt/ids.ts'
import type { Page, PageRequest } from '../../../crdt/page.ts'
import type { Priority, Task, TaskInput, TaskStatus } from '../../../crdt/task.ts'
import type { Result } from '../../../crdt/result.ts'

export type TaskFilter = { readonly status?: TaskStatus; readonly priority?: Priority }
export type TaskChange = Partial<TaskInput>

/**
 * Who says that it may finish or give back a claim: the token that claimed (in the actor), or the fencing token it was
 * given together with the ability.
 */
export type ClaimProof = { readonly instanceId?: string; readonly fencingToken?: number }

/** How a project is getting on, known also while its tasks are not in memory. */
export type TaskOverview = {
  readonly pending: number
  /** Who holds claims; once per claim. */
  readonly instances: readonly InstanceId[]
}

export type TaskService = {
  list(projectId: string, filter: TaskFilter, page: PageRequest): Promise<Result<Page<Task>>>
  /** Costs nothing, however many tasks there are. */
  overview(projectId: string): Promise<Result<TaskOverview>>
  /**
   * For somebody who waits for events: a claim whose holder falls silent is told only where the board is in memory. The
   * result ends it.
   */
  watch(projectId: string): Promise<Result<() => void>>
  create(actor: Actor, projectId: string, input: TaskInput): Promise<Result<Task>>
  /** The unclaimed, unblocked task of the highest priority, oldest first; null when there is none. Claims nothing. */
  next(projectId: string): Promise<Result<Task | null>>
  get(id: string): Promise<Result<Task>>
  update(actor: Actor, id: string, change: TaskChange): Promise<Result<Task>>
  remove(actor: Actor, id: string): Promise<Result<null>>
  /** Exactly one of any number of concurrent callers in the mesh succeeds. */
  claim(actor: Actor, id: string, instanceId: string): Promise<Result<Task>>
  /** Picks and claims in one step; goes on to the following task when another wins the first. */
  claimNext(actor: Actor, projectId: string, instanceId: string): Promise<Result<Task | null>>
  /**
   * While the holder's node is not sure of its lease (it was stalled, asleep or cut off), this and `complete` wait until
   * it is, or has lost it (`superseded`): within 20 s. Where `signal` aborts before, nothing has changed (`cancelled`).
   */
  release(actor: Actor, id: string, input: ClaimProof & { reason: string }, signal?: AbortSignal): Promise<Result<Task>>
  complete(
    actor: Actor,
    id: string,
    input: ClaimProof & { summary: string; filesModified: readonly string[] },
    signal?: AbortSignal,
  ): Promise<Result<Task>>
}
