import type { PeerId } from '../../../crdt/ids.ts'
import { encodeSync, SYNC_PROTOCOL, type SyncMessage } from '../../../protocols/sync.ts'
import type { Cancel, Clock } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import type { Channel, PeerNetwork } from '../../ports/peer-network.ts'

/** What may wait for a slow peer. Beyond it nothing is pushed any more: anti-entropy brings it later. */
const WAITING_BYTES_MAX = 4 * 1024 * 1024
const OPEN_MS = 10_000
/** A peer that refuses the channel (it may not know yet that we are a member) is asked again after 1 s, 2 s, … 30 s. */
const RETRY_FIRST_MS = 1000
const RETRY_MAX_MS = 30_000

export type SyncLinkDeps = {
  readonly network: Pick<PeerNetwork, 'open'>
  readonly clock: Clock
  readonly log: Log
  readonly onOpen: () => void
  /** What was dropped because the peer was too slow can be made good now. */
  readonly onCaughtUp: () => void
  /** A frame was not sent because the peer is too slow. */
  readonly onDrop: () => void
}

/** The channel on which this node speaks to one connected member; opened again whenever it ends. */
export class SyncLink {
  readonly peer: PeerId
  readonly #deps: SyncLinkDeps
  readonly #stopped = new AbortController()
  #channel: Channel | undefined
  /** Undefined once the link is not needed any more. */
  #opened = Promise.withResolvers<Channel | undefined>()
  #isOpening = false
  #failures = 0
  #cancelRetry: Cancel = () => undefined
  #waitingBytes = 0
  #isLagging = false

  constructor(deps: SyncLinkDeps, peer: PeerId) {
    this.#deps = deps
    this.peer = peer
  }

  get waitingBytes(): number {
    return this.#waitingBytes
  }

  get isOpen(): boolean {
    return this.#channel !== undefined
  }

  /** Opens the channel now if it is not open: at first, or when the peer has shown that it takes us for a member. */
  hurry(): void {
    void this.#open()
  }

  /** As `post`. */
  say(message: SyncMessage): void {
    this.post(encodeSync(message))
  }

  /** Queues a frame, or drops it when the peer is too slow; then `onCaughtUp` is called once it has drained. */
  post(frame: Uint8Array): void {
    const channel = this.#channel
    if (channel === undefined) return
    this.#isLagging ||= this.#waitingBytes + frame.byteLength > WAITING_BYTES_MAX
    if (this.#isLagging) return this.#deps.onDrop()
    this.#waitingBytes += frame.byteLength
    channel.send(frame).then(
      () => this.#taken(frame.byteLength, channel),
      () => undefined, // the end of the channel is noticed by `ended`
    )
  }

  /** Waits for the channel to be open and the peer to take the frame. Resolves false when the link is gone. */
  async send(message: SyncMessage): Promise<boolean> {
    const channel = await this.#opened.promise
    if (channel === undefined) return false
    try {
      await channel.send(encodeSync(message))
      return true
    } catch {
      return false // as above
    }
  }

  /** Flushes and closes. */
  async close(): Promise<void> {
    this.#stopped.abort(new Error('not needed any more'))
    this.#cancelRetry()
    this.#opened.resolve(undefined)
    await this.#channel?.close()
  }

  async #open(): Promise<void> {
    if (this.#isOpening || this.#channel !== undefined || this.#stopped.signal.aborted) return
    const { network, clock, log } = this.#deps
    this.#isOpening = true
    this.#cancelRetry()
    const giveUp = new AbortController()
    const cancelTimeout = clock.after(OPEN_MS, () => giveUp.abort(new Error('no answer in time')))
    try {
      const signal = AbortSignal.any([giveUp.signal, this.#stopped.signal])
      this.#channel = await network.open(this.peer, SYNC_PROTOCOL, signal)
    } catch (error) {
      log.debug({ peer: this.peer, error: String(error) }, 'sync channel could not be opened')
      this.#retry()
    } finally {
      cancelTimeout()
      this.#isOpening = false
    }
    if (this.#channel !== undefined) await this.#use(this.#channel)
  }

  async #use(channel: Channel): Promise<void> {
    if (this.#stopped.signal.aborted) return await channel.close()
    const { clock, onOpen } = this.#deps
    const openedMs = clock.monoMs()
    this.#waitingBytes = 0
    this.#isLagging = false
    onOpen()
    this.#opened.resolve(channel)
    await ended(channel)
    this.#channel = undefined
    this.#opened = Promise.withResolvers()
    if (this.#stopped.signal.aborted) this.#opened.resolve(undefined)
    if (clock.monoMs() - openedMs > RETRY_MAX_MS) this.#failures = 0
    this.#retry()
  }

  #retry(): void {
    if (this.#stopped.signal.aborted) return
    const delayMs = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(this.#failures++, 10))
    this.#cancelRetry = this.#deps.clock.after(delayMs, () => void this.#open())
  }

  #taken(bytes: number, channel: Channel): void {
    if (channel !== this.#channel) return
    this.#waitingBytes -= bytes
    if (this.#waitingBytes > 0 || !this.#isLagging) return
    this.#isLagging = false
    this.#deps.onCaughtUp()
  }
}

/** Resolves when the channel is of no use any more. The other side says nothing on it. */
async function ended(channel: Channel): Promise<void> {
  try {
    for await (const _ of channel.frames) channel.abort(new Error('the peer answered on the wrong channel'))
  } catch {
    // aborted or lost: that is what we are waiting for
  }
}
