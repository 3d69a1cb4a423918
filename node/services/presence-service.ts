import { z } from 'zod'
import type { MeshId, PeerId } from '../../crdt/ids.ts'
import { decodeCanonical, encodeCanonical, MalformedError } from '../../protocols/codec.ts'
import type { Crypto, Signer } from '../../protocols/crypto.ts'
import { LEASES_PER_OWNER_MAX } from '../../protocols/lease/messages.ts'
import {
  decodeHeartbeat,
  heartbeatPeriodMs,
  isNewer,
  signHeartbeat,
  verifyHeartbeat,
  type Heartbeat,
} from '../../protocols/presence.ts'
import type { Cancel, Clock } from '../ports/clock.ts'
import { every } from '../ports/clock.ts'
import type { FeedStore } from '../ports/feed-store.ts'
import type { Log } from '../ports/log.ts'
import type { PeerNetwork } from '../ports/peer-network.ts'
import type { Presence, PresenceState } from './presence.ts'

const BOOT_FACT = 'presence.boot'
const BOOT_FACT_BYTES_MAX = 16
/** A member counts as online for this many periods after its last heartbeat, then as stale, then as away. */
const ONLINE_PERIODS = 1.5
const STALE_PERIODS = 3
/** How often passing of time is looked at: a change of state is told at most this late. */
const LOOK_EVERY_MS = 1000
/** Sent heartbeats whose echo is still welcome. */
const ECHOES_MAX = 8

export type PresenceDeps = {
  readonly mesh: MeshId
  readonly crypto: Crypto
  readonly signer: Signer
  readonly clock: Clock
  readonly log: Log
  readonly store: Pick<FeedStore, 'getFact' | 'putFact'>
  readonly network: Pick<PeerNetwork, 'connected' | 'onConnect' | 'onDisconnect'>
  /** Members of the mesh, ourselves included. */
  readonly members: () => ReadonlyMap<PeerId, unknown>
  /** Leases that this node renews right now. */
  readonly leases: () => readonly string[]
  readonly sessions: () => number
}

/** What the sync service, which carries heartbeats, needs. */
export type PresenceLink = {
  /** The heartbeat to greet a newly connected peer with; undefined before `start` and after `stop`. */
  current(): Uint8Array | undefined
  /** Every heartbeat, and the goodbye, to be sent to all connected members. */
  onBeat(listener: (beat: Uint8Array) => void): Cancel
  /**
   * Takes in a heartbeat from its author; answers with what to echo, when it is news.
   * @throws MalformedError when it is none, is somebody else's or carries a bad signature
   */
  receive(beat: Uint8Array, from: PeerId): { boot: number; counter: number } | undefined
  echoed(from: PeerId, echo: { boot: number; counter: number }): void
}

export type PresenceService = Presence &
  PresenceLink & {
    /** Resolves once this start has a number of its own on disk; only then are heartbeats sent. */
    start(): Promise<void>
    /** Says goodbye: others see this node as away at once. */
    stop(): void
    /** The host is about to be suspended, or has resumed. */
    suspend(): void
    resume(): void
  }

type Heard = {
  readonly beat: Heartbeat
  readonly monoMs: number
  readonly wallMs: number
  readonly leases: Set<string>
}

/** Liveness of members by signed heartbeats, one per node and period, judged by our own monotonic clock. */
export function createPresence(deps: PresenceDeps): PresenceService {
  const { mesh, crypto, signer, clock, members } = deps
  const heard = new Map<PeerId, Heard>()
  const rtts = new Map<PeerId, number>()
  const told = new Map<PeerId, PresenceState>()
  const sent = new Map<number, number>()
  const changeListeners = new Set<(peer: PeerId) => void>()
  const beatListeners = new Set<(beat: Uint8Array) => void>()
  const cancels: Cancel[] = []
  let boot = 0
  let counter = 0
  let latest: Uint8Array | undefined
  let cancelBeat: Cancel = () => undefined

  const periodMs = (): number => heartbeatPeriodMs(members().size)

  const sign = (kind: Heartbeat['kind']): Uint8Array => {
    counter++
    sent.set(counter, clock.monoMs())
    sent.delete(counter - ECHOES_MAX)
    return signHeartbeat(crypto, signer, {
      v: 1,
      mesh,
      peer: signer.peer,
      boot,
      counter,
      at: Math.max(0, Math.floor(clock.wallMs())),
      kind,
      leases: deps.leases().slice(0, LEASES_PER_OWNER_MAX),
      load: { sessions: deps.sessions() },
    })
  }
  const say = (kind: Heartbeat['kind']): void => {
    const beat = sign(kind)
    latest = kind === 'beat' ? beat : undefined
    for (const listener of beatListeners) listener(beat)
  }
  const beatRegularly = (): void => {
    say('beat')
    cancelBeat = clock.after(periodMs(), beatRegularly)
  }
  const quiet = (kind: 'bye' | 'sleep'): void => {
    cancelBeat()
    if (latest !== undefined) say(kind)
  }

  const state = (peer: PeerId): PresenceState => {
    if (!members().has(peer)) return 'gone'
    if (peer === signer.peer) return 'online'
    const last = heard.get(peer)
    if (last === undefined || last.beat.kind !== 'beat') return 'away'
    const periods = (clock.monoMs() - last.monoMs) / periodMs()
    if (periods <= ONLINE_PERIODS && deps.network.connected().includes(peer)) return 'online'
    return periods <= STALE_PERIODS ? 'stale' : 'away'
  }
  const tell = (peer: PeerId): void => {
    const now = state(peer)
    if (told.get(peer) === now) return
    if (now === 'gone') forget(peer)
    else told.set(peer, now)
    for (const listener of changeListeners) listener(peer)
  }
  const forget = (peer: PeerId): void => {
    told.delete(peer)
    heard.delete(peer)
    rtts.delete(peer)
  }
  const look = (): void => {
    for (const peer of new Set([...told.keys(), ...heard.keys()])) tell(peer)
  }

  return {
    state,
    lastSeenWallMs: (peer) => (peer === signer.peer ? clock.wallMs() : heard.get(peer)?.wallMs),
    rttMs: (peer) => rtts.get(peer),
    lastRenewedMonoMs(peer, leaseId) {
      const last = heard.get(peer)
      return last?.leases.has(leaseId) === true ? last.monoMs : undefined
    },
    onChange(listener) {
      changeListeners.add(listener)
      return () => changeListeners.delete(listener)
    },
    current: () => latest,
    onBeat(listener) {
      beatListeners.add(listener)
      return () => beatListeners.delete(listener)
    },
    receive(bytes, from) {
      const beat = decodeHeartbeat(bytes)
      if (beat.peer !== from || beat.mesh !== mesh) throw new MalformedError('a heartbeat of somebody else')
      if (!isNewer(beat, heard.get(from)?.beat)) return undefined
      if (!verifyHeartbeat(crypto, beat)) throw new MalformedError('a heartbeat with a bad signature')
      if (!members().has(from)) return undefined
      const leases = new Set(beat.kind === 'beat' ? beat.leases : [])
      heard.set(from, { beat, monoMs: clock.monoMs(), wallMs: clock.wallMs(), leases })
      tell(from)
      return { boot: beat.boot, counter: beat.counter }
    },
    echoed(from, echo) {
      const sentMs = echo.boot === boot ? sent.get(echo.counter) : undefined
      if (sentMs !== undefined && members().has(from)) rtts.set(from, clock.monoMs() - sentMs)
    },
    async start() {
      boot = await nextBoot(deps.store)
      cancels.push(
        every(clock, LOOK_EVERY_MS, look),
        deps.network.onConnect(tell),
        deps.network.onDisconnect((peer) => {
          rtts.delete(peer)
          tell(peer)
        }),
      )
      beatRegularly()
    },
    stop() {
      quiet('bye')
      for (const cancel of cancels.splice(0)) cancel()
    },
    suspend: () => quiet('sleep'),
    resume() {
      cancelBeat()
      if (boot > 0) beatRegularly()
    },
  }
}

/** Counts the starts of this node; durable before it is used, so that no (boot, counter) is ever used twice. */
async function nextBoot(store: Pick<FeedStore, 'getFact' | 'putFact'>): Promise<number> {
  const stored = await store.getFact(BOOT_FACT)
  const last = stored === undefined ? 0 : decodeCanonical(z.int().min(0), stored, BOOT_FACT_BYTES_MAX)
  await store.putFact(BOOT_FACT, encodeCanonical(last + 1))
  return last + 1
}
