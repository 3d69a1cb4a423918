import { crc32 } from 'node:zlib'

/*
 * The file is a sequence of blocks: magic, length, CRC-32 of length and payload; the payload is a sequence of records,
 * each with its length. A block is what one sync makes durable. It is written only after the one before it is on disk,
 * so whatever a crash does to unsynced pages, in whatever order they reach the disk, only the last block can be torn.
 * Damage anywhere else is damage to something that was promised.
 */
const BLOCK_MAGIC = Buffer.from('RkJ1')
const BLOCK_HEADER_BYTES = 12

export type ParsedBlocks = { records: Uint8Array[]; length: number; damage: 'none' | 'end' | 'inside' }

/** Reads as far as the file is sound; `length` is where that ends. */
export function parseBlocks(bytes: Buffer): ParsedBlocks {
  const records: Uint8Array[] = []
  let length = 0
  while (length < bytes.byteLength) {
    const payload = blockAt(bytes, length)
    if (!payload) return { records, length, damage: hasBlockAfter(bytes, length) ? 'inside' : 'end' }
    for (let at = 0; at < payload.byteLength;) {
      const size = payload.readUInt32BE(at)
      records.push(new Uint8Array(payload.subarray(at + 4, at + 4 + size)))
      at += 4 + size
    }
    length += BLOCK_HEADER_BYTES + payload.byteLength
  }
  return { records, length, damage: 'none' }
}

function blockAt(bytes: Buffer, at: number): Buffer | undefined {
  if (at + BLOCK_HEADER_BYTES > bytes.byteLength || bytes.compare(BLOCK_MAGIC, 0, 4, at, at + 4) !== 0) return undefined
  const end = at + BLOCK_HEADER_BYTES + bytes.readUInt32BE(at + 4)
  if (end > bytes.byteLength) return undefined
  const payload = bytes.subarray(at + BLOCK_HEADER_BYTES, end)
  return bytes.readUInt32BE(at + 8) === checksum(bytes.subarray(at + 4, at + 8), payload) ? payload : undefined
}

function hasBlockAfter(bytes: Buffer, from: number): boolean {
  for (let at = bytes.indexOf(BLOCK_MAGIC, from + 1); at !== -1; at = bytes.indexOf(BLOCK_MAGIC, at + 1)) {
    if (blockAt(bytes, at)) return true
  }
  return false
}

export function sealBlock(records: readonly Uint8Array[]): Buffer {
  const payload = Buffer.concat(records)
  const header = Buffer.alloc(BLOCK_HEADER_BYTES)
  header.set(BLOCK_MAGIC, 0)
  header.writeUInt32BE(payload.byteLength, 4)
  header.writeUInt32BE(checksum(header.subarray(4, 8), payload), 8)
  return Buffer.concat([header, payload])
}

const checksum = (length: Buffer, payload: Buffer): number => crc32(payload, crc32(length))

export function framed(record: Uint8Array): Buffer {
  const bytes = Buffer.alloc(4 + record.byteLength)
  bytes.writeUInt32BE(record.byteLength)
  bytes.set(record, 4)
  return bytes
}
