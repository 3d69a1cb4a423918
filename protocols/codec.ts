import type { z } from 'zod'
import { readCbor } from './cbor-read.ts'
import { writeCbor } from './cbor-write.ts'

/**
 * The one wire and storage encoding: deterministic CBOR (RFC 8949 section 4.2). Two encodings of one value do not
 * exist, so a hash of the bytes names the value. Properties that are `undefined` are left out.
 */
export const encodeCanonical = (value: unknown): Uint8Array => writeCbor(value)

export class MalformedError extends Error {
  override readonly name = 'MalformedError'
}

/**
 * Parses untrusted bytes: size, well-formedness, canonical form, then the schema.
 * @throws MalformedError and nothing else, whatever the bytes.
 */
export const decodeCanonical = <T extends z.ZodType>(schema: T, bytes: Uint8Array, bytesMax: number): z.infer<T> =>
  parse(schema, bytes, bytesMax, 'copied')

/** As `decodeCanonical`, for large values: binaries are views of `bytes`, which nobody may change any more. */
export const decodeInPlace = <T extends z.ZodType>(schema: T, bytes: Uint8Array, bytesMax: number): z.infer<T> =>
  parse(schema, bytes, bytesMax, 'viewed')

function parse<T extends z.ZodType>(
  schema: T,
  bytes: Uint8Array,
  bytesMax: number,
  binaries: 'copied' | 'viewed',
): z.infer<T> {
  if (bytes.byteLength > bytesMax) throw new MalformedError(`${bytes.byteLength} bytes, at most ${bytesMax} allowed`)
  let value: unknown
  try {
    value = readCbor(bytes, binaries)
  } catch (cause) {
    throw new MalformedError('not CBOR in its canonical form', { cause })
  }
  const parsed = schema.safeParse(value)
  if (!parsed.success)
    throw new MalformedError(parsed.error.issues[0]?.message ?? 'wrong shape', { cause: parsed.error })
  return parsed.data
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.byteLength !== b.byteLength) return false
  for (let i = 0; i < a.byteLength; i++) if (a[i] !== b[i]) return false
  return true
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

export function toHex(bytes: Uint8Array): string {
  // Put together one by one, each text would stay a tree of its parts, ten times its size, in whatever keeps it.
  const parts: (string | undefined)[] = []
  for (const byte of bytes) parts.push(HEX[byte])
  return parts.join('')
}

/** The text has to be hex: whoever takes it from outside checks that. */
export function fromHex(hex: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: hex.length / 2 }, (_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16))
}
