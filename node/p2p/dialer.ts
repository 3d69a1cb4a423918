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
/** A host whose boot clock ran this much further than its monotonic clock was suspended. */
const SUSPENDED_MS = 2000

export type Dialer = {
  start(): void
  stop(): void
  /** Dials every member that is not connected, back-off or not. */
  dialAll(): void
  /** There is something new to try for this peer. */
  hurry(peer: PeerId): void
  connected(peer: PeerId): void
  disconnected(peer: PeerId, lastedMs: number): void
}

export type DialerDeps = {
  readonly clock: Clock
  readonly random: Random
  /** Members with at least one known address. */
  readonly targets: () => readonly PeerId[]
  readonly isConnected: (peer: PeerId) => boolean
  readonly dial: (peer: PeerId, signal: AbortSignal) => Promise<boolean>
}

type Target = { failures: number; lastTryMs: number; dialling: boolean; cancel: Cancel | undefined }

/**
 * Keeps trying to be connected to every member, for ever: a member is never given up by a timer. Starts over at once
 * when the host resumes from suspension or its network changes.
 */
export function createDialer(deps: DialerDeps): Dialer {
  const { clock, random, targets, isConnected, dial } = deps
  const states = new Map<PeerId, Target>()
  let running: AbortController | undefined
  let cancelWatch: Cancel = () => undefined

  const stateOf = (peer: PeerId): Target => {
    const state = states.get(peer) ?? { failures: 0, lastTryMs: -Infinity, dialling: false, cancel: undefined }
    states.set(peer, state)
    return state
  }
  const disarm = (state: Target): void => {
    state.cancel?.()
    state.cancel = undefined
  }
  const arm = (peer: PeerId, delayMs: number): void => {
    const state = stateOf(peer)
    disarm(state)
    state.cancel = clock.after(delayMs, () => {
      state.cancel = undefined
      tryNow(peer)
    })
  }
  const backoffMs = (failures: number): number => {
    const base = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(failures - 1, 16))
    return base * (0.75 + randomFraction(random) / 2)
  }
  const tryNow = (peer: PeerId): void => {
    const state = stateOf(peer)
    if (running === undefined || state.dialling) return
    if (!targets().includes(peer)) {
      disarm(state)
      states.delete(peer)
      return
    }
    if (isConnected(peer)) return
    disarm(state)
    state.dialling = true
    state.lastTryMs = clock.monoMs()
    const { signal } = running
    void dial(peer, signal).then((reached) => {
      state.dialling = false
      if (signal.aborted || reached || isConnected(peer)) return
      state.failures++
      arm(peer, backoffMs(state.failures))
    })
  }
  const dialAll = (): void => {
    for (const peer of targets()) tryNow(peer)
  }

  return {
    start() {
      running = new AbortController()
      cancelWatch = watchHost(clock, dialAll)
      dialAll()
    },
    stop() {
      running?.abort(new Error('the node stops'))
      running = undefined
      cancelWatch()
      for (const state of states.values()) disarm(state)
      states.clear()
    },
    dialAll,
    hurry(peer) {
      if (clock.monoMs() - stateOf(peer).lastTryMs >= HURRY_EVERY_MS) tryNow(peer)
    },
    connected: (peer) => disarm(stateOf(peer)),
    disconnected(peer, lastedMs) {
      if (running === undefined) return
      const state = stateOf(peer)
      state.failures = lastedMs >= STABLE_AFTER_MS ? 0 : state.failures + 1
      const soon = REDIAL_SPREAD_MS * randomFraction(random)
      arm(peer, state.failures <= 1 ? soon : backoffMs(state.failures - 1))
    },
  }
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
