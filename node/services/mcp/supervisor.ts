import { domainError } from '../../../crdt/errors.ts'
import type {
  McpChange,
  McpInput,
  McpProgram,
  McpResult,
  McpServer,
  McpServerTool,
  McpState,
  McpTool,
} from '../../../crdt/mcp.ts'
import { machineIdOf } from '../../../crdt/machine-id.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import type { SignInAnswer } from '../../ports/mcp-sign-ins.ts'
import { createCatalogue, type Catalogue, type McpEntry } from './mcp-catalogue.ts'
import type { McpDeps } from './mcp-deps.ts'
import type { McpCall } from './mcp-service.ts'
import { hasAuthorization, shownUrl } from './program-policy.ts'
import { ServerRun, type RunState } from './server-run.ts'

/** An answer comes by then, also while the server is still starting. */
const START_ANSWER_MS = 20_000
/** Text of the tools of all servers in one answer: one between nodes holds 1 MB. */
const TOOLS_CHARS_MAX = 700_000
const STDERR_SHOWN_MAX = 20

type Deps = McpDeps & { readonly onChange: () => void }

/** The servers of this machine: what is defined and what runs, kept in step. Refuses to run what is not approved. */
export class Supervisor {
  readonly #deps: Deps
  readonly #catalogue: Catalogue
  /** By id; those that were started once. */
  readonly #runs = new Map<string, ServerRun>()
  #isClosed = false

  constructor(deps: Deps) {
    this.#deps = deps
    this.#catalogue = createCatalogue(deps)
  }

  async list(): Promise<Result<readonly McpServer[]>> {
    const entries = await this.#entries()
    return entries.ok ? ok(entries.value.map((entry) => this.#view(entry))) : entries
  }

  async get(name: string): Promise<Result<McpServer>> {
    const entry = await this.#find(name)
    return entry.ok ? ok(this.#view(entry.value)) : entry
  }

  async add(input: McpInput, isTrusted: boolean): Promise<Result<McpServer>> {
    const added = await this.#catalogue.add(input, isTrusted)
    if (!added.ok) return added
    this.#startIfWanted(added.value)
    return ok(this.#view(added.value))
  }

  async update(name: string, change: McpChange, isTrusted: boolean): Promise<Result<McpServer>> {
    const changed = await this.#catalogue.update(name, change, isTrusted)
    if (!changed.ok) return changed
    const { value: entry } = changed
    const run = this.#runs.get(entry.id)
    if (run?.isActive === true && run.entry.fingerprint !== entry.fingerprint) {
      await run.stop(CHANGED)
      if (entry.isApproved) void run.start(entry, { isPatient: true })
    }
    await this.#forgetSignIns()
    return ok(this.#view(entry))
  }

  async remove(name: string): Promise<Result<null>> {
    const removed = await this.#catalogue.remove(name)
    if (!removed.ok) return removed
    await this.#runs.get(removed.value.id)?.stop()
    this.#runs.delete(removed.value.id)
    await this.#forgetSignIns()
    return ok(null)
  }

  async approve(name: string, fingerprint?: string): Promise<Result<McpServer>> {
    const approved = await this.#catalogue.approve(name, fingerprint)
    if (!approved.ok) return approved
    this.#startIfWanted(approved.value)
    return ok(this.#view(approved.value))
  }

  async signIn(name: string, redirectUrl: string, signal: AbortSignal): Promise<Result<{ link: string }>> {
    const entry = await this.#runnable(name)
    if (!entry.ok) return entry
    const { program, reach } = entry.value
    const refused = signInProblem(program)
    if (refused !== undefined) return err(domainError('mcp_start_failed', { message: refused }))
    const { url } = program as McpProgram & { transport: 'http' }
    return await attempted(() => this.#deps.signIns.begin(url, { reach, redirectUrl, signal }))
  }

  async finishSignIn(name: string, answer: SignInAnswer, signal: AbortSignal): Promise<Result<McpServer>> {
    const done = await attempted(() => this.#deps.signIns.finish(answer, signal))
    if (!done.ok) return done
    await this.stop(name)
    return await this.start(name)
  }

  async signOut(name: string): Promise<Result<McpServer>> {
    const entry = await this.#find(name)
    if (!entry.ok) return entry
    const { program } = entry.value
    if (program.transport === 'http') await this.#deps.signIns.forget(program.url)
    return await this.stop(name)
  }

  async start(name: string): Promise<Result<McpServer>> {
    const entry = await this.#runnable(name)
    if (!entry.ok) return entry
    const { id, problem } = entry.value
    if (problem !== null) return err(domainError('mcp_start_failed', { message: problem }))
    if (this.#isFull(id)) return err(this.#full())
    const run = this.#runOf(entry.value)
    await this.#within(START_ANSWER_MS, run.start(entry.value, { isPatient: false }))
    if (run.state.status === 'error')
      return err(domainError('mcp_start_failed', { message: failureOf(name, run.state) }))
    return ok(this.#view(entry.value))
  }

  async stop(name: string): Promise<Result<McpServer>> {
    const entry = await this.#find(name)
    if (!entry.ok) return entry
    await this.#runs.get(entry.value.id)?.stop()
    return ok(this.#view(entry.value))
  }

  async tools(name: string): Promise<Result<readonly McpTool[]>> {
    const entry = await this.#find(name)
    if (!entry.ok) return entry
    const run = this.#runs.get(entry.value.id)
    return run?.state.status === 'running' ? ok(run.state.tools) : err(domainError('mcp_not_running'))
  }

  async allTools(): Promise<Result<readonly McpServerTool[]>> {
    const entries = await this.#entries()
    if (!entries.ok) return entries
    const all = entries.value.flatMap(({ id, name }) =>
      (this.#runs.get(id)?.state.tools ?? []).map((tool) => ({ server: name, ...tool })),
    )
    let chars = 0
    const fitting = all.filter((tool) => (chars += JSON.stringify(tool).length) <= TOOLS_CHARS_MAX)
    if (fitting.length < all.length)
      this.#deps.log.warn(
        { tools: all.length, told: fitting.length },
        'the tools of all MCP servers are more than an answer holds',
      )
    return ok(fitting)
  }

  async execute(name: string, call: McpCall, signal: AbortSignal): Promise<Result<McpResult>> {
    const entry = await this.#runnable(name)
    if (!entry.ok) return entry
    const run = this.#runs.get(entry.value.id)
    return run ? await run.call(call, signal) : err(domainError('mcp_not_running'))
  }

  /** Servers that are not stopped, by name. */
  states(): ReadonlyMap<string, McpState> {
    const states = new Map<string, McpState>()
    for (const { entry, state } of this.#runs.values())
      if (state.status !== 'stopped')
        states.set(entry.name, {
          id: entry.id,
          status: state.status,
          transport: entry.program.transport,
          toolsCount: state.tools.length,
          lastStartedAt: iso(state.startedAtMs),
        })
    return states
  }

  /** Starts what is to start with the node; does not wait for it. */
  async startAll(): Promise<void> {
    await this.#deps.connector.sweep()
    const entries = await this.#catalogue.own()
    if (entries.ok) for (const entry of entries.value) this.#startIfWanted(entry)
  }

  /** Ends all; resolves when no process is left. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all([...this.#runs.values()].map((run) => run.stop()))
  }

  /** A sign-in is kept as long as a server has its address. */
  async #forgetSignIns(): Promise<void> {
    const entries = await this.#catalogue.all()
    if (!entries.ok) return
    const urls = entries.value.flatMap(({ program }) => (program.transport === 'http' ? [program.url] : []))
    await this.#deps.signIns.keep(new Set(urls))
  }

  #startIfWanted(entry: McpEntry): void {
    if (!entry.autoStart || !entry.isApproved || entry.problem !== null || this.#isClosed || this.#isFull(entry.id))
      return
    void this.#runOf(entry).start(entry, { isPatient: true })
  }

  async #find(name: string): Promise<Result<McpEntry>> {
    const entries = await this.#entries()
    if (!entries.ok) return entries
    const entry = entries.value.find((one) => one.name === name)
    return entry ? ok(entry) : err(domainError('mcp_server_not_found'))
  }

  async #runnable(name: string): Promise<Result<McpEntry>> {
    const entry = await this.#find(name)
    if (!entry.ok || entry.value.isApproved) return entry
    return err(domainError('mcp_not_approved', { message: NOT_APPROVED(name) }))
  }

  /** What is defined now. What runs by a definition that has changed or is gone, in a file of an agent, is ended. */
  async #entries(): Promise<Result<readonly McpEntry[]>> {
    const entries = await this.#catalogue.all()
    if (!entries.ok) return entries
    const defined = new Map(entries.value.map(({ id, fingerprint }) => [id, fingerprint]))
    for (const [id, run] of this.#runs) {
      if (defined.get(id) === run.entry.fingerprint) continue
      if (run.isActive) await run.stop(CHANGED)
      if (!defined.has(id)) this.#runs.delete(id)
    }
    return entries
  }

  #runOf(entry: McpEntry): ServerRun {
    const known = this.#runs.get(entry.id)
    if (known) return known
    const run = new ServerRun(entry, this.#deps)
    this.#runs.set(entry.id, run)
    return run
  }

  #isFull(id: string): boolean {
    const active = [...this.#runs].filter(([other, run]) => other !== id && run.isActive).length
    return active >= this.#deps.runningMax
  }

  #full() {
    return domainError('limit_reached', {
      message: `${this.#deps.runningMax} MCP servers run on this machine: stop one, or raise mcp.max in its config.json.`,
    })
  }

  async #within(ms: number, work: Promise<void>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const cancel = this.#deps.clock.after(ms, resolve)
    await Promise.race([work, promise]).finally(cancel)
  }

  #view(entry: McpEntry): McpServer {
    const { program, reach: _, ...told } = entry
    const { status, problem, stderr, tools, startedAtMs, nextTryAtMs } = this.#runs.get(entry.id)?.state ?? NEVER_RUN
    const isStdio = program.transport === 'stdio'
    return {
      ...told,
      machineId: machineIdOf(this.#deps.self),
      transport: program.transport,
      command: isStdio ? program.command : null,
      args: isStdio ? program.args : [],
      cwd: isStdio ? program.cwd : null,
      url: isStdio ? null : shownUrl(program.url),
      envNames: isStdio ? Object.keys(program.env) : [],
      headerNames: isStdio ? [] : Object.keys(program.headers),
      status,
      problem: sentences(problem, entry.problem, entry.isApproved ? null : NOT_APPROVED(entry.name)),
      stderr: stderr.slice(-STDERR_SHOWN_MAX),
      toolsCount: tools.length,
      lastStartedAt: iso(startedAtMs),
      nextTryAt: iso(nextTryAtMs),
    }
  }
}

const NEVER_RUN: RunState = {
  status: 'stopped',
  problem: null,
  stderr: [],
  tools: [],
  startedAtMs: null,
  nextTryAtMs: null,
}

/** Why nobody can sign in at this server. */
function signInProblem(program: McpProgram): string | undefined {
  if (program.transport !== 'http') return 'It is a program on this machine: nobody signs in there.'
  return hasAuthorization(program.headers)
    ? 'It has a header Authorization already, which goes before a sign-in: take that out first (`rookery mcp set`).'
    : undefined
}

async function attempted<T>(work: () => Promise<T>): Promise<Result<T>> {
  try {
    return ok(await work())
  } catch (error) {
    return err(domainError('mcp_start_failed', { message: error instanceof Error ? error.message : String(error) }))
  }
}

const CHANGED = 'Its definition has changed.'
const NOT_APPROVED = (name: string): string =>
  `It needs approval on its machine before it runs: \`rookery mcp show ${name}\` tells what it is, \`rookery mcp approve ${name}\` lets it run.`

/** The last line of standard error mostly says why. */
function failureOf(name: string, { problem, stderr }: RunState): string {
  const said = stderr.at(-1)
  return `${name} did not start: ${problem ?? 'unknown'}${said === undefined ? '' : ` It said: ${said}`}`
}

const sentences = (...said: (string | null)[]): string | null => said.filter((one) => one !== null).join(' ') || null

const iso = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString())
