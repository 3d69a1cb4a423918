import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import type { PeerId } from '../../crdt/ids.ts'
import type { Log } from '../ports/log.ts'
import type { Channel, ProtocolOptions, ProtocolPolicy } from '../ports/peer-network.ts'
import { MalformedError } from '../../protocols/codec.ts'
import type { Conduct } from './conduct.ts'
import { FrameTooLargeError } from './framing.ts'
import { updateWindowLate } from './late-window-updates.ts'
import { StreamChannel } from './stream-channel.ts'

/** The other side limits what we open; libp2p's own limit of 64 would refuse before it is asked. */
const OUTBOUND_STREAMS_MAX = 512

/** Frames a peer may answer with on protocols we only open: as large as the largest frame of any protocol. */
const OPENED_FRAME_BYTES_MAX = 1024 * 1024

type Served = { readonly options: ProtocolOptions; readonly serve: (channel: Channel) => Promise<void> }

type Tracked = {
  readonly protocol: string
  readonly policy: ProtocolPolicy | undefined
  readonly connection: Connection
}

export type ProtocolHostDeps = {
  readonly allowed: (peer: PeerId, policy: ProtocolPolicy) => boolean
  readonly log: Log
  readonly conduct: Conduct
  /** Something has come over a connection. */
  readonly heard: (connection: Connection) => void
}

/** The channels of this node by protocol and peer; nothing is served that the policy does not allow. */
export class ProtocolHost {
  readonly #allowed: (peer: PeerId, policy: ProtocolPolicy) => boolean
  readonly #log: Log
  readonly #conduct: Conduct
  readonly #heard: (connection: Connection) => void
  readonly #served = new Map<string, Served>()
  readonly #channels = new Map<StreamChannel, Tracked>()
  /** Handlers that run, by protocol and peer: one may have much to read after its channel has ended. */
  readonly #handlers = new Map<string, number>()
  #node: Libp2p | undefined

  constructor({ allowed, log, conduct, heard }: ProtocolHostDeps) {
    this.#allowed = allowed
    this.#log = log
    this.#conduct = conduct
    this.#heard = heard
  }

  get channelCount(): number {
    return this.#channels.size
  }

  /** @throws when the protocol is taken or has no policy */
  handle(protocol: string, options: ProtocolOptions, serve: (channel: Channel) => Promise<void>): void {
    assertPolicy(protocol, options)
    if (this.#served.has(protocol)) throw new Error(`${protocol} is already served`)
    this.#served.set(protocol, { options, serve })
    if (this.#node !== undefined) void this.#register(this.#node, protocol, { options, serve })
  }

  async start(node: Libp2p): Promise<void> {
    for (const [protocol, { options }] of this.#served) assertPolicy(protocol, options)
    for (const [protocol, served] of this.#served) await this.#register(node, protocol, served)
    this.#node = node
  }

  async open(connection: Connection, peer: PeerId, protocol: string, signal: AbortSignal): Promise<Channel> {
    const stream = await connection.newStream(protocol, {
      signal,
      maxOutboundStreams: OUTBOUND_STREAMS_MAX,
      runOnLimitedConnection: true,
    })
    const channel = this.#track(stream, peer, {
      role: 'opener',
      frameBytesMax: this.#served.get(protocol)?.options.frameBytesMax ?? OPENED_FRAME_BYTES_MAX,
      tracked: { protocol, policy: undefined, connection },
    })
    await channel.accepted(signal)
    return channel
  }

  /** One for each open channel, whoever opened it. */
  protocolsWith(peer: PeerId): string[] {
    return [...this.#channels].flatMap(([channel, { protocol }]) => (channel.peer === peer ? [protocol] : []))
  }

  /** Aborts every channel with the peer, or with everybody. */
  abortAll(reason: Error, peer?: PeerId): void {
    for (const channel of this.#channels.keys()) if (peer === undefined || channel.peer === peer) channel.abort(reason)
  }

  /** Aborts channels that their peers could not open any more. */
  recheck(): void {
    for (const [channel, { policy, protocol }] of this.#channels)
      if (policy !== undefined && !this.#allowed(channel.peer, policy))
        channel.abort(new Error(`no longer allowed to use ${protocol}`))
  }

  serves(protocol: string): boolean {
    return this.#served.has(protocol)
  }

  /** Whether something is going on there that should not be interrupted. */
  isHeld(connection: Connection): boolean {
    return [...this.#channels.values()].some(
      (tracked) =>
        tracked.connection === connection && this.#served.get(tracked.protocol)?.options.holdsConnection === true,
    )
  }

  async #register(node: Libp2p, protocol: string, served: Served): Promise<void> {
    await node.handle(protocol, (stream, connection) => this.#onStream(stream, connection, protocol, served), {
      maxInboundStreams: served.options.channelsPerPeerMax + 1,
      maxOutboundStreams: OUTBOUND_STREAMS_MAX,
      // A relay is a member like any other, and sees ciphertext: everything of ours may run over one.
      runOnLimitedConnection: true,
    })
  }

  #onStream(stream: Stream, connection: Connection, protocol: string, served: Served): void {
    const { options, serve } = served
    // The gate has checked that every remote peer id is one of ours in form.
    const peer = connection.remotePeer.toString() as PeerId
    const handlers = this.#handlers.get(`${protocol} ${peer}`) ?? 0
    const isRefused = !this.#allowed(peer, options.policy) || handlers >= options.channelsPerPeerMax
    if (isRefused || !this.#conduct.mayOpen(peer)) {
      stream.abort(new Error(`refused to serve ${protocol}`))
      return
    }
    const channel = this.#track(stream, peer, {
      role: 'server',
      frameBytesMax: options.frameBytesMax,
      tracked: { protocol, policy: options.policy, connection },
    })
    channel.accept()
    this.#count(peer, protocol, 1)
    void this.#run(channel, protocol, serve).finally(() => this.#count(peer, protocol, -1))
  }

  #count(peer: PeerId, protocol: string, change: number): void {
    const key = `${protocol} ${peer}`
    const count = (this.#handlers.get(key) ?? 0) + change
    if (count > 0) this.#handlers.set(key, count)
    else this.#handlers.delete(key)
  }

  async #run(channel: StreamChannel, protocol: string, serve: (channel: Channel) => Promise<void>): Promise<void> {
    try {
      await serve(channel)
      await channel.close()
    } catch (cause) {
      const error = cause instanceof Error ? cause : new Error(String(cause))
      const lost = !this.#channels.has(channel) // the channel failed first, and the handler with it
      if (lost) this.#log.debug({ peer: channel.peer, protocol, error: error.message }, 'channel ended')
      else this.#log.warn({ peer: channel.peer, protocol, error: error.message }, 'channel aborted by its handler')
      // Anything else may be a bug or a full disk of ours.
      if (error instanceof MalformedError || error instanceof FrameTooLargeError)
        this.#conduct.failed(channel.peer, protocol)
      channel.abort(error)
    }
  }

  #track(
    stream: Stream,
    peer: PeerId,
    options: { role: 'opener' | 'server'; frameBytesMax: number; tracked: Tracked },
  ): StreamChannel {
    const { role, frameBytesMax, tracked } = options
    updateWindowLate(stream)
    const channel: StreamChannel = new StreamChannel(stream, {
      peer,
      role,
      frameBytesMax,
      onData: () => this.#heard(tracked.connection),
      onEnd: () => this.#channels.delete(channel),
    })
    this.#channels.set(channel, tracked)
    return channel
  }
}

function assertPolicy(protocol: string, options: ProtocolOptions): void {
  const who: unknown = options.policy?.who
  if (who !== 'anyone' && who !== 'member') throw new Error(`${protocol} has no policy`)
}
