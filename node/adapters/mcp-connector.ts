import type { McpConnector } from '../ports/mcp-connector.ts'
import type { SignInFiles } from './mcp-sign-in-files.ts'
import { createMcpProcesses } from './mcp-processes.ts'

export type McpConnectorOptions = {
  /** What children inherit an allowed part of. */
  readonly environment: NodeJS.ProcessEnv
  readonly home: string
  /** Where the processes of servers are noted down. */
  readonly processFile: string
  readonly version: string
  readonly signIns: SignInFiles
}

/**
 * MCP servers as child processes and over streamable HTTP. The SDK is loaded when the first server is started: a node
 * without servers has nothing of it in memory.
 */
export function createMcpConnector({ processFile, version, signIns, ...inherited }: McpConnectorOptions): McpConnector {
  const processes = createMcpProcesses(processFile)
  return {
    async connect(program, { reach, events, signal }) {
      const { greetHttp, greetStdio } = await import('./mcp-sdk-client.ts')
      signal.throwIfAborted()
      if (program.transport === 'http') return await greetHttp(program, { version, reach, events, signal, signIns })
      const { startStdioServer } = await import('./mcp-stdio.ts')
      const server = await startStdioServer(program, { ...inherited, processes, onStderr: events.onStderr })
      return await greetStdio(server, { version, events, signal })
    },
    async problems(tool, args) {
      const { argumentProblems } = await import('./argument-check.ts')
      return argumentProblems(tool.parameters, args)
    },
    sweep: () => processes.sweep(),
  }
}
