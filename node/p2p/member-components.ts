import type { Connection, Peer, PeerId as LibPeerId, PeerStore, StreamHandler, Topology } from '@libp2p/interface'
import type { ConnectionManager, Registrar } from '@libp2p/interface-internal'
import type { CircuitRelayServerComponents, CircuitRelayTransportComponents } from '@libp2p/circuit-relay-v2'
import type { KadDHTComponents } from '@libp2p/kad-dht'
import { CODE_P2P, multiaddr } from '@multiformats/multiaddr'
import { PeerId } from '../../crdt/ids.ts'
import { isRelayed } from './addresses.ts'
import { boundStream } from './bounded-stream.ts'

/** What packages of libp2p are made of. */
type Components = CircuitRelayTransportComponents & CircuitRelayServerComponents & KadDHTComponents

/** What libp2p itself brings of that. */
export type RealComponents = Omit<Components, 'ping'>

/** What members may do with a protocol that a package serves, and what is read of what they say. */
export type StreamPolicy = {
  /** Whether a stream of the member may reach the handler. */
  readonly may: (peer: PeerId, connection: Connection) => boolean
  readonly requestBytesMax: number
  readonly answerBytesMax: number
  /** Request and answer are only the beginning: then the stream carries a connection. */
  readonly carries?: boolean
}

export type MemberView = {
  readonly isMember: (peer: PeerId) => boolean
  /** Whether a member may open one more stream here; counted. */
  readonly mayOpen: (peer: PeerId) => boolean
  /** Where a member may be found, best first. */
  readonly addressesOf: (peer: PeerId) => readonly string[]
  /** One per protocol that a package may serve; a protocol that is not here stops the boot. */
  readonly policies: Readonly<Record<string, StreamPolicy>>
}

/** A libp2p as its packages see it here, and the way to tell them about members. */
export type MemberComponents = {
  readonly components: Components
  /** A member told which protocols of packages it serves: what `identify` would have found out. */
  introduced(protocols: readonly string[], connection: Connection): void
}

/**
 * The components that packages of libp2p are given here instead of the real ones. They serve members only, by the policy
 * of each protocol; they use connections to members that are there and direct, and dial nothing by themselves; the
 * addresses they know are those of our own book, and what they want to remember is forgotten.
 */
export function memberComponents(real: RealComponents, view: MemberView): MemberComponents {
  const topologies = new Map<string, Topology[]>()
  const ownConnections = directConnections(() => real.connectionManager, view)
  const components = lateProxy<Components>(() => real as Components, {
    registrar: memberRegistrar(() => real.registrar, view, topologies),
    connectionManager: ownConnections,
    peerStore: bookAsPeerStore(view),
    // The connection monitor pings already; an open connection is what counts here.
    ping: {
      async ping(target) {
        await ownConnections.openConnection(target)
        return 0
      },
    },
  })
  return {
    components,
    introduced(protocols, connection) {
      for (const protocol of protocols)
        for (const topology of topologies.get(protocol) ?? [])
          if (connection.limits === undefined || topology.notifyOnLimitedConnection === true)
            void topology.onConnect?.(connection.remotePeer, connection)
    },
  }
}

/** The gate every handler of a package is behind, and what `identify` would have told the packages. */
function memberRegistrar(
  real: () => Registrar,
  { policies, mayOpen }: MemberView,
  topologies: Map<string, Topology[]>,
): Registrar {
  const overrides: Pick<Registrar, 'handle' | 'register' | 'unregister'> = {
    async handle(protocol, handler, options) {
      const policy = policyOf(policies, protocol)
      const may: StreamPolicy['may'] = (peer, connection) => policy.may(peer, connection) && mayOpen(peer)
      await real().handle(protocol, gated(protocol, { ...policy, may }, handler), options)
    },
    async register(protocol, topology) {
      topologies.set(protocol, [...(topologies.get(protocol) ?? []), topology])
      return protocol
    },
    unregister: (protocol) => void topologies.delete(protocol),
  }
  return lateProxy(real, overrides)
}

function policyOf(policies: MemberView['policies'], protocol: string): StreamPolicy {
  const policy = policies[protocol]
  if (policy === undefined) throw new Error(`${protocol} has no policy`)
  return policy
}

const gated =
  (protocol: string, { may, requestBytesMax, carries }: StreamPolicy, handler: StreamHandler): StreamHandler =>
  (stream, connection) => {
    const peer = PeerId.safeParse(connection.remotePeer.toString())
    if (!peer.success || !may(peer.data, connection)) return stream.abort(new Error(`refused to serve ${protocol}`))
    boundStream(stream, { bytesMax: requestBytesMax, ...(carries ? { untilSent: 1 } : {}) })
    return handler(stream, withPeerInAddress(connection))
  }

/** A connection on which a package can open streams that have a policy, and read bounded answers. */
const asking = (connection: Connection, policies: MemberView['policies']): Connection =>
  lateProxy(() => connection, {
    async newStream(protocols, options) {
      const [protocol = '', ...others] = [protocols].flat()
      if (others.length > 0) throw new Error('one protocol at a time')
      const { answerBytesMax, carries } = policyOf(policies, protocol)
      const stream = await connection.newStream(protocol, options)
      // What follows the answer is sent after our own next word.
      boundStream(stream, { bytesMax: answerBytesMax, ...(carries ? { untilSent: 2 } : {}) })
      return stream
    },
  })

/** An inbound connection's address lacks the peer id; an address through it as a relay would not say whose it is. */
function withPeerInAddress(connection: Connection): Connection {
  const isNamed = connection.remoteAddr.getComponents().some(({ code }) => code === CODE_P2P)
  if (isNamed) return connection
  const remoteAddr = connection.remoteAddr.encapsulate(`/p2p/${connection.remotePeer.toString()}`)
  return lateProxy(() => connection, { remoteAddr })
}

type Dials = Pick<ConnectionManager, 'getConnections' | 'openConnection' | 'openStream' | 'isDialable'>

function directConnections(real: () => ConnectionManager, { isMember, policies }: MemberView): ConnectionManager {
  const of = (peer: LibPeerId): Connection[] =>
    isMember(peer.toString() as PeerId)
      ? real()
          .getConnections(peer)
          .filter(({ status, remoteAddr }) => status === 'open' && !isRelayed(remoteAddr))
          .map((connection) => asking(connection, policies))
      : []
  const overrides: Dials = {
    getConnections: (peer) => (peer === undefined ? [] : of(peer)),
    async openConnection(target) {
      const peer = 'toMultihash' in target ? target : undefined
      const [connection] = peer === undefined ? [] : of(peer)
      if (connection === undefined) throw new Error(`not directly connected to ${String(target)}`)
      return connection
    },
    async openStream(target, protocol, options) {
      const connection = await overrides.openConnection(target)
      return await connection.newStream(protocol, options)
    },
    isDialable: async () => true,
  }
  return lateProxy(real, overrides)
}

/** Reads come from the address book; nothing a package collects becomes something to dial. */
function bookAsPeerStore({ isMember, addressesOf }: MemberView): PeerStore {
  const peerOf = (id: LibPeerId): Peer => {
    const peer = id.toString() as PeerId
    const addresses = isMember(peer) ? addressesOf(peer) : []
    return {
      id,
      addresses: addresses.map((address) => ({ multiaddr: multiaddr(address), isCertified: false })),
      protocols: [],
      metadata: new Map(),
      tags: new Map(),
    }
  }
  const forgotten = async (id: LibPeerId): Promise<Peer> => peerOf(id)
  return {
    forEach: async () => undefined,
    all: async () => [],
    delete: async () => undefined,
    has: async (id) => isMember(id.toString() as PeerId),
    get: async (id) => peerOf(id),
    getInfo: async (id) => ({ id, multiaddrs: peerOf(id).addresses.map(({ multiaddr: address }) => address) }),
    save: forgotten,
    patch: forgotten,
    merge: forgotten,
    consumePeerRecord: async () => false,
  }
}

/** `real` with some members replaced. Asked for late: libp2p makes its components one after the other. */
function lateProxy<T extends object>(real: () => T, overrides: Partial<T>): T {
  return new Proxy(overrides as T, {
    get(target, key) {
      const own: unknown = Reflect.get(target, key)
      if (own !== undefined) return own
      const inherited: unknown = Reflect.get(real(), key)
      return typeof inherited === 'function' ? inherited.bind(real()) : inherited
    },
  })
}
