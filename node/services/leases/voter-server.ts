import type { PeerId } from '../../../crdt/ids.ts'
import { MalformedError } from '../../../protocols/codec.ts'
import { decodeFrame, encodeMessage, FRAME_BYTES_MAX, type LeaseMessage } from '../../../protocols/lease/frame.ts'
import { LEASE_PROTOCOL } from '../../../protocols/lease/messages.ts'
import type { Signatures } from '../../../protocols/lease/signing.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import type { Channel, PeerNetwork } from '../../ports/peer-network.ts'
import { createRateLimiter, type RateLimiter } from '../rate-limit.ts'
import { createFrameWriter } from './lease-frames.ts'
import type { Item, Sink } from './lease-voter-loop.ts'
import type { QuickAnswers } from './voter-answers.ts'

/** Requests of one member that wait for a decision or for the disk; its channel is not read any further. */
export const IN_FLIGHT_PER_MEMBER_MAX = 64
/** One in use, one while a peer reconnects before we have noticed that the old one is gone. */
const CHANNELS_PER_PEER_MAX = 2
/** Messages of one member per second, several times what one node's work needs; beyond it its channel waits. */
export const MESSAGES_PER_SECOND_MAX = 10_000
/** Members whose rate is kept. */
const RATES_MAX = 1024

export type VoterServerDeps = {
  readonly network: PeerNetwork
  readonly clock: Clock
  readonly log: Log
  readonly signatures: Signatures
  /** Answers what needs no decision; false for everything else. */
  readonly answerAtOnce: QuickAnswers
  readonly enqueue: (item: Item) => void
}

/** Brings the messages of members, and of this node itself, before the voter. */
export class VoterServer {
  readonly #deps: VoterServerDeps
  readonly #rate: RateLimiter
  /** Where hints for a node go: its latest channel. */
  readonly #sinks = new Map<PeerId, Sink>()
  readonly #channels = new Set<Channel>()

  constructor(deps: VoterServerDeps) {
    this.#deps = deps
    this.#rate = createRateLimiter(deps.clock, { count: MESSAGES_PER_SECOND_MAX, perMs: 1000, keysMax: RATES_MAX })
  }

  start(): void {
    this.#deps.network.handle(
      LEASE_PROTOCOL,
      { policy: { who: 'member' }, frameBytesMax: FRAME_BYTES_MAX, channelsPerPeerMax: CHANNELS_PER_PEER_MAX },
      async (channel) => await this.#serve(channel),
    )
  }

  submit(from: PeerId, message: LeaseMessage, sink: Sink): void {
    this.#sinks.set(from, sink)
    if (!this.#deps.answerAtOnce(from, message, sink))
      this.#deps.enqueue({ work: { from, message }, sink, done: () => undefined })
  }

  hint(to: PeerId, lid: string): void {
    this.#sinks.get(to)?.({ t: 'free', m: { lid } })
  }

  async close(): Promise<void> {
    await Promise.all([...this.#channels].map((channel) => channel.close()))
  }

  async #serve(channel: Channel): Promise<void> {
    const { peer } = channel
    const { signatures, clock, log, answerAtOnce, enqueue } = this.#deps
    const write = createFrameWriter(channel, clock)
    const sink: Sink = (message) => write(encodeMessage(message))
    const slots = new Slots(IN_FLIGHT_PER_MEMBER_MAX)
    this.#sinks.set(peer, sink)
    this.#channels.add(channel)
    try {
      for await (const frame of channel.frames) {
        // Nothing is awaited without need: the messages of a frame then share a sync of the journal and a signature.
        for (const message of decodeFrame(signatures, frame)) {
          for (let pause = this.#pause(peer); pause; pause = this.#pause(peer)) await pause
          if (answerAtOnce(peer, message, sink)) continue
          while (slots.areTaken) await slots.freed()
          slots.take()
          enqueue({ work: { from: peer, message }, sink, done: () => slots.free() })
        }
      }
    } catch (error) {
      channel.abort(new Error('the lease channel failed', { cause: error }))
      if (error instanceof MalformedError) log.warn({ err: error, peer }, 'malformed lease frame')
    } finally {
      this.#channels.delete(channel)
      if (this.#sinks.get(peer) === sink) this.#sinks.delete(peer)
    }
  }

  /** While the member is faster than its rate its channel is not read. */
  #pause(peer: PeerId): Promise<void> | undefined {
    const pauseMs = this.#rate.take(peer)
    if (pauseMs === undefined) return undefined
    return new Promise((resolve) => void this.#deps.clock.after(pauseMs, resolve))
  }
}

/** A counting semaphore for one taker, who never waits while a slot is free. */
class Slots {
  readonly #max: number
  #taken = 0
  #wake: () => void = () => undefined

  constructor(max: number) {
    this.#max = max
  }

  get areTaken(): boolean {
    return this.#taken >= this.#max
  }

  take(): void {
    this.#taken += 1
  }

  free(): void {
    this.#taken -= 1
    this.#wake()
  }

  freed(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve))
  }
}
