import type { PeerId } from '../../../crdt/ids.ts'
import type { Channel } from '../../../node/ports/peer-network.ts'
import { never, type Life } from './life.ts'

export type Owner = { readonly peer: PeerId; readonly life: Life; readonly channels: Set<ChannelEnd> }

/** How frames, and the news of an end, get to the other side. */
export type Transport = {
  readonly frame: (from: ChannelEnd, frame: Uint8Array) => void
  readonly end: (from: ChannelEnd, how: Error | 'closed') => void
}

export function pairChannels(
  link: { from: Owner; to: Owner; protocol: string },
  transport: Transport,
): [near: ChannelEnd, far: ChannelEnd] {
  const near = new ChannelEnd({ owner: link.from, peer: link.to.peer, served: undefined }, transport)
  const far = new ChannelEnd({ owner: link.to, peer: link.from.peer, served: link.protocol }, transport)
  near.pair(far)
  far.pair(near)
  return [near, far]
}

type Reader = { resolve: (result: IteratorResult<Uint8Array>) => void; reject: (error: Error) => void }

const ACCEPTED = Promise.resolve()
const DONE = { value: undefined, done: true } as const

/** One side of a channel. Takes any number of frames: who sends too much is not what is simulated here. */
export class ChannelEnd implements Channel {
  readonly owner: Owner
  readonly peer: PeerId
  /** The protocol that the peer opened on us; undefined on the opener's side. */
  readonly served: string | undefined
  readonly #transport: Transport
  #other: ChannelEnd | undefined
  readonly #inbox: Uint8Array[] = []
  #ended: Error | 'closed' | undefined
  #reader: Reader | undefined

  constructor(side: { owner: Owner; peer: PeerId; served: string | undefined }, transport: Transport) {
    this.owner = side.owner
    this.peer = side.peer
    this.served = side.served
    this.#transport = transport
    side.owner.channels.add(this)
  }

  pair(other: ChannelEnd): void {
    this.#other = other
  }

  get other(): ChannelEnd {
    if (!this.#other) throw new Error('the channel has no other side yet')
    return this.#other
  }

  get hasEnded(): boolean {
    return this.#ended !== undefined
  }

  send(frame: Uint8Array): Promise<void> {
    if (!this.owner.life.isAlive) return never()
    if (this.#ended) return Promise.reject(new Error('channel closed'))
    this.#transport.frame(this, frame.slice())
    return ACCEPTED
  }

  get frames(): AsyncIterable<Uint8Array> {
    return { [Symbol.asyncIterator]: () => ({ next: () => this.#next(), return: async () => DONE }) }
  }

  async close(): Promise<void> {
    this.#endBoth('closed')
  }

  abort(reason: Error): void {
    this.#endBoth(reason)
  }

  receive(frame: Uint8Array): void {
    if (this.#ended || !this.owner.life.isAlive) return
    this.owner.life.touch()
    const reader = this.#reader
    this.#reader = undefined
    if (reader) reader.resolve({ value: frame, done: false })
    else this.#inbox.push(frame)
  }

  /** Ends this side only. */
  end(how: Error | 'closed'): void {
    if (this.#ended) return
    this.#ended = how
    this.owner.channels.delete(this)
    if (!this.owner.life.isAlive) return
    this.owner.life.touch()
    const reader = this.#reader
    this.#reader = undefined
    if (!reader) return
    if (how === 'closed') reader.resolve(DONE)
    else reader.reject(how)
  }

  #endBoth(how: Error | 'closed'): void {
    if (this.#ended || !this.owner.life.isAlive) return
    this.end(how)
    this.#transport.end(this, how === 'closed' ? how : new Error('aborted by the other side'))
  }

  #next(): Promise<IteratorResult<Uint8Array>> {
    const frame = this.#inbox.shift()
    if (frame) return Promise.resolve({ value: frame, done: false })
    if (this.#ended === 'closed') return Promise.resolve(DONE)
    if (this.#ended) return Promise.reject(this.#ended)
    return new Promise((resolve, reject) => (this.#reader = { resolve, reject }))
  }
}
