import type { MeshId, PeerId } from '../../../crdt/ids.ts'
import { MalformedError } from '../../../protocols/codec.ts'
import type { Crypto, Signer } from '../../../protocols/crypto.ts'
import {
  decodeHeartbeat,
  heartbeatPeriodMs,
  isNewer,
  verifyHeartbeat,
  type Heartbeat,
} from '../../../protocols/presence.ts'
import type { Cancel, Clock } from '../../ports/clock.ts'
import { every } from '../../ports/clock.ts'
import type { FeedStore } from '../../ports/feed-store.ts'
import { DEFAULT_TIMINGS } from '../../../protocols/lease/timings.ts'
import type { Log } from '../../ports/log.ts'
import type { PeerNetwork } from '../../ports/peer-network.ts'
import { Heart } from './presence-beat.ts'
import type { Presence, PresenceState } from './presence.ts'

/** A member counts as online for this many periods after its last heartbeat, then as stale, then as away. */
const ONLINE_PERIODS = 1.5
const STALE_PERIODS = 3
/** Others show a lease for its length after they heard of it: it must not go out because one heartbeat is late. */
const BEATS_PER_LEASE = 3
/** How often passing of time is looked at: a change of state is told at most this late. */
const LOOK_EVERY_MS = 1000
/** What one node says more often is noted and goes no further: others would pass it on to the whole mesh. */
const NEWS_APART_MS = 500

export type PresenceDeps = {
  readonly mesh: MeshId
  readonly crypto: Crypto
  readonly signer: Signer
  readonly clock: Clock
  readonly log: Log
  readonly store: Pick<FeedStore, 'getFact' | 'putFact'>
  readonly network: Pick<PeerNetwork, 'mayBeReached' | 'onConnect' | 'onDisconnect'>
  /** Members of the mesh, ourselves included. */
  readonly members: () => ReadonlyMap<PeerId, unknown>
  /** Leases that this node renews right now. */
  readonly leases: () => readonly string[]
  readonly sessions: () => number
  /** Length of a renewed lease in this mesh. */
  readonly ttlMs?: number
}

/** What the sync service, which carries heartbeats, needs. */
export type PresenceLink = {
  /** The heartbeat to greet a newly connected peer with; undefined before `start` and after `stop`. */
  current(): Uint8Array | undefined
  /** Every heartbeat, and the goodbye, to be sent to all connected members. */
  onBeat(listener: (beat: Uint8Array) => void): Cancel
  /**
   * Takes in a heartbeat, from its author or from whoever passed it on, and returns it when it is news.
   * @throws MalformedError when it is none, is of another mesh or carries a bad signature
   */
  receive(beat: Uint8Array): Pick<Heartbeat, 'peer' | 'boot' | 'counter'> | undefined
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
  return new Observer(deps)
}

class Observer implements PresenceService {
  readonly #deps: PresenceDeps
  readonly #heart: Heart
  readonly #heard = new Map<PeerId, Heard>()
  readonly #rtts = new Map<PeerId, number>()
  readonly #told = new Map<PeerId, PresenceState>()
  readonly #listeners = new Set<(peer: PeerId) => void>()
  readonly #cancels: Cancel[] = []

  constructor(deps: PresenceDeps) {
    this.#deps = deps
    const { ttlMs = DEFAULT_TIMINGS.ttlMs } = deps
    this.#heart = new Heart(deps, () => Math.min(this.#periodMs(), ttlMs / BEATS_PER_LEASE))
  }

  async start(): Promise<void> {
    const { clock, network } = this.#deps
    await this.#heart.start()
    this.#cancels.push(
      every(clock, LOOK_EVERY_MS, () => this.#look()),
      network.onConnect((peer) => this.#tell(peer)),
      network.onDisconnect((peer) => {
        this.#rtts.delete(peer)
        this.#tell(peer)
      }),
    )
  }

  stop(): void {
    this.#heart.rest('bye')
    for (const cancel of this.#cancels.splice(0)) cancel()
  }

  suspend(): void {
    this.#heart.rest('sleep')
  }

  resume(): void {
    this.#heart.beat()
  }

  state(peer: PeerId): PresenceState {
    const { members, signer, clock, network } = this.#deps
    if (!members().has(peer)) return 'gone'
    if (peer === signer.peer) return 'online'
    const last = this.#heard.get(peer)
    if (last === undefined || last.beat.kind !== 'beat') return 'away'
    const periods = (clock.monoMs() - last.monoMs) / this.#periodMs()
    if (periods <= ONLINE_PERIODS && network.mayBeReached(peer)) return 'online'
    return periods <= STALE_PERIODS ? 'stale' : 'away'
  }

  lastSeenWallMs(peer: PeerId): number | undefined {
    const { signer, clock } = this.#deps
    return peer === signer.peer ? clock.wallMs() : this.#heard.get(peer)?.wallMs
  }

  rttMs(peer: PeerId): number | undefined {
    return this.#rtts.get(peer)
  }

  lastRenewedMonoMs(peer: PeerId, leaseId: string): number | undefined {
    const last = this.#heard.get(peer)
    return last?.leases.has(leaseId) === true ? last.monoMs : undefined
  }

  onChange(listener: (peer: PeerId) => void): Cancel {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  current(): Uint8Array | undefined {
    return this.#heart.latest
  }

  onBeat(listener: (beat: Uint8Array) => void): Cancel {
    return this.#heart.onBeat(listener)
  }

  receive(bytes: Uint8Array): Heartbeat | undefined {
    const { mesh, crypto, clock, members, signer } = this.#deps
    const beat = decodeHeartbeat(bytes)
    const { peer } = beat
    if (beat.mesh !== mesh) throw new MalformedError('a heartbeat of another mesh')
    if (peer === signer.peer || !members().has(peer) || !isNewer(beat, this.#heard.get(peer)?.beat)) return undefined
    if (!verifyHeartbeat(crypto, beat)) throw new MalformedError('a heartbeat with a bad signature')
    const leases = new Set(beat.kind === 'beat' ? beat.leases : [])
    const [last, monoMs] = [this.#heard.get(peer), clock.monoMs()]
    this.#heard.set(peer, { beat, monoMs, wallMs: clock.wallMs(), leases })
    this.#tell(peer)
    const isFlood =
      last?.beat.kind === beat.kind && last.beat.boot === beat.boot && monoMs - last.monoMs < NEWS_APART_MS
    return isFlood ? undefined : beat
  }

  echoed(from: PeerId, echo: { boot: number; counter: number }): void {
    const sentMs = this.#heart.sentMs(echo)
    if (sentMs === undefined || !this.#deps.members().has(from)) return
    this.#rtts.set(from, this.#deps.clock.monoMs() - sentMs)
  }

  #periodMs(): number {
    return heartbeatPeriodMs(this.#deps.members().size)
  }

  /** Time passes without an event. */
  #look(): void {
    for (const peer of new Set([...this.#told.keys(), ...this.#heard.keys()])) this.#tell(peer)
  }

  #tell(peer: PeerId): void {
    const now = this.state(peer)
    if (this.#told.get(peer) === now) return
    if (now === 'gone') {
      this.#told.delete(peer)
      this.#heard.delete(peer)
      this.#rtts.delete(peer)
    } else this.#told.set(peer, now)
    for (const listener of this.#listeners) listener(peer)
  }
}
