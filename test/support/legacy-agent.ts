import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { WebSocket } from 'ws'
import { SessionId } from '../../crdt/ids.ts'
import { startProgram, type OwnProgram } from '../../node/hosts/program.ts'
import type { Json } from './gateway-lab.ts'
import { identity } from './identity.ts'
import { programWith, testEnvironment } from './session-lab.ts'

export type LegacyAgentOptions = {
  readonly url: string
  readonly token: string
  readonly machineId: string
  /** As it joins its base address and path. */
  readonly path?: string
  readonly maxSessions?: number
  /** Does not say that sessions run, nor that they end. */
  readonly isMute?: boolean
  /** Does not know `session:get_info` and `bash`, as older ones. */
  readonly isOld?: boolean
}

type Running = { readonly program: OwnProgram; isTerminated: boolean }

/**
 * A stand-in for ClaudeNest's agent: its frames over a real WebSocket, real programs in real terminals. Where that runs
 * claude, this one tells how it would have, and then repeats what it reads. Frames wait while it is not connected.
 */
export class LegacyAgent {
  readonly options: LegacyAgentOptions
  /** Everything it was told. */
  readonly received: Json[] = []
  readonly #running = new Map<string, Running>()
  readonly #waiting: string[] = []
  readonly #watchers = new Set<() => void>()
  #socket: WebSocket | undefined
  #closed: { code: number } | undefined

  constructor(options: LegacyAgentOptions) {
    this.options = options
  }

  /** Connects, or connects anew; resolves when the socket is open. */
  async connect(url = this.options.url): Promise<this> {
    const socket = new WebSocket(`${url.replace('http', 'ws')}${this.options.path ?? '//ws/agent'}`, {
      headers: { 'X-Machine-Token': this.options.token, 'X-Machine-ID': this.options.machineId },
    })
    this.#closed = undefined
    socket.on('message', (data: Buffer) => this.#frame(JSON.parse(data.toString())))
    socket.on('error', () => undefined)
    socket.on('close', (code) => {
      if (this.#socket !== socket) return
      this.#socket = undefined
      this.#closed = { code }
      this.#wake()
    })
    this.#socket = socket
    await once(socket, 'open')
    for (const frame of this.#waiting.splice(0)) socket.send(frame)
    return this
  }

  /** As at the start of its process: what it says of its machine. */
  introduce(change: object = {}): this {
    this.send('machine:info', {
      id: this.options.machineId,
      hostname: 'old-laptop',
      platform: 'linux',
      arch: 'arm64',
      nodeVersion: 'v20.11.0',
      agentVersion: '1.4.2',
      claudeVersion: '2.1.0',
      claudePath: '/usr/bin/claude',
      capabilities: { supportsPTY: true, supportsTmux: true, availableSkills: ['deploy'] },
      maxSessions: this.options.maxSessions ?? 10,
      ...change,
    })
    return this
  }

  send(type: string, payload: unknown): void {
    this.sendText(JSON.stringify({ type, payload, timestamp: Date.now(), id: Math.random().toString(36).slice(2) }))
  }

  sendText(text: string | Buffer): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(text)
    else if (typeof text === 'string') this.#waiting.push(text)
  }

  get socket(): WebSocket {
    if (!this.#socket) throw new Error('the agent is not connected')
    return this.#socket
  }

  /** Ids of the sessions whose programs run. */
  running(): string[] {
    return [...this.#running.keys()]
  }

  /** The first frame it was told, or will be, that fits. */
  async told(type: string, fits: (payload: Json) => boolean = () => true): Promise<Json> {
    return await this.#until(() => this.received.find((frame) => frame.type === type && fits(frame.payload))?.payload)
  }

  async closed(): Promise<{ code: number }> {
    return await this.#until(() => this.#closed)
  }

  /** Resolves when it runs no session but these. */
  async runsOnly(...ids: string[]): Promise<void> {
    await this.#until(() => (this.running().every((id) => ids.includes(id)) ? true : undefined))
  }

  /** The connection breaks; the programs go on. */
  drop(): void {
    this.#socket?.terminate()
    this.#socket = undefined
  }

  /** Its process ends, and with it every program. */
  async kill(): Promise<void> {
    this.drop()
    const all = [...this.#running.values()]
    this.#running.clear()
    for (const one of all) one.isTerminated = true
    await Promise.all(all.map(({ program }) => program.end(100)))
  }

  #frame(frame: Json): void {
    this.received.push(frame)
    this.#wake()
    const { type, payload } = frame
    const problem = (code: string | undefined, message: string): void =>
      this.send('error', { originalType: type, sessionId: payload.sessionId, code, message })
    const one = this.#running.get(payload?.sessionId)
    if (type === 'session:create') {
      if (this.#running.size >= (this.options.maxSessions ?? 10))
        // It does not say which session it means.
        this.send('error', {
          originalType: type,
          code: 'SESSION_CAPACITY_REACHED',
          message: 'Maximum sessions reached',
        })
      else this.#create(payload).catch((error: Error) => problem('SESSION_CREATION_FAILED', error.message))
    } else if (type === 'session:get_info') {
      if (this.options.isOld) return
      if (one) this.send('session:info', { id: payload.sessionId, status: 'running' })
      else problem('SESSION_NOT_FOUND', `Session ${payload.sessionId} not found`)
    } else if (!type.startsWith('session:')) return
    else if (!one) problem(undefined, `Session ${payload.sessionId} not found`)
    else if (type === 'session:input') one.program.write(new TextEncoder().encode(payload.data))
    else if (type === 'session:resize') one.program.resize({ cols: payload.cols, rows: payload.rows })
    else if (type === 'session:terminate' && (!this.options.isMute || payload.force)) {
      one.isTerminated = true
      void one.program.end(100).then(() => {
        this.#running.delete(payload.sessionId)
        this.#wake()
        if (!this.options.isMute) this.send('session:status', { sessionId: payload.sessionId, status: 'terminated' })
      })
    }
  }

  async #create(payload: Json): Promise<void> {
    const { sessionId, mode, projectPath = tmpdir(), initialPrompt, ptySize } = payload
    const argv =
      mode === 'bash'
        ? []
        : ['-c', `printf 'claude as %s is told: %s\\n' "$0" "$1"; exec cat`, mode, initialPrompt ?? 'nothing']
    if (!existsSync(projectPath)) throw new Error(`can't find directory ${projectPath}`)
    const program = await startProgram({
      spec: {
        id: SessionId.parse(sessionId),
        mode: 'interactive',
        agent: 'legacy',
        projectPath,
        program: programWith({ file: '/bin/sh', argv }),
        size: ptySize,
        createdAt: new Date().toISOString(),
        createdBy: 'legacy',
        gateway: identity(1).peer,
      },
      environment: testEnvironment,
      events: {
        onOutput: (bytes, type) =>
          this.send('session:output', { sessionId, type, data: Buffer.from(bytes).toString(), timestamp: Date.now() }),
        onEnd: ({ exitCode }) => {
          if (one.isTerminated) return
          this.#running.delete(sessionId)
          this.send('session:status', { sessionId, status: exitCode === 0 ? 'completed' : 'error' })
          this.send('session:exited', { sessionId, exitCode: exitCode ?? 1 })
          this.#wake()
        },
      },
    })
    const one: Running = { program, isTerminated: false }
    this.#running.set(sessionId, one)
    if (!this.options.isMute) this.send('session:status', { sessionId, status: 'running', pid: program.pid })
  }

  #wake(): void {
    for (const look of this.#watchers) look()
  }

  #until<T>(look: () => T | undefined): Promise<T> {
    return new Promise((resolve) => {
      const check = (): void => {
        const found = look()
        if (found === undefined) return
        this.#watchers.delete(check)
        resolve(found)
      }
      this.#watchers.add(check)
      check()
    })
  }
}
