import type { McpProgram, McpResult, McpTool } from '../../crdt/mcp.ts'

/** The tool itself, or the server, said no; the message is theirs. */
export class McpToolError extends Error {
  override readonly name = 'McpToolError'
}

/** `public`: only addresses of the internet; `local`: also this machine and its network, where the address says so. */
export type McpReach = 'public' | 'local'

export type McpEvents = {
  /** A line of standard error, bounded, without control characters. */
  readonly onStderr: (line: string) => void
  readonly onToolsChanged: () => void
}

/** A server that runs and has been greeted. */
export interface McpConnection {
  /** All pages, bounded in number and size. */
  tools(signal: AbortSignal): Promise<readonly McpTool[]>
  /** Cancelled on the server too when `signal` aborts. @throws McpToolError; anything else is about the connection */
  call(
    tool: string,
    args: Readonly<Record<string, unknown>>,
    limits: { readonly timeoutMs: number; readonly signal: AbortSignal },
  ): Promise<McpResult>
  /** Resolves with the reason when it is over, whoever ended it; no process of the server is left then. */
  readonly ended: Promise<string>
  /** Ends the server with everything it started. */
  close(): Promise<void>
}

export interface McpConnector {
  /**
   * Starts (or asks) the server and greets it. No shell ever reads its command. Rejects with what a person can act on;
   * nothing is left running then.
   */
  connect(
    program: McpProgram,
    options: { readonly reach: McpReach; readonly events: McpEvents; readonly signal: AbortSignal },
  ): Promise<McpConnection>
  /** What is wrong with arguments, by field; empty when nothing is. */
  problems(tool: McpTool, args: Readonly<Record<string, unknown>>): Promise<Readonly<Record<string, readonly string[]>>>
  /** Ends what a process of this node that died has left running. */
  sweep(): Promise<void>
}
