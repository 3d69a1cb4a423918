import type { PeerId } from '../../../crdt/ids.ts'
import type { Cancel } from '../../../node/ports/clock.ts'
import type { Channel, PeerNetwork, ProtocolOptions } from '../../../node/ports/peer-network.ts'
import type { SyncDeps } from '../../../node/services/sync/sync-deps.ts'
import { hasCapability, type Membership } from '../../../protocols/membership/membership.ts'
import type { Life } from '../ports/life.ts'
import type { SimNetwork } from '../ports/sim-network.ts'

export type MemberNetwork = PeerNetwork & {
  /** Before it nobody is connected. */
  start(): void
  /** Hangs up on former members and tells of connected peers that became members. */
  membersChanged(): void
  /** Where connections are dialled. */
  readonly addresses?: NonNullable<SyncDeps['addresses']>
}

/** The network port as the real adapter gives it: only members are connected, and only they may open what is for members. */
export function joinAsMember(
  network: SimNetwork,
  { peer, life }: { peer: PeerId; life: Life },
  membership: () => Membership,
): MemberNetwork {
  const announced = new Set<PeerId>()
  const connects = new Set<(peer: PeerId) => void>()
  const disconnects = new Set<(peer: PeerId) => void>()
  let isStarted = false
  const isMember = (other: PeerId): boolean => membership().members.has(other)
  const mayOpen = (from: PeerId, { policy }: ProtocolOptions): boolean => {
    if (!isStarted) return false
    if (policy.who === 'anyone') return !membership().removed.has(from)
    return isMember(from) && (policy.capability === undefined || hasCapability(membership(), from, policy.capability))
  }
  const port = network.join(peer, life, mayOpen)
  const announce = (other: PeerId): void => {
    if (!isStarted || announced.has(other) || !isMember(other)) return
    announced.add(other)
    for (const listener of connects) listener(other)
  }
  const lose = (other: PeerId): void => {
    if (!announced.delete(other)) return
    for (const listener of disconnects) listener(other)
  }
  port.onConnect(announce)
  port.onDisconnect(lose)
  return {
    self: peer,
    connected: () => [...announced],
    mayBeReached: (other) => announced.has(other),
    onConnect: (listener) => subscribe(connects, listener),
    onDisconnect: (listener) => subscribe(disconnects, listener),
    open: (to, protocol, signal) => port.open(to, protocol, signal),
    handle: (protocol, options, serve) => port.handle(protocol, options, (channel) => serve(bounded(channel, options))),
    start() {
      isStarted = true
      for (const other of port.connected()) announce(other)
    },
    membersChanged() {
      for (const other of announced) {
        if (isMember(other)) continue
        network.reset(peer, other)
        lose(other)
      }
      for (const other of port.connected()) announce(other)
    },
  }
}

/** Too large a frame aborts the channel. */
function bounded(channel: Channel, { frameBytesMax }: ProtocolOptions): Channel {
  async function* frames(): AsyncGenerator<Uint8Array> {
    for await (const frame of channel.frames) {
      if (frame.byteLength <= frameBytesMax) yield frame
      else channel.abort(new Error('too large a frame'))
    }
  }
  return {
    peer: channel.peer,
    send: (frame) => channel.send(frame),
    frames: frames(),
    close: () => channel.close(),
    abort: (reason) => channel.abort(reason),
  }
}

function subscribe<T>(listeners: Set<T>, listener: T): Cancel {
  listeners.add(listener)
  return () => listeners.delete(listener)
}
