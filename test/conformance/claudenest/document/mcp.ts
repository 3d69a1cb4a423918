import { z } from 'zod'
import { count, flatAndNested, rest, shape, text, time, uuid } from './row.ts'
import type { RestRow } from './row.ts'

const Server = shape({
  id: uuid,
  name: text,
  display_name: text,
  status: z.enum(['stopped', 'starting', 'running', 'error']),
  transport: text,
  command: text.nullable(),
  args: z.array(text),
  tools_count: count,
  last_started_at: time.nullable(),
})
const OneServer = flatAndNested('server', Server)
const Tool = shape({ name: text, description: text, parameters: z.record(text, z.unknown()) })

export const mcpRows: readonly RestRow[] = [
  rest('11.1', 'GET /api/machines/:machine/mcp', {
    reply: z.array(Server),
    errors: ['MCH_001', 'MCH_002'],
    says: ['pages', 'lists what agents have in their files, and runs none of it'],
  }),
  rest('11.2', 'GET /api/machines/:machine/mcp/:name', {
    reply: OneServer,
    errors: ['MCH_001', 'MCH_002', 'MCP_001'],
    says: ['shows no secret', 'says why a server has failed'],
  }),
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
    reply: OneServer,
    errors: ['MCH_001', 'MCH_002'],
    says: [
      'takes a name once',
      'refuses variables of loaders and interpreters',
      'refuses a command that only a shell would understand',
      'takes env_vars for env',
      'starts what is to start by itself',
    ],
  }),
  rest('11.4', 'PATCH /api/machines/:machine/mcp/:name', {
    reply: OneServer,
    errors: ['MCH_001', 'MCH_002', 'MCP_001'],
    says: ['changes what is given and keeps the rest, secrets too', 'stops a server that runs something else now'],
  }),
  rest('11.5', 'POST /api/machines/:machine/mcp/:name/start', {
    reply: OneServer,
    errors: ['MCH_001', 'MCH_002', 'MCP_001', 'MCP_002'],
    says: [
      'leaves a server alone that runs',
      'refuses what was not approved on the machine, and what has changed since',
      'tells those who follow the machine',
    ],
  }),
  rest('11.6', 'POST /api/machines/:machine/mcp/:name/stop', {
    reply: OneServer,
    errors: ['MCH_001', 'MCH_002', 'MCP_001'],
    says: ['leaves no process behind'],
  }),
  rest('11.7', 'GET /api/machines/:machine/mcp/:name/tools', {
    reply: z.array(Tool),
    errors: ['MCH_001', 'MCH_002', 'MCP_001'],
    says: ['has nothing to tell of a server that does not run'],
  }),
  rest('11.8', 'POST /api/machines/:machine/mcp/:name/execute', {
    body: { tool: 'read_file', parameters: { path: '/home/user/file.txt' } },
    reply: shape({ content: text, mimeType: text }),
    errors: ['MCH_001', 'MCH_002', 'MCP_001', 'MCP_003'],
    says: [
      'refuses arguments that the tool does not take',
      'refuses a tool that the server does not have',
      'takes params, arguments and args for parameters',
      'gives up after timeout_ms',
      'needs a server that runs',
    ],
  }),
  rest('11.9', 'GET /api/machines/:machine/mcp/all-tools', {
    reply: z.array(Tool),
    errors: ['MCH_001', 'MCH_002'],
    says: ['says which server has which tool'],
  }),
  rest('11.10', 'DELETE /api/machines/:machine/mcp/:name', {
    reply: z.null(),
    errors: ['MCH_001', 'MCH_002', 'MCP_001'],
    says: ['stops the server'],
  }),
]

/** Somebody has to be able to let a definition run that came from elsewhere. */
export const approveRow = rest('11', 'POST /api/machines/:machine/mcp/:name/approve', {
  reply: OneServer,
  errors: ['MCH_001', 'MCH_002', 'MCP_001'],
  says: ['is for one definition only', 'is done on the machine itself'],
})
