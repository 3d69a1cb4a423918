import { encode } from 'cborg'

/** Larger than nearly everything that is encoded, so that it hardly ever has to grow. */
const FIRST_BYTES = 64 * 1024
const ASCII_LOOP_MAX = 200
const UTF8 = new TextEncoder()
const RARE = { ignoreUndefinedProperties: true } as const

/**
 * Writes deterministic CBOR (RFC 8949, section 4.2): what this protocol is made of by itself, the rest (fractions, keys
 * that are not ASCII, and what is no plain data) through the general encoder, whose bytes it agrees with.
 */
class Writer {
  #bytes = new Uint8Array(FIRST_BYTES)
  #view = new DataView(this.#bytes.buffer)
  #length = 0

  encode(value: unknown): Uint8Array {
    this.#length = 0
    this.#write(value)
    return this.#bytes.slice(0, this.#length)
  }

  #write(value: unknown): void {
    if (typeof value === 'string') return this.#text(value)
    if (typeof value === 'number' && Number.isSafeInteger(value)) {
      return value < 0 ? this.#head(NEGATIVE, -1 - value) : this.#head(UNSIGNED, value)
    }
    if (value === true || value === false || value === null) return this.#byte(value === null ? NULL : +value + FALSE)
    if (Array.isArray(value)) return this.#array(value)
    if (typeof value === 'object') {
      const prototype: unknown = Object.getPrototypeOf(value)
      if (prototype === Object.prototype || prototype === null) return this.#map(value as Record<string, unknown>)
      if (value instanceof Uint8Array) return this.#binary(value)
    }
    this.#raw(encode(value, RARE))
  }

  #map(value: Record<string, unknown>): void {
    const keys: string[] = []
    for (const key of Object.keys(value)) {
      if (value[key] === undefined) continue
      if (!isAscii(key)) return this.#raw(encode(value, RARE))
      // An insertion sort: there are few keys, and often they are in order already.
      let at = keys.length
      for (let before = keys[at - 1]; before !== undefined && isBefore(key, before); before = keys[--at - 1]) {
        keys[at] = before
      }
      keys[at] = key
    }
    this.#head(MAP, keys.length)
    for (const key of keys) {
      this.#text(key)
      this.#write(value[key])
    }
  }

  #array(values: readonly unknown[]): void {
    this.#head(ARRAY, values.length)
    for (const value of values) this.#write(value)
  }

  #binary(bytes: Uint8Array): void {
    this.#head(BYTES, bytes.byteLength)
    this.#raw(bytes)
  }

  #text(text: string): void {
    const start = this.#length
    if (text.length <= ASCII_LOOP_MAX) {
      this.#head(TEXT, text.length)
      if (this.#ascii(text)) return
      this.#length = start
    }
    const bytes = UTF8.encode(text)
    this.#head(TEXT, bytes.byteLength)
    this.#raw(bytes)
  }

  /** Writes the text, unless it is more than ASCII. */
  #ascii(text: string): boolean {
    this.#reserve(text.length)
    const bytes = this.#bytes
    const start = this.#length
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i)
      if (code > 0x7f) return false
      bytes[start + i] = code
    }
    this.#length = start + text.length
    return true
  }

  #head(major: number, value: number): void {
    this.#reserve(9)
    const at = this.#length
    if (value < 24) {
      this.#bytes[at] = major | value
      this.#length += 1
    } else if (value < 2 ** 8) {
      this.#bytes[at] = major | 24
      this.#bytes[at + 1] = value
      this.#length += 2
    } else if (value < 2 ** 16) {
      this.#bytes[at] = major | 25
      this.#view.setUint16(at + 1, value)
      this.#length += 3
    } else if (value < 2 ** 32) {
      this.#bytes[at] = major | 26
      this.#view.setUint32(at + 1, value)
      this.#length += 5
    } else {
      this.#bytes[at] = major | 27
      this.#view.setUint32(at + 1, Math.floor(value / 2 ** 32))
      this.#view.setUint32(at + 5, value % 2 ** 32)
      this.#length += 9
    }
  }

  #byte(byte: number): void {
    this.#reserve(1)
    this.#bytes[this.#length++] = byte
  }

  #raw(bytes: Uint8Array): void {
    this.#reserve(bytes.byteLength)
    this.#bytes.set(bytes, this.#length)
    this.#length += bytes.byteLength
  }

  #reserve(count: number): void {
    const needed = this.#length + count
    if (needed <= this.#bytes.byteLength) return
    const before = this.#bytes
    this.#bytes = new Uint8Array(2 ** Math.ceil(Math.log2(needed)))
    this.#bytes.set(before)
    this.#view = new DataView(this.#bytes.buffer)
  }
}

const UNSIGNED = 0x00
const NEGATIVE = 0x20
const BYTES = 0x40
const TEXT = 0x60
const ARRAY = 0x80
const MAP = 0xa0
const FALSE = 0xf4
const NULL = 0xf6

/** Shortest first, as the length is in front. */
const isBefore = (a: string, b: string): boolean => a.length < b.length || (a.length === b.length && a < b)

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false
  return true
}

/** Kept as a whole process works with it: encoding is not interrupted by anything. A large value is not kept. */
let writer = new Writer()
const KEPT_BYTES_MAX = 1024 * 1024

export function writeCbor(value: unknown): Uint8Array {
  try {
    const bytes = writer.encode(value)
    if (bytes.byteLength > KEPT_BYTES_MAX) writer = new Writer()
    return bytes
  } catch (error) {
    writer = new Writer()
    throw error
  }
}
