import {
  circuitRelayServer,
  RELAY_V2_HOP_CODEC,
  RELAY_V2_STOP_CODEC,
  type CircuitRelayService,
} from '@libp2p/circuit-relay-v2'
import { start, stop, type Connection, type PeerId as LibPeerId, type Transport } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { PeerId } from '../../crdt/ids.ts'
import type { Cancel, Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import { circuitThrough, isRelayed } from './addresses.ts'
import type { Libp2pNode } from './libp2p-node.ts'
import type { StreamPolicy } from './member-components.ts'

export const RELAY_PROTOCOL = RELAY_V2_HOP_CODEC
const RELAYED_PROTOCOL = RELAY_V2_STOP_CODEC

/** Two, so that one may go; each costs a message every hour. */
const RELAYS_MAX = 2
/** A relay that refused is asked again. */
const RETRY_MS = 60_000
/** Members that may be reached through this node: as many as a mesh has that is still fully connected, and some. */
const RESERVATIONS_MAX = 128
const RESERVATION_MS = 2 * 60 * 60_000
const RENEW_MS = RESERVATION_MS / 2
/** Of one relayed connection: then it is cut and made anew. The members are our own, but a relay's link is not for free. */
const RELAYED_BYTES_MAX = 8n * 1024n ** 3n
const RELAYED_MS_MAX = 12 * 60 * 60_000
/** Relayed connections that one member may have through this node to the others. */
const RELAYED_PER_MEMBER_MAX = 64
/** Asking the relay and being answered by the member behind it. */
const HOP_MS = 10_000
/** Who is to be reached. */
const REQUEST_BYTES_MAX = 1024
/** A place at a relay comes with all addresses of the relay. */
const ANSWER_BYTES_MAX = 8 * 1024

export type RelayDeps = {
  readonly libp2p: Pick<Libp2pNode, 'components' | 'members' | 'relayTransport'>
  readonly isMember: (peer: PeerId) => boolean
  readonly clock: Clock
  readonly log: Log
  /** The relays through which this node can be reached have changed. */
  readonly onChange: () => void
}

/**
 * Carries connections between members that cannot reach each other (the relay sees ciphertext: the handshake is between
 * the two ends), and finds relays for this node when nobody can reach it.
 */
export class Relay {
  readonly #deps: RelayDeps
  readonly #reservations: Reservations
  readonly #asking = new Set<PeerId>()
  /** Each with what calls off its renewal. */
  readonly #held = new Map<PeerId, Cancel>()
  /** Lately. */
  readonly #refused = new Set<PeerId>()
  #server: CircuitRelayService | undefined
  #isWanted = false
  #isStarted = false
  #candidates: () => readonly Connection[] = () => []
  #cancelRetry: Cancel | undefined

  constructor(deps: RelayDeps) {
    this.#deps = deps
    this.#reservations = reservationsOf(deps.libp2p.relayTransport)
    this.#reservations.addEventListener('relay:removed', (event) => {
      const peer = PeerId.safeParse(event.detail.relay.toString())
      if (!peer.success || !this.#held.has(peer.data)) return
      this.#held.get(peer.data)?.()
      this.#held.delete(peer.data)
      deps.onChange()
      this.tend()
    })
  }

  /** Whether members may ask for a place here. */
  get serves(): boolean {
    return this.#isWanted && this.#isStarted
  }

  /**
   * Offers places to members from now on, or no more. Places that were given are kept: who has one would not be told, and
   * would be looked for where nobody knows it any more, until it asks again after an hour.
   */
  async serve(on: boolean): Promise<void> {
    this.#isWanted = on
    if (!on || this.#server !== undefined) return
    this.#server = circuitRelayServer({
      hopTimeout: HOP_MS,
      maxInboundHopStreams: RELAYED_PER_MEMBER_MAX,
      maxOutboundStopStreams: RELAYED_PER_MEMBER_MAX,
      reservations: {
        maxReservations: RESERVATIONS_MAX,
        reservationTtl: RESERVATION_MS,
        defaultDataLimit: RELAYED_BYTES_MAX,
        defaultDurationLimit: RELAYED_MS_MAX,
      },
    })(this.#deps.libp2p.members.components)
    await start(this.#server)
    this.#isStarted = true
  }

  async stop(): Promise<void> {
    this.#cancelRetry?.()
    for (const cancelRenewal of this.#held.values()) cancelRenewal()
    this.#candidates = () => []
    this.#isWanted = false
    await stop(this.#server)
  }

  /** Keeps this node reachable through up to two of these members. A place that it has is kept, whoever they are then. */
  seek(candidates: () => readonly Connection[]): void {
    this.#candidates = candidates
    this.tend()
  }

  /** To be called when there may be other candidates than before. */
  tend(): void {
    const isFree = (peer: PeerId): boolean => ![this.#asking, this.#held, this.#refused].some((set) => set.has(peer))
    const free = this.#candidates().filter((connection) => isFree(peerOf(connection)))
    const missing = RELAYS_MAX - this.#held.size - this.#asking.size
    for (const connection of free.slice(0, Math.max(0, missing))) void this.#reserve(connection.remotePeer)
  }

  /** Where this node can be reached through others. */
  addresses(): string[] {
    return [...this.#held.keys()].map(circuitThrough)
  }

  /** Whether this node is, or is about to be, reachable through it. */
  isThrough(peer: PeerId): boolean {
    return this.#held.has(peer) || this.#asking.has(peer)
  }

  /** A removed member loses its place; what is carried for it ends with its connection. */
  forget(peer: PeerId): void {
    for (const reserved of this.#server?.reservations.keys() ?? [])
      if (reserved.toString() === peer) this.#server?.reservations.delete(reserved)
  }

  /** Connects to a member through another one we are directly connected to. */
  async dial(peer: PeerId, relay: Connection, signal: AbortSignal): Promise<Connection> {
    const through = `${relay.remoteAddr.toString().replace(/\/p2p\/.*$/, '')}/p2p/${peerOf(relay)}`
    const address = multiaddr(`${through}/p2p-circuit/p2p/${peer}`)
    return await this.#deps.libp2p.components.transportManager.dial(address, { signal })
  }

  /** Takes a place, or renews it. */
  async #reserve(relay: LibPeerId): Promise<void> {
    const peer = relay.toString() as PeerId
    const isNew = !this.#held.has(peer)
    this.#asking.add(peer)
    try {
      takeOver(await this.#reservations.addRelay(relay, 'configured'))
      this.#held.get(peer)?.()
      this.#held.set(
        peer,
        this.#deps.clock.after(RENEW_MS, () => void this.#reserve(relay)),
      )
    } catch (error) {
      this.#deps.log.debug({ peer, error: String(error) }, 'no place at this relay')
      this.#refused.add(peer)
      this.#cancelRetry ??= this.#deps.clock.after(RETRY_MS, () => this.#retry())
    } finally {
      this.#asking.delete(peer)
    }
    if (isNew && this.#held.has(peer)) this.#deps.onChange()
    this.tend()
  }

  #retry(): void {
    this.#cancelRetry = undefined
    this.#refused.clear()
    this.tend()
  }
}

/** Who may use the relay's protocols: members over a direct connection, and to reach us only relays we have asked. */
export function relayPolicies(
  isMember: (peer: PeerId) => boolean,
  reserved: (relay: LibPeerId) => boolean,
): Readonly<Record<string, StreamPolicy>> {
  const isDirectMember: StreamPolicy['may'] = (peer, { remoteAddr }) => isMember(peer) && !isRelayed(remoteAddr)
  const words = { requestBytesMax: REQUEST_BYTES_MAX, answerBytesMax: ANSWER_BYTES_MAX, carries: true }
  return {
    [RELAY_PROTOCOL]: { ...words, may: isDirectMember },
    [RELAYED_PROTOCOL]: {
      ...words,
      may: (peer, connection) => isDirectMember(peer, connection) && reserved(connection.remotePeer),
    },
  }
}

const peerOf = (connection: Connection): PeerId => connection.remotePeer.toString() as PeerId

/** What the relay's transport keeps of a place at a relay. */
type Place = { readonly details: { readonly timeout: NodeJS.Timeout; readonly reservation: { expire: bigint } } }

/** What the relay's transport has beyond the interface. */
type Reservations = {
  addRelay(peer: LibPeerId, type: 'configured'): Promise<Place>
  hasReservation(peer: LibPeerId): boolean
  addEventListener(type: 'relay:removed', listener: (event: CustomEvent<{ relay: LibPeerId }>) => void): void
}

/** @throws when this is not the transport of circuit relay v2 as we know it */
export function reservationsOf(transport: Transport): Reservations {
  const store: unknown = 'reservationStore' in transport ? transport.reservationStore : undefined
  if (!isReservations(store)) throw new Error('the relay transport has no reservations')
  return store
}

/**
 * The package would renew a place when it runs out by the relay's wall clock as read on ours: of a relay whose clock is
 * ahead, only long after it is gone. We do so by a clock of our own, and for that the place has to count as run out.
 */
function takeOver(place: Place): void {
  clearTimeout(place.details.timeout)
  place.details.reservation.expire = 0n
}

const isReservations = (value: unknown): value is Reservations =>
  typeof value === 'object' &&
  value !== null &&
  'addRelay' in value &&
  typeof value.addRelay === 'function' &&
  'hasReservation' in value &&
  typeof value.hasReservation === 'function'
