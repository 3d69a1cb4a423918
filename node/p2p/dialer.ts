import type { PeerId } from '../../crdt/ids.ts'
import { every, type Cancel, type Clock } from '../ports/clock.ts'
import { randomFraction } from '../ports/random.ts'
import type { Random } from '../ports/random.ts'

const BACKOFF_FIRST_MS = 5000
const BACKOFF_MAX_MS = 5 * 60_000
/** A member that was connected within the last hour is probably just cut off: it is found again within half a minute. */
const RECENT_MS = 60 * 60_000
const BACKOFF_RECENT_MAX_MS = 20_000
/** Shorter connections count as failures, so that a peer that accepts and hangs up is not dialled in a loop. */
const STABLE_AFTER_MS = 30_000
/** After a lost connection both sides dial; the spread makes one of them first. */
const REDIAL_SPREAD_MS = 500
/** New hints about a peer bring its next dial forward, at most this often. */
const HURRY_EVERY_MS = 5000
/** One that was met by others all the time, and by us never, is left to its back-off; after such a pause it is back. */
const SIGHTED_MS = BACKOFF_MAX_MS
/** A member that is reached and hangs up within this time, … */
const HANG_UP_MS = 5000
/** … so many times in a row, does not want us: one time may be a restart, two a coincidence. */
const HANG_UPS_MIN = 3
/** One that does not want us is reached every few minutes; of one that is not reached any more nothing is known. */
const HANG_UP_COUNTS_MS = 3 * BACKOFF_MAX_MS

/** While too few members are connected, others are tried so often. */
const SUBSTITUTE_EVERY_MS = 5000

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
  lastConnectedMs: number
  lastSightedMs: number
  isDialling: boolean
  /** Something new came while it was dialled: what failed now says nothing. */
  isStale: boolean
  nextTryMs: number | undefined
  cancel: Cancel | undefined
}

/** What is done about a member that is not connected. */
export type DialState = { readonly isDialling: boolean; readonly failures: number; readonly nextTryInMs: number | null }

/**
 * Keeps trying to be connected to every target, for ever: none is given up by a timer. Starts over when it is told that
 * there is something new. While too few answer, others are tried, one time each.
 */
export class Dialer {
  readonly #deps: DialerDeps
  readonly #states = new Map<PeerId, Target>()
  #running: AbortController | undefined
  #cancelSubstituting: Cancel = () => undefined

  constructor(deps: DialerDeps) {
    this.#deps = deps
  }

  start(): void {
    this.#running = new AbortController()
    this.#cancelSubstituting = every(this.#deps.clock, SUBSTITUTE_EVERY_MS, () => this.#substitute())
    this.dialAll()
  }

  stop(): void {
    this.#running?.abort(new Error('the node stops'))
    this.#running = undefined
    this.#cancelSubstituting()
    for (const state of this.#states.values()) disarm(state)
    this.#states.clear()
  }

  /** Dials every member that is not connected, back-off or not. */
  dialAll(): void {
    for (const peer of this.#deps.targets()) this.#tryNow(peer)
  }

  /** Everything is new: as at the start, whatever failed before. */
  startOver(): void {
    for (const state of this.#states.values()) {
      state.failures = 0
      state.isStale = true
    }
    this.dialAll()
  }

  /** There is something new to try for this peer: at once, or as soon as the last try is some seconds ago. */
  hurry(peer: PeerId): void {
    if (this.#running === undefined || this.#deps.isConnected(peer)) return
    const state = this.#stateOf(peer)
    state.isStale = true
    if (state.isDialling) return
    const nowMs = this.#deps.clock.monoMs()
    const dueMs = state.lastTryMs + HURRY_EVERY_MS
    if (dueMs <= nowMs) this.#tryNow(peer)
    else if (state.nextTryMs === undefined || state.nextTryMs > dueMs) this.#arm(peer, dueMs - nowMs)
  }

  /** Somebody has met the peer just now: as `hurry` if that is news, by where or because it has not been met for a while. */
  sighted(peer: PeerId, isElsewhere: boolean): void {
    const state = this.#stateOf(peer)
    const nowMs = this.#deps.clock.monoMs()
    const isBack = nowMs - state.lastSightedMs > SIGHTED_MS
    state.lastSightedMs = nowMs
    if (isBack || isElsewhere) this.hurry(peer)
  }

  connected(peer: PeerId): void {
    const state = this.#stateOf(peer)
    disarm(state)
    state.lastConnectedMs = this.#deps.clock.monoMs()
  }

  stateOf(peer: PeerId): DialState {
    const { isDialling = false, failures = 0, nextTryMs } = this.#states.get(peer) ?? {}
    const nextTryInMs = nextTryMs === undefined ? null : Math.max(0, nextTryMs - this.#deps.clock.monoMs())
    return { isDialling, failures, nextTryInMs }
  }

  disconnected(peer: PeerId, lastedMs: number): void {
    if (this.#running === undefined) return
    const state = this.#stateOf(peer)
    state.lastConnectedMs = this.#deps.clock.monoMs()
    state.failures = lastedMs >= STABLE_AFTER_MS ? 0 : state.failures + 1
    state.hangUps = lastedMs >= HANG_UP_MS ? 0 : state.hangUps + 1
    const soon = REDIAL_SPREAD_MS * randomFraction(this.#deps.random)
    this.#arm(peer, state.failures <= 1 ? soon : this.#backoffMs(state.failures - 1, BACKOFF_MAX_MS))
  }

  /** Peers that answer and hang up at once, again and again: that is how a removed member is treated. */
  refusers(): readonly PeerId[] {
    const { clock, isConnected } = this.#deps
    const sinceMs = clock.monoMs() - HANG_UP_COUNTS_MS
    return [...this.#states].flatMap(([peer, { hangUps, lastConnectedMs }]) =>
      hangUps >= HANG_UPS_MIN && lastConnectedMs >= sinceMs && !isConnected(peer) ? [peer] : [],
    )
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
    state.isStale = false
    state.lastTryMs = clock.monoMs()
    void this.#dial(peer, state, this.#running.signal)
  }

  async #dial(peer: PeerId, state: Target, signal: AbortSignal): Promise<void> {
    const reached = await this.#deps.dial(peer, signal)
    state.isDialling = false
    if (signal.aborted || reached || this.#deps.isConnected(peer)) return
    state.failures++
    const isRecent = this.#deps.clock.monoMs() - state.lastConnectedMs < RECENT_MS
    const delayMs = this.#backoffMs(state.failures, isRecent ? BACKOFF_RECENT_MAX_MS : BACKOFF_MAX_MS)
    this.#arm(peer, state.isStale ? Math.min(HURRY_EVERY_MS, delayMs) : delayMs)
  }

  #substitute(): void {
    const { substitutes, dial } = this.#deps
    const signal = this.#running?.signal
    if (signal !== undefined) for (const peer of substitutes()) void dial(peer, signal)
  }

  #arm(peer: PeerId, delayMs: number): void {
    const state = this.#stateOf(peer)
    disarm(state)
    state.nextTryMs = this.#deps.clock.monoMs() + delayMs
    state.cancel = this.#deps.clock.after(delayMs, () => {
      disarm(state)
      this.#tryNow(peer)
    })
  }

  #backoffMs(failures: number, mostMs: number): number {
    const base = Math.min(mostMs, BACKOFF_FIRST_MS * 2 ** Math.min(failures - 1, 16))
    return base * (0.75 + randomFraction(this.#deps.random) / 2)
  }

  #stateOf(peer: PeerId): Target {
    const state = this.#states.get(peer) ?? {
      failures: 0,
      hangUps: 0,
      lastTryMs: -Infinity,
      lastConnectedMs: -Infinity,
      lastSightedMs: -Infinity,
      isDialling: false,
      isStale: false,
      nextTryMs: undefined,
      cancel: undefined,
    }
    this.#states.set(peer, state)
    return state
  }
}

function disarm(state: Target): void {
  state.cancel?.()
  state.cancel = undefined
  state.nextTryMs = undefined
}
