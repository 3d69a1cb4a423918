import type { PeerId } from '../../crdt/ids.ts'
import type { Cancel, Clock } from '../ports/clock.ts'
import { every } from '../ports/clock.ts'
import { randomFraction } from '../ports/random.ts'
import type { Random } from '../ports/random.ts'
import { ownHosts } from './addresses.ts'

const BACKOFF_FIRST_MS = 5000
const BACKOFF_MAX_MS = 5 * 60_000
/** Shorter connections count as failures, so that a peer that accepts and hangs up is not dialled in a loop. */
const STABLE_AFTER_MS = 30_000
/** After a lost connection both sides dial; the spread makes one of them first. */
const REDIAL_SPREAD_MS = 500
/** New hints about a peer bring its next dial forward, at most this often. */
const HURRY_EVERY_MS = 5000
const WATCH_EVERY_MS = 5000
/** A member that is reached and hangs up within this time, … */
const HANG_UP_MS = 5000
/** … so many times in a row, does not want us: one time may be a restart, two a coincidence. */
const HANG_UPS_MIN = 3
/** A host whose boot clock ran this much further than its monotonic clock was suspended. */
const SUSPENDED_MS = 2000

export type DialerDeps = {
  readonly clock: Clock
  readonly random: Random
  /** Members to be connected with, each with at least one known address. */
  readonly targets: () => readonly PeerId[]
  /** Members to be tried in their stead; none while enough are connected. */
  readonly substitutes: () => readonly PeerId[]
  readonly isConnected: (peer: PeerId) => boolean
  /** Tells whether the peer was reached; never rejects. */
  readonly dial: (peer: PeerId, signal: AbortSignal) => Promise<boolean>
}

type Target = {
  failures: number
  hangUps: number
  lastTryMs: number
  isDialling: boolean
  cancel: Cancel | undefined
}

/**
 * Keeps trying to be connected to every target, for ever: none is given up by a timer. Starts over at once when the host
 * resumes from suspension or its network changes. While too few answer, others are tried, one time each.
 */
export class Dialer {
  readonly #deps: DialerDeps
  readonly #states = new Map<PeerId, Target>()
  #running: AbortController | undefined
  #cancelWatch: Cancel = () => undefined

  constructor(deps: DialerDeps) {
    this.#deps = deps
  }

  start(): void {
    this.#running = new AbortController()
    const cancelWatch = watchHost(this.#deps.clock, () => this.dialAll())
    const cancelSubstituting = every(this.#deps.clock, WATCH_EVERY_MS, () => this.#substitute())
    this.#cancelWatch = () => {
      cancelWatch()
      cancelSubstituting()
    }
    this.dialAll()
  }

  stop(): void {
    this.#running?.abort(new Error('the node stops'))
    this.#running = undefined
    this.#cancelWatch()
    for (const state of this.#states.values()) disarm(state)
    this.#states.clear()
  }

  /** Dials every member that is not connected, back-off or not. */
  dialAll(): void {
    for (const peer of this.#deps.targets()) this.#tryNow(peer)
  }

  /** There is something new to try for this peer. */
  hurry(peer: PeerId): void {
    if (this.#deps.clock.monoMs() - this.#stateOf(peer).lastTryMs >= HURRY_EVERY_MS) this.#tryNow(peer)
  }

  connected(peer: PeerId): void {
    disarm(this.#stateOf(peer))
  }

  disconnected(peer: PeerId, lastedMs: number): void {
    if (this.#running === undefined) return
    const state = this.#stateOf(peer)
    state.failures = lastedMs >= STABLE_AFTER_MS ? 0 : state.failures + 1
    state.hangUps = lastedMs >= HANG_UP_MS ? 0 : state.hangUps + 1
    const soon = REDIAL_SPREAD_MS * randomFraction(this.#deps.random)
    this.#arm(peer, state.failures <= 1 ? soon : this.#backoffMs(state.failures - 1))
  }

  /** Peers that answer and hang up at once, again and again: that is how a removed member is treated. */
  refusers(): readonly PeerId[] {
    return [...this.#states].flatMap(([peer, { hangUps }]) => (hangUps >= HANG_UPS_MIN ? [peer] : []))
  }

  #tryNow(peer: PeerId): void {
    const { targets, isConnected, clock } = this.#deps
    const state = this.#stateOf(peer)
    if (this.#running === undefined || state.isDialling) return
    if (!targets().includes(peer)) {
      disarm(state)
      this.#states.delete(peer)
      return
    }
    if (isConnected(peer)) return
    disarm(state)
    state.isDialling = true
    state.lastTryMs = clock.monoMs()
    void this.#dial(peer, state, this.#running.signal)
  }

  async #dial(peer: PeerId, state: Target, signal: AbortSignal): Promise<void> {
    const reached = await this.#deps.dial(peer, signal)
    state.isDialling = false
    if (signal.aborted || reached || this.#deps.isConnected(peer)) return
    state.failures++
    this.#arm(peer, this.#backoffMs(state.failures))
  }

  #substitute(): void {
    const { substitutes, dial } = this.#deps
    const signal = this.#running?.signal
    if (signal !== undefined) for (const peer of substitutes()) void dial(peer, signal)
  }

  #arm(peer: PeerId, delayMs: number): void {
    const state = this.#stateOf(peer)
    disarm(state)
    state.cancel = this.#deps.clock.after(delayMs, () => {
      state.cancel = undefined
      this.#tryNow(peer)
    })
  }

  #backoffMs(failures: number): number {
    const base = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(failures - 1, 16))
    return base * (0.75 + randomFraction(this.#deps.random) / 2)
  }

  #stateOf(peer: PeerId): Target {
    const state = this.#states.get(peer) ?? {
      failures: 0,
      hangUps: 0,
      lastTryMs: -Infinity,
      isDialling: false,
      cancel: undefined,
    }
    this.#states.set(peer, state)
    return state
  }
}

function disarm(state: Target): void {
  state.cancel?.()
  state.cancel = undefined
}

function watchHost(clock: Clock, onChange: () => void): Cancel {
  const drift = (): number => clock.bootMs() - clock.monoMs()
  let lastDrift = drift()
  let lastHosts = ownHosts().join()
  return every(clock, WATCH_EVERY_MS, () => {
    const resumed = drift() - lastDrift > SUSPENDED_MS
    const hosts = ownHosts().join()
    if (resumed || hosts !== lastHosts) onChange()
    lastDrift = drift()
    lastHosts = hosts
  })
}
