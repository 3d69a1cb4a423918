import { z } from 'zod'
import {
  MCP_HIDDEN,
  MCP_STATUSES,
  MCP_TRANSPORTS,
  type McpResult,
  type McpServer,
  type McpServerTool,
  type McpTool,
} from '../../../crdt/mcp.ts'

const text = z.string()
const maybe = text.nullable()
const count = z.int().min(0)

export const WireServer = z.strictObject({
  id: text,
  machine_id: text,
  name: text,
  display_name: text,
  status: z.enum(MCP_STATUSES),
  transport: z.enum(MCP_TRANSPORTS),
  /** Null where the server is asked at `url`. */
  command: maybe,
  args: z.array(text),
  cwd: maybe,
  url: maybe,
  /** Their names; what they hold is never shown. */
  env: z.record(text, z.literal(MCP_HIDDEN)),
  headers: z.record(text, z.literal(MCP_HIDDEN)),
  auto_start: z.boolean(),
  is_approved: z.boolean(),
  /** What an approval is bound to: changes with command, arguments, environment, folder, url and headers. */
  fingerprint: text,
  /** The file of an agent that defines it; null for one made through Rookery. */
  source: maybe,
  tools_count: count,
  problem: maybe,
  stderr: z.array(text),
  last_started_at: maybe,
  next_try_at: maybe,
})

export const wireServer = (server: McpServer): z.infer<typeof WireServer> => ({
  id: server.id,
  machine_id: server.machineId,
  name: server.name,
  display_name: server.displayName,
  status: server.status,
  transport: server.transport,
  command: server.command,
  args: [...server.args],
  cwd: server.cwd,
  url: server.url,
  env: hidden(server.envNames),
  headers: hidden(server.headerNames),
  auto_start: server.autoStart,
  is_approved: server.isApproved,
  fingerprint: server.fingerprint,
  source: server.source,
  tools_count: server.toolsCount,
  problem: server.problem,
  stderr: [...server.stderr],
  last_started_at: server.lastStartedAt,
  next_try_at: server.nextTryAt,
})

const hidden = (names: readonly string[]): Record<string, typeof MCP_HIDDEN> =>
  Object.fromEntries(names.map((name) => [name, MCP_HIDDEN]))

export const WireTool = z.strictObject({ name: text, description: text, parameters: z.record(text, z.unknown()) })
export const WireServerTool = WireTool.extend({ server: text })

export const wireTool = ({ name, description, parameters }: McpTool): z.infer<typeof WireTool> => ({
  name,
  description,
  parameters,
})
export const wireServerTool = (tool: McpServerTool): z.infer<typeof WireServerTool> => ({
  server: tool.server,
  ...wireTool(tool),
})

export const WireResult = z.strictObject({
  content: text,
  mimeType: text,
  /** The blocks as the tool gave them. */
  blocks: z.array(z.record(text, z.unknown())),
  structured: z.unknown(),
  /** There was more than an answer holds. */
  truncated: z.boolean(),
})

export const wireResult = (result: McpResult): z.infer<typeof WireResult> => ({
  content: result.content,
  mimeType: result.mimeType,
  blocks: [...result.blocks],
  structured: result.structured,
  truncated: result.truncated,
})
