import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { PeerId } from '../../crdt/ids.ts'
import type { Channel } from '../ports/peer-network.ts'
import type { AddressBook } from './address-book.ts'
import { acceptHints, hostOf, isRelayed, isThisHost, normaliseAddress, type Teller } from './addresses.ts'
import type { ConnectionTable } from './connection-table.ts'
import { Connector } from './connector.ts'
import { DirectUpgrade } from './direct-upgrade.ts'
import { INTRODUCTION_OPTIONS, INTRODUCTION_PROTOCOL, type Introduction, type Own } from './introduction.ts'
import { Introductions } from './introductions.ts'
import type { Libp2pNode } from './libp2p-node.ts'
import { createLookup, type Lookup } from './lookup.ts'
import type { PeerNetworkOptions } from './libp2p-network.ts'
import { OlderConnections } from './older-connections.ts'
import type { ProtocolHost } from './protocol-host.ts'
import { DIAL_BACK_OPTIONS, DIAL_BACK_PROTOCOL, Reachability } from './reachability.ts'
import { Relay, RELAY_PROTOCOL } from './relay.ts'

/** A member that cannot be found is looked up again after this time, at the soonest. */
const LOOKUP_AGAIN_MS = 60_000
/** A member that asks to be dialled back is waited for so long at each address. */
const DIAL_BACK_MS = 5000

export type ReachParts = {
  readonly self: PeerId
  readonly options: PeerNetworkOptions
  readonly libp2p: Libp2pNode
  readonly book: AddressBook
  readonly table: ConnectionTable
  readonly host: ProtocolHost
  /** A connected member has met another one, at addresses that are new or not. */
  readonly onSighted: (peer: PeerId, isElsewhere: boolean) => void
}

/** What a connected member has said of itself last. */
type Known = Pick<Introduction, 'agent' | 'protocols' | 'addresses'>

/** How members are found and connected: directly, through a relay, directly after all. */
export class Reach {
  readonly connector: Connector
  readonly #parts: ReachParts
  readonly #introductions: Introductions
  readonly #relay: Relay
  readonly #lookup: Lookup | undefined
  readonly #reachability: Reachability
  readonly #upgrade: DirectUpgrade
  readonly #older: OlderConnections
  readonly #known = new Map<PeerId, Known>()
  readonly #connecting = new Map<PeerId, Promise<void>>()
  readonly #lookedUpMs = new Map<PeerId, number>()
  readonly #running = new AbortController()

  constructor(parts: ReachParts) {
    this.#parts = parts
    const { options, libp2p, book, table } = parts
    const { clock, log, isMember } = options
    const { transportManager } = libp2p.components
    const confirm = (connection: Connection): void =>
      book.confirm(PeerId.parse(connection.remotePeer.toString()), connection.remoteAddr.toString())
    const open = (protocol: string) => (peer: PeerId, signal: AbortSignal) => this.#open(peer, protocol, signal)
    this.#relay = new Relay({ libp2p, isMember, clock, log, onChange: () => this.#introductions.announce() })
    this.connector = new Connector({
      self: parts.self,
      clock,
      dial: async (address, signal) => confirm(await transportManager.dial(multiaddr(address), { signal })),
      dialThrough: async (peer, relay, signal) => confirm(await this.#relay.dial(peer, relay, signal)),
      relay: (peer) => (isMember(peer) ? table.directTo(peer) : undefined),
    })
    this.#introductions = new Introductions({
      clock,
      log,
      open: open(INTRODUCTION_PROTOCOL),
      connected: () => table.members(),
      own: (peer) => this.#own(peer),
      onIntroduced: (peer, introduction) => this.#introduced(peer, introduction),
    })
    this.#reachability = new Reachability({
      clock,
      log,
      open: open(DIAL_BACK_PROTOCOL),
      listening: () =>
        this.#listening()
          .map(normaliseAddress)
          .filter((address) => address !== undefined),
      dialBack: (peer, addresses) => this.#dialBack(peer, addresses),
      onChange: () => void this.#reachable().then(() => this.#introductions.announce()),
    })
    this.#upgrade = new DirectUpgrade({
      clock,
      isRelayed: (peer) => table.isConnected(peer) && table.directTo(peer) === undefined,
      tryDirect: (peer) => this.#tryDirect(peer),
    })
    this.#older = new OlderConnections({
      clock,
      log,
      table,
      host: parts.host,
      exchange: (channel) => this.#introductions.exchange(channel),
    })
    this.#lookup = options.dht === false ? undefined : createLookup(options.mesh, libp2p.members, log)
  }

  /** Before the network starts: who comes first must not be told less than who comes later. */
  async serve(): Promise<void> {
    const { host } = this.#parts
    host.handle(INTRODUCTION_PROTOCOL, INTRODUCTION_OPTIONS, (channel) => this.#introductions.exchange(channel))
    host.handle(DIAL_BACK_PROTOCOL, DIAL_BACK_OPTIONS, (channel) => this.#reachability.serve(channel))
    await this.#reachable()
  }

  /** Once it has. */
  async start(): Promise<void> {
    await this.#lookup?.start()
    this.#relay.seek(() => this.#relays())
  }

  async stop(): Promise<void> {
    this.#running.abort(new Error('the node stops'))
    this.#introductions.stop()
    this.#upgrade.stop()
    await this.#relay.stop()
    await this.#lookup?.stop()
  }

  /** Whether others reach this node through the member. */
  isThrough(peer: PeerId): boolean {
    return this.#relay.isThrough(peer)
  }

  /** Where others can dial this node without a relay, public ones first if others have reached it there. */
  addresses(): string[] {
    const proven = this.#reachability.proven.map((address) => `${address}/p2p/${this.#parts.self}`)
    return [...new Set([...proven, ...this.#listening()])]
  }

  /** What a connected member has said of itself. */
  agentOf(peer: PeerId): string | undefined {
    return this.#known.get(peer)?.agent
  }

  /** Rejects when nothing works. Who asks at the same time waits for the same. */
  async connect(peer: PeerId, signal: AbortSignal): Promise<void> {
    const connecting = this.#connecting.get(peer) ?? this.#connect(peer).finally(() => this.#connecting.delete(peer))
    this.#connecting.set(peer, connecting)
    await untilAborted(connecting, signal)
  }

  /** A first connection to the member. */
  connected(peer: PeerId): void {
    void this.#introduce(peer)
    this.#upgrade.hurry(peer)
  }

  /** One more. The other side may have lost the older ones without our noticing; a direct one makes relays idle. */
  connectedAgain(peer: PeerId, connection: Connection): void {
    if (connection.direction === 'inbound') this.#older.doubtAll(peer, connection)
    this.#older.retireRelayed(peer)
  }

  /** One less. If that was the direct one, another is looked for. */
  connectedLess(peer: PeerId): void {
    this.#upgrade.hurry(peer)
  }

  lost(peer: PeerId): void {
    this.#known.delete(peer)
    this.#relay.tend()
  }

  removed(peer: PeerId): void {
    this.connector.forget(peer)
    this.#lookedUpMs.delete(peer)
    this.#relay.forget(peer)
  }

  /** The host was asleep, or has other addresses: whoever does not answer now is dialled anew. */
  hostChanged(): void {
    this.#reachability.startOver()
    this.#lookedUpMs.clear()
    for (const peer of this.#parts.table.members()) this.#older.doubtAll(peer)
  }

  /** Where another member is, on the word of `teller`, which is connected with it. */
  learn(peer: PeerId, addresses: readonly string[], teller: PeerId): void {
    const { self, options, onSighted } = this.#parts
    if (peer !== self && options.isMember(peer)) onSighted(peer, this.#hear(peer, addresses, teller))
  }

  #listening(): string[] {
    return this.#parts.libp2p.node.getMultiaddrs().map((address) => address.toString())
  }

  /** Keeps those addresses of a member that make sense from here. Tells whether any is new. */
  #hear(peer: PeerId, addresses: readonly string[], teller: PeerId): boolean {
    const { self, options, table, book } = this.#parts
    const connection = table.connectionTo(teller)
    if (connection === undefined || !options.isMember(peer)) return false
    // Through ourselves is no way for us, but one to tell others of.
    const mayRelay = (relay: PeerId): boolean => relay !== peer && (relay === self || options.isMember(relay))
    const usable = acceptHints(addresses, { ...tellerAt(connection), mayRelay })
    const isNew = peer === teller ? book.told(peer, usable) : book.hint(peer, usable)
    if (isNew) this.#upgrade.hurry(peer)
    return isNew
  }

  #own(peer: PeerId): Own {
    const seen = this.#parts.table.directTo(peer)
    return {
      agent: this.#parts.options.agent ?? 'rookery',
      addresses: [...this.addresses(), ...this.#relay.addresses()],
      observed: seen?.remoteAddr.toString(),
      protocols: [...(this.#relay.serves ? [RELAY_PROTOCOL] : []), ...(this.#lookup ? [this.#lookup.protocol] : [])],
    }
  }

  #introduced(peer: PeerId, { agent, addresses, observed, protocols, others }: Introduction): void {
    const before = this.#known.get(peer)
    this.#known.set(peer, { agent, protocols, addresses })
    this.#hear(peer, addresses, peer)
    // Only what the member itself has changed is news: else two could tell each other the same for ever.
    if (before?.addresses.join() !== addresses.join()) this.#introductions.passOn(peer, this.#parts.book.of(peer))
    for (const [other, theirs] of others) this.learn(other, theirs, peer)
    const connection = this.#parts.table.directTo(peer)
    if (connection !== undefined) {
      if (this.#lookup && protocols.includes(this.#lookup.protocol)) this.#lookup.introduced(connection)
      void this.#reachability.seen(peer, observed)
    }
    this.#relay.tend()
  }

  /** Members to be reached through, when this node is not known to be reachable by itself. */
  #relays(): Connection[] {
    if (this.#reachability.proven.length > 0 || this.#parts.options.relay === 'on') return []
    return [...this.#known].flatMap(([peer, { protocols }]) => {
      const connection = protocols.includes(RELAY_PROTOCOL) ? this.#parts.table.directTo(peer) : undefined
      return connection === undefined ? [] : [connection]
    })
  }

  async #reachable(): Promise<void> {
    const { relay = 'auto', log } = this.#parts.options
    try {
      await this.#relay.serve(relay === 'on' || (relay === 'auto' && this.#reachability.proven.length > 0))
    } catch (error) {
      log.warn({ err: error }, 'this node could not begin, or end, to relay for others')
    }
  }

  /** Until the member answers: one that is busy when everybody comes back at once takes longer than it is waited for. */
  async #introduce(peer: PeerId): Promise<void> {
    const { table } = this.#parts
    while (table.isConnected(peer) && !this.#running.signal.aborted)
      if (await this.#introductions.introduce(peer)) return
  }

  async #open(peer: PeerId, protocol: string, signal: AbortSignal): Promise<Channel> {
    const connection = this.#parts.table.connectionTo(peer)
    if (connection === undefined) throw new Error(`${peer} is not connected`)
    return await this.#parts.host.open(connection, peer, protocol, signal)
  }

  async #connect(peer: PeerId): Promise<void> {
    const { book } = this.#parts
    const { signal } = this.#running
    try {
      await this.connector.connect(peer, book.of(peer), signal)
    } catch (error) {
      if (!(await this.#lookUp(peer))) throw error
      await this.connector.connect(peer, book.of(peer), signal)
    }
  }

  async #lookUp(peer: PeerId): Promise<boolean> {
    const { options } = this.#parts
    const nowMs = options.clock.monoMs()
    const protocol = this.#lookup?.protocol
    const isDue = nowMs - (this.#lookedUpMs.get(peer) ?? -Infinity) >= LOOKUP_AGAIN_MS
    const mayAnswer =
      protocol !== undefined && [...this.#known.values()].some((known) => known.protocols.includes(protocol))
    if (!this.#lookup || !isDue || !mayAnswer || !options.isMember(peer)) return false
    this.#lookedUpMs.set(peer, nowMs)
    const found = await this.#lookup.find(peer, this.#running.signal)
    return found.map(({ addresses, teller }) => this.#hear(peer, addresses, teller)).includes(true)
  }

  async #tryDirect(peer: PeerId): Promise<void> {
    try {
      await this.connector.direct(peer, this.#parts.book.of(peer), this.#running.signal)
    } catch (error) {
      this.#parts.options.log.debug({ peer, error: String(error) }, 'still no way without the relay')
    }
  }

  async #dialBack(peer: PeerId, addresses: readonly string[]): Promise<string[]> {
    const connection = this.#parts.table.connectionTo(peer)
    if (connection === undefined) return []
    const reached: string[] = []
    for (const address of acceptHints(addresses, tellerAt(connection))) {
      try {
        const signal = AbortSignal.any([this.#running.signal, AbortSignal.timeout(DIAL_BACK_MS)])
        const dialled = await this.#parts.libp2p.components.transportManager.dial(multiaddr(`${address}/p2p/${peer}`), {
          signal,
        })
        reached.push(address)
        await dialled.close()
      } catch (error) {
        this.#parts.options.log.debug({ peer, address, error: String(error) }, 'could not be dialled back')
      }
    }
    return reached
  }
}

/** Behind a relay is somewhere else, even when the relay is on this host. */
function tellerAt({ remoteAddr }: Connection): Teller {
  const host = isRelayed(remoteAddr) ? undefined : hostOf(remoteAddr)
  return { onThisHost: host !== undefined && isThisHost(host) }
}

async function untilAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>()
  const onAbort = (): void => reject(signal.reason)
  if (signal.aborted) onAbort()
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
    promise.catch(() => undefined)
    work.catch(() => undefined) // who stopped waiting does not care any more
  }
}
