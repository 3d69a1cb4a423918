import { z } from 'zod'
import { can, type Actor } from '../../../crdt/actor.ts'
import { domainError, invalidField } from '../../../crdt/errors.ts'
import { isOver, type Execution } from '../../../crdt/execution.ts'
import type { PeerId } from '../../../crdt/ids.ts'
import { paginate, type PageRequest } from '../../../crdt/page.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import { reachedWithin } from '../claims/claim-reached.ts'
import type { FeedPosition } from '../feeds/documents.ts'
import { serveTerminals, type Watched } from '../sessions/session-attach.ts'
import { createCommandCatalogue } from './command-catalogue.ts'
import type { CommandAction, CommandServiceDeps } from './command-deps.ts'
import { openCommandRegistry } from './command-registry.ts'
import { COMMANDS_PER_PAGE_MAX, type CommandService } from './command-service.ts'
import { COMMAND_ABILITIES, REPLIES, serveCommands } from './command-target.ts'
import { openExecutionBook } from './execution-book.ts'
import { watchExecutions, type ExecutionDirectory } from './execution-directory.ts'
import { ExecutionQueue, settleLost } from './execution-queue.ts'
import { reaches, watchedExecutions, watchExecution } from './execution-viewer.ts'

/** Looking through large folders for the first time. */
const LOOK_MS = 60_000
/** Ending a program that resists. */
const CANCEL_MS = 20_000
const LOG_LIMIT_MAX = 10_000

export type Commands = CommandService & {
  /** Ends all executions of this machine, and takes no more. To be called while the others can still hear of it. */
  endAll(): Promise<void>
  stop(): void
}

/**
 * Commands of every machine of the mesh. Says first what became of the executions of an earlier process of this node. To
 * be called once per node, after the documents are ready.
 */
export async function createCommandService(deps: CommandServiceDeps): Promise<Commands> {
  const directory = await watchExecutions(deps)
  const registry = await openCommandRegistry(deps)
  const catalogue = createCommandCatalogue({ ...deps, registry })
  const book = openExecutionBook(deps)
  await settleLost({ ...deps, book })
  const { membership, self } = deps
  const isFormer = (peer: PeerId): boolean => peer !== self && !membership.current().members.has(peer)
  const queue = new ExecutionQueue({ ...deps, book, isFormer })
  const target = serveCommands(deps, { catalogue, registry, queue })
  const watched = watchedExecutions(deps, target)
  serveTerminals(deps, watched)
  // What a removed member started must not go on.
  const stopWatching = membership.onChange(() => queue.cancelOfFormer())
  return {
    ...asking(deps),
    ...executionsOf({ deps, directory, watched }),
    endAll: () => queue.stop(),
    stop() {
      stopWatching()
      catalogue.stop()
      book.close()
      directory.close()
    },
  }
}

type Asking = Pick<CommandService, 'list' | 'get' | 'register' | 'remove' | 'clear'>

/** What the machine itself is asked. */
function asking({ machines, rpc }: CommandServiceDeps): Asking {
  const ask = async <R extends z.ZodType>(
    actor: Actor,
    machineId: string,
    { method, input, reply }: { method: CommandAction; input: object; reply: R },
  ): Promise<Result<z.infer<R>>> => {
    if (!can(actor, COMMAND_ABILITIES[method])) return err(domainError('forbidden'))
    const machine = await machines.nodeOf(machineId)
    if (!machine.ok) return machine
    return await rpc.call(machine.value.peer, method, { actor, input, reply, timeoutMs: LOOK_MS })
  }
  return {
    list: async (actor, machineId, { search, page }) => {
      const perPage = Math.min(page.perPage, COMMANDS_PER_PAGE_MAX)
      const input = { page: page.page, perPage, ...(search === undefined ? {} : { search }) }
      return await ask(actor, machineId, { method: 'command.list', input, reply: REPLIES.list })
    },
    get: (actor, machineId, id) =>
      ask(actor, machineId, { method: 'command.get', input: { id }, reply: REPLIES.command }),
    register: (actor, machineId, commands) =>
      ask(actor, machineId, { method: 'command.register', input: { commands }, reply: REPLIES.registered }),
    remove: (actor, machineId, id) =>
      ask(actor, machineId, { method: 'command.remove', input: { id }, reply: z.null() }),
    clear: (actor, machineId) => ask(actor, machineId, { method: 'command.clear', input: {}, reply: REPLIES.count }),
  }
}

type Context = {
  readonly deps: CommandServiceDeps
  readonly directory: ExecutionDirectory
  readonly watched: Watched
}

type Executions = Pick<CommandService, 'execute' | 'executions' | 'execution' | 'ended' | 'cancel' | 'logs' | 'attach'>

function executionsOf(context: Context): Executions {
  const { deps, directory, watched } = context
  const logs: CommandService['logs'] = async (actor, id, { limit, type }) => {
    if (!can(actor, 'command:read')) return err(domainError('forbidden'))
    const execution = found(directory, id)
    if (!execution.ok) return execution
    if (!Number.isInteger(limit) || limit < 1) return err(invalidField('limit', 'Must be a whole number from 1 on.'))
    const input = { id: execution.value.id, limit: Math.min(limit, LOG_LIMIT_MAX), ...(type && { type }) }
    const request = { actor, input, reply: REPLIES.logs }
    return await deps.rpc.call(execution.value.node, 'command.logs' satisfies CommandAction, request)
  }
  return {
    logs,
    execute: async (actor, machineId, call) => {
      if (!can(actor, 'command:run')) return err(domainError('forbidden'))
      const machine = await deps.machines.nodeOf(machineId)
      if (!machine.ok) return machine
      return await changed(context, actor, { peer: machine.value.peer, method: 'command.execute', input: call })
    },
    executions: (machineId, page) => list(context, machineId, page),
    execution: async (id) => found(directory, id),
    ended: (id, signal) => reaches(deps, directory, { id, signal, is: isOver }),
    cancel: async (actor, id) => {
      if (!can(actor, 'command:run')) return err(domainError('forbidden'))
      const execution = found(directory, id)
      if (!execution.ok) return execution
      const { node: peer, id: known } = execution.value
      return await changed(context, actor, { peer, method: 'command.cancel', input: { id: known } })
    },
    attach: async (actor, id, options) => {
      if (!can(actor, 'command:read')) return err(domainError('forbidden'))
      const newest = (by: Actor, of: string) => logs(by, of, { limit: LOG_LIMIT_MAX })
      return await watchExecution({ deps, directory, watched, logs: newest }, { actor, id, ...options })
    },
  }
}

async function list(
  { deps, directory }: Context,
  machineId: string,
  page: PageRequest,
): ReturnType<CommandService['executions']> {
  const executions = directory.all().filter((execution) => execution.machineId === machineId)
  if (executions.length === 0) {
    const machine = await deps.machines.nodeOf(machineId)
    if (!machine.ok && machine.error.code === 'machine_not_found') return machine
  }
  return ok(paginate(executions.toSorted(newestFirst), page))
}

type Change = { readonly peer: PeerId; readonly method: CommandAction; readonly input: object }

async function changed(context: Context, actor: Actor, { peer, method, input }: Change): Promise<Result<Execution>> {
  const request = { actor, input, reply: REPLIES.execution, timeoutMs: CANCEL_MS }
  const reply = await context.deps.rpc.call(peer, method, request)
  if (!reply.ok) return reply
  await caughtUp(context, peer, reply.value.position)
  return ok(reply.value.execution)
}

/** So that whoever asks this node next finds what it was just told. Not more than a courtesy: it is bounded. */
async function caughtUp({ deps, directory }: Context, peer: PeerId, position: FeedPosition | null): Promise<void> {
  if (!position) return
  await reachedWithin(deps, position)
  directory.refresh(peer)
}

function found(directory: ExecutionDirectory, id: string): Result<Execution> {
  const execution = directory.find(id)
  return execution ? ok(execution) : err(domainError('execution_not_found'))
}

const newestFirst = (a: Execution, b: Execution): number =>
  b.queuedAt.localeCompare(a.queuedAt) || b.id.localeCompare(a.id)
