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
import { createSkews } from './presence-skew.ts'
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
  /** The heartbeat to greet a newly connected peer with, now; undefined before `start` and after `stop`. */
  greeting(to: PeerId): Uint8Array | undefined
  /** Every heartbeat, and the goodbye, to be sent to all connected members. */
  onBeat(listener: (beat: Uint8Array) => void): Cancel
  /**
   * Takes in a heartbeat, from its author or from whoever passed it on, and returns it when it is news.
   * @throws MalformedError when it is none, is of another mesh or carries a bad signature
   */
  receive(beat: Uint8Array, from: PeerId): Pick<Heartbeat, 'peer' | 'boot' | 'counter'> | undefined
  echoed(from: PeerId, echo: { boot: number; counter: number }): void
}

export type PresenceService = Presence &
  PresenceLink & {
    /** Resolves once this start has a number of its own on disk; only then are heartbeats sent. */
    start(): Promise<void>
    /** Says goodbye: others see this node as away at once. */
    stop(): void
    /** Which start this is; 0 before it. */
    boot(): number
    /** Last heartbeats of a member that were heard a short while ago, of the two of its processes that were last heard. */
    lately(peer: PeerId): readonly Uint8Array[]
    /** The host is about to be suspended, or has resumed. */
    suspend(): void
    resume(): void
    /** How far the member's wall clock is ahead of ours (negative: behind), as far as its heartbeats tell. */
    skewMs(peer: PeerId): number | undefined
    /** How the member took its leave, if it did: it was stopped, or suspended. */
    farewell(peer: PeerId): 'bye' | 'sleep' | undefined
  }

type Heard = {
  readonly beat: Heartbeat
  readonly bytes: Uint8Array
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
  /** Of members that were heard as two processes in turn: the one that does not count. */
  readonly #others = new Map<PeerId, Heard>()
  readonly #rtts = new Map<PeerId, number>()
  /** The last heartbeat, which may be seconds old then, went to them at this time. */
  readonly #greetedMs = new Map<PeerId, number>()
  readonly #skews = createSkews()
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
        this.#greetedMs.delete(peer)
        this.#tell(peer)
      }),
    )
  }

  stop(): void {
    this.#heart.rest('bye')
    for (const cancel of this.#cancels.splice(0)) cancel()
  }

  boot(): number {
    return this.#heart.boot
  }

  lately(peer: PeerId): readonly Uint8Array[] {
    const heardAfter = this.#deps.clock.monoMs() - STALE_PERIODS * this.#periodMs()
    return [this.#heard.get(peer), this.#others.get(peer)].flatMap((heard) =>
      heard?.beat.kind === 'beat' && heard.monoMs >= heardAfter ? [heard.bytes] : [],
    )
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

  farewell(peer: PeerId): 'bye' | 'sleep' | undefined {
    const kind = this.#heard.get(peer)?.beat.kind
    return kind === 'beat' ? undefined : kind
  }

  skewMs(peer: PeerId): number | undefined {
    return this.#skews.of(peer, this.#rtts.get(peer))
  }

  lastRenewedMonoMs(peer: PeerId, leaseId: string): number | undefined {
    const last = this.#heard.get(peer)
    return last?.leases.has(leaseId) === true ? last.monoMs : undefined
  }

  onChange(listener: (peer: PeerId) => void): Cancel {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  greeting(to: PeerId): Uint8Array | undefined {
    this.#greetedMs.set(to, this.#deps.clock.monoMs())
    return this.#heart.latest
  }

  onBeat(listener: (beat: Uint8Array) => void): Cancel {
    return this.#heart.onBeat(listener)
  }

  receive(bytes: Uint8Array, from: PeerId): Heartbeat | undefined {
    const { mesh, crypto, members, signer } = this.#deps
    const beat = decodeHeartbeat(bytes)
    const { peer } = beat
    if (beat.mesh !== mesh) throw new MalformedError('a heartbeat of another mesh')
    if (peer === signer.peer || !members().has(peer)) return undefined
    const known = this.#heard.get(peer)
    if (!isNewer(beat, known?.beat)) {
      // Not verified: it came from its author, and whoever is told of it looks at the signature.
      if (peer === from && known && beat.boot < known.beat.boot && isNewer(beat, this.#others.get(peer)?.beat))
        this.#others.set(peer, this.#hear(beat, bytes))
      return undefined
    }
    if (!verifyHeartbeat(crypto, beat)) throw new MalformedError('a heartbeat with a bad signature')
    if (known && known.beat.boot < beat.boot) this.#others.set(peer, known)
    const heard = this.#hear(beat, bytes)
    this.#heard.set(peer, heard)
    // What is passed on has been on its way for seconds.
    if (peer === from) this.#skews.heard(peer, beat.at - heard.wallMs)
    this.#tell(peer)
    return known && isFlood(known, heard) ? undefined : beat
  }

  echoed(from: PeerId, echo: { boot: number; counter: number }): void {
    const sentMs = this.#heart.sentMs(echo)
    if (sentMs === undefined || !this.#deps.members().has(from)) return
    const leftMs = Math.max(sentMs, this.#greetedMs.get(from) ?? -Infinity)
    this.#rtts.set(from, this.#deps.clock.monoMs() - leftMs)
  }

  #hear(beat: Heartbeat, bytes: Uint8Array): Heard {
    const { clock } = this.#deps
    const leases = new Set(beat.kind === 'beat' ? beat.leases : [])
    return { beat, bytes, monoMs: clock.monoMs(), wallMs: clock.wallMs(), leases }
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
      this.#others.delete(peer)
      this.#rtts.delete(peer)
      this.#greetedMs.delete(peer)
      this.#skews.forget(peer)
    } else this.#told.set(peer, now)
    for (const listener of this.#listeners) listener(peer)
  }
}

const isFlood = (before: Heard, now: Heard): boolean =>
  before.beat.kind === now.beat.kind && before.beat.boot === now.beat.boot && now.monoMs - before.monoMs < NEWS_APART_MS
