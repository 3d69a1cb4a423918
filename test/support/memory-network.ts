import type { PeerId } from '../../crdt/ids.ts'
import type { Channel, PeerNetwork, ProtocolOptions } from '../../node/ports/peer-network.ts'

type Served = { options: ProtocolOptions; serve: (channel: Channel) => Promise<void> }

export type MemoryNetwork = {
  /** A port for one peer. `mayOpen` stands for the membership check of the real adapter. */
  join(peer: PeerId, mayOpen?: (from: PeerId, options: ProtocolOptions) => boolean): PeerNetwork
  /** Connects two peers (both ways) or cuts them, aborting their channels. */
  connect(a: PeerId, b: PeerId): void
  disconnect(a: PeerId, b: PeerId): void
  /** From now on, or no more, nothing that the one says comes to the other; the connection stays. */
  lose(from: PeerId, to: PeerId, isLost?: boolean): void
}

/** The peer network port in one process: ordered frames, no loss while connected. */
export function createMemoryNetwork(): MemoryNetwork {
  const nodes = new Map<PeerId, MemoryNode>()
  const link = (a: PeerId, b: PeerId, on: boolean): void => {
    nodes.get(a)?.setConnected(b, on)
    nodes.get(b)?.setConnected(a, on)
  }
  return {
    join(peer, mayOpen = () => true) {
      const node = new MemoryNode(peer, nodes, mayOpen)
      nodes.set(peer, node)
      return node
    },
    connect: (a, b) => link(a, b, true),
    disconnect: (a, b) => link(a, b, false),
    lose(from, to, isLost = true) {
      if (isLost) nodes.get(from)?.unheardBy.add(to)
      else nodes.get(from)?.unheardBy.delete(to)
    },
  }
}

class MemoryNode implements PeerNetwork {
  readonly self: PeerId
  /** Whom nothing that this node says comes to. */
  readonly unheardBy = new Set<PeerId>()
  readonly #nodes: Map<PeerId, MemoryNode>
  readonly #mayOpen: (from: PeerId, options: ProtocolOptions) => boolean
  readonly #served = new Map<string, Served>()
  readonly #up = new Set<PeerId>()
  readonly #channels = new Set<MemoryChannel>()
  /** Of handlers that run, by protocol and peer. */
  readonly #handlers = new Map<string, number>()
  readonly #connectListeners = new Set<(peer: PeerId) => void>()
  readonly #disconnectListeners = new Set<(peer: PeerId) => void>()

  constructor(
    self: PeerId,
    nodes: Map<PeerId, MemoryNode>,
    mayOpen: (from: PeerId, options: ProtocolOptions) => boolean,
  ) {
    this.self = self
    this.#nodes = nodes
    this.#mayOpen = mayOpen
  }

  connected = (): PeerId[] => [...this.#up]

  mayBeReached = (peer: PeerId): boolean => this.#up.has(peer)

  onConnect(listener: (peer: PeerId) => void): () => void {
    this.#connectListeners.add(listener)
    return () => this.#connectListeners.delete(listener)
  }

  onDisconnect(listener: (peer: PeerId) => void): () => void {
    this.#disconnectListeners.add(listener)
    return () => this.#disconnectListeners.delete(listener)
  }

  handle(protocol: string, options: ProtocolOptions, serve: (channel: Channel) => Promise<void>): void {
    if (options.policy?.who === undefined) throw new Error(`${protocol} has no policy`)
    if (this.#served.has(protocol)) throw new Error(`${protocol} is already served`)
    this.#served.set(protocol, { options, serve })
  }

  async open(peer: PeerId, protocol: string, signal: AbortSignal): Promise<Channel> {
    signal.throwIfAborted()
    const other = this.#nodes.get(peer)
    if (!other || !this.#up.has(peer)) throw new Error(`${peer} is not reachable`)
    const served = other.#served.get(protocol)
    if (!served || !other.#mayOpen(this.self, served.options)) throw new Error(`${peer} refuses ${protocol}`)
    const serving = `${protocol} ${this.self}`
    const handlers = other.#handlers.get(serving) ?? 0
    if (handlers >= served.options.channelsPerPeerMax) throw new Error(`${peer} refuses another channel of ${protocol}`)
    const { frameBytesMax } = served.options
    const near = new MemoryChannel({ peer, frameBytesMax, isLost: () => this.unheardBy.has(peer) })
    const isLost = (): boolean => other.unheardBy.has(this.self)
    const far = new MemoryChannel({ peer: this.self, frameBytesMax, isLost })
    near.pair(far)
    this.#keep(near)
    other.#keep(far)
    other.#handlers.set(serving, handlers + 1)
    void served
      .serve(far)
      .then(
        () => far.close(),
        (error: Error) => far.abort(error),
      )
      .finally(() => other.#handlers.set(serving, (other.#handlers.get(serving) ?? 1) - 1))
    return near
  }

  setConnected(peer: PeerId, on: boolean): void {
    if (on === this.#up.has(peer)) return
    if (on) this.#up.add(peer)
    else this.#up.delete(peer)
    for (const channel of this.#channels) if (!on && channel.peer === peer) channel.abort(new Error('connection lost'))
    for (const listener of on ? this.#connectListeners : this.#disconnectListeners) listener(peer)
  }

  #keep(channel: MemoryChannel): void {
    this.#channels.add(channel)
    channel.onEnd = () => this.#channels.delete(channel)
  }
}

/** What a sender may have in flight before `send` waits for the reader. */
const WINDOW_BYTES = 256 * 1024

type MemoryChannelOptions = {
  readonly peer: PeerId
  readonly frameBytesMax: number
  /** Whether what is sent now gets lost. */
  readonly isLost: () => boolean
}

class MemoryChannel implements Channel {
  readonly peer: PeerId
  onEnd: () => void = () => undefined
  readonly #frameBytesMax: number
  readonly #isLost: () => boolean
  readonly #inbox: Uint8Array[] = []
  #other: MemoryChannel | undefined
  #ended: Error | 'closed' | undefined
  #inboxBytes = 0
  #drained: (() => void)[] = []
  #wake: () => void = () => undefined

  constructor({ peer, frameBytesMax, isLost }: MemoryChannelOptions) {
    this.peer = peer
    this.#frameBytesMax = frameBytesMax
    this.#isLost = isLost
  }

  pair(other: MemoryChannel): void {
    this.#other = other
    other.#other = this
  }

  async send(frame: Uint8Array): Promise<void> {
    const other = this.#other
    if (this.#ended || !other) throw new Error('channel closed')
    if (frame.byteLength > this.#frameBytesMax) {
      this.abort(new Error('frame too large'))
      throw new Error('frame too large')
    }
    if (this.#isLost()) return
    other.#inbox.push(frame.slice())
    other.#inboxBytes += frame.byteLength
    other.#wake()
    if (other.#inboxBytes > WINDOW_BYTES) await new Promise<void>((resolve) => other.#drained.push(resolve))
    this.#throwIfAborted()
  }

  #throwIfAborted(): void {
    if (this.#ended instanceof Error) throw this.#ended
  }

  get frames(): AsyncIterable<Uint8Array> {
    return this.#read()
  }

  async *#read(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const frame = this.#inbox.shift()
      if (frame) {
        this.#inboxBytes -= frame.byteLength
        if (this.#inboxBytes <= WINDOW_BYTES) this.#release()
        yield frame
      } else if (this.#ended instanceof Error) throw this.#ended
      else if (this.#ended) return
      else await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  async close(): Promise<void> {
    this.#end('closed')
    if (this.#other) this.#other.#end('closed')
  }

  abort(reason: Error): void {
    this.#end(reason)
    if (this.#other) this.#other.#end(new Error('aborted by the other side'))
  }

  #end(how: Error | 'closed'): void {
    if (this.#ended) return
    this.#ended = how
    this.onEnd()
    this.#wake()
    this.#release()
  }

  #release(): void {
    for (const resolve of this.#drained.splice(0)) resolve()
  }
}
