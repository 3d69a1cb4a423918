import type { PeerId } from '../../../crdt/ids.ts'
import { Dialer } from '../../../node/p2p/dialer.ts'
import { Neighbourhood } from '../../../node/p2p/neighbourhood.ts'
import { every, type Cancel, type Clock } from '../../../node/ports/clock.ts'
import type { Random } from '../../../node/ports/random.ts'
import type { Membership } from '../../../protocols/membership/membership.ts'
import { neighboursIn } from '../../../protocols/neighbours.ts'
import type { SimNetwork } from '../ports/sim-network.ts'
import type { MemberNetwork } from './member-network.ts'

const TRIM_EVERY_MS = 60_000
const NO_HUBS: ReadonlySet<PeerId> = new Set()

type Surroundings = {
  /** Everybody with a process, by peer. */
  readonly ends: Map<PeerId, DialledNetwork>
  readonly network: SimNetwork
  readonly clock: Clock
  readonly random: Random
  /** Whose addresses this node knows; outlives its processes. */
  readonly book: Set<PeerId>
}

/**
 * Connections as the real adapter makes and ends them, with its dialer and its choice of neighbours: of all that could
 * be connected, only who was dialled under a known address is.
 */
export class DialledNetwork implements MemberNetwork {
  readonly self: PeerId
  /** Any address does: what matters is who knows of whom. */
  readonly addresses = {
    knownPeers: () => new Map(this.connected().map((peer) => [peer, ['/ip4/192.0.2.1/tcp/1']])),
    learn: (peer: PeerId): void => {
      if (peer === this.self) return
      const isElsewhere = !this.#around.book.has(peer)
      this.#around.book.add(peer)
      this.#dialer.sighted(peer, isElsewhere)
    },
  }
  readonly #base: MemberNetwork
  readonly #around: Surroundings
  readonly #neighbourhood: Neighbourhood
  readonly #dialer: Dialer
  /** Connected peers, and whether we dialled. */
  readonly #links = new Map<PeerId, { readonly outbound: boolean; readonly sinceMs: number }>()
  readonly #connects = new Set<(peer: PeerId) => void>()
  readonly #disconnects = new Set<(peer: PeerId) => void>()

  constructor(base: MemberNetwork, around: Surroundings, membership: () => Membership) {
    this.self = base.self
    this.#base = base
    this.#around = around
    const { clock, random } = around
    const known = (): PeerId[] =>
      [...around.book].filter((peer) => peer !== this.self && membership().members.has(peer))
    this.#neighbourhood = new Neighbourhood({
      neighbours: neighboursIn(this.self, membership, () => NO_HUBS),
      known,
      connected: () => this.connected(),
      random,
    })
    this.#dialer = new Dialer({
      clock,
      random,
      targets: () => this.#neighbourhood.targets(),
      substitutes: () => this.#neighbourhood.substitutes(),
      isConnected: (peer) => this.#links.has(peer),
      dial: async (peer) => this.#dial(peer),
    })
    base.onDisconnect((peer) => this.#lost(peer))
  }

  start(): void {
    this.#base.start()
    this.#around.ends.set(this.self, this)
    this.#dialer.start()
    every(this.#around.clock, TRIM_EVERY_MS, () => this.#trim())
  }

  connected(): PeerId[] {
    return [...this.#links.keys()]
  }

  mayBeReached(peer: PeerId): boolean {
    return this.#links.has(peer) || !this.#neighbourhood.isNeighbour(peer)
  }

  onConnect(listener: (peer: PeerId) => void): Cancel {
    this.#connects.add(listener)
    return () => this.#connects.delete(listener)
  }

  onDisconnect(listener: (peer: PeerId) => void): Cancel {
    this.#disconnects.add(listener)
    return () => this.#disconnects.delete(listener)
  }

  open: MemberNetwork['open'] = async (peer, protocol, signal) => {
    // A stranger is dialled by the address in its ticket, and answers on what is open to everybody.
    if (!this.#links.has(peer)) this.#dial(peer)
    return await this.#base.open(peer, protocol, signal)
  }

  handle: MemberNetwork['handle'] = (protocol, options, serve) => this.#base.handle(protocol, options, serve)

  membersChanged(): void {
    this.#base.membersChanged()
    this.#dialer.dialAll()
  }

  #dial(peer: PeerId): boolean {
    const other = this.#around.ends.get(peer)
    const isThere = other !== undefined && this.#base.connected().includes(peer)
    if (!isThere || !other.#base.connected().includes(this.self)) return false
    other.#linked(this.self, false)
    this.#linked(peer, true)
    return true
  }

  #linked(peer: PeerId, outbound: boolean): void {
    if (this.#links.has(peer)) return
    this.#around.book.add(peer)
    this.#links.set(peer, { outbound, sinceMs: this.#around.clock.monoMs() })
    this.#dialer.connected(peer)
    for (const listener of this.#connects) listener(peer)
  }

  #lost(peer: PeerId): void {
    const link = this.#links.get(peer)
    if (!this.#links.delete(peer) || !link) return
    this.#dialer.disconnected(peer, this.#around.clock.monoMs() - link.sinceMs)
    for (const listener of this.#disconnects) listener(peer)
  }

  #trim(): void {
    const isIdle = (peer: PeerId): boolean => this.#links.get(peer)?.outbound === true
    for (const peer of this.#neighbourhood.surplus(isIdle)) {
      this.#around.network.reset(this.self, peer)
      this.#lost(peer)
      const other = this.#around.ends.get(peer)
      if (other) other.#lost(this.self)
    }
  }
}
