import { domainError } from '../../../crdt/errors.ts'
import type { McpResult, McpStatus, McpTool } from '../../../crdt/mcp.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import type { Cancel, Clock } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import { McpToolError, type McpConnection, type McpConnector } from '../../ports/mcp-connector.ts'
import type { McpEntry } from './mcp-catalogue.ts'
import type { McpCall } from './mcp-service.ts'

/** `npx` and `uvx` may have to download the server first. */
const GREETING_MS = 120_000
/** After a crash: 1 s, 2 s, 4 s, … up to here … */
const RETRY_MS = { first: 1000, most: 300_000 } as const
/** … and no more after so many in a row. */
const RETRIES_MAX = 12
/** One that has run for so long has not crashed in a row. */
const STABLE_MS = 60_000
/** News of tools are gathered for so long: a server may say so for each of them. */
const TOOLS_CHANGED_MS = 250
const TOOLS_MS = 30_000
const STDERR_LINES_MAX = 50
/** Calls of one server that are under way. */
const CALLS_MAX = 32
const CALL_MS = { default: 60_000, most: 600_000 } as const

export type RunState = {
  readonly status: McpStatus
  readonly problem: string | null
  readonly stderr: readonly string[]
  readonly tools: readonly McpTool[]
  readonly startedAtMs: number | null
  readonly nextTryAtMs: number | null
}

type Deps = {
  readonly connector: McpConnector
  readonly clock: Clock
  readonly log: Log
  /** Told of every change, after it. */
  readonly onChange: () => void
}

/** One server: started, watched, started again when it crashes, ended. */
export class ServerRun {
  readonly #deps: Deps
  #entry: McpEntry
  #state: RunState = { status: 'stopped', problem: null, stderr: [], tools: [], startedAtMs: null, nextTryAtMs: null }
  #connection: McpConnection | undefined
  /** Ends what is under way; a new one for each start. */
  #life = new AbortController()
  #attempt: Promise<void> = Promise.resolve()
  #failures = 0
  #runningSinceMs = 0
  #cancelRetry: Cancel = () => undefined
  #cancelRefresh: Cancel | undefined
  #calls = 0

  constructor(entry: McpEntry, deps: Deps) {
    this.#entry = entry
    this.#deps = deps
  }

  /** What runs, or ran last. */
  get entry(): McpEntry {
    return this.#entry
  }

  get state(): RunState {
    return this.#state
  }

  /** Whether a process is there, or will be. */
  get isActive(): boolean {
    const { status, nextTryAtMs } = this.#state
    return status === 'starting' || status === 'running' || nextTryAtMs !== null
  }

  /** Unless it runs. Resolves when the first attempt is over. `isPatient`: tries again also when that fails. */
  async start(entry: McpEntry, { isPatient }: { isPatient: boolean }): Promise<void> {
    if (this.#state.status !== 'running' && this.#state.status !== 'starting') {
      this.#cancelRetry()
      this.#entry = entry
      this.#failures = 0
      this.#life = new AbortController()
      this.#attempt = this.#try(isPatient)
    }
    await this.#attempt
  }

  /** Resolves when no process is left. */
  async stop(why: string | null = null): Promise<void> {
    this.#life.abort(new Error('stopped'))
    this.#cancelRetry()
    this.#cancelRefresh?.()
    this.#cancelRefresh = undefined
    await this.#attempt
    await this.#connection?.close()
    this.#connection = undefined
    if (this.#state.status !== 'stopped' || this.#state.problem !== why)
      this.#set({ status: 'stopped', problem: why, tools: [], nextTryAtMs: null })
  }

  async call(
    { tool: name, args, timeoutMs = CALL_MS.default }: McpCall,
    signal: AbortSignal,
  ): Promise<Result<McpResult>> {
    const connection = this.#connection
    if (this.#state.status !== 'running' || !connection) return err(domainError('mcp_not_running'))
    const tool = this.#state.tools.find((one) => one.name === name)
    if (!tool) return err(unknownTool(name, this.#state.tools))
    const fields = await this.#deps.connector.problems(tool, args)
    if (Object.keys(fields).length > 0) return err(domainError('invalid_input', { details: { fields } }))
    if (this.#calls >= CALLS_MAX) return err(domainError('rate_limited'))
    this.#calls++
    try {
      return ok(await connection.call(name, args, { timeoutMs: Math.min(timeoutMs, CALL_MS.most), signal }))
    } catch (error) {
      if (signal.aborted) return err(domainError('cancelled'))
      const message = error instanceof Error ? error.message : String(error)
      return err(
        domainError('mcp_tool_failed', {
          message: error instanceof McpToolError ? message : `The connection to the server failed: ${message}`,
        }),
      )
    } finally {
      this.#calls--
    }
  }

  async #try(isPatient: boolean): Promise<void> {
    const { connector, clock } = this.#deps
    const { signal } = this.#life
    this.#set({
      status: 'starting',
      problem: null,
      stderr: [],
      tools: [],
      nextTryAtMs: null,
      startedAtMs: clock.wallMs(),
    })
    const late = new AbortController()
    const cancelLate = clock.after(GREETING_MS, () =>
      late.abort(new Error(`It did not answer the greeting within ${GREETING_MS / 1000} s.`)),
    )
    let connection: McpConnection | undefined
    try {
      const { program, reach } = this.#entry
      const events = { onStderr: (line: string) => this.#heard(line), onToolsChanged: () => this.#refreshSoon() }
      const both = AbortSignal.any([signal, late.signal])
      connection = await connector.connect(program, { reach, events, signal: both })
      const tools = await connection.tools(both)
      signal.throwIfAborted()
      this.#connection = connection
      this.#runningSinceMs = clock.monoMs()
      this.#set({ status: 'running', tools })
      void this.#watch(connection, signal)
    } catch (error) {
      await connection?.close()
      if (!signal.aborted) this.#failed(error instanceof Error ? error.message : String(error), isPatient)
    } finally {
      cancelLate()
    }
  }

  async #watch(connection: McpConnection, signal: AbortSignal): Promise<void> {
    const reason = await connection.ended
    if (signal.aborted) return
    this.#connection = undefined
    if (this.#deps.clock.monoMs() - this.#runningSinceMs >= STABLE_MS) this.#failures = 0
    this.#deps.log.warn({ server: this.#entry.name, reason }, 'an MCP server has ended by itself')
    this.#failed(reason, true)
  }

  #failed(problem: string, mayRetry: boolean): void {
    const { clock } = this.#deps
    this.#failures++
    if (!mayRetry || this.#failures > RETRIES_MAX) return this.#set({ status: 'error', problem, tools: [] })
    const delayMs = Math.min(RETRY_MS.most, RETRY_MS.first * 2 ** (this.#failures - 1))
    this.#set({ status: 'error', problem, tools: [], nextTryAtMs: clock.wallMs() + delayMs })
    this.#cancelRetry = clock.after(delayMs, () => {
      this.#attempt = this.#try(true)
    })
  }

  #heard(line: string): void {
    this.#state = { ...this.#state, stderr: [...this.#state.stderr, line].slice(-STDERR_LINES_MAX) }
  }

  #refreshSoon(): void {
    this.#cancelRefresh ??= this.#deps.clock.after(TOOLS_CHANGED_MS, () => {
      void this.#refresh().finally(() => (this.#cancelRefresh = undefined))
    })
  }

  async #refresh(): Promise<void> {
    const { clock, log } = this.#deps
    const connection = this.#connection
    if (!connection) return
    const late = new AbortController()
    const cancel = clock.after(TOOLS_MS, () => late.abort(new Error('no answer in time')))
    try {
      const tools = await connection.tools(AbortSignal.any([late.signal, this.#life.signal]))
      if (this.#connection === connection) this.#set({ tools })
    } catch (error) {
      log.debug({ err: error, server: this.#entry.name }, 'the tools of an MCP server could not be listed')
    } finally {
      cancel()
    }
  }

  #set(change: Partial<RunState>): void {
    this.#state = { ...this.#state, ...change }
    this.#deps.onChange()
  }
}

const NAMES_SHOWN_MAX = 20

function unknownTool(name: string, tools: readonly McpTool[]) {
  const names = tools.slice(0, NAMES_SHOWN_MAX).map((tool) => tool.name)
  const more = tools.length > NAMES_SHOWN_MAX ? ', …' : ''
  const problem = `The server has no tool ${name}. It has: ${names.join(', ') || 'none'}${more}.`
  return domainError('invalid_input', { details: { fields: { tool: [problem] } } })
}
