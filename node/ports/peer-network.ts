import type { PeerId } from '../../crdt/ids.ts'
import type { Capability } from '../../crdt/capability.ts'
import type { Cancel } from './clock.ts'

/** Who may open a protocol on us: any member, members with a capability, or (join only) anybody who passes Noise. */
export type ProtocolPolicy = { readonly who: 'anyone' } | { readonly who: 'member'; readonly capability?: Capability }

export type ProtocolOptions = {
  readonly policy: ProtocolPolicy
  /** Larger frames abort the channel. */
  readonly frameBytesMax: number
  /**
   * Channels per remote peer, each until its handler is done: what has come is kept for it after the channel has ended. One
   * more is refused.
   */
  readonly channelsPerPeerMax: number
  /** Somebody would notice if it broke: its connection is not given up for a better one while the channel is open. */
  readonly holdsConnection?: boolean
}

/** An ordered, reliable, framed duplex stream to one authenticated peer. */
export interface Channel {
  readonly peer: PeerId
  /**
   * Queues one frame. Resolves when the transport accepts more (so awaiting it is the back-pressure), rejects once the
   * channel is closed or aborted. Frames sent within one tick are written together.
   */
  send(frame: Uint8Array): Promise<void>
  /** Frames in order; ends when the other side closes, throws when the channel is aborted. May be iterated once. */
  readonly frames: AsyncIterable<Uint8Array>
  /** Flushes and closes both directions. Never throws. */
  close(): Promise<void>
  abort(reason: Error): void
}

/**
 * The mesh as the services see it: authenticated channels by peer id. Dialling, addresses and discovery are the
 * adapter's business.
 */
export interface PeerNetwork {
  readonly self: PeerId
  /** Members connected right now. */
  connected(): readonly PeerId[]
  /** False when the member is known to be out of reach; in a large mesh one that is not connected may still be there. */
  mayBeReached(peer: PeerId): boolean
  onConnect(listener: (peer: PeerId) => void): Cancel
  onDisconnect(listener: (peer: PeerId) => void): Cancel
  /** Opens a channel, dialling when there is no connection. Rejects when the peer cannot be reached or refuses. */
  open(peer: PeerId, protocol: string, signal: AbortSignal): Promise<Channel>
  /** Serves a protocol. The policy is checked before `serve` is called; without one this does not compile. */
  handle(protocol: string, options: ProtocolOptions, serve: (channel: Channel) => Promise<void>): void
}
