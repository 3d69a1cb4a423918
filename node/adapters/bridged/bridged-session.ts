import { domainError, type DomainError } from '../../../crdt/errors.ts'
import type { ProgramState } from '../../../protocols/session-stream.ts'
import type { AgentWatch } from '../../hosts/agents/agent-watch.ts'
import type { Exit } from '../../hosts/broadcast.ts'
import { HostSession } from '../../hosts/host-session.ts'
import { HOST_TIMING } from '../../hosts/session-files.ts'
import { createSessionLog } from '../../hosts/session-log.ts'
import type { AgentLink, AgentReport } from '../../ports/agent-link.ts'
import type { Log } from '../../ports/log.ts'
import { AGENTS_FOLDER, type BridgedSpec } from '../../ports/session-host.ts'
import { writeBridgedState, type BridgedState } from './bridged-files.ts'

export type BridgeTiming = {
  /** For the agent to say that a session runs. */
  readonly beginMs: number
  /** After a status that means the end, for the exit code to follow. */
  readonly exitMs: number
  /** For the agent to end a session that it is asked to end, … */
  readonly terminateMs: number
  /** … and when it is told to do so by force. */
  readonly forceMs: number
  /** For the agent to come back before anybody is told that it is away: each telling is a write that stays. */
  readonly noteMs: number
  /** For the agent to come back. */
  readonly graceMs: number
  /** After it came back, for it to find again by itself what it still runs. */
  readonly inquireMs: number
  /** Between two changes of whether it waits for input, however often its agent changes its mind. */
  readonly waitingEveryMs: number
}

/** Agents give a program two seconds to end; they try to connect again for some three minutes. */
export const BRIDGE_TIMING: BridgeTiming = {
  beginMs: 10_000,
  exitMs: 1000,
  terminateMs: 5000,
  forceMs: 3000,
  noteMs: 5000,
  graceMs: 300_000,
  inquireMs: 10_000,
  waitingEveryMs: 5000,
}

/** Positions of output that are set aside at once: a restart leaves out what was set aside and not used. */
const SEQ_RESERVED = 8 * 1024 * 1024

type Deps = {
  readonly spec: BridgedSpec
  readonly directory: string
  readonly kept: BridgedState
  readonly timing: BridgeTiming
  readonly log: Log
  readonly link: () => AgentLink | undefined
  /** Told of every change of the state, after it. */
  readonly onState: () => void
}

/** One session that runs at the other end of an agent's connection. */
export class BridgedSession {
  readonly spec: BridgedSpec
  readonly #deps: Deps
  readonly #over = Promise.withResolvers<void>()
  readonly #decoder = new TextDecoder()
  #host: HostSession | undefined
  #kept: BridgedState
  #beginning: PromiseWithResolvers<string | undefined> | undefined
  #hasBegun: boolean
  #exitSoon: NodeJS.Timeout | undefined
  #isWaiting = false
  #waitingLater: NodeJS.Timeout | undefined
  #isEnding = false
  #isFinished = false
  /** The connection on which the agent was told that this is over. */
  #toldOn: AgentLink | undefined

  constructor(deps: Deps, { isNew }: { isNew: boolean }) {
    this.#deps = deps
    this.spec = deps.spec
    this.#kept = deps.kept
    this.#hasBegun = !isNew
    if (this.isRunning) this.#host = this.#openHost()
  }

  get state(): ProgramState {
    return this.#kept.state
  }

  get isRunning(): boolean {
    return this.#kept.state.status === 'running'
  }

  /** False while the agent has not said that it runs: nobody is told of it before. */
  get hasBegun(): boolean {
    return this.#hasBegun
  }

  /** What output is read from; undefined when the session is over and everybody has it. */
  get host(): HostSession | undefined {
    return this.#host
  }

  /** Has the agent start it. Resolves with what is wrong, or undefined when it runs. */
  async begin(link: AgentLink): Promise<string | undefined> {
    const { id, mode, agent, prompt, size } = this.spec
    const projectPath = this.spec.projectPath === AGENTS_FOLDER ? null : this.spec.projectPath
    const beginning = Promise.withResolvers<string | undefined>()
    this.#beginning = beginning
    const timer = setTimeout(
      () => beginning.resolve(`Its agent did not answer within ${this.#deps.timing.beginMs / 1000} s.`),
      this.#deps.timing.beginMs,
    )
    if (!link.send({ type: 'create', id, mode, agent, projectPath, prompt, size }))
      beginning.resolve('Its agent does not read what it is told.')
    const problem = await beginning.promise
    clearTimeout(timer)
    this.#beginning = undefined
    if (problem === undefined) this.#hasBegun = true
    return problem
  }

  take(report: AgentReport): void {
    if (!this.isRunning) return this.#tellItIsOver(report)
    switch (report.type) {
      case 'output':
        return this.#output(report.text, report.stream)
      case 'status':
        return this.#status(report)
      case 'exited':
        this.#beginning?.resolve(undefined)
        return this.#finish({ exitCode: report.exitCode, signal: null })
      case 'refused':
        return this.#refused(report)
    }
  }

  /** The agent's connection is gone: what it was about to begin is not begun. */
  linkLost(): void {
    this.#beginning?.resolve('The connection to its agent broke.')
  }

  /** The agent has not come back at once. */
  agentAway(): void {
    const minutes = this.#deps.timing.graceMs / 60_000
    this.#host?.note(`Its agent is not connected; the session ends unless it is back within ${minutes} minutes.`)
  }

  /** The agent is there again. */
  linkBack(link: AgentLink): void {
    if (this.isRunning) this.#host?.note(null)
    else if (this.#kept.owesEnd) this.#order(link)
  }

  /** What the agent still runs is ended when it comes back. */
  lose(problem: string): void {
    if (!this.isRunning) return
    this.#kept = { ...this.#kept, owesEnd: true }
    clearTimeout(this.#exitSoon)
    this.#host?.lost(problem, Date.now())
    this.#letGo()
  }

  /** @errors machine_offline, limit_reached */
  input(bytes: Uint8Array): DomainError | undefined {
    if (!this.#deps.link()) return domainError('machine_offline', { message: AWAY })
    if (this.#host?.input(bytes)) return undefined
    return domainError('limit_reached', { message: 'The agent does not read its input; too much waits already.' })
  }

  /** Resolves when it is over, whatever the agent says. */
  async kill(): Promise<void> {
    if (!this.isRunning) return
    await this.#host?.kill()
  }

  /** Lets go of it; it goes on. */
  close(): void {
    clearTimeout(this.#exitSoon)
    clearTimeout(this.#waitingLater)
    if (this.#host && this.isRunning) {
      this.#kept = { ...this.#kept, nextSeq: this.#host.seq }
      this.#save()
    }
    this.#host?.leave()
  }

  #openHost(): HostSession {
    const { directory, log } = this.#deps
    const host = new HostSession({
      timing: HOST_TIMING,
      log: createSessionLog(directory, (error) =>
        log.warn({ err: error, session: this.spec.id }, 'the log of a session cannot be written'),
      ),
      agent: PLAIN,
      state: this.state,
      startSeq: this.#kept.nextSeq,
      onState: (state) => this.#setState(state),
      onDone: () => (this.#host = undefined),
    })
    host.run(
      {
        write: (bytes) => this.#send(this.#decoder.decode(bytes, { stream: true })),
        endInput: () => undefined,
        resize: (size) => void this.#deps.link()?.send({ type: 'resize', id: this.spec.id, size }),
        // One connection carries all sessions of an agent: no viewer may hold up the others. Who falls behind has a gap.
        setPaused: () => undefined,
        end: () => this.#end(),
      },
      { typed: null, acceptsInput: true },
    )
    return host
  }

  #send(text: string): boolean {
    if (text === '') return true
    return this.#deps.link()?.send({ type: 'input', id: this.spec.id, text }) ?? false
  }

  #output(text: string, stream: 'output' | 'error'): void {
    this.#beginning?.resolve(undefined)
    if (!this.#host) return
    const bytes = new TextEncoder().encode(text)
    const end = this.#host.seq + bytes.byteLength
    if (end > this.#kept.nextSeq) {
      this.#kept = { ...this.#kept, nextSeq: end + SEQ_RESERVED }
      this.#save()
    }
    this.#host.output(bytes, stream)
  }

  #status({ status, problem }: Extract<AgentReport, { type: 'status' }>): void {
    if (status === 'created' || status === 'starting') return
    if (status === 'running' || status === 'waiting_input') {
      this.#beginning?.resolve(undefined)
      return this.#setWaiting(status === 'waiting_input')
    }
    // A start that fails is refused right after this; an end has its exit code right after this.
    if (this.#beginning) return
    if (status === 'terminated')
      return this.#finish(NO_EXIT, this.#isEnding ? {} : { killed: true, problem: 'It was ended on its machine.' })
    this.#exitSoon ??= setTimeout(() => {
      if (status === 'completed') this.#finish(NO_EXIT)
      else this.#fail(problem ?? 'Its agent says that it failed.')
    }, this.#deps.timing.exitMs).unref()
  }

  #setWaiting(waiting: boolean): void {
    this.#isWaiting = waiting
    if (this.#waitingLater) return
    const tell = (): void => {
      this.#waitingLater = undefined
      if (this.#isWaiting === this.state.waiting) return
      this.#host?.agentChanged({ usage: null, waiting: this.#isWaiting })
      this.#waitingLater = setTimeout(tell, this.#deps.timing.waitingEveryMs).unref()
    }
    tell()
  }

  #refused({ order, isUnknown, message }: Extract<AgentReport, { type: 'refused' }>): void {
    if (order === 'create') this.#beginning?.resolve(message)
    // Whether it has ended it by itself or with a former process of its own: it is not there.
    else if (isUnknown && this.#isEnding) this.#finish(NO_EXIT)
    else if (isUnknown) this.#fail('Its agent does not know the session any more: it was started anew in the meantime.')
  }

  #fail(problem: string): void {
    clearTimeout(this.#exitSoon)
    this.#host?.lost(problem, Date.now())
    this.#letGo()
  }

  #finish(exit: Exit, more: { killed?: boolean; problem?: string } = {}): void {
    clearTimeout(this.#exitSoon)
    this.#kept = { ...this.#kept, owesEnd: false }
    const host = this.#host
    if (!host || this.#isFinished) return
    this.#isFinished = true
    // The agent of a bridged session is nothing that could fail to finish.
    void host.ended(exit, Date.now(), more).then(() => this.#letGo())
  }

  /** Viewers get the rest, then the memory is given back. */
  #letGo(): void {
    this.#host?.quit()
    this.#over.resolve()
  }

  async #end(): Promise<string | undefined> {
    this.#isEnding = true
    this.#kept = { ...this.#kept, owesEnd: true }
    const { terminateMs, forceMs } = this.#deps.timing
    for (const [force, waitMs] of [[false, terminateMs] as const, [true, forceMs] as const]) {
      const link = this.#deps.link()
      if (!link) return this.#endUnheard('Its agent is not connected: what it still runs is ended when it is back.')
      link.send({ type: 'terminate', id: this.spec.id, force })
      if (await this.#isOverWithin(waitMs)) return undefined
    }
    return this.#endUnheard('Its agent did not say that it has ended.')
  }

  async #endUnheard(problem: string): Promise<string> {
    await this.#host?.ended(NO_EXIT, Date.now(), { problem })
    this.#letGo()
    return problem
  }

  async #isOverWithin(waitMs: number): Promise<boolean> {
    const late = Promise.withResolvers<void>()
    const timer = setTimeout(() => late.resolve(), waitMs)
    await Promise.race([this.#over.promise, late.promise])
    clearTimeout(timer)
    return !this.isRunning
  }

  /** The agent speaks of a session that ended without it. */
  #tellItIsOver(report: AgentReport): void {
    const isHeard =
      report.type === 'exited' ||
      (report.type === 'status' && ENDED.has(report.status)) ||
      (report.type === 'refused' && report.isUnknown)
    if (isHeard && this.#kept.owesEnd) {
      this.#kept = { ...this.#kept, owesEnd: false }
      this.#save()
    }
    const link = this.#deps.link()
    if (!isHeard && report.type !== 'refused' && link) this.#order(link)
  }

  /** Once on each connection: an agent that goes on all the same is not shouted at. */
  #order(link: AgentLink): void {
    if (this.#toldOn === link) return
    this.#toldOn = link
    link.send({ type: 'terminate', id: this.spec.id, force: true })
  }

  #setState(state: ProgramState): void {
    const before = this.#kept.state
    this.#kept = { ...this.#kept, state }
    if (before.status !== state.status || before.problem !== state.problem) this.#save()
    if (this.#hasBegun) this.#deps.onState()
  }

  #save(): void {
    try {
      writeBridgedState(this.#deps.directory, this.#kept)
    } catch (error) {
      this.#deps.log.error({ err: error, session: this.spec.id }, 'the state of a session cannot be written')
    }
  }
}

const AWAY = "The machine's agent is not connected right now."
const NO_EXIT: Exit = { exitCode: null, signal: null }
const ENDED: ReadonlySet<string> = new Set(['completed', 'error', 'terminated'])

/** Of an agent behind an agent nothing is known but what it prints. */
const PLAIN: AgentWatch = {
  state: { usage: null, waiting: false },
  output: () => undefined,
  compose: (bytes) => bytes,
  composeText: (text) => new TextEncoder().encode(text),
  finish: async () => [],
}
