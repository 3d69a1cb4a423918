/** Reads a stream of bytes, which comes in pieces of any size, in portions of known size. */
export class ByteReader {
  readonly #pieces: AsyncIterator<Uint8Array>
  #ready: Uint8Array[] = []
  #bytes = 0

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#pieces = source[Symbol.asyncIterator]()
  }

  /** The next so many bytes; fewer only when the stream ends before. */
  async take(wanted: number): Promise<Uint8Array> {
    while (this.#bytes < wanted) {
      const { done, value } = await this.#pieces.next()
      if (done === true) break
      this.#ready.push(value)
      this.#bytes += value.byteLength
    }
    return this.#cut(Math.min(wanted, this.#bytes))
  }

  #cut(size: number): Uint8Array {
    const portion = new Uint8Array(size)
    let at = 0
    let used = 0
    for (const piece of this.#ready) {
      if (at + piece.byteLength > size) break
      portion.set(piece, at)
      at += piece.byteLength
      used++
    }
    this.#ready.splice(0, used)
    const [first] = this.#ready
    if (first !== undefined && at < size) {
      portion.set(first.subarray(0, size - at), at)
      this.#ready[0] = first.subarray(size - at)
    }
    this.#bytes -= size
    return portion
  }
}
