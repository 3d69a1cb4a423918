import type { Stream } from '@libp2p/interface'
import type { PeerId } from '../../crdt/ids.ts'
import type { Channel } from '../ports/peer-network.ts'
import { concat, encodeFrame, FrameParser, FrameTooLargeError } from './framing.ts'

/** Received bytes that nobody has read yet: above, the stream is paused (the sender's window runs dry); below, resumed. */
const PAUSE_ABOVE_BYTES = 256 * 1024
const RESUME_BELOW_BYTES = 64 * 1024
/** A frame costs at least this much memory, so that a flood of empty frames is bounded too. */
const FRAME_COST_BYTES = 64
/** What a sender that does not await `send` may pile up before the channel is aborted. */
const UNSENT_BYTES_MAX = 8 * 1024 * 1024
/** How long a graceful close may take; afterwards the stream is reset. */
const CLOSE_MS = 5000

/** The empty frame by which the serving side says that its policy lets the opener in. */
const ACCEPTANCE = new Uint8Array(0)

export type StreamChannelOptions = {
  readonly peer: PeerId
  readonly frameBytesMax: number
  /** `opener` waits for the other side's acceptance; `server` has to call `accept`. */
  readonly role: 'opener' | 'server'
  /** Something has come. */
  readonly onData: () => void
  /** Called once, when the channel can no longer be used in either direction. */
  readonly onEnd: () => void
}

/** Frames over one libp2p stream. */
export class StreamChannel implements Channel {
  readonly peer: PeerId
  readonly #stream: Stream
  readonly #parser: FrameParser
  readonly #onEnd: () => void
  readonly #tellData: () => void
  readonly #frameBytesMax: number
  readonly #acceptance = Promise.withResolvers<void>()
  #accepted: boolean
  #ended: 'closed' | Error | undefined
  #remoteClosed = false
  #closing: Promise<void> | undefined

  readonly #inbox: Uint8Array[] = []
  #inboxBytes = 0
  #wakeReader: () => void = () => undefined

  #unsent: Uint8Array[] = []
  #unsentBytes = 0
  #flushScheduled = false
  /** Settles when everything that is unsent now has been taken by the transport. */
  #written: PromiseWithResolvers<void> | undefined

  constructor(stream: Stream, options: StreamChannelOptions) {
    this.#stream = stream
    this.peer = options.peer
    this.#frameBytesMax = options.frameBytesMax
    this.#parser = new FrameParser(options.frameBytesMax)
    this.#onEnd = options.onEnd
    this.#tellData = options.onData
    this.#accepted = options.role === 'server'
    this.#acceptance.promise.catch(() => undefined) // the opener may have given up waiting
    stream.addEventListener('drain', () => this.#onDrain())
    stream.addEventListener('remoteCloseWrite', () => (this.#remoteClosed = true))
    stream.addEventListener('end', () => this.#onReadEnd())
    stream.addEventListener('close', (event) => this.#onStreamClose(event.error))
    stream.addEventListener('message', (event) => this.#onData(event.data))
    queueMicrotask(() => this.#catchUp())
  }

  /** Tells the opener that it may go on. */
  accept(): void {
    this.send(ACCEPTANCE).catch(() => undefined) // a lost stream is reported by `frames`
  }

  /** Resolves when the other side has accepted; rejects when it resets the stream instead. */
  async accepted(signal: AbortSignal): Promise<void> {
    const onAbort = (): void => this.abort(new Error('gave up opening the channel', { cause: signal.reason }))
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      if (signal.aborted) onAbort()
      await this.#acceptance.promise
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  async send(frame: Uint8Array): Promise<void> {
    if (this.#ended !== undefined) throw this.#endedError()
    if (frame.byteLength > this.#frameBytesMax) {
      const error = new FrameTooLargeError(frame.byteLength, this.#frameBytesMax)
      this.abort(error)
      throw error
    }
    const encoded = encodeFrame(frame)
    this.#unsent.push(encoded)
    this.#unsentBytes += encoded.byteLength + FRAME_COST_BYTES
    if (this.#unsentBytes > UNSENT_BYTES_MAX + this.#frameBytesMax) {
      this.abort(new Error('the other side reads too slowly for a sender that does not wait'))
      throw this.#endedError()
    }
    if (this.#written === undefined) {
      this.#written = Promise.withResolvers()
      this.#written.promise.catch(() => undefined) // every sender awaits its own copy
    }
    this.#scheduleFlush()
    return await this.#written.promise
  }

  get frames(): AsyncIterable<Uint8Array> {
    return this.#read()
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeGracefully()
    return this.#closing
  }

  abort(reason: Error): void {
    if (this.#ended === undefined) this.#end(reason)
    this.#stream.abort(reason)
  }

  /** What may have happened to the stream before anybody listened. */
  #catchUp(): void {
    const { status, remoteWriteStatus, readableEnded } = this.#stream
    if (status === 'reset' || status === 'aborted') return this.#onStreamClose(new Error('the stream was reset'))
    if (remoteWriteStatus === 'closed') this.#remoteClosed = true
    if (readableEnded) this.#onReadEnd()
    if (status === 'closed') this.#onStreamClose(undefined)
  }

  #scheduleFlush(): void {
    if (this.#flushScheduled) return
    this.#flushScheduled = true
    // nextTick runs after the promises of this tick: what they send goes into the same write.
    process.nextTick(() => {
      this.#flushScheduled = false
      this.#flush()
    })
  }

  #flush(): void {
    if (this.#unsent.length === 0 || this.#stream.writableNeedsDrain || this.#stream.writeStatus !== 'writable') return
    const bytes = this.#unsent.reduce((sum, part) => sum + part.byteLength, 0)
    const batch = concat(this.#unsent, bytes)
    this.#unsent = []
    this.#unsentBytes = 0
    try {
      this.#stream.send(batch)
    } catch (cause) {
      this.abort(new Error('the connection failed', { cause }))
      return
    }
    if (!this.#stream.writableNeedsDrain) this.#settleWritten()
  }

  #onDrain(): void {
    // The stream continues with its own buffer in a microtask that was queued before this one.
    queueMicrotask(() => {
      if (this.#stream.writableNeedsDrain) return
      if (this.#unsent.length > 0) this.#flush()
      else this.#settleWritten()
    })
  }

  #settleWritten(): void {
    const written = this.#written
    this.#written = undefined
    written?.resolve()
  }

  #onData(data: Uint8Array | Iterable<Uint8Array>): void {
    this.#tellData()
    if (this.#ended !== undefined) return // discarded, so that the other side's close can arrive
    try {
      for (const chunk of data instanceof Uint8Array ? [data] : data)
        for (const frame of this.#parser.push(chunk)) this.#onFrame(frame)
    } catch (error) {
      if (!(error instanceof FrameTooLargeError)) throw error
      this.abort(error)
    }
    this.#wakeReader()
    if (this.#inboxBytes > PAUSE_ABOVE_BYTES && this.#stream.readStatus === 'readable') this.#stream.pause()
  }

  #onFrame(frame: Uint8Array): void {
    if (!this.#accepted) {
      this.#accepted = true
      if (frame.byteLength === 0) this.#acceptance.resolve()
      else this.abort(new Error('the other side did not start with its acceptance'))
      return
    }
    this.#inbox.push(frame)
    this.#inboxBytes += frame.byteLength + FRAME_COST_BYTES
  }

  async *#read(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const frame = this.#inbox.shift()
      if (frame !== undefined) {
        this.#inboxBytes -= frame.byteLength + FRAME_COST_BYTES
        if (this.#inboxBytes < RESUME_BELOW_BYTES) this.#resume()
        yield frame
      } else if (this.#ended instanceof Error) throw this.#ended
      else if (this.#ended === 'closed') return
      else await new Promise<void>((resolve) => (this.#wakeReader = resolve))
    }
  }

  #resume(): void {
    if (this.#stream.readStatus !== 'paused' || this.#stream.status !== 'open') return
    this.#stream.resume()
  }

  /** All of the other side's frames are here and no more will come: what we still say would not be read either. */
  #onReadEnd(): void {
    if (this.#remoteClosed && this.#ended === undefined) void this.close()
  }

  #onStreamClose(error: Error | undefined): void {
    this.#written?.reject(error ?? new Error('channel closed'))
    this.#written = undefined
    if (this.#ended !== undefined) return
    // A lost connection closes the stream without an error; only the other side's own close is a graceful end.
    if (error === undefined && this.#remoteClosed) this.#end('closed')
    else this.#end(error ?? new Error('connection lost'))
  }

  async #closeGracefully(): Promise<void> {
    if (this.#ended !== undefined) return
    const written = this.#written?.promise
    this.#end('closed')
    const deadline = AbortSignal.timeout(CLOSE_MS)
    deadline.addEventListener('abort', () => this.#stream.abort(new Error('the other side did not close')), {
      once: true,
    })
    try {
      this.#flush()
      await written
      await this.#stream.close({ signal: deadline })
    } catch (cause) {
      this.#stream.abort(new Error('could not be closed gracefully', { cause }))
    }
  }

  #end(how: 'closed' | Error): void {
    this.#ended = how
    const error = this.#endedError()
    this.#acceptance.reject(error)
    if (how !== 'closed') {
      this.#written?.reject(error)
      this.#written = undefined
      this.#unsent = []
      this.#unsentBytes = 0
    } else this.#resume()
    this.#wakeReader()
    this.#onEnd()
  }

  #endedError(): Error {
    return this.#ended instanceof Error ? this.#ended : new Error('channel closed')
  }
}
