/** Every frame is preceded by its length as a 32-bit big-endian number. */
const HEADER_BYTES = 4

export function encodeFrame(frame: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + frame.byteLength)
  new DataView(bytes.buffer).setUint32(0, frame.byteLength)
  bytes.set(frame, HEADER_BYTES)
  return bytes
}

export class FrameTooLargeError extends Error {
  override readonly name = 'FrameTooLargeError'

  constructor(bytes: number, bytesMax: number) {
    super(`frame of ${bytes} bytes, at most ${bytesMax} allowed`)
  }
}

/** Cuts a byte stream into frames. Frames are copies: they do not keep the transport's buffers alive. */
export class FrameParser {
  readonly #bytesMax: number
  readonly #header = new Uint8Array(HEADER_BYTES)
  #headerFill = 0
  #body: Uint8Array | undefined
  #bodyFill = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** @throws FrameTooLargeError before anything is allocated for the frame */
  *push(chunk: Uint8Array): Generator<Uint8Array> {
    let at = 0
    while (at < chunk.byteLength) {
      at = this.#body === undefined ? this.#readHeader(chunk, at) : this.#readBody(this.#body, chunk, at)
      if (this.#body !== undefined && this.#bodyFill === this.#body.byteLength) {
        const frame = this.#body
        this.#body = undefined
        yield frame
      }
    }
  }

  #readHeader(chunk: Uint8Array, at: number): number {
    const end = Math.min(chunk.byteLength, at + HEADER_BYTES - this.#headerFill)
    this.#header.set(chunk.subarray(at, end), this.#headerFill)
    this.#headerFill += end - at
    if (this.#headerFill === HEADER_BYTES) {
      const length = new DataView(this.#header.buffer).getUint32(0)
      if (length > this.#bytesMax) throw new FrameTooLargeError(length, this.#bytesMax)
      this.#headerFill = 0
      this.#body = new Uint8Array(length)
      this.#bodyFill = 0
    }
    return end
  }

  #readBody(body: Uint8Array, chunk: Uint8Array, at: number): number {
    const end = Math.min(chunk.byteLength, at + body.byteLength - this.#bodyFill)
    body.set(chunk.subarray(at, end), this.#bodyFill)
    this.#bodyFill += end - at
    return end
  }
}

export function concat(parts: readonly Uint8Array[], bytes: number): Uint8Array {
  const [only] = parts
  if (parts.length === 1 && only !== undefined) return only
  const all = new Uint8Array(bytes)
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.byteLength
  }
  return all
}
