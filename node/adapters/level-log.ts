import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** LevelDB's write-ahead log: blocks of records, each with a checksum, its length and its place in a batch. */
const BLOCK_BYTES = 32 * 1024
const HEADER_BYTES = 7
const FULL = 1
const FIRST = 2
const LAST = 4

/** Which write-ahead log in the folder of a store is damaged, and where; undefined when all are whole. */
export async function findDamagedLog(dir: string): Promise<string | undefined> {
  for (const name of await readdir(dir)) {
    const at = /^\d+\.log$/.test(name) ? findLogDamage(await readFile(join(dir, name))) : undefined
    if (at !== undefined) return `${name} is damaged at byte ${at}`
  }
  return undefined
}

/**
 * Where a write-ahead log of LevelDB is damaged, or undefined. LevelDB itself skips what it cannot read there and says
 * nothing. A batch at the end that was not written whole is no damage: its write was never acknowledged. So a bad record
 * counts only when another batch begins after it. (Damage within the very last batch looks like one that was torn.)
 */
export function findLogDamage(log: Uint8Array): number | undefined {
  let bad: number | undefined
  for (let block = 0; block < log.byteLength; block += BLOCK_BYTES) {
    const end = Math.min(block + BLOCK_BYTES, log.byteLength)
    for (let at = block; at + HEADER_BYTES <= end;) {
      const record = recordAt(log, at, end)
      if (!record) {
        bad ??= isZero(log, at, end) && end === log.byteLength ? undefined : at
        // A spoilt length leads nowhere: the next record may begin at any byte.
        if (bad === undefined) break
        at++
        continue
      }
      if (bad !== undefined && (record.type === FULL || record.type === FIRST)) return bad
      at = record.end
    }
  }
  return undefined
}

function recordAt(log: Uint8Array, at: number, blockEnd: number): { type: number; end: number } | undefined {
  const view = new DataView(log.buffer, log.byteOffset + at)
  const type = view.getUint8(6)
  const end = at + HEADER_BYTES + view.getUint16(4, true)
  if (type < FULL || type > LAST || end > blockEnd) return undefined
  return view.getUint32(0, true) === masked(crc32c(log.subarray(at + 6, end))) ? { type, end } : undefined
}

const isZero = (log: Uint8Array, from: number, end: number): boolean =>
  log.subarray(from, end).every((byte) => byte === 0)

/** So that a checksum of bytes with checksums in them stays a good one. */
const masked = (crc: number): number => (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0

const CASTAGNOLI = 0x82f63b78
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ CASTAGNOLI : crc >>> 1
  return crc
})

/** `node:zlib` has the other polynomial. */
function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) crc = (TABLE[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8)
  return (crc ^ 0xffffffff) >>> 0
}
