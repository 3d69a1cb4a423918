import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { domainError } from '../../../crdt/errors.ts'
import type { MachineId, SessionId } from '../../../crdt/ids.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import type { PtySize } from '../../../crdt/session.ts'
import { makePrivate } from '../../hosts/launch-host.ts'
import { connectLocalPipe } from '../../hosts/local-pipe.ts'
import { freshState } from '../../hosts/fresh-state.ts'
import { readSessionLog } from '../../hosts/session-log.ts'
import type { AgentLink, AgentReport, BridgedHosts, Taken } from '../../ports/agent-link.ts'
import type { Log } from '../../ports/log.ts'
import type { BridgedSpec, FramePipe, HostedSession, SessionHosts } from '../../ports/session-host.ts'
import { readBridged, writeBridgedSpec, writeBridgedState, type BridgedState } from './bridged-files.ts'
import { BRIDGE_TIMING, BridgedSession, type BridgeTiming } from './bridged-session.ts'

/** Sessions of all bridged machines together that run at once: each has 2 MB of output in this process's memory. */
const RUNNING_MAX = 128
/** Starts that failed and that the agent may carry out all the same. */
const ABANDONED_MAX = 256
/** An agent begins one session at a time; who waits longer than this for its turn is told so. */
const TURN_MS = 10_000

type Deps = {
  readonly dataDir: string
  readonly log: Log
  readonly timing?: BridgeTiming
}

type Agent = {
  link: AgentLink | undefined
  /** The session being begun, and whoever waits for that. */
  beginning: Promise<unknown>
  asking: NodeJS.Timeout | undefined
  telling: NodeJS.Timeout | undefined
  giveUp: NodeJS.Timeout | undefined
}

/** Sessions of machines without a node, as their agents tell of them. Records and logs lie in `bridged/`. */
export function createBridgedHosts(deps: Deps): BridgedHosts {
  return new Hosts(deps)
}

class Hosts implements BridgedHosts {
  readonly #log: Log
  readonly #timing: BridgeTiming
  readonly #root: string
  readonly #sessions = new Map<SessionId, BridgedSession>()
  readonly #agents = new Map<MachineId, Agent>()
  readonly #abandoned = new Set<SessionId>()
  readonly #listeners = new Set<(session: HostedSession<BridgedSpec>) => void>()

  constructor({ dataDir, log, timing = BRIDGE_TIMING }: Deps) {
    this.#log = log
    this.#timing = timing
    this.#root = join(dataDir, 'bridged')
    makePrivate(this.#root)
  }

  async recover(): Promise<readonly HostedSession<BridgedSpec>[]> {
    for (const name of readdirSync(this.#root)) {
      const directory = join(this.#root, name)
      try {
        const { spec, kept } = readBridged(directory)
        this.#keep(directory, { spec, kept, isNew: false })
      } catch (error) {
        if (isMissing(error)) rmSync(directory, { recursive: true, force: true }) // a start that got no further
        else this.#log.error({ err: error, directory }, 'a session of an earlier process cannot be read')
      }
    }
    for (const machine of new Set(this.#running().map(({ spec }) => spec.machine))) this.#waitForAgent(machine)
    return this.list()
  }

  async start(spec: BridgedSpec): Promise<Result<HostedSession<BridgedSpec>>> {
    const agent = this.#agent(spec.machine)
    const askedAtMs = performance.now()
    const begun = agent.beginning.then(async () => {
      if (performance.now() - askedAtMs <= TURN_MS) return await this.#begin(spec, agent)
      return err(domainError('session_failed', { message: 'Its agent is still busy with starting other sessions.' }))
    })
    agent.beginning = begun.catch(() => undefined)
    return await begun
  }

  get(id: SessionId): HostedSession<BridgedSpec> | undefined {
    const session = this.#sessions.get(id)
    return session?.hasBegun ? hosted(session) : undefined
  }

  list(): readonly HostedSession<BridgedSpec>[] {
    return [...this.#sessions.values()].filter(({ hasBegun }) => hasBegun).map(hosted)
  }

  onChange(listener: (session: HostedSession<BridgedSpec>) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async open(id: SessionId): Promise<FramePipe> {
    const host = this.#sessions.get(id)?.host
    const pipe = host && connectLocalPipe((connect) => host.accept(connect))
    if (!pipe) throw new Error(`nobody can be connected to session ${id}`)
    return pipe
  }

  async input(id: SessionId, bytes: Uint8Array): Promise<Result<null>> {
    const session = this.#sessions.get(id)
    if (!session?.isRunning) return err(domainError('session_ended'))
    const problem = session.input(bytes)
    return problem ? err(problem) : ok(null)
  }

  async resize(id: SessionId, size: PtySize): Promise<Result<null>> {
    const session = this.#sessions.get(id)
    if (!session?.isRunning) return err(domainError('session_ended'))
    if (!this.#agents.get(session.spec.machine)?.link) return err(domainError('machine_offline'))
    session.host?.resize(size)
    return ok(null)
  }

  async kill(id: SessionId): Promise<void> {
    await this.#sessions.get(id)?.kill()
  }

  async logs(id: SessionId, filter: Parameters<SessionHosts['logs']>[1]): ReturnType<SessionHosts['logs']> {
    const session = this.#sessions.get(id)
    if (!session) return []
    session.host?.flushLog()
    return await readSessionLog(join(this.#root, id), filter)
  }

  async remove(id: SessionId): Promise<void> {
    const session = this.#sessions.get(id)
    await session?.kill()
    session?.close()
    this.#sessions.delete(id)
    rmSync(join(this.#root, id), { recursive: true, force: true })
  }

  async close(): Promise<void> {
    for (const session of this.#sessions.values()) session.close()
    for (const agent of this.#agents.values()) stopTimers(agent)
  }

  connect(machine: MachineId, link: AgentLink): void {
    const agent = this.#agent(machine)
    stopTimers(agent)
    agent.link = link
    for (const session of this.#of(machine)) session.linkBack(link)
    agent.asking = setTimeout(() => this.inquire(machine), this.#timing.inquireMs).unref()
  }

  disconnect(machine: MachineId, link: AgentLink): void {
    const agent = this.#agents.get(machine)
    if (agent?.link !== link) return
    agent.link = undefined
    this.#waitForAgent(machine)
  }

  inquire(machine: MachineId): void {
    const agent = this.#agent(machine)
    clearTimeout(agent.asking)
    for (const { spec, isRunning, hasBegun } of this.#of(machine))
      if (isRunning && hasBegun) agent.link?.send({ type: 'inquire', id: spec.id })
  }

  take(machine: MachineId, report: AgentReport): Taken {
    const { id } = report
    const session = id === undefined ? this.#of(machine).find(({ hasBegun }) => !hasBegun) : this.#sessions.get(id)
    if (session?.spec.machine === machine) {
      session.take(report)
      return 'taken'
    }
    if (id === undefined || !this.#abandoned.delete(id)) return 'unknown'
    if (report.type !== 'refused') this.#agent(machine).link?.send({ type: 'terminate', id, force: true })
    return 'taken'
  }

  forget(machine: MachineId): void {
    const agent = this.#agents.get(machine)
    if (agent) stopTimers(agent)
    for (const { spec, isRunning } of this.#of(machine))
      if (isRunning) agent?.link?.send({ type: 'terminate', id: spec.id, force: true })
    this.#loseAll(machine, 'Its machine was removed from the mesh; what its agent still runs is not known.')
    this.#agents.delete(machine)
  }

  async #begin(spec: BridgedSpec, agent: Agent): Promise<Result<HostedSession<BridgedSpec>>> {
    const { link } = agent
    if (!link) return err(domainError('machine_offline'))
    if (this.#running().length >= RUNNING_MAX)
      return err(domainError('session_limit', { message: `This gateway bridges ${RUNNING_MAX} sessions already.` }))
    const directory = join(this.#root, spec.id)
    makePrivate(directory)
    const kept = freshBridged(spec)
    writeBridgedSpec(directory, spec)
    writeBridgedState(directory, kept)
    const session = this.#keep(directory, { spec, kept, isNew: true })
    const problem = await session.begin(link)
    if (problem === undefined) return ok(hosted(session))
    // The agent may have begun it all the same.
    link.send({ type: 'terminate', id: spec.id, force: true })
    this.#abandon(spec.id)
    session.lose(problem)
    await this.remove(spec.id)
    return err(domainError('session_failed', { message: `The session could not be started: ${problem}` }))
  }

  #abandon(id: SessionId): void {
    this.#abandoned.add(id)
    const [oldest] = this.#abandoned
    if (this.#abandoned.size > ABANDONED_MAX && oldest !== undefined) this.#abandoned.delete(oldest)
  }

  #keep(directory: string, about: { spec: BridgedSpec; kept: BridgedState; isNew: boolean }): BridgedSession {
    const { spec, kept, isNew } = about
    const session: BridgedSession = new BridgedSession(
      {
        spec,
        directory,
        kept,
        timing: this.#timing,
        log: this.#log,
        link: () => this.#agents.get(spec.machine)?.link,
        onState: () => {
          for (const listener of this.#listeners) listener(hosted(session))
        },
      },
      { isNew },
    )
    this.#sessions.set(spec.id, session)
    return session
  }

  #waitForAgent(machine: MachineId): void {
    const agent = this.#agent(machine)
    stopTimers(agent)
    for (const session of this.#of(machine)) session.linkLost()
    agent.telling = setTimeout(() => {
      for (const session of this.#of(machine)) session.agentAway()
    }, this.#timing.noteMs).unref()
    const minutes = this.#timing.graceMs / 60_000
    const problem = `Its agent did not come back within ${minutes} minutes; whether its program still runs is not known.`
    agent.giveUp = setTimeout(() => this.#loseAll(machine, problem), this.#timing.graceMs).unref()
  }

  #loseAll(machine: MachineId, problem: string): void {
    for (const session of this.#of(machine)) session.lose(problem)
  }

  #agent(machine: MachineId): Agent {
    const known = this.#agents.get(machine)
    if (known) return known
    const agent: Agent = {
      link: undefined,
      beginning: Promise.resolve(),
      asking: undefined,
      telling: undefined,
      giveUp: undefined,
    }
    this.#agents.set(machine, agent)
    return agent
  }

  #of(machine: MachineId): BridgedSession[] {
    return [...this.#sessions.values()].filter(({ spec }) => spec.machine === machine)
  }

  #running(): BridgedSession[] {
    return [...this.#sessions.values()].filter(({ isRunning }) => isRunning)
  }
}

function stopTimers(agent: Agent): void {
  clearTimeout(agent.asking)
  clearTimeout(agent.telling)
  clearTimeout(agent.giveUp)
}

const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT'

const hosted = ({ spec, state }: BridgedSession): HostedSession<BridgedSpec> => ({ spec, state })

const freshBridged = ({ size }: BridgedSpec): BridgedState => ({
  nextSeq: 0,
  owesEnd: false,
  state: freshState(size),
})
