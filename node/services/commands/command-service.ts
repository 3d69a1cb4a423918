import type { Actor } from '../../../crdt/actor.ts'
import type { Command, CommandCall, CommandInput } from '../../../crdt/command.ts'
import type { Execution } from '../../../crdt/execution.ts'
import type { Page, PageRequest } from '../../../crdt/page.ts'
import type { Result } from '../../../crdt/result.ts'
import type { SessionLogEntry, SessionLogType } from '../../../crdt/session.ts'
import type { SessionViewer } from '../sessions/session-service.ts'

/** Most commands of one page: an answer between nodes is at most 1 MB. */
export const COMMANDS_PER_PAGE_MAX = 100

export type CommandPage = Page<Command> & {
  /** False: a folder has more than can be looked through, and some commands are not among them. */
  readonly isComplete: boolean
}

/**
 * Commands of every machine of the mesh: what is found in the projects there, and what was registered. Each machine is
 * asked itself, so one that is away answers `machine_offline`.
 */
export type CommandService = {
  /**
   * What is registered first, then what is found, folder by folder. With `search`: those in which every word of it occurs,
   * the best first. A page has at most `COMMANDS_PER_PAGE_MAX`.
   */
  list(actor: Actor, machineId: string, query: { search?: string; page: PageRequest }): Promise<Result<CommandPage>>
  /** @errors command_not_found: also of a command whose file says something else by now */
  get(actor: Actor, machineId: string, id: string): Promise<Result<Command>>
  /**
   * All of them or none. The same once more changes nothing; another line under a known name (of that type, in that
   * folder) takes its place under a new id.
   */
  register(
    actor: Actor,
    machineId: string,
    inputs: readonly CommandInput[],
  ): Promise<Result<{ readonly commands: readonly Command[]; readonly registered: number; readonly skipped: number }>>
  /** Only of what is registered. */
  remove(actor: Actor, machineId: string, id: string): Promise<Result<null>>
  /** Removes all that is registered; tells how many that were. */
  clear(actor: Actor, machineId: string): Promise<Result<number>>
  /**
   * Puts a call of the command into the machine's queue.
   * @errors command_not_found, invalid_input (a word that the command does not take, a folder), command_failed (no such
   * program), limit_reached (the queue is full)
   */
  execute(actor: Actor, machineId: string, call: CommandCall & { readonly id: string }): Promise<Result<Execution>>
  /** Newest first; as this node knows them, also of a machine that is away. */
  executions(machineId: string, page: PageRequest): Promise<Result<Page<Execution>>>
  execution(id: string): Promise<Result<Execution>>
  /** Resolves once it is over. @errors execution_not_found, cancelled */
  ended(id: string, signal: AbortSignal): Promise<Result<Execution>>
  /** Ends everything that it started, or takes it out of the queue. One that is over stays as it is. */
  cancel(actor: Actor, id: string): Promise<Result<Execution>>
  /** The newest `limit` entries of its output, oldest first. */
  logs(
    actor: Actor,
    id: string,
    filter: { limit: number; type?: SessionLogType },
  ): Promise<Result<readonly SessionLogEntry[]>>
  /**
   * Its output from the beginning, or from what is still there of it, until its end; waits while it is queued. Of one that
   * is over it is what its log has kept.
   */
  attach(actor: Actor, id: string, options: { fromSeq?: number; signal: AbortSignal }): Promise<Result<SessionViewer>>
}
