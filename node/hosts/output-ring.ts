/** Output kept for viewers that come late or fall behind: enough for several full screens of scrollback. */
export const RING_BYTES = 2 * 1024 * 1024

/**
 * The newest bytes of a stream, addressed by their absolute position in it. Memory is taken once. `start`: the position of
 * the first byte, when those before it are gone.
 */
export class OutputRing {
  readonly #bytes: Uint8Array
  readonly #start: number
  #head: number

  constructor(capacity = RING_BYTES, start = 0) {
    this.#bytes = new Uint8Array(capacity)
    this.#start = start
    this.#head = start
  }

  /** Position after the newest byte. */
  get head(): number {
    return this.#head
  }

  /** Position of the oldest byte still here. */
  get tail(): number {
    return Math.max(this.#start, this.#head - this.#bytes.byteLength)
  }

  append(chunk: Uint8Array): void {
    const capacity = this.#bytes.byteLength
    const kept = chunk.subarray(Math.max(0, chunk.byteLength - capacity))
    const at = (this.#head + chunk.byteLength - kept.byteLength) % capacity
    const untilEnd = Math.min(kept.byteLength, capacity - at)
    this.#bytes.set(kept.subarray(0, untilEnd), at)
    this.#bytes.set(kept.subarray(untilEnd), 0)
    this.#head += chunk.byteLength
  }

  /** A copy of at most `bytesMax` bytes from `seq` on, which must lie between tail and head. */
  read(seq: number, bytesMax: number): Uint8Array {
    if (seq < this.tail || seq > this.#head) throw new RangeError(`byte ${seq} is not in the ring`)
    const capacity = this.#bytes.byteLength
    const out = new Uint8Array(Math.min(bytesMax, this.#head - seq))
    const at = seq % capacity
    const first = this.#bytes.subarray(at, Math.min(capacity, at + out.byteLength))
    out.set(first)
    out.set(this.#bytes.subarray(0, out.byteLength - first.byteLength), first.byteLength)
    return out
  }
}
