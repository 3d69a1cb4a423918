import type { PeerId } from '../../crdt/ids.ts'
import { randomFraction, type Random } from '../ports/random.ts'

/** While fewer members are connected, others stand in: a node whose neighbours sleep must not be alone. */
export const CONNECTED_MIN = 8

export type NeighbourhoodDeps = {
  /** Members to keep a connection with. */
  readonly neighbours: () => ReadonlySet<PeerId>
  /** Other members with a known address. */
  readonly known: () => readonly PeerId[]
  /** Members connected right now, for whatever reason. */
  readonly connected: () => readonly PeerId[]
  readonly random: Random
}

/** Decides which connections a node keeps: in a large mesh a bounded number, and never too few. */
export class Neighbourhood {
  readonly #deps: NeighbourhoodDeps

  constructor(deps: NeighbourhoodDeps) {
    this.#deps = deps
  }

  isNeighbour(peer: PeerId): boolean {
    return this.#deps.neighbours().has(peer)
  }

  /** To be dialled until they are connected. */
  targets(): PeerId[] {
    const neighbours = this.#deps.neighbours()
    return this.#deps.known().filter((peer) => neighbours.has(peer))
  }

  /** To be tried once each while too few are connected: others each time. */
  substitutes(): PeerId[] {
    const connected = new Set(this.#deps.connected())
    const missing = CONNECTED_MIN - connected.size
    if (missing <= 0) return []
    const others = this.#deps.known().filter((peer) => !this.isNeighbour(peer) && !connected.has(peer))
    return Array.from({ length: Math.min(missing, others.length) }, () => this.#takeOne(others))
  }

  /** Connected, and not needed: no neighbour, idle, and enough are left without it. */
  surplus(isIdle: (peer: PeerId) => boolean): PeerId[] {
    const connected = this.#deps.connected()
    const idle = connected.filter((peer) => !this.isNeighbour(peer) && isIdle(peer))
    return idle.slice(0, Math.max(0, connected.length - CONNECTED_MIN))
  }

  #takeOne(peers: PeerId[]): PeerId {
    const [one] = peers.splice(Math.floor(randomFraction(this.#deps.random) * peers.length), 1)
    if (one === undefined) throw new Error('there is nobody to take')
    return one
  }
}
