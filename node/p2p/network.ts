import { randomBytes } from 'node:crypto'
import { PeerId } from '../../crdt/ids.ts'
import { SYNC_PROTOCOL } from '../../protocols/sync.ts'
import { every, type Cancel } from '../ports/clock.ts'
import type { Channel, ProtocolOptions } from '../ports/peer-network.ts'
import type { Way } from '../ports/peer-ways.ts'
import { createAddressBook } from './address-book.ts'
import type { AddressBook } from './address-book.ts'
import { acceptLanHints, normaliseAddress } from './addresses.ts'
import { Conduct } from './conduct.ts'
import { createConnectionGate } from './connection-gate.ts'
import { ConnectionTable } from './connection-table.ts'
import { Dialer } from './dialer.ts'
import { keepAlive } from './keep-alive.ts'
import type { LanPeer } from './lan-packets.ts'
import type { Libp2pNetwork, PeerNetworkOptions } from './libp2p-network.ts'
import { createLibp2pNode, type Libp2pNode } from './libp2p-node.ts'
import { lookupPolicies } from './lookup.ts'
import { Neighbourhood } from './neighbourhood.ts'
import { ProtocolHost } from './protocol-host.ts'
import { Reach } from './reach.ts'
import { relayPolicies, reservationsOf } from './relay.ts'
import { wayOf } from './ways.ts'
import { watchHost } from './watch-host.ts'

/** Connections that nobody needs any more are looked for so often. */
const TRIM_EVERY_MS = 60_000

/**
 * Makes the network of one node. Identity is always the peer id: an address is only a place to try. Peers that are not
 * members can use protocols with the policy `anyone` and are hung up on after 15 s.
 */
export async function createPeerNetwork(options: PeerNetworkOptions): Promise<Libp2pNetwork> {
  const { isMember, mayOpen, clock, log } = options
  const book = createAddressBook({ store: options.knownAddresses, clock, log })
  const table = new ConnectionTable(isMember, clock)
  const conduct = new Conduct(clock, options.onMisconduct ?? (() => undefined))
  const host = new ProtocolHost({
    allowed: (peer, policy) => (policy.who === 'anyone' || isMember(peer)) && mayOpen(peer, policy),
    log,
    conduct,
    heard: (connection) => table.heard(connection),
  })
  const libp2p = await createLibp2pNode({
    seed: options.seed,
    mesh: options.mesh,
    listen: options.listen,
    agent: options.agent ?? 'rookery',
    gater: createConnectionGate({ isMember, isRemoved: options.isRemoved ?? (() => false) }),
    view: {
      isMember,
      mayOpen: (peer) => conduct.mayOpen(peer),
      addressesOf: (peer) => book.of(peer),
      policies: {
        ...relayPolicies(isMember, (relay) => reservationsOf(libp2p.relayTransport).hasReservation(relay)),
        ...lookupPolicies(options.mesh, isMember),
      },
    },
    lan: options.mdns
      ? { clock, onPeer: (peer, from) => network.onLanPeer(peer, from), isMissing: () => network.isMissingSomebody() }
      : undefined,
  })
  const network: Network = new Network({ options, libp2p, book, table, host })
  await book.load()
  return network
}

type Parts = {
  readonly options: PeerNetworkOptions
  readonly libp2p: Libp2pNode
  readonly book: AddressBook
  readonly table: ConnectionTable
  readonly host: ProtocolHost
}

class Network implements Libp2pNetwork {
  readonly self: PeerId
  readonly #options: PeerNetworkOptions
  readonly #libp2p: Libp2pNode
  readonly #book: AddressBook
  readonly #table: ConnectionTable
  readonly #host: ProtocolHost
  readonly #neighbourhood: Neighbourhood
  readonly #dialer: Dialer
  readonly #reach: Reach
  #cancelWatch: Cancel = () => undefined
  #cancelTrim: Cancel = () => undefined
  #cancelKeepAlive: Cancel = () => undefined

  constructor({ options, libp2p, book, table, host }: Parts) {
    this.self = PeerId.parse(libp2p.node.peerId.toString())
    this.#options = options
    this.#libp2p = libp2p
    this.#book = book
    this.#table = table
    this.#host = host
    const random = options.random ?? { bytes: (count: number) => randomBytes(count) }
    const known = (): PeerId[] => book.peers().filter((peer) => peer !== this.self && options.isMember(peer))
    const { neighbours = () => new Set(known()) } = options
    this.#neighbourhood = new Neighbourhood({ neighbours, known, connected: () => table.members(), random })
    this.#dialer = new Dialer({
      clock: options.clock,
      random,
      targets: () => this.#neighbourhood.targets(),
      substitutes: () => this.#neighbourhood.substitutes(),
      isConnected: (peer) => table.isConnected(peer),
      dial: (peer, signal) => this.#dialKnown(peer, signal),
    })
    const onSighted: Dialer['sighted'] = (peer, isElsewhere) => this.#dialer.sighted(peer, isElsewhere)
    this.#reach = new Reach({ self: this.self, options, libp2p, book, table, host, onSighted })
    table.onMember((peer) => {
      this.#dialer.connected(peer)
      this.#reach.connected(peer)
    })
    table.onFurther((peer, connection) => this.#reach.connectedAgain(peer, connection))
    table.onFewer((peer) => this.#reach.connectedLess(peer))
    table.onMemberLost((peer, lastedMs) => {
      this.#reach.lost(peer)
      this.#dialer.disconnected(peer, lastedMs)
    })
  }

  get channelCount(): number {
    return this.#host.channelCount
  }

  async start(): Promise<void> {
    const { node } = this.#libp2p
    await this.#reach.serve()
    await this.#host.start(node)
    node.addEventListener('connection:open', (event) => {
      this.#table.add(event.detail)
    })
    node.addEventListener('connection:close', (event) => this.#table.remove(event.detail))
    await node.start()
    await this.#reach.start()
    this.#refuseUndeclared()
    this.#dialer.start()
    this.#cancelKeepAlive = keepAlive(this.#table, this.#options.clock)
    this.#cancelTrim = every(this.#options.clock, TRIM_EVERY_MS, () => this.#trim())
    this.#cancelWatch = watchHost(this.#options.clock, () => {
      this.#reach.hostChanged()
      this.#dialer.startOver()
    })
  }

  /** A package that had found its way around the gate would be an open door. */
  #refuseUndeclared(): void {
    const { node, policies } = this.#libp2p
    const undeclared = node.getProtocols().filter((protocol) => !this.#host.serves(protocol) && !(protocol in policies))
    if (undeclared.length > 0) throw new Error(`served without a policy: ${undeclared.join(', ')}`)
  }

  async stop(): Promise<void> {
    this.#cancelTrim()
    this.#cancelKeepAlive()
    this.#cancelWatch()
    this.#dialer.stop()
    this.#host.abortAll(new Error('the node stops'))
    this.#table.stop()
    await this.#reach.stop()
    await this.#libp2p.node.stop()
    await this.#book.flush()
  }

  addresses(): string[] {
    return this.#reach.addresses()
  }

  connected(): readonly PeerId[] {
    return this.#table.members()
  }

  mayBeReached(peer: PeerId): boolean {
    if (this.#table.isConnected(peer)) return true
    return this.#options.isMember(peer) && !this.#neighbourhood.isNeighbour(peer) && this.#book.of(peer).length > 0
  }

  onConnect(listener: (peer: PeerId) => void): Cancel {
    return this.#table.onMember(listener)
  }

  onDisconnect(listener: (peer: PeerId) => void): Cancel {
    return this.#table.onMemberLost(listener)
  }

  handle(protocol: string, options: ProtocolOptions, serve: (channel: Channel) => Promise<void>): void {
    this.#host.handle(protocol, options, serve)
  }

  async open(peer: PeerId, protocol: string, signal: AbortSignal): Promise<Channel> {
    signal.throwIfAborted()
    if (this.#table.connectionTo(peer) === undefined) await this.#reach.connect(peer, signal)
    const connection = this.#table.connectionTo(peer)
    if (connection === undefined) throw new Error(`${peer} hung up`)
    return await this.#host.open(connection, peer, protocol, signal)
  }

  async dialAddresses(peer: PeerId, addresses: readonly string[], signal: AbortSignal): Promise<void> {
    const usable = addresses.map(normaliseAddress).filter((address) => address !== undefined)
    if (this.#table.directTo(peer) === undefined) await this.#reach.connector.connect(peer, usable, signal)
  }

  connectionOf(peer: PeerId): { readonly address: string; readonly since: number } | undefined {
    const connection = this.#table.connectionTo(peer)
    return connection && { address: connection.remoteAddr.toString(), since: connection.timeline.open }
  }

  wayTo(peer: PeerId): Way {
    return wayOf({
      connection: this.#table.connectionTo(peer),
      agent: this.#reach.agentOf(peer),
      failed: this.#reach.connector.attempts(peer),
      isAnyAddressKnown: this.#book.of(peer).length > 0,
      isNeighbour: this.#neighbourhood.isNeighbour(peer),
      nextTryInMs: this.#dialer.stateOf(peer).nextTryInMs,
    })
  }

  refusers(): readonly PeerId[] {
    return this.#dialer.refusers()
  }

  closePeer(peer: PeerId): void {
    const reason = new Error('connection closed on purpose')
    this.#host.abortAll(reason, peer)
    this.#table.abort(peer, reason)
  }

  membersChanged(): void {
    this.#host.recheck()
    const { isRemoved = () => false } = this.#options
    for (const peer of new Set([...this.#table.refresh(), ...this.#book.peers().filter(isRemoved)])) {
      this.closePeer(peer)
      this.#book.forget(peer)
      this.#reach.removed(peer)
    }
    this.#dialer.dialAll()
  }

  knownPeers(): ReadonlyMap<PeerId, readonly string[]> {
    return new Map(this.#table.members().map((peer) => [peer, this.#book.of(peer)]))
  }

  learn(peer: PeerId, addresses: readonly string[], teller: PeerId): void {
    this.#reach.learn(peer, addresses, teller)
  }

  /** A member that could be found on the LAN. */
  isMissingSomebody(): boolean {
    return this.#neighbourhood.targets().some((peer) => !this.#table.isConnected(peer))
  }

  onLanPeer(found: LanPeer, from: string): void {
    const peer = PeerId.safeParse(found.id)
    if (!peer.success || peer.data === this.self || !this.#options.isMember(peer.data)) return
    const isElsewhere = this.#book.hint(peer.data, acceptLanHints(found.multiaddrs, from))
    this.#dialer.sighted(peer.data, isElsewhere)
  }

  /** Only who dialled hangs up: to the other side it may be a neighbour's connection. */
  #trim(): void {
    const isIdle = (peer: PeerId): boolean =>
      this.#table.connectionTo(peer)?.direction === 'outbound' &&
      !this.#reach.isThrough(peer) &&
      this.#host.protocolsWith(peer).every((protocol) => protocol === SYNC_PROTOCOL)
    for (const peer of this.#neighbourhood.surplus(isIdle)) this.closePeer(peer)
  }

  async #dialKnown(peer: PeerId, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#reach.connect(peer, signal)
      return true
    } catch (error) {
      this.#options.log.debug({ peer, error: String(error) }, 'member could not be reached')
      return false
    }
  }
}
