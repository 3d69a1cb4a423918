import { hashRaw } from '@node-rs/argon2'
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { ARGON2ID } from './argon2-hasher.ts'
import { ByteReader } from './byte-reader.ts'

/*
 * A stream of bytes under a passphrase, format 1:
 *
 *   magic     8 bytes  "ROOKSEAL"
 *   version   1 byte   1
 *   memory    4 bytes  of Argon2id, in KiB      passes  4 bytes      lanes  1 byte
 *   salt     16 bytes
 *   prefix    7 bytes  random: the first bytes of every nonce
 *   chunks             AES-256-GCM, each of 65,536 bytes of content (the last: 0 to 65,536) and a tag of 16
 *
 * The key is Argon2id of the passphrase (UTF-8, NFKC) and the salt. The nonce of a chunk is the prefix, its number as 4
 * bytes from 0, and 1 for the last chunk or 0 (the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár): chunks
 * cannot be changed, moved, left out or cut off. The whole header is authenticated with every chunk. Numbers are
 * big-endian.
 */
const MAGIC = Buffer.from('ROOKSEAL')
const VERSION = 1
const HEADER_BYTES = 41
const PREFIX_AT = HEADER_BYTES - 7
const CHUNK_BYTES = 64 * 1024
const TAG_BYTES = 16

type Cost = { readonly memoryKiB: number; readonly passes: number; readonly lanes: number }

/** The second choice of RFC 9106, for machines without gigabytes to spare: a guess costs 64 MiB and some hundred ms. */
const COST: Cost = { memoryKiB: 64 * 1024, passes: 3, lanes: 4 }
/** What a header may ask for: reading a file of a stranger must not cost more than this. */
const COST_MAX: Cost = { memoryKiB: 1024 * 1024, passes: 16, lanes: 16 }

/** The stream cannot be read; the message says why. */
export class SealedStreamError extends Error {
  override readonly name = 'SealedStreamError'
}

/** `cost` is for tests: it has to be what a guess may cost. */
export async function* seal(
  passphrase: string,
  content: AsyncIterable<Uint8Array>,
  cost: Cost = COST,
): AsyncGenerator<Uint8Array> {
  const header = createHeader(cost)
  const key = await keyOf(passphrase, header)
  yield header
  const reader = new ByteReader(content)
  let chunk = await reader.take(CHUNK_BYTES)
  for (let number = 0; ; number++) {
    // Which chunk is the last is known only when nothing follows it.
    const next = chunk.byteLength < CHUNK_BYTES ? new Uint8Array() : await reader.take(CHUNK_BYTES)
    const isLast = next.byteLength === 0
    const cipher = createCipheriv('aes-256-gcm', key, nonceOf(header, number, isLast)).setAAD(header)
    yield Buffer.concat([cipher.update(chunk), cipher.final(), cipher.getAuthTag()])
    if (isLast) return
    chunk = next
  }
}

/** Nothing is given out before it is authenticated, and the end only if it is the end. @throws SealedStreamError */
export async function* unseal(passphrase: string, sealed: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = new ByteReader(sealed)
  const header = Buffer.from(await reader.take(HEADER_BYTES))
  const key = await keyOf(passphrase, header)
  let chunk = await reader.take(CHUNK_BYTES + TAG_BYTES)
  for (let number = 0; ; number++) {
    const next =
      chunk.byteLength < CHUNK_BYTES + TAG_BYTES ? new Uint8Array() : await reader.take(CHUNK_BYTES + TAG_BYTES)
    const isLast = next.byteLength === 0
    yield open(chunk, { key, header, number, isLast })
    if (isLast) return
    chunk = next
  }
}

type Place = { readonly key: Buffer; readonly header: Buffer; readonly number: number; readonly isLast: boolean }

function open(chunk: Uint8Array, { key, header, number, isLast }: Place): Uint8Array {
  const end = chunk.byteLength - TAG_BYTES
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, nonceOf(header, number, isLast), { authTagLength: TAG_BYTES })
    decipher.setAAD(header).setAuthTag(chunk.subarray(end))
    return Buffer.concat([decipher.update(chunk.subarray(0, end)), decipher.final()])
  } catch (cause) {
    const why =
      number === 0 && !isLast
        ? 'The passphrase is wrong, or the file is damaged.'
        : number === 0
          ? 'The passphrase is wrong, or the file is damaged or cut off.'
          : `The file is damaged or cut off, ${isLast ? 'at its end' : `at byte ${HEADER_BYTES + number * (CHUNK_BYTES + TAG_BYTES)}`}.`
    throw new SealedStreamError(why, { cause })
  }
}

function createHeader({ memoryKiB, passes, lanes }: Cost): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  MAGIC.copy(header)
  header.writeUInt8(VERSION, 8)
  header.writeUInt32BE(memoryKiB, 9)
  header.writeUInt32BE(passes, 13)
  header.writeUInt8(lanes, 17)
  randomBytes(HEADER_BYTES - 18).copy(header, 18)
  return header
}

async function keyOf(passphrase: string, header: Buffer): Promise<Buffer> {
  if (header.byteLength < HEADER_BYTES || !header.subarray(0, MAGIC.byteLength).equals(MAGIC))
    throw new SealedStreamError('This is no backup of Rookery.')
  const version = header.readUInt8(8)
  if (version !== VERSION)
    throw new SealedStreamError(
      `The backup has format ${version}; this release knows format ${VERSION}. Upgrade Rookery.`,
    )
  const [memoryCost, timeCost, parallelism] = [header.readUInt32BE(9), header.readUInt32BE(13), header.readUInt8(17)]
  if (memoryCost > COST_MAX.memoryKiB || timeCost > COST_MAX.passes || parallelism > COST_MAX.lanes)
    throw damagedHeader()
  const salt = header.subarray(18, PREFIX_AT)
  const options = { algorithm: ARGON2ID, memoryCost, timeCost, parallelism, outputLen: 32, salt }
  try {
    return await hashRaw(passphrase.normalize('NFKC'), options)
  } catch (cause) {
    throw damagedHeader(cause) // parameters that Argon2 has no meaning for
  }
}

const damagedHeader = (cause?: unknown): SealedStreamError =>
  new SealedStreamError('The file is damaged: its header says what no backup says.', { cause })

function nonceOf(header: Buffer, number: number, isLast: boolean): Buffer {
  const nonce = Buffer.alloc(12)
  header.copy(nonce, 0, PREFIX_AT)
  nonce.writeUInt32BE(number, 7)
  nonce.writeUInt8(isLast ? 1 : 0, 11)
  return nonce
}
