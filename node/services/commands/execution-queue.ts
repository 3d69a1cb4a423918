import type { Actor } from '../../../crdt/actor.ts'
import { domainError } from '../../../crdt/errors.ts'
import { isOver, type Execution } from '../../../crdt/execution.ts'
import type { ExecutionId, PeerId } from '../../../crdt/ids.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import { PTY_COLS, PTY_ROWS } from '../../../crdt/session.ts'
import type { ProgramState } from '../../../protocols/session-stream.ts'
import type { Cancel } from '../../ports/clock.ts'
import type { HostedSession } from '../../ports/session-host.ts'
import type { FeedPosition } from '../feeds/documents.ts'
import type { CommandServiceDeps } from './command-deps.ts'
import type { ExecutionBook } from './execution-book.ts'

/** Executions that wait on one machine; more would be forgotten by whoever asked before their turn comes. */
export const QUEUE_MAX = 100

/** What is to be run, once it is its turn. */
export type Job = {
  readonly execution: Execution
  readonly file: string
  readonly argv: readonly string[]
  /** The node on whose word it runs. */
  readonly gateway: PeerId
}

type Queued = { readonly execution: Execution; readonly position: FeedPosition | null }

/** Why an execution is ended before its program ends by itself. */
type Ending = { readonly status: 'cancelled' | 'timed_out'; readonly problem: string | null }

type Running = {
  readonly job: Job
  ending: Ending | undefined
  cancelLimit: Cancel
  /** Resolves when nothing of it runs and its record says so. */
  readonly over: PromiseWithResolvers<void>
}

type Deps = Pick<CommandServiceDeps, 'hosts' | 'limits' | 'clock' | 'log'> & { readonly book: ExecutionBook }
type QueueDeps = Deps & {
  /** Whether this was a member: its users have no say here any more. */
  readonly isFormer: (gateway: PeerId) => boolean
}

const STOPPED = 'The node of the machine was stopped.'
const REMOVED = 'The member that asked for it was removed.'

/** Nothing that it reads or writes is in the words of an agent. */
const NO_AGENT = { takes: 'bytes', output: null, hasTranscript: false } as const

/** Runs what this machine is asked to, a few at a time, in the order in which it was asked. */
export class ExecutionQueue {
  readonly #deps: QueueDeps
  readonly #waiting: Job[] = []
  readonly #running = new Map<ExecutionId, Running>()
  readonly #stopFollowing: Cancel
  /** Being made durable: they count, or many at once would pass the limit. */
  #entering = 0
  #isStopping = false
  /** What a stop waits for: programs that begin or end, and what is being taken in. */
  readonly #pending = new Set<Promise<unknown>>()

  constructor(deps: QueueDeps) {
    this.#deps = deps
    this.#stopFollowing = deps.hosts.onChange((hosted) => {
      if (hosted.state.status !== 'running') this.#own(this.#ended(hosted))
    })
  }

  /** @errors limit_reached, storage_failed */
  async add(job: Job, actor: Actor): Promise<Result<Queued>> {
    if (this.#isStopping) return err(domainError('machine_offline', { message: 'The node is stopping.' }))
    if (this.#waiting.length + this.#entering >= QUEUE_MAX)
      return err(domainError('limit_reached', { message: `${QUEUE_MAX} commands wait on this machine already.` }))
    this.#entering++
    const entered = this.#enter(job, actor).finally(() => this.#entering--)
    this.#own(entered)
    return await entered
  }

  async #enter(job: Job, actor: Actor): Promise<Result<Queued>> {
    const { book, clock, isFormer } = this.#deps
    const { execution, gateway } = job
    const opened = await book.open(execution, actor)
    if (!opened.ok) return opened
    this.#waiting.push(job)
    // A stop or a removal that came meanwhile has not found it.
    if (this.#isStopping) return await this.cancel(execution.id, STOPPED)
    if (isFormer(gateway)) return await this.cancel(execution.id, REMOVED)
    // Its start is told after it was told that it waits.
    clock.soon(() => this.#startNext())
    return ok({ execution, position: opened.value })
  }

  /** Resolves when nothing of it runs any more. Of one that is over it changes nothing. */
  async cancel(id: ExecutionId, problem: string | null = null): Promise<Result<Queued>> {
    const { book } = this.#deps
    const at = this.#waiting.findIndex((job) => job.execution.id === id)
    const ending: Ending = { status: 'cancelled', problem }
    let position: FeedPosition | null = null
    if (at !== -1) {
      this.#waiting.splice(at, 1)
      const changed = await book.change(id, { ...ending, endedAt: this.#now() })
      position = changed.ok ? changed.value : null
    } else await this.#end(id, ending)
    const execution = book.get(id)
    return execution ? ok({ execution, position }) : err(domainError('execution_not_found'))
  }

  /** To be called when members have been removed. */
  cancelOfFormer(): void {
    const jobs = [...this.#waiting, ...[...this.#running.values()].map(({ job }) => job)]
    for (const { execution, gateway } of jobs)
      if (this.#deps.isFormer(gateway)) this.#own(this.cancel(execution.id, REMOVED))
  }

  /** Ends all there is, and takes nothing more. When it resolves nothing runs, and the document says so. */
  async stop(): Promise<void> {
    this.#isStopping = true
    const ids = [...this.#waiting.map(({ execution }) => execution.id), ...this.#running.keys()]
    await Promise.all(ids.map((id) => this.cancel(id, STOPPED)))
    this.#stopFollowing()
    while (this.#pending.size > 0) await Promise.allSettled(this.#pending)
  }

  #startNext(): void {
    while (!this.#isStopping && this.#running.size < this.#deps.limits.concurrent) {
      const job = this.#waiting.shift()
      if (!job) return
      const running: Running = {
        job,
        ending: undefined,
        cancelLimit: () => undefined,
        over: Promise.withResolvers<void>(),
      }
      this.#running.set(job.execution.id, running)
      const id = job.execution.id
      const failed = (error: unknown): Promise<void> => {
        this.#deps.log.error({ err: error, execution: id }, 'a command could not be started')
        return this.#close(id, { status: 'failed', problem: 'It could not be started.', endedAt: this.#now() })
      }
      this.#own(this.#start(running).catch(failed))
    }
  }

  async #start(running: Running): Promise<void> {
    const { hosts, book, clock, limits } = this.#deps
    const { execution, file, argv, gateway } = running.job
    const { id } = execution
    const started = await hosts.start({
      id,
      mode: 'oneshot',
      agent: 'command',
      projectPath: execution.folder,
      program: { file, argv, io: 'pipes', acceptsInput: false, typed: null, ...NO_AGENT },
      size: { cols: PTY_COLS.default, rows: PTY_ROWS.default },
      createdAt: execution.queuedAt,
      createdBy: execution.createdBy,
      gateway,
    })
    if (!started.ok) {
      const problem = started.error.message.replace(/^The session/, 'The command')
      await this.#close(id, { status: 'failed', problem, endedAt: this.#now() })
      return
    }
    const { state } = hosts.get(id) ?? started.value
    running.cancelLimit = clock.after(limits.timeLimitMs, () => {
      const problem = `It ran longer than this machine allows (${limits.timeLimitMs / 1000} s).`
      this.#own(this.#end(id, { status: 'timed_out', problem }))
    })
    await book.change(id, { status: 'running', startedAt: iso(state.startedAtMs) })
    // It may have been cancelled, or have ended, while it was being started.
    if (running.ending) await hosts.kill(id)
    const now = hosts.get(id)
    if (now && now.state.status !== 'running') await this.#ended(now)
  }

  async #end(id: ExecutionId, ending: Ending): Promise<void> {
    const running = this.#running.get(id)
    if (!running) return
    running.ending ??= ending
    // One that is being started is ended by who starts it.
    if (this.#deps.hosts.get(id)) await this.#deps.hosts.kill(id)
    await running.over.promise
  }

  async #ended({ spec, state }: HostedSession): Promise<void> {
    const running = this.#running.get(spec.id)
    const known = this.#deps.book.get(spec.id)
    // Whoever starts it looks at it, too: that must be written first.
    if (!running || known?.status !== 'running') return
    await this.#close(spec.id, outcomeOf(state, running.ending))
  }

  async #close(id: ExecutionId, change: Partial<Execution>): Promise<void> {
    const { book, hosts } = this.#deps
    const running = this.#running.get(id)
    if (!running) return
    running.cancelLimit()
    this.#running.delete(id)
    this.#startNext()
    await book.change(id, change)
    running.over.resolve()
    for (const excess of await book.prune()) await hosts.remove(excess)
  }

  #own(work: Promise<unknown>): void {
    const owned = work.catch((error: unknown) => this.#deps.log.error({ err: error }, 'an execution could not be kept'))
    this.#pending.add(owned)
    void owned.finally(() => this.#pending.delete(owned))
  }

  #now(): string {
    return new Date(this.#deps.clock.wallMs()).toISOString()
  }
}

const iso = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString())

type Outcome = Pick<Execution, 'status' | 'startedAt' | 'endedAt' | 'exitCode' | 'signal' | 'problem'>

/** What became of an execution whose program has ended. */
export function outcomeOf(state: ProgramState, ending: Ending | undefined): Outcome {
  const { exitCode, signal } = state
  const ended = { startedAt: iso(state.startedAtMs), endedAt: iso(state.endedAtMs), exitCode, signal }
  if (ending) return { ...ended, status: ending.status, problem: ending.problem ?? state.problem }
  if (state.killed) return { ...ended, status: 'cancelled', problem: state.problem }
  if (state.status === 'failed' || state.problem !== null)
    return { ...ended, status: 'failed', problem: state.problem ?? 'It could not be kept.' }
  if (signal !== null) return { ...ended, status: 'failed', problem: `The program was ended by ${signal}.` }
  if (exitCode === 0) return { ...ended, status: 'completed', problem: null }
  return { ...ended, status: 'failed', problem: `The program ended with exit code ${exitCode}.` }
}

/**
 * What an earlier process of this node has left: it ends what still runs, and says of everything what became of it. What
 * ended by itself meanwhile has an outcome; the rest is lost.
 */
export async function settleLost({ hosts, book, clock }: Deps): Promise<void> {
  const hosted = new Map((await hosts.recover()).map((one) => [one.spec.id, one]))
  await Promise.all([...hosted.keys()].map((id) => hosts.kill(id)))
  const endedAt = new Date(clock.wallMs()).toISOString()
  for (const execution of book.all().filter((one) => !isOver(one))) {
    const { state } = hosted.get(execution.id) ?? {}
    const hadEnded = state !== undefined && state.status === 'exited'
    const problem =
      execution.status === 'queued'
        ? 'The node ended before it was its turn.'
        : 'The node ended unexpectedly while it ran; what was left of it has been ended.'
    await book.change(execution.id, hadEnded ? outcomeOf(state, undefined) : { status: 'lost', endedAt, problem })
  }
  for (const id of hosted.keys()) if (!book.get(id)) await hosts.remove(id)
}
