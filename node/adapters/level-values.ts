import { crc32 } from 'node:zlib'
import type { Bytes } from './level-keys.ts'

const CHECKSUM_BYTES = 4

/** The value with a checksum of it and its key: LevelDB verifies none of its own unless it is told to, which it cannot be. */
export function withChecksum(key: Bytes, value: Bytes): Bytes {
  const stored = new Uint8Array(value.byteLength + CHECKSUM_BYTES)
  stored.set(value)
  new DataView(stored.buffer).setUint32(value.byteLength, crc32(value, crc32(key)))
  return stored
}

/** The value of `withChecksum`, not copied; undefined when it or its key is not what was stored. */
export function checkedValue(key: Bytes, stored: Bytes): Bytes | undefined {
  const length = stored.byteLength - CHECKSUM_BYTES
  if (length < 0) return undefined
  // The binding hands out Buffers, which Yjs and the codec treat differently.
  const value = new Uint8Array(stored.buffer, stored.byteOffset, length)
  const checksum = new DataView(stored.buffer, stored.byteOffset + length).getUint32(0)
  return checksum === crc32(value, crc32(key)) ? value : undefined
}
