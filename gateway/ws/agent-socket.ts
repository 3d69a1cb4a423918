import { randomUUID } from 'node:crypto'
import type { RawData, WebSocket } from 'ws'
import type { AgentOrder } from '../../node/ports/agent-link.ts'
import type { Clock } from '../../node/ports/clock.ts'
import type { BridgedAgent } from '../../node/services/bridge/bridge-service.ts'
import type { AgentMessage } from '../dialects/claudenest/agent-wire.ts'

/** How a dialect's agents are read and spoken to. */
export type AgentWords = {
  /** Never throws. */
  readonly read: (text: string) => AgentMessage
  readonly frame: (order: AgentOrder) => { readonly type: string; readonly payload: object }
}

/** What may wait for an agent that does not read: some long pastes. */
const WAITING_BYTES_MAX = 1024 * 1024
/** What an agent may send: a screen that scrolls as fast as it can is far below. Beyond it, it is read more slowly. */
const BYTES_PER_SECOND = 4 * 1024 * 1024
const BYTES_BURST = 16 * 1024 * 1024
const FRAMES_PER_SECOND = 1000
const FRAMES_BURST = 4000
/** Frames that make no sense; an agent that sends more in a minute speaks something else. */
const BAD_FRAMES_PER_MINUTE = 20
/** Kinds of messages that an agent is told we know nothing of. */
const UNKNOWN_TYPES_MAX = 32
const CLOSE_GRACE_MS = 1000

const UNSUPPORTED_DATA = 1003
const POLICY_VIOLATION = 1008

type Deps = { readonly clock: Clock; readonly words: AgentWords }

/** The frames of one agent, bounded in what they cost. Nothing is read before `serve`. */
export class AgentSocket {
  readonly #socket: WebSocket
  readonly #deps: Deps
  readonly #bytes: Budget
  readonly #frames: Budget
  readonly #badFrames: Budget
  readonly #unknownTypes = new Set<string>()

  constructor(socket: WebSocket, deps: Deps) {
    this.#socket = socket
    this.#deps = deps
    const nowMs = deps.clock.monoMs()
    this.#bytes = new Budget(nowMs, { perSecond: BYTES_PER_SECOND, burst: BYTES_BURST })
    this.#frames = new Budget(nowMs, { perSecond: FRAMES_PER_SECOND, burst: FRAMES_BURST })
    this.#badFrames = new Budget(nowMs, { perSecond: BAD_FRAMES_PER_MINUTE / 60, burst: BAD_FRAMES_PER_MINUTE })
    socket.pause()
  }

  serve(agent: BridgedAgent): void {
    this.#socket.on('message', (data, isBinary) => this.#frame(agent, data, isBinary))
    this.#socket.on('close', () => agent.gone())
    if (this.#socket.readyState === this.#socket.CLOSED) agent.gone()
    else this.#socket.resume()
  }

  /** False when the agent does not read, or is not there any more. */
  readonly order = (order: AgentOrder): boolean => {
    const { type, payload } = this.#deps.words.frame(order)
    return this.#send(type, payload)
  }

  close(code: number, reason: string): void {
    if (this.#socket.readyState === this.#socket.CLOSED) return
    // A paused socket would never read the answer.
    this.#socket.resume()
    this.#socket.close(code, reason)
    this.#deps.clock.after(CLOSE_GRACE_MS, () => this.#socket.terminate())
  }

  #frame(agent: BridgedAgent, data: RawData, isBinary: boolean): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return
    if (isBinary) return this.close(UNSUPPORTED_DATA, 'Frames are JSON texts')
    const bytes = Buffer.isBuffer(data) ? data : Buffer.concat(Array.isArray(data) ? data : [Buffer.from(data)])
    this.#slowDown(bytes.byteLength)
    const message = this.#deps.words.read(bytes.toString('utf8'))
    switch (message.kind) {
      case 'report':
        return agent.report(message.report)
      case 'facts':
        return agent.state(message.facts)
      case 'ping':
        return void this.#send('pong', { timestamp: this.#deps.clock.wallMs() })
      case 'bad':
        return this.#bad(message.type, message.problem)
      case 'unknown':
        return this.#unknown(message.type)
      case 'passed over':
        return
    }
  }

  #slowDown(bytes: number): void {
    const { clock } = this.#deps
    const nowMs = clock.monoMs()
    const waitMs = Math.max(this.#bytes.take(bytes, nowMs), this.#frames.take(1, nowMs))
    if (waitMs <= 0 || this.#socket.isPaused) return
    this.#socket.pause()
    clock.after(waitMs, () => this.#socket.resume())
  }

  #bad(type: string | null, problem: string): void {
    if (this.#badFrames.take(1, this.#deps.clock.monoMs()) > 0)
      return this.close(POLICY_VIOLATION, 'Too many frames that make no sense')
    this.#refuse(type, 'INVALID_MESSAGE', problem)
  }

  #unknown(type: string): void {
    if (this.#unknownTypes.has(type) || this.#unknownTypes.size >= UNKNOWN_TYPES_MAX) return
    this.#unknownTypes.add(type)
    this.#refuse(type, 'UNSUPPORTED_MESSAGE', `This gateway does not know messages of type ${type}.`)
  }

  #refuse(originalType: string | null, code: string, message: string): void {
    this.#send('error', { originalType, code, message })
  }

  #send(type: string, payload: object): boolean {
    if (this.#socket.readyState !== this.#socket.OPEN || this.#socket.bufferedAmount > WAITING_BYTES_MAX) return false
    const frame = { type, payload, timestamp: this.#deps.clock.wallMs(), id: randomUUID() }
    this.#socket.send(JSON.stringify(frame), () => undefined)
    return true
  }
}

/** So much at once, then so much a second. What goes beyond it is counted, and waited for. */
class Budget {
  readonly #perSecond: number
  readonly #burst: number
  #left: number
  #atMs: number

  constructor(nowMs: number, { perSecond, burst }: { perSecond: number; burst: number }) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#left = burst
    this.#atMs = nowMs
  }

  /** How long to wait for what was taken beyond the budget; 0: not at all. */
  take(amount: number, nowMs: number): number {
    this.#left = Math.min(this.#burst, this.#left + ((nowMs - this.#atMs) / 1000) * this.#perSecond) - amount
    this.#atMs = nowMs
    return this.#left >= 0 ? 0 : (-this.#left / this.#perSecond) * 1000
  }
}
