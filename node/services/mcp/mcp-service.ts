import type { Actor } from '../../../crdt/actor.ts'
import type { McpChange, McpInput, McpResult, McpServer, McpServerTool, McpTool } from '../../../crdt/mcp.ts'
import type { Page, PageRequest } from '../../../crdt/page.ts'
import type { Result } from '../../../crdt/result.ts'
import type { SignInAnswer } from '../../ports/mcp-sign-ins.ts'

export type McpCall = {
  readonly tool: string
  readonly args: Readonly<Record<string, unknown>>
  /** 60 s unless given, at most 10 minutes. */
  readonly timeoutMs?: number
}

/**
 * MCP servers of any machine of the mesh. All is asked of the machine itself, under its own policy.
 * @errors machine_not_found, machine_offline, machine_refused, forbidden, cancelled, of every call; and as each says
 */
export type McpService = {
  list(actor: Actor, machineId: string, page: PageRequest): Promise<Result<Page<McpServer>>>
  /** @errors mcp_server_not_found, as of all that name a server */
  get(actor: Actor, machineId: string, name: string): Promise<Result<McpServer>>
  /** What comes from elsewhere waits for approval. @errors invalid_input, mcp_server_exists, limit_reached, storage_failed */
  add(actor: Actor, machineId: string, input: McpInput): Promise<Result<McpServer>>
  /**
   * Stops a server that now runs something else; one that may still run is started again.
   * @errors invalid_input, mcp_server_found (it is in a file of an agent), storage_failed
   */
  update(actor: Actor, machineId: string, input: { name: string; change: McpChange }): Promise<Result<McpServer>>
  /** Stops it, too. @errors mcp_server_found, storage_failed */
  remove(actor: Actor, machineId: string, name: string): Promise<Result<null>>
  /**
   * Lets exactly this definition run; `fingerprint` is that of the definition that was looked at. Only on the machine
   * itself, and needs `mcp:admin`.
   * @errors mcp_not_approved (it has changed since), storage_failed
   */
  approve(actor: Actor, machineId: string, input: { name: string; fingerprint?: string }): Promise<Result<McpServer>>
  /**
   * Begins a sign-in at a server that asks for OAuth; resolves with the link at which a person consents. Only on the
   * machine itself, and needs `mcp:admin`, as do the next two. @errors mcp_not_approved, mcp_start_failed
   */
  signIn(
    actor: Actor,
    machineId: string,
    input: { name: string; redirectUrl: string },
  ): Promise<Result<{ link: string }>>
  /** Keeps what came of it, and starts the server with it. @errors mcp_start_failed */
  finishSignIn(
    actor: Actor,
    machineId: string,
    input: { name: string; answer: SignInAnswer },
  ): Promise<Result<McpServer>>
  /** Stops the server and forgets its tokens. */
  signOut(actor: Actor, machineId: string, name: string): Promise<Result<McpServer>>
  /**
   * Resolves when it runs; after 20 s also while it is still starting. One that runs already goes on.
   * @errors mcp_not_approved, mcp_start_failed, limit_reached
   */
  start(actor: Actor, machineId: string, name: string): Promise<Result<McpServer>>
  /** Resolves when no process of it is left. */
  stop(actor: Actor, machineId: string, name: string): Promise<Result<McpServer>>
  /** @errors mcp_not_running */
  tools(actor: Actor, machineId: string, name: string): Promise<Result<readonly McpTool[]>>
  /** Of all servers that run. */
  allTools(actor: Actor, machineId: string): Promise<Result<readonly McpServerTool[]>>
  /** @errors invalid_input (no such tool, or its arguments), mcp_not_running, mcp_tool_failed, rate_limited */
  execute(
    actor: Actor,
    machineId: string,
    input: McpCall & { readonly name: string },
    signal: AbortSignal,
  ): Promise<Result<McpResult>>
}
