import type { ConnectionGater, MultiaddrConnection } from '@libp2p/interface'
import { PeerId } from '../../crdt/ids.ts'
import { hostOf, isRelayed } from './addresses.ts'
import { coalesceWrites } from './coalesce-writes.ts'

/** Inbound connections that have not proved an identity yet: an honest handshake takes milliseconds. */
const HANDSHAKES_MAX = 64
const HANDSHAKES_PER_HOST_MAX = 16
/** All inbound connections: room for a mesh of hundreds of nodes, some behind one NAT. */
const INBOUND_MAX = 1024
const INBOUND_PER_HOST_MAX = 256
/** Two sides dialling at once, twice, and one that is just dying. */
const INBOUND_PER_MEMBER_MAX = 6
/** Peers that are not members may only ask to join, which takes seconds. */
const STRANGERS_MAX = 32
const STRANGERS_PER_HOST_MAX = 8

type Inbound = { readonly host: string; peer?: PeerId }

/** What the mesh says about a peer. A removed one never becomes a member again. */
export type Standing = {
  readonly isMember: (peer: PeerId) => boolean
  readonly isRemoved: (peer: PeerId) => boolean
}

/**
 * Bounds what peers cost before and after they have proved who they are. When too many handshakes are open the oldest
 * one is dropped, not the newest refused: silent connections cannot keep honest ones out. Removed members are hung up
 * on at once.
 */
export function createConnectionGate({ isMember, isRemoved }: Standing): ConnectionGater {
  const inbound = new Map<MultiaddrConnection, Inbound>()
  const count = (matches: (connection: Inbound) => boolean): number => {
    let n = 0
    for (const connection of inbound.values()) if (matches(connection)) n++
    return n
  }
  const dropOldestHandshake = (host: string | undefined): void => {
    for (const [maConn, connection] of inbound) {
      if (connection.peer !== undefined || (host !== undefined && connection.host !== host)) continue
      inbound.delete(maConn)
      maConn.abort(new Error('too many open handshakes'))
      return
    }
  }

  const isNoMember = (peer: { toString(): string }): boolean => {
    const parsed = PeerId.safeParse(peer.toString())
    return !parsed.success || !isMember(parsed.data)
  }

  return {
    denyInboundRelayReservation: isNoMember,
    denyOutboundRelayedConnection: (source, destination) => isNoMember(source) || isNoMember(destination),
    denyInboundRelayedConnection: (relay, source) => isNoMember(relay) || isNoMember(source),
    denyInboundConnection(maConn) {
      const host = hostOf(maConn.remoteAddr)
      if (host === undefined) return true
      if (inbound.size >= INBOUND_MAX || count((c) => c.host === host) >= INBOUND_PER_HOST_MAX) return true
      if (count((c) => c.host === host && c.peer === undefined) >= HANDSHAKES_PER_HOST_MAX) dropOldestHandshake(host)
      if (count((c) => c.peer === undefined) >= HANDSHAKES_MAX) dropOldestHandshake(undefined)
      inbound.set(maConn, { host })
      maConn.addEventListener('close', () => inbound.delete(maConn))
      coalesceWrites(maConn)
      return false
    },
    denyInboundEncryptedConnection(peerId, maConn) {
      const peer = PeerId.safeParse(peerId.toString())
      const connection = inbound.get(maConn)
      if (!peer.success || connection === undefined || isRemoved(peer.data)) return true
      // Who wants to join comes by itself: a relay carries members only.
      if (isRelayed(maConn.remoteAddr) && !isMember(peer.data)) return true
      if (isMember(peer.data)) {
        if (count((c) => c.peer === peer.data) >= INBOUND_PER_MEMBER_MAX) return true
      } else {
        const isStranger = (c: Inbound): boolean => c.peer !== undefined && !isMember(c.peer)
        if (count(isStranger) >= STRANGERS_MAX) return true
        if (count((c) => isStranger(c) && c.host === connection.host) >= STRANGERS_PER_HOST_MAX) return true
      }
      connection.peer = peer.data
      return false
    },
    denyOutboundConnection(_peer, maConn) {
      coalesceWrites(maConn)
      return false
    },
    // Addresses are kept in our own book: what libp2p collects by itself must not become something to dial.
    filterMultiaddrForPeer: () => false,
  }
}
