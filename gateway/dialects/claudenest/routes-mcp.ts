import { z } from 'zod'
import { MachineId } from '../../../crdt/ids.ts'
import {
  McpArgs,
  McpCommand,
  McpCwd,
  McpDisplayName,
  McpEnv,
  McpHeaders,
  McpName,
  McpUrl,
  type McpChange,
  type McpServer,
} from '../../../crdt/mcp.ts'
import { none } from '../../http/dialect.ts'
import type { Wire } from '../../http/dialect.ts'
import { BY_NODE, pageFields, pageOf } from './inputs.ts'
import { route } from './deps.ts'
import {
  WireResult,
  wireResult,
  WireServer,
  wireServer,
  WireServerTool,
  wireServerTool,
  WireTool,
  wireTool,
} from './wire-mcp.ts'

const ofMachine = { params: z.strictObject({ machine: MachineId }), missing: 'machine_not_found' } as const
/** A machine's id is checked by its service, so that the right thing is said to be missing. */
const named = {
  params: z.strictObject({ machine: z.string(), name: McpName }),
  missing: 'mcp_server_not_found',
} as const
const ofServer = { ...named, query: none.query } as const

const ServerReply = WireServer.extend({ server: WireServer })
const flat = (server: McpServer): Wire => ({ data: { ...wireServer(server), server: wireServer(server) } })

const ACROSS = ['machine_not_found', 'storage_failed', 'rate_limited', ...BY_NODE] as const
const TIMEOUT_MS_MAX = 600_000

const definition = {
  display_name: McpDisplayName.exactOptional(),
  command: McpCommand.exactOptional(),
  args: McpArgs.exactOptional(),
  env: McpEnv.exactOptional(),
  cwd: McpCwd.nullable().exactOptional(),
  url: McpUrl.exactOptional(),
  headers: McpHeaders.exactOptional(),
  auto_start: z.boolean().exactOptional(),
  /** Follows from `command` or `url`; whoever sends it must mean the same. */
  transport: z.enum(['stdio', 'http', 'streamable-http']).exactOptional(),
} as const
const Definition = z.strictObject(definition)
const agrees = ({ transport, command, url }: z.infer<typeof Definition>): boolean =>
  transport === undefined || (transport === 'stdio' ? url === undefined : command === undefined)
const DISAGREES = { path: ['transport'], message: 'stdio goes with command, http with url' }

const changeOf = ({
  display_name: displayName,
  auto_start: autoStart,
  transport: _transport,
  ...rest
}: z.infer<typeof Definition>): McpChange => ({
  ...rest,
  ...(displayName === undefined ? {} : { displayName }),
  ...(autoStart === undefined ? {} : { autoStart }),
})

export const mcpRoutes = [
  route({
    doc: '11.1 List MCP servers',
    method: 'GET',
    path: '/api/machines/:machine/mcp',
    policy: { ability: 'mcp:read' },
    errors: ACROSS,
    ...ofMachine,
    query: z.object(pageFields(50)),
    body: none.body,
    reply: z.array(WireServer),
    run: ({ services }, { actor, params, query }) => services.mcp.list(actor, params.machine, pageOf(query)),
    toWire: (page) => ({ data: page.items.map(wireServer), page }),
  }),
  route({
    doc: '11.9 Get all tools',
    method: 'GET',
    path: '/api/machines/:machine/mcp/all-tools',
    policy: { ability: 'mcp:read' },
    errors: ACROSS,
    ...ofMachine,
    query: none.query,
    body: none.body,
    reply: z.array(WireServerTool),
    run: ({ services }, { actor, params }) => services.mcp.allTools(actor, params.machine),
    toWire: (tools) => ({ data: tools.map(wireServerTool) }),
  }),
  route({
    doc: '11.2 Get MCP server',
    method: 'GET',
    path: '/api/machines/:machine/mcp/:name',
    policy: { ability: 'mcp:read' },
    errors: ACROSS,
    ...ofServer,
    body: none.body,
    reply: ServerReply,
    run: ({ services }, { actor, params }) => services.mcp.get(actor, params.machine, params.name),
    toWire: flat,
  }),
  route({
    doc: '11.3 Add MCP server',
    method: 'POST',
    path: '/api/machines/:machine/mcp',
    policy: { ability: 'mcp:write' },
    errors: ['mcp_server_exists', 'limit_reached', ...ACROSS],
    status: 201,
    aliases: { env_vars: 'env' },
    ...ofMachine,
    query: none.query,
    body: Definition.extend({ name: McpName }).refine(agrees, DISAGREES),
    reply: ServerReply,
    run: ({ services }, { actor, params, body: { name, ...body } }) =>
      services.mcp.add(actor, params.machine, { name, ...changeOf(body) }),
    toWire: flat,
  }),
  route({
    doc: '11.4 Update MCP server',
    method: 'PATCH',
    path: '/api/machines/:machine/mcp/:name',
    policy: { ability: 'mcp:write' },
    errors: ['mcp_server_found', ...ACROSS],
    aliases: { env_vars: 'env' },
    ...ofServer,
    body: Definition.refine(agrees, DISAGREES).nullish(),
    reply: ServerReply,
    run: ({ services }, { actor, params, body }) =>
      services.mcp.update(actor, params.machine, { name: params.name, change: changeOf(body ?? {}) }),
    toWire: flat,
  }),
  route({
    doc: '11.5 Start MCP server',
    method: 'POST',
    path: '/api/machines/:machine/mcp/:name/start',
    policy: { ability: 'mcp:write' },
    errors: ['mcp_not_approved', 'mcp_start_failed', 'limit_reached', ...ACROSS],
    ...ofServer,
    body: none.body,
    reply: ServerReply,
    run: ({ services }, { actor, params }) => services.mcp.start(actor, params.machine, params.name),
    toWire: flat,
  }),
  route({
    doc: '11.6 Stop MCP server',
    method: 'POST',
    path: '/api/machines/:machine/mcp/:name/stop',
    policy: { ability: 'mcp:write' },
    errors: ACROSS,
    ...ofServer,
    body: none.body,
    reply: ServerReply,
    run: ({ services }, { actor, params }) => services.mcp.stop(actor, params.machine, params.name),
    toWire: flat,
  }),
  route({
    doc: '11.7 List tools',
    method: 'GET',
    path: '/api/machines/:machine/mcp/:name/tools',
    policy: { ability: 'mcp:read' },
    errors: ['mcp_not_running', ...ACROSS],
    ...ofServer,
    body: none.body,
    reply: z.array(WireTool),
    run: ({ services }, { actor, params }) => services.mcp.tools(actor, params.machine, params.name),
    toWire: (tools) => ({ data: tools.map(wireTool) }),
  }),
  route({
    doc: '11.8 Execute tool',
    method: 'POST',
    path: '/api/machines/:machine/mcp/:name/execute',
    policy: { ability: 'mcp:execute' },
    errors: ['mcp_not_approved', 'mcp_not_running', 'mcp_tool_failed', ...ACROSS],
    aliases: { params: 'parameters', arguments: 'parameters', args: 'parameters' },
    ...ofServer,
    body: z.strictObject({
      tool: z.string().min(1).max(256),
      parameters: z.record(z.string(), z.unknown()).default({}),
      /** 60 s unless given. */
      timeout_ms: z.int().min(1).max(TIMEOUT_MS_MAX).exactOptional(),
    }),
    reply: WireResult,
    run: ({ services }, { actor, params, body, signal }) => {
      const { tool, parameters: args, timeout_ms: timeoutMs } = body
      const call = { name: params.name, tool, args, ...(timeoutMs === undefined ? {} : { timeoutMs }) }
      return services.mcp.execute(actor, params.machine, call, signal)
    },
    toWire: (result) => ({ data: wireResult(result) }),
  }),
  route({
    doc: '11 Approve MCP server (beyond the document)',
    method: 'POST',
    path: '/api/machines/:machine/mcp/:name/approve',
    policy: { ability: 'mcp:admin' },
    errors: ['mcp_not_approved', ...ACROSS],
    ...ofServer,
    body: z.strictObject({ fingerprint: z.string().max(128).exactOptional() }).nullish(),
    reply: ServerReply,
    run: ({ services }, { actor, params, body }) =>
      services.mcp.approve(actor, params.machine, { name: params.name, ...body }),
    toWire: flat,
  }),
  route({
    doc: '11.10 Delete MCP server',
    method: 'DELETE',
    path: '/api/machines/:machine/mcp/:name',
    policy: { ability: 'mcp:write' },
    errors: ['mcp_server_found', ...ACROSS],
    ...ofServer,
    body: none.body,
    reply: z.null(),
    run: ({ services }, { actor, params }) => services.mcp.remove(actor, params.machine, params.name),
    toWire: () => ({ data: null }),
  }),
]
