import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { domainError } from '../../crdt/errors.ts'
import type { SessionId } from '../../crdt/ids.ts'
import { err, ok, type Result } from '../../crdt/result.ts'
import type { ProgramState } from '../../protocols/session-stream.ts'
import { endProcesses } from '../hosts/end-processes.ts'
import { connectFramePipe } from '../hosts/frame-pipe.ts'
import { freshState } from '../hosts/fresh-state.ts'
import { linkHost, type HostLink, type HostReply } from '../hosts/host-link.ts'
import { launchHost, makePrivate, socketPath } from '../hosts/launch-host.ts'
import { isRunning, signalProcess } from '../hosts/process-table.ts'
import { HOST_TIMING, readSpec, readState, writeSpec, writeState } from '../hosts/session-files.ts'
import type { HostSpec, HostTiming } from '../hosts/session-files.ts'
import { readSessionLog } from '../hosts/session-log.ts'
import type { Log } from '../ports/log.ts'
import type { HostedSession, SessionHosts, SessionSpec } from '../ports/session-host.ts'

/** A host answers at once unless it is stuck. */
const ANSWER_MS = 3000
/** Beyond the grace: the host's own SIGKILL round, and the program's last output. */
const KILL_EXTRA_MS = 6000
const GONE_MS = 2000
const POLL_MS = 20
/** A live host whose connection broke is tried again this often, … */
const RELINK_TRIES = 5
/** … at first after so long, then twice as long each time. */
const RELINK_MS = 50

type Entry = {
  readonly directory: string
  readonly spec: HostSpec
  state: ProgramState
  link: HostLink | undefined
  /** We closed the link ourselves, or are about to delete everything. */
  letGo: boolean
}

type Deps = {
  readonly dataDir: string
  /** Below it, where sessions are kept, `sessions` unless given. Their sockets are in `run/`. */
  readonly folder?: string
  readonly log: Log
  /** What sessions inherit, after the allow-list. */
  readonly environment: NodeJS.ProcessEnv
  readonly timing?: HostTiming
}

/** Session hosts as processes of this machine. */
export function createSessionHosts(deps: Deps): SessionHosts {
  return new Hosts(deps)
}

class Hosts implements SessionHosts {
  readonly #deps: Deps
  readonly #root: string
  readonly #entries = new Map<SessionId, Entry>()
  readonly #listeners = new Set<(session: HostedSession) => void>()

  constructor(deps: Deps) {
    this.#deps = deps
    this.#root = join(deps.dataDir, deps.folder ?? 'sessions')
    makePrivate(this.#root)
  }

  async recover(): Promise<readonly HostedSession[]> {
    await Promise.all(readdirSync(this.#root).map((name) => this.#recoverOne(join(this.#root, name))))
    return this.list()
  }

  async start(session: SessionSpec): Promise<Result<HostedSession>> {
    const directory = join(this.#root, session.id)
    const spec: HostSpec = {
      v: 1,
      session: { ...session, program: { ...session.program, argv: [...session.program.argv] } },
      socket: socketPath(this.#deps.dataDir, session.id),
      timing: this.#deps.timing ?? HOST_TIMING,
    }
    try {
      makePrivate(directory)
      writeSpec(directory, spec)
      await launchHost(directory, this.#deps.environment)
      const written = readState(directory)
      if (!written || written.state.status === 'failed') {
        rmSync(directory, { recursive: true, force: true })
        const problem = written?.state.problem ?? 'Its host process ended at once.'
        return err(domainError('session_failed', { message: `The session could not be started: ${problem}` }))
      }
      const entry = this.#keep(directory, spec, written.state)
      await this.#link(entry)
      return ok(hosted(entry))
    } catch (error) {
      this.#deps.log.error({ err: error, session: session.id }, 'a session host could not be started')
      await this.remove(session.id)
      return err(domainError('session_failed'))
    }
  }

  get(id: SessionId): HostedSession | undefined {
    const entry = this.#entries.get(id)
    return entry && hosted(entry)
  }

  list(): readonly HostedSession[] {
    return [...this.#entries.values()].map(hosted)
  }

  onChange(listener: (session: HostedSession) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async open(id: SessionId): ReturnType<SessionHosts['open']> {
    const entry = this.#entries.get(id)
    if (!entry) throw new Error(`there is no session ${id}`)
    return await connectFramePipe(entry.spec.socket)
  }

  async input(id: SessionId, bytes: Uint8Array): Promise<Result<null>> {
    return await this.#ask(id, { type: 'input', bytes })
  }

  async resize(id: SessionId, size: { cols: number; rows: number }): Promise<Result<null>> {
    return await this.#ask(id, { type: 'resize', size })
  }

  async kill(id: SessionId): Promise<void> {
    const entry = this.#entries.get(id)
    if (entry?.state.status !== 'running') return
    const killMs = entry.spec.timing.killGraceMs + KILL_EXTRA_MS
    try {
      // Without a connection there is nobody to ask.
      if (!entry.link) return await this.#endDirectly(entry)
      await entry.link.request({ type: 'kill' }, killMs)
      if (await until(() => entry.state.status !== 'running', killMs)) return
    } catch (error) {
      this.#deps.log.warn({ err: error, session: id }, 'the session host did not end its program; doing it directly')
    }
    await this.#endDirectly(entry)
  }

  async logs(id: SessionId, filter: Parameters<SessionHosts['logs']>[1]): ReturnType<SessionHosts['logs']> {
    const entry = this.#entries.get(id)
    if (!entry) return []
    try {
      await entry.link?.request({ type: 'flush' }, ANSWER_MS)
    } catch (error) {
      this.#deps.log.debug({ err: error, session: id }, 'the session host is gone; its log is complete')
    }
    return await readSessionLog(entry.directory, filter)
  }

  async remove(id: SessionId): Promise<void> {
    const directory = join(this.#root, id)
    await this.kill(id)
    const entry = this.#entries.get(id)
    const host = readStateOrNothing(directory)?.host
    if (entry) entry.letGo = true
    if (host && isRunning(host.pid, host.start)) {
      await entry?.link?.request({ type: 'quit' }, ANSWER_MS).catch(() => null) // ended below in any case
      if (!(await until(() => !isRunning(host.pid, host.start), GONE_MS))) signalProcess(host.pid, 'SIGKILL')
    }
    entry?.link?.close()
    this.#entries.delete(id)
    if (entry) rmSync(entry.spec.socket, { force: true })
    rmSync(directory, { recursive: true, force: true })
  }

  async close(): Promise<void> {
    for (const entry of this.#entries.values()) {
      entry.letGo = true
      entry.link?.close()
    }
  }

  async #ask(id: SessionId, request: Parameters<HostLink['request']>[0]): Promise<Result<null>> {
    try {
      return answer(await this.#entries.get(id)?.link?.request(request, ANSWER_MS))
    } catch (error) {
      this.#deps.log.warn({ err: error, session: id }, 'a session host does not answer')
      return err(domainError('session_ended', { message: 'The process that keeps the session does not answer.' }))
    }
  }

  async #recoverOne(directory: string): Promise<void> {
    if (!existsSync(join(directory, 'spec.json'))) return // a start that got no further: nothing runs
    try {
      const spec = readSpec(directory)
      const written = readState(directory)
      const neverStarted = { ...freshState(spec.session.size), startedAtMs: null }
      const entry = this.#keep(directory, spec, written?.state ?? neverStarted)
      if (!(await this.#tryLink(entry))) await this.#hostGone(entry)
    } catch (error) {
      this.#deps.log.error({ err: error, directory }, 'a session of an earlier process cannot be read')
    }
  }

  #keep(directory: string, spec: HostSpec, state: ProgramState): Entry {
    const entry: Entry = { directory, spec, state, link: undefined, letGo: false }
    this.#entries.set(spec.session.id, entry)
    return entry
  }

  async #link(entry: Entry): Promise<void> {
    entry.link = await linkHost(entry.spec.socket, {
      onState: (state) => this.#setState(entry, state),
      onClose: () => {
        entry.link = undefined
        // Owned here: what goes wrong is logged inside.
        if (!entry.letGo) void this.#linkLost(entry)
      },
    })
    if (entry.state.status !== 'running') this.#letHostGo(entry)
  }

  async #tryLink(entry: Entry): Promise<boolean> {
    for (let attempt = 0; attempt < RELINK_TRIES; attempt++) {
      const host = readState(entry.directory)?.host
      if (host && !isRunning(host.pid, host.start)) return false
      try {
        await this.#link(entry)
        return true
      } catch (error) {
        this.#deps.log.debug({ err: error, session: entry.spec.session.id }, 'a session host does not answer yet')
        await delay(RELINK_MS * 2 ** attempt)
      }
    }
    return false
  }

  async #linkLost(entry: Entry): Promise<void> {
    try {
      if (entry.state.status !== 'running') return
      if (!(await this.#tryLink(entry))) await this.#hostGone(entry)
    } catch (error) {
      this.#deps.log.error({ err: error, session: entry.spec.session.id }, 'a session host was lost')
    }
  }

  /** What a host left behind is ended, and what it last wrote is the truth. */
  async #hostGone(entry: Entry): Promise<void> {
    const written = readState(entry.directory)
    if (written && written.state.status !== 'running') return this.#setState(entry, written.state)
    await this.#endDirectly(entry)
  }

  async #endDirectly(entry: Entry): Promise<void> {
    const written = readState(entry.directory)
    const program = written?.program
    if (program && isRunning(program.pid, program.start)) await endProcesses(program.pid, entry.spec.timing.killGraceMs)
    if (written && isRunning(written.host.pid, written.host.start)) signalProcess(written.host.pid, 'SIGKILL')
    if (entry.state.status !== 'running') return
    const problem = 'The process that kept the session ended unexpectedly.'
    const state: ProgramState = { ...entry.state, status: 'failed', endedAtMs: Date.now(), problem }
    this.#setState(entry, state)
    try {
      if (written) writeState(entry.directory, { ...written, state })
    } catch (error) {
      // The next start finds no host that runs, and says the same again.
      this.#deps.log.warn({ err: error, session: entry.spec.session.id }, 'the end of a session could not be kept')
    }
  }

  #setState(entry: Entry, state: ProgramState): void {
    const wasRunning = entry.state.status === 'running'
    entry.state = state
    if (wasRunning && state.status !== 'running') this.#letHostGo(entry)
    for (const listener of this.#listeners) listener(hosted(entry))
  }

  /** The host ends as soon as its viewers have everything; by itself after a while if this does not reach it. */
  #letHostGo(entry: Entry): void {
    const { link } = entry
    if (!link) return
    link.request({ type: 'quit' }, ANSWER_MS).catch((error: unknown) => {
      this.#deps.log.debug({ err: error, session: entry.spec.session.id }, 'the session host is gone already')
    })
  }
}

const hosted = ({ spec, state }: Entry): HostedSession => ({ spec: spec.session, state })

/** No answer at all means that there is no host to ask. */
function answer(reply: HostReply | undefined): Result<null> {
  if (reply === null) return ok(null)
  if (reply !== 'busy') return err(domainError('session_ended'))
  return err(domainError('limit_reached', { message: 'The program does not read its input; too much waits already.' }))
}

function readStateOrNothing(directory: string): ReturnType<typeof readState> {
  return existsSync(directory) ? readState(directory) : undefined
}

async function until(condition: () => boolean, waitMs: number): Promise<boolean> {
  for (const end = performance.now() + waitMs; performance.now() < end; await delay(POLL_MS))
    if (condition()) return true
  return condition()
}
