import { z } from 'zod'
import { count, rest, shape, text, time } from './row.ts'
import type { RestRow } from './row.ts'

const unbuilt = 'MCP servers are not built yet'

const Server = shape({
  id: text,
  name: text,
  display_name: text,
  status: text,
  transport: text,
  command: text.nullable(),
  args: z.array(text),
  tools_count: count,
  last_started_at: time.nullable(),
})
const Tool = shape({ name: text, description: text, parameters: z.record(text, z.unknown()) })

export const mcpRows: readonly RestRow[] = [
  rest('11.1', 'GET /api/machines/:machine/mcp', { reply: z.array(Server), errors: ['MCH_001'], unbuilt }),
  rest('11.2', 'GET /api/machines/:machine/mcp/:name', { reply: Server, errors: ['MCH_001', 'MCP_001'], unbuilt }),
  rest('11.3', 'POST /api/machines/:machine/mcp', {
    body: {
      name: 'fetch',
      display_name: 'Web Fetch',
      command: 'uvx',
      args: ['mcp-server-fetch'],
      env: { HTTP_PROXY: '...' },
      auto_start: true,
    },
    status: 201,
    reply: Server,
    errors: ['MCH_001'],
    unbuilt,
  }),
  rest('11.4', 'PATCH /api/machines/:machine/mcp/:name', { reply: Server, errors: ['MCH_001', 'MCP_001'], unbuilt }),
  rest('11.5', 'POST /api/machines/:machine/mcp/:name/start', {
    reply: Server,
    errors: ['MCH_001', 'MCP_001', 'MCP_002'],
    unbuilt,
  }),
  rest('11.6', 'POST /api/machines/:machine/mcp/:name/stop', {
    reply: Server,
    errors: ['MCH_001', 'MCP_001'],
    unbuilt,
  }),
  rest('11.7', 'GET /api/machines/:machine/mcp/:name/tools', {
    reply: z.array(Tool),
    errors: ['MCH_001', 'MCP_001'],
    unbuilt,
  }),
  rest('11.8', 'POST /api/machines/:machine/mcp/:name/execute', {
    body: { tool: 'read_file', parameters: { path: '/home/user/file.txt' } },
    reply: shape({ content: text, mimeType: text }),
    errors: ['MCH_001', 'MCP_001', 'MCP_003'],
    unbuilt,
  }),
  rest('11.9', 'GET /api/machines/:machine/mcp/all-tools', { reply: z.array(Tool), errors: ['MCH_001'], unbuilt }),
  rest('11.10', 'DELETE /api/machines/:machine/mcp/:name', {
    reply: z.null(),
    errors: ['MCH_001', 'MCP_001'],
    unbuilt,
  }),
]
