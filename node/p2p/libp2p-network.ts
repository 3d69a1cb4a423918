import type { MeshId, PeerId } from '../../crdt/ids.ts'
import type { Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { PeerNetwork, ProtocolPolicy } from '../ports/peer-network.ts'
import type { PeerWays } from '../ports/peer-ways.ts'
import type { Random } from '../ports/random.ts'
import type { KnownAddresses } from './address-book.ts'

export type PeerNetworkOptions = {
  /** 32-byte Ed25519 seed of the node's key. */
  readonly seed: Uint8Array
  readonly mesh: MeshId
  /** Multiaddrs; port 0 takes a free one (`addresses` tells which). */
  readonly listen: readonly string[]
  readonly log: Log
  readonly clock: Clock
  readonly mdns: boolean
  readonly isMember: (peer: PeerId) => boolean
  /** True for former members, who get no connection at all; others that are no members may ask to join. */
  readonly isRemoved?: (peer: PeerId) => boolean
  /**
   * Members to keep a connection with; without it all of them. Others are dialled when a channel to them is opened, and
   * hung up on when none is left.
   */
  readonly neighbours?: () => ReadonlySet<PeerId>
  /** Asked for every channel of every protocol, after `isMember` where the policy wants members. */
  readonly mayOpen: (peer: PeerId, policy: ProtocolPolicy) => boolean
  readonly knownAddresses: KnownAddresses
  /** Name and version of this program, told to members. */
  readonly agent?: string
  readonly random?: Random
  /** A peer breaks the rules of a protocol or opens too many channels. */
  readonly onMisconduct?: (peer: PeerId, what: string) => void
  /** Whether this node carries connections between other members; `auto` (the default): when it can be reached publicly. */
  readonly relay?: 'auto' | 'on' | 'off'
  /** Whether members are looked up among the others, and looked up here; the default. */
  readonly dht?: boolean
}

/** The peer network on real sockets. Handlers are registered before `start`; `stop` is final. */
export type Libp2pNetwork = PeerNetwork &
  PeerWays & {
    start(): Promise<void>
    stop(): Promise<void>
    /** Addresses under which others can dial this node, each ending in `/p2p/<peer id>`. */
    addresses(): string[]
    /** Connects to a peer, member or not, under one of these addresses; loopback is fine here. Rejects if none works. */
    dialAddresses(peer: PeerId, addresses: readonly string[], signal: AbortSignal): Promise<void>
    /** The oldest connection to the peer, if any. */
    connectionOf(peer: PeerId): { readonly address: string; readonly since: number } | undefined
    closePeer(peer: PeerId): void
    /** Members that hang up on us again and again: we may have been removed. */
    refusers(): readonly PeerId[]
    /** To be called after every change of membership: drops what is no longer allowed, dials who is new. */
    membersChanged(): void
    /** Addresses of members this node is connected to, for others to try. */
    knownPeers(): ReadonlyMap<PeerId, readonly string[]>
    /** Addresses of a member on the word of `teller`: only hints, and only those that make sense from here are kept. */
    learn(peer: PeerId, addresses: readonly string[], teller: PeerId): void
    readonly channelCount: number
  }
