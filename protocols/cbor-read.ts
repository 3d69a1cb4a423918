import { decode, encode } from 'cborg'

/** Deeper than anything that anybody means; what nests deeper could not be shown to a schema either. */
const DEPTH_MAX = 1000
/** Put together letter by letter, a longer text stays a tree of its letters, twenty times its size, in whatever keeps it. */
const ASCII_LOOP_MAX = 12
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Reads a value and accepts nothing but its one deterministic encoding (RFC 8949, section 4.2): shortest heads, keys in
 * order, no tags, no indefinite lengths, no `undefined`, `NaN` or infinity, no integer that a double cannot hold.
 * @param binaries copies, so that what is read neither changes with, nor keeps alive, what it was read from; or views of it
 * @throws Error for everything else
 */
export function readCbor(bytes: Uint8Array, binaries: 'copied' | 'viewed' = 'copied'): unknown {
  const reader = new Reader(bytes, binaries === 'copied')
  const value = reader.value(0)
  if (!reader.isAtEnd) throw new Error('more than one value')
  return value
}

class Reader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #isCopying: boolean
  #at = 0

  constructor(bytes: Uint8Array, isCopying: boolean) {
    this.#bytes = bytes
    this.#isCopying = isCopying
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.byteLength
  }

  value(depth: number): unknown {
    if (depth > DEPTH_MAX) throw new Error('nested too deeply')
    const start = this.#at
    const first = this.#byte()
    const major = first >> 5
    if (major === SIMPLE) return this.#simple(first, start)
    const count = this.#count(first & 0x1f)
    switch (major) {
      case 0:
        return count
      case 1:
        if (count === Number.MAX_SAFE_INTEGER) throw new Error('an integer that is too small')
        return -1 - count
      case 2:
        return this.#binary(count)
      case 3:
        return this.#text(count)
      case 4:
        return this.#array(count, depth)
      case 5:
        return this.#map(count, depth)
      default:
        throw new Error('a tag')
    }
  }

  #binary(count: number): Uint8Array {
    const start = this.#take(count)
    const view = this.#bytes.subarray(start, this.#at)
    return this.#isCopying ? new Uint8Array(view) : view
  }

  #array(count: number, depth: number): unknown[] {
    this.#expect(count)
    const values: unknown[] = []
    for (let i = 0; i < count; i++) values.push(this.value(depth + 1))
    return values
  }

  #map(count: number, depth: number): Record<string, unknown> {
    this.#expect(2 * count)
    const map: Record<string, unknown> = {}
    let before = -1
    for (let i = 0; i < count; i++) {
      const at = this.#at
      const first = this.#byte()
      if (first >> 5 !== TEXT) throw new Error('a key that is no text')
      const key = this.#text(this.#count(first & 0x1f))
      if (before >= 0 && !this.#isInOrder(before, at)) throw new Error('keys are out of order')
      before = at
      const value = this.value(depth + 1)
      if (key === '__proto__') Object.defineProperty(map, key, { value, ...ORDINARY })
      else map[key] = value
    }
    return map
  }

  /** Whether the encoded key at `a` is smaller, byte by byte, than the one at `b`; both are followed by something. */
  #isInOrder(a: number, b: number): boolean {
    const bytes = this.#bytes
    for (let i = 0; a + i < b && b + i < this.#at; i++) {
      const difference = (bytes[b + i] ?? 0) - (bytes[a + i] ?? 0)
      if (difference !== 0) return difference > 0
    }
    return false
  }

  #text(length: number): string {
    const start = this.#take(length)
    const bytes = this.#bytes
    let text = ''
    for (let at = start; at < start + length; at++) {
      const byte = bytes[at] ?? 0
      if (byte > 0x7f || length > ASCII_LOOP_MAX) return UTF8.decode(bytes.subarray(start, start + length))
      text += String.fromCharCode(byte)
    }
    return text
  }

  #simple(first: number, start: number): unknown {
    if (first === FALSE || first === TRUE) return first === TRUE
    if (first === NULL) return null
    const length = FRACTION_BYTES.get(first)
    if (length === undefined) throw new Error('neither a truth value nor a fraction')
    this.#take(length)
    const encoded = this.#bytes.subarray(start, this.#at)
    const value: unknown = decode(encoded, FRACTIONS)
    const again = encode(value)
    if (again.byteLength !== encoded.byteLength || again.some((byte, i) => byte !== encoded[i])) {
      throw new Error('a fraction that is not in its shortest form')
    }
    return value
  }

  /** The argument of a head, which has to be as short as it can be. */
  #count(info: number): number {
    if (info < 24) return info
    const [count, least] = this.#longCount(info)
    if (count < least) throw new Error('longer than it has to be')
    if (count > Number.MAX_SAFE_INTEGER) throw new Error('an integer that is too large')
    return count
  }

  #longCount(info: number): [count: number, least: number] {
    if (info === 24) return [this.#byte(), 24]
    if (info === 25) return [this.#view.getUint16(this.#take(2)), 2 ** 8]
    if (info === 26) return [this.#view.getUint32(this.#take(4)), 2 ** 16]
    if (info !== 27) throw new Error('no length')
    const at = this.#take(8)
    return [this.#view.getUint32(at) * 2 ** 32 + this.#view.getUint32(at + 4), 2 ** 32]
  }

  #byte(): number {
    const byte = this.#bytes[this.#at]
    if (byte === undefined) throw new Error('it ends too early')
    this.#at += 1
    return byte
  }

  /** Where the next `count` bytes begin. */
  #take(count: number): number {
    this.#expect(count)
    const start = this.#at
    this.#at += count
    return start
  }

  #expect(count: number): void {
    if (count > this.#bytes.byteLength - this.#at) throw new Error('it ends too early')
  }
}

const TEXT = 3
const SIMPLE = 7
const FALSE = 0xf4
const TRUE = 0xf5
const NULL = 0xf6
const FRACTION_BYTES = new Map([
  [0xf9, 2],
  [0xfa, 4],
  [0xfb, 8],
])
const FRACTIONS = { strict: true, allowInfinity: false, allowNaN: false } as const
const ORDINARY = { configurable: true, enumerable: true, writable: true } as const
