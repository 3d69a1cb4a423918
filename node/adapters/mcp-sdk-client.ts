import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport, StreamableHTTPError } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import {
  CallToolResultSchema,
  ErrorCode,
  ListToolsResultSchema,
  McpError,
  ToolListChangedNotificationSchema,
  type CallToolResult,
} from '@modelcontextprotocol/sdk/types.js'
import type { jsonSchemaValidator } from '@modelcontextprotocol/sdk/validation'
import type { McpProgram, McpTool } from '../../crdt/mcp.ts'
import { McpToolError, type McpConnection, type McpEvents, type McpReach } from '../ports/mcp-connector.ts'
import { hasAuthorization } from '../services/mcp/program-policy.ts'
import { createEgress } from './egress.ts'
import { signedIn } from './mcp-oauth.ts'
import { boundedResult } from './mcp-result.ts'
import { boundedResponses } from './response-limit.ts'
import type { SignInFiles } from './mcp-sign-in-files.ts'
import type { StdioServer } from './mcp-stdio.ts'

const TOOLS_MAX = 1000
const PAGES_MAX = 50
/** Of all tools of a server: an answer between nodes holds 1 MB. */
const TOOLS_CHARS_MAX = 600_000
const DESCRIPTION_CHARS_MAX = 16_000
/** A server elsewhere that has gone away tells nobody: it is asked so often. */
const PING_EVERY_MS = 30_000
const PING_MS = 15_000
/** The limits are set by whoever asks; the client's own must not come first. */
const NO_LIMIT_MS = 2 ** 31 - 1
const MESSAGE_CHARS_MAX = 4000

type Opened = { readonly transport: Transport; readonly ended: Promise<string>; readonly close: () => Promise<void> }
type Options = { readonly version: string; readonly events: McpEvents; readonly signal: AbortSignal }

/** Greets a server that was started, and speaks with it. Ends it when that fails. */
export async function greetStdio(server: StdioServer, options: Options): Promise<McpConnection> {
  return await greet(server, options)
}

/** Greets a server elsewhere. */
export async function greetHttp(
  { url, headers }: McpProgram & { transport: 'http' },
  { reach, signIns, ...options }: Options & { readonly reach: McpReach; readonly signIns: SignInFiles },
): Promise<McpConnection> {
  const egress = createEgress(reach)
  const over = Promise.withResolvers<string>()
  const transport = new StreamableHTTPClientTransport(new URL(url), {
    fetch: await credentialed({ url, headers }, boundedResponses(egress.fetch), signIns),
    requestInit: { headers: { ...headers } },
  })
  let pings: NodeJS.Timeout | undefined
  const close = async (reason: string): Promise<void> => {
    clearInterval(pings)
    // It is given up in any case: a server that does not take the goodbye changes nothing.
    await transport.close().catch(() => undefined)
    await egress.close()
    over.resolve(reason)
  }
  const opened: Opened = {
    transport,
    ended: over.promise,
    close: () => close('It was stopped.'),
  }
  const connection = await greet(opened, options)
  const ping = async (): Promise<void> => {
    try {
      await connection.ping(PING_MS)
    } catch (error) {
      await close(`The server does not answer any more: ${reasonOf(error)}`)
    }
  }
  pings = setInterval(() => void ping(), PING_EVERY_MS).unref()
  return {
    ...connection,
    async call(tool, args, limits) {
      try {
        return await connection.call(tool, args, limits)
      } catch (error) {
        if (!(error instanceof McpToolError) && !limits.signal.aborted) void close(reasonOf(error))
        throw error
      }
    },
    async close() {
      await transport.terminateSession().catch(() => undefined)
      await opened.close()
    },
  }
}

/** A token that was given by hand goes before a sign-in. */
async function credentialed(
  { url, headers }: Pick<McpProgram & { transport: 'http' }, 'url' | 'headers'>,
  ask: typeof fetch,
  signIns: SignInFiles,
): Promise<typeof fetch> {
  return hasAuthorization(headers) ? ask : await signedIn(url, ask, signIns)
}

type Greeted = McpConnection & { ping(timeoutMs: number): Promise<void> }

async function greet(opened: Opened, { version, events, signal }: Options): Promise<Greeted> {
  // Nothing is offered to servers: neither files, nor the model, nor questions to a person.
  const client = new Client({ name: 'rookery', version }, { capabilities: {}, jsonSchemaValidator: NO_VALIDATION })
  client.setNotificationHandler(ToolListChangedNotificationSchema, () => events.onToolsChanged())
  try {
    signal.throwIfAborted()
    const early = opened.ended.then((reason): never => {
      throw new Error(reason)
    })
    await Promise.race([client.connect(opened.transport, { signal, timeout: NO_LIMIT_MS }), early])
    early.catch(() => undefined)
  } catch (error) {
    const isOver = error instanceof McpError && (error.code as ErrorCode) === ErrorCode.ConnectionClosed
    await opened.close()
    signal.throwIfAborted()
    throw new Error(isOver ? await opened.ended : reasonOf(error), { cause: error })
  }
  return {
    tools: (until) => listTools(client, until),
    async call(tool, args, { timeoutMs, signal: until }) {
      try {
        const request = { method: 'tools/call', params: { name: tool, arguments: { ...args } } } as const
        const result = await client.request(request, CallToolResultSchema, { signal: until, timeout: timeoutMs })
        if (result.isError === true) throw new McpToolError(saidIn(result))
        return boundedResult(result)
      } catch (error) {
        throw error instanceof McpError ? toolError(error, timeoutMs) : error
      }
    },
    async ping(timeout) {
      await client.ping({ timeout })
    },
    ended: opened.ended,
    close: opened.close,
  }
}

/** What a tool says of its output is between it and its caller: schemas of others are not run here. */
const NO_VALIDATION: jsonSchemaValidator = {
  getValidator: () => (input: unknown) => ({ valid: true, data: input as never, errorMessage: undefined }),
}

async function listTools(client: Client, signal: AbortSignal): Promise<readonly McpTool[]> {
  if (client.getServerCapabilities()?.tools === undefined) return []
  const tools: McpTool[] = []
  let chars = 0
  let cursor: string | undefined
  for (let page = 0; page < PAGES_MAX; page++) {
    const params = cursor === undefined ? {} : { cursor }
    const listed = await client.request({ method: 'tools/list', params }, ListToolsResultSchema, {
      signal,
      timeout: NO_LIMIT_MS,
    })
    for (const { name, title, description, inputSchema } of listed.tools) {
      const tool = {
        name,
        description: (description ?? title ?? '').slice(0, DESCRIPTION_CHARS_MAX),
        parameters: { ...inputSchema },
      }
      chars += JSON.stringify(tool).length
      if (tools.length >= TOOLS_MAX || chars > TOOLS_CHARS_MAX) return tools
      tools.push(tool)
    }
    cursor = listed.nextCursor
    if (cursor === undefined) break
  }
  return tools
}

const saidIn = ({ content }: CallToolResult): string =>
  content
    .flatMap((block) => (block.type === 'text' ? [block.text] : []))
    .join('\n')
    .slice(0, MESSAGE_CHARS_MAX) || 'The tool failed and does not say why.'

function toolError(error: McpError, timeoutMs: number): Error {
  const code: ErrorCode = error.code
  if (code === ErrorCode.ConnectionClosed) return new Error('it was closed.', { cause: error })
  if (code === ErrorCode.RequestTimeout)
    return new McpToolError(`The tool did not answer within ${timeoutMs / 1000} s.`)
  return new McpToolError(error.message.replace(/^MCP error -?[0-9]+: /, '').slice(0, MESSAGE_CHARS_MAX))
}

/** In words of people; what a library wraps is unwrapped. */
function reasonOf(error: unknown): string {
  if (error instanceof StreamableHTTPError && error.code !== undefined) {
    const { code } = error
    if (code === 401)
      return 'The server answered 401: it wants to know who asks. Sign in on its machine with `rookery mcp sign-in <name>` (OAuth), or give a token in a header "Authorization: Bearer …".'
    if (code === 403) return 'The server answered 403: whoever asks with these credentials may not.'
    if (code >= 400) return `The server answered ${code}.`
  }
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error && error.cause.message !== ''
    ? reasonOf(error.cause)
    : error.message.slice(0, MESSAGE_CHARS_MAX)
}
