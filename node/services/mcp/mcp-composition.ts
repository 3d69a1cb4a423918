import { z } from 'zod'
import { can, type Actor } from '../../../crdt/actor.ts'
import { domainError } from '../../../crdt/errors.ts'
import { McpResult, McpServer, McpServerTool, McpTool } from '../../../crdt/mcp.ts'
import { paginate } from '../../../crdt/page.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import type { McpAction, McpDeps } from './mcp-deps.ts'
import type { McpService } from './mcp-service.ts'
import { followStates, publishStates } from './mcp-states.ts'
import { MCP_ABILITY, packed, serveMcp } from './mcp-target.ts'
import { Supervisor } from './supervisor.ts'

/** A start is answered after 20 s at the latest. */
const START_MS = 30_000
/** Ending one that resists, also before a change. */
const STOP_MS = 20_000
/** Others are asked several things, 15 s each, and the server is started. */
const SIGN_IN_MS = 120_000
/** The machine itself ends a call that takes too long; it is asked no longer than this beyond. */
const CALL_MS = { default: 60_000, beyond: 10_000 } as const

export type RunningMcpService = {
  readonly service: McpService
  /** Ends all servers of this machine; resolves when no process of theirs is left. */
  close(): Promise<void>
}

const ServerReply = packed(McpServer)
const LinkReply = z.strictObject({ link: z.string() })

/** MCP servers of every machine of the mesh; serves those of this one to the others, and starts what is to run here. */
export async function createMcpService(deps: McpDeps): Promise<RunningMcpService> {
  const publisher = publishStates(deps, () => supervisor.states())
  const supervisor = new Supervisor({ ...deps, onChange: () => publisher.changed() })
  serveMcp(deps, supervisor)
  const stopFollowing = await followStates(deps)
  // What an earlier process of this node said of its servers is not true any more.
  publisher.changed()
  const starting = supervisor.startAll().catch((error: unknown) => {
    deps.log.error({ err: error }, 'MCP servers could not be started with the node')
  })
  return {
    service: asking(deps),
    async close() {
      stopFollowing()
      await publisher.stop()
      await supervisor.close()
      await starting
    },
  }
}

/** What this node asks of a machine, itself included. */
function asking(deps: McpDeps): McpService {
  const server = (actor: Actor, machineId: string, request: Omit<Question<typeof ServerReply>, 'reply'>) =>
    ask(deps, actor, machineId, { ...request, reply: ServerReply })
  return {
    async list(actor, machineId, page) {
      const servers = await ask(deps, actor, machineId, {
        action: 'mcp.list',
        input: {},
        reply: packed(z.array(McpServer)),
      })
      return servers.ok ? ok(paginate(servers.value, page)) : servers
    },
    get: (actor, machineId, name) => server(actor, machineId, { action: 'mcp.get', input: { name } }),
    add: (actor, machineId, input) => server(actor, machineId, { action: 'mcp.add', input }),
    update: (actor, machineId, input) => server(actor, machineId, { action: 'mcp.update', input, timeoutMs: STOP_MS }),
    remove: (actor, machineId, name) =>
      ask(deps, actor, machineId, { action: 'mcp.remove', input: { name }, reply: z.null(), timeoutMs: STOP_MS }),
    approve: (actor, machineId, input) => server(actor, machineId, { action: 'mcp.approve', input }),
    signIn: (actor, machineId, input) =>
      ask(deps, actor, machineId, { action: 'mcp.signIn', input, reply: LinkReply, timeoutMs: SIGN_IN_MS }),
    finishSignIn: (actor, machineId, input) =>
      server(actor, machineId, { action: 'mcp.finishSignIn', input, timeoutMs: SIGN_IN_MS }),
    signOut: (actor, machineId, name) =>
      server(actor, machineId, { action: 'mcp.signOut', input: { name }, timeoutMs: STOP_MS }),
    start: (actor, machineId, name) =>
      server(actor, machineId, { action: 'mcp.start', input: { name }, timeoutMs: START_MS }),
    stop: (actor, machineId, name) =>
      server(actor, machineId, { action: 'mcp.stop', input: { name }, timeoutMs: STOP_MS }),
    tools: (actor, machineId, name) =>
      ask(deps, actor, machineId, { action: 'mcp.tools', input: { name }, reply: packed(z.array(McpTool)) }),
    allTools: (actor, machineId) =>
      ask(deps, actor, machineId, { action: 'mcp.allTools', input: {}, reply: packed(z.array(McpServerTool)) }),
    execute: (actor, machineId, { args, ...input }, signal) =>
      ask(deps, actor, machineId, {
        action: 'mcp.execute',
        input: { ...input, args: JSON.stringify(args) },
        reply: packed(McpResult),
        timeoutMs: (input.timeoutMs ?? CALL_MS.default) + CALL_MS.beyond,
        signal,
      }),
  }
}

type Question<R extends z.ZodType> = {
  readonly action: McpAction
  readonly input: object
  readonly reply: R
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

async function ask<R extends z.ZodType>(
  { machines, rpc }: McpDeps,
  actor: Actor,
  machineId: string,
  { action, ...request }: Question<R>,
): Promise<Result<z.infer<R>>> {
  if (!can(actor, MCP_ABILITY[action])) return err(domainError('forbidden'))
  const machine = await machines.nodeOf(machineId)
  return machine.ok ? await rpc.call(machine.value.peer, action, { actor, ...request }) : machine
}
