import {
  decodeViewerFrame,
  encodeHostFrame,
  OUTPUT_BYTES_MAX,
  type HostFrame,
  type ProgramState,
} from '../../protocols/session-stream.ts'
import type { PtySize, SessionLogType } from '../../crdt/session.ts'
import type { AgentState, AgentWatch } from './agents/agent-watch.ts'
import { Broadcast, type Exit, type Viewer } from './broadcast.ts'
import type { FrameSocket } from './frame-socket.ts'
import { OutputRing, RING_BYTES } from './output-ring.ts'
import type { Program } from './program.ts'
import type { HostTiming } from './session-files.ts'
import type { SessionLog } from './session-log.ts'

/** Connections to one host: viewers through the node, its own two or three, and some slack. */
const CONNECTIONS_MAX = 64
const SLOW_CHECK_MS = 500
/** A terminal gives at most about 4 kB at once. */
const FLOOD_CHUNK_BYTES = 2048
const GATHER_MS = 1
/** A viewer that is cut off gets this long to read why. */
const FAREWELL_MS = 1000

type Deps = {
  readonly timing: HostTiming
  readonly log: SessionLog
  readonly agent: AgentWatch
  readonly state: ProgramState
  /** Bytes of output that went before. */
  readonly startSeq?: number
  /** Told of every change of the state; makes it durable where that is due. */
  readonly onState: (state: ProgramState) => void
  /** Nobody needs the host any more. */
  readonly onDone: () => void
}

/** Opens a connection with these ears for it. */
export type Connect = (on: { readonly frame: (bytes: Uint8Array) => void; readonly close: () => void }) => FrameSocket

/** One running program and everybody who is connected to it. */
export class HostSession {
  readonly #deps: Deps
  readonly #ring: OutputRing
  readonly #broadcast: Broadcast
  readonly #connections = new Set<FrameSocket>()
  readonly #watchers = new Set<(frame: HostFrame) => void>()
  #slowCheck: NodeJS.Timeout | undefined
  #program: Program | undefined
  #acceptsInput = false
  #state: ProgramState
  #killing: Promise<void> | undefined
  /** Asked to go: no new connections. */
  #leaving = false
  #left = false
  #unpumpedBytes = 0
  #floodPump: NodeJS.Timeout | undefined
  #pumpSoon: NodeJS.Immediate | undefined

  constructor(deps: Deps) {
    this.#deps = deps
    this.#state = deps.state
    this.#ring = new OutputRing(RING_BYTES, deps.startSeq)
    this.#broadcast = new Broadcast(this.#ring, (paused) => {
      if (!this.#killing) this.#program?.setPaused(paused)
    })
  }

  get state(): ProgramState {
    return this.#state
  }

  /** Bytes of output so far. */
  get seq(): number {
    return this.#ring.head
  }

  run(program: Program, { typed, acceptsInput }: { typed: string | null; acceptsInput: boolean }): void {
    this.#program = program
    this.#acceptsInput = acceptsInput
    if (typed !== null) this.#write(this.#deps.agent.composeText(typed), new TextEncoder().encode(typed))
    if (!acceptsInput) program.endInput()
  }

  output(bytes: Uint8Array, type: SessionLogType): void {
    this.#ring.append(bytes)
    const lines = type === 'output' ? this.#deps.agent.output(bytes) : undefined
    if (lines) for (const line of lines) this.#deps.log.line(line)
    else this.#deps.log.append(type, bytes)
    this.#schedulePump(bytes.byteLength)
  }

  /** What is known of the agent has changed. */
  agentChanged({ usage, waiting }: AgentState): void {
    if (this.#state.status === 'running') this.#setState({ ...this.#state, usage, waiting })
  }

  /** The program has ended and all its output was given. `more`: what else is known of the end. */
  async ended(exit: Exit, atMs: number, more: Partial<Pick<ProgramState, 'killed' | 'problem'>> = {}): Promise<void> {
    for (const line of await this.#deps.agent.finish()) this.#deps.log.line(line)
    this.#deps.log.flush()
    this.#broadcast.finish(exit, performance.now())
    this.#setState({ ...this.#state, status: 'exited', endedAtMs: atMs, ...exit, ...more })
    setTimeout(() => this.leave(), this.#deps.timing.lingerMs).unref()
  }

  /** Nothing more will be heard of the program, and how it ended is not known. */
  lost(problem: string, atMs: number): void {
    this.#deps.log.flush()
    this.#broadcast.finish({ exitCode: null, signal: null }, performance.now())
    this.#setState({ ...this.#state, status: 'failed', endedAtMs: atMs, problem })
  }

  /** What a person should know while it runs; null: nothing any more. */
  note(problem: string | null): void {
    if (this.#state.status === 'running' && this.#state.problem !== problem) this.#setState({ ...this.#state, problem })
  }

  /** Ends the program and everything it started. Once; later calls get the same promise. */
  kill(): Promise<void> {
    if (this.#state.status === 'running' && this.#program) {
      this.#state = { ...this.#state, killed: true }
      this.#killing ??= this.#program.end(this.#deps.timing.killGraceMs).then((problem) => {
        if (problem !== undefined) this.#setState({ ...this.#state, problem })
      })
      // What it still says is read at once, however slow the viewers are: the end must not wait for them.
      this.#program.setPaused(false)
    }
    return this.#killing ?? Promise.resolve()
  }

  /** Serves one more viewer or watcher; false, and nothing is opened, when it cannot. */
  accept(connect: Connect): boolean {
    if (this.#connections.size >= CONNECTIONS_MAX || this.#leaving) return false
    let viewer: Viewer | undefined
    const cleanUp = (): void => {
      viewer?.detach()
      this.#connections.delete(wire)
      this.#watchers.delete(send)
      if (this.#connections.size === 0) this.#stopSlowCheck()
      this.#leaveWhenDrained()
    }
    const wire = connect({ frame: (bytes) => onFrame(bytes), close: cleanUp })
    const send = (frame: HostFrame): void => {
      wire.send(encodeHostFrame(frame))
      if (frame.type !== 'end') return
      void wire.end()
      setTimeout(() => wire.destroy(), FAREWELL_MS).unref()
    }
    const onFrame = (bytes: Uint8Array): void => {
      const frame = decodeViewerFrame(bytes)
      const nowMs = performance.now()
      if (frame.type === 'attach') {
        if (viewer) return send({ type: 'end', reason: 'protocol' })
        viewer = this.#broadcast.attach(send, frame.fromSeq, nowMs)
      } else if (frame.type === 'ack') {
        if (!viewer?.acknowledge(frame.seq, nowMs)) return send({ type: 'end', reason: 'protocol' })
      } else if (frame.type === 'watch') {
        this.#watchers.add(send)
        send({ type: 'state', state: this.#state })
      } else {
        this.#request(frame, send)
      }
    }
    this.#connections.add(wire)
    this.#slowCheck ??= setInterval(() => {
      this.#broadcast.cutSlow(performance.now(), this.#deps.timing.slowMs)
      this.#leaveWhenDrained()
    }, SLOW_CHECK_MS)
    return true
  }

  /** Puts what is gathered of the log into its file. */
  flushLog(): void {
    this.#deps.log.flush()
  }

  /** Goes as soon as the program has ended and every viewer has all of its output. */
  quit(): void {
    this.#leaving = true
    this.#leaveWhenDrained()
  }

  #stopSlowCheck(): void {
    clearInterval(this.#slowCheck)
    this.#slowCheck = undefined
  }

  #request(frame: Extract<ReturnType<typeof decodeViewerFrame>, { id: number }>, send: (f: HostFrame) => void): void {
    const reply = (problem: 'ended' | 'busy' | null): void => send({ type: 'reply', id: frame.id, problem })
    const ended = this.#state.status !== 'running'
    switch (frame.type) {
      case 'input':
        return reply(ended ? 'ended' : this.input(frame.bytes) ? null : 'busy')
      case 'resize':
        if (!ended) this.resize(frame.size)
        return reply(ended ? 'ended' : null)
      case 'flush':
        this.flushLog()
        return reply(null)
      case 'kill':
        // A rejection is a bug and ends the host like any other; the node then ends the processes itself.
        return void this.kill().then(() => reply(null))
      case 'quit':
        reply(null)
        return this.quit()
    }
  }

  /** False: too much waits for the program already. */
  input(bytes: Uint8Array): boolean {
    // As with a closed file: it goes nowhere.
    if (!this.#acceptsInput) return true
    const composed = this.#deps.agent.compose(bytes)
    return composed !== undefined && this.#write(composed, bytes)
  }

  #write(bytes: Uint8Array, typed: Uint8Array): boolean {
    const taken = this.#program?.write(bytes) ?? false
    if (taken) this.#deps.log.append('input', typed)
    return taken
  }

  resize(size: PtySize): void {
    this.#program?.resize(size)
    this.#setState({ ...this.#state, size: { cols: size.cols, rows: size.rows } })
  }

  #setState(state: ProgramState): void {
    this.#state = state
    this.#deps.onState(state)
    for (const send of this.#watchers) send({ type: 'state', state })
  }

  /**
   * What is read in one turn goes out together. A flood (chunks as large as the terminal gives) is gathered a moment
   * longer, since a frame for each chunk would cost more than the bytes in it; an echo never waits.
   */
  #schedulePump(bytes: number): void {
    if (this.#broadcast.viewers === 0) return
    this.#unpumpedBytes += bytes
    const isFlood = bytes >= FLOOD_CHUNK_BYTES && this.#unpumpedBytes < OUTPUT_BYTES_MAX / 2
    if (isFlood) this.#floodPump ??= setTimeout(() => this.#pump(), GATHER_MS)
    else this.#pumpSoon ??= setImmediate(() => this.#pump())
  }

  #pump(): void {
    clearTimeout(this.#floodPump)
    clearImmediate(this.#pumpSoon)
    this.#floodPump = undefined
    this.#pumpSoon = undefined
    this.#unpumpedBytes = 0
    this.#broadcast.produced(performance.now())
  }

  #leaveWhenDrained(): void {
    if (!this.#leaving || this.#state.status === 'running') return
    if (this.#broadcast.isDrained(performance.now(), this.#deps.timing.slowMs)) this.leave()
  }

  /** At once, whether the program has ended or not. What was sent still arrives, unless somebody does not read it. */
  leave(): void {
    if (this.#left) return
    this.#left = true
    this.#leaving = true
    this.#stopSlowCheck()
    this.#deps.log.close()
    const flushed = Promise.all([...this.#connections].map(async (connection) => await connection.end()))
    setTimeout(this.#deps.onDone, this.#deps.timing.slowMs).unref()
    void flushed.then(this.#deps.onDone)
  }
}
