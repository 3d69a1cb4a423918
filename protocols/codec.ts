import { decode, encode } from 'cborg'
import type { z } from 'zod'

/**
 * The one wire and storage encoding: deterministic CBOR (RFC 8949 section 4.2). Two encodings of one value do not
 * exist, so a hash of the bytes names the value. Properties that are `undefined` are left out.
 *
 * All our keys are text, and for text the order of the RFC is the encoder's own, shortest first: asking it for the
 * RFC's order by name gives the same bytes in three times as long.
 */
export function encodeCanonical(value: unknown): Uint8Array {
  return encode(value, ENCODE_OPTIONS)
}

const ENCODE_OPTIONS = { ignoreUndefinedProperties: true } as const

export class MalformedError extends Error {
  override readonly name = 'MalformedError'
}

/**
 * Parses untrusted bytes: size, well-formedness, canonical form, then the schema.
 * @throws MalformedError and nothing else, whatever the bytes.
 */
export function decodeCanonical<T extends z.ZodType>(schema: T, bytes: Uint8Array, bytesMax: number): z.infer<T> {
  if (bytes.byteLength > bytesMax) throw new MalformedError(`${bytes.byteLength} bytes, at most ${bytesMax} allowed`)
  let value: unknown
  try {
    value = decode(bytes, DECODE_OPTIONS)
    if (!equalBytes(encodeCanonical(value), bytes)) throw new MalformedError('not in canonical form')
  } catch (cause) {
    throw cause instanceof MalformedError ? cause : new MalformedError('not CBOR', { cause })
  }
  const parsed = schema.safeParse(value)
  if (!parsed.success)
    throw new MalformedError(parsed.error.issues[0]?.message ?? 'wrong shape', { cause: parsed.error })
  return parsed.data
}

const DECODE_OPTIONS = {
  strict: true,
  allowIndefinite: false,
  allowUndefined: false,
  allowInfinity: false,
  allowNaN: false,
  allowBigInt: false,
  rejectDuplicateMapKeys: true,
} as const

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.byteLength !== b.byteLength) return false
  for (let i = 0; i < a.byteLength; i++) if (a[i] !== b[i]) return false
  return true
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

export function toHex(bytes: Uint8Array): string {
  let hex = ''
  for (const byte of bytes) hex += HEX[byte]
  return hex
}

/** The text has to be hex: whoever takes it from outside checks that. */
export function fromHex(hex: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: hex.length / 2 }, (_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16))
}
