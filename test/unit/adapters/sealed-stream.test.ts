import { expect, it } from 'vitest'
import { seal, SealedStreamError, unseal } from '../../../node/adapters/sealed-stream.ts'

const CHEAP = { memoryKiB: 64, passes: 1, lanes: 1 }
const CHUNK = 64 * 1024
const bytesOf = (size: number): Uint8Array => Uint8Array.from({ length: size }, (_, i) => (i * 31 + (i >> 8)) & 255)

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += size) yield bytes.subarray(at, at + size)
}

async function all(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const found: Uint8Array[] = []
  for await (const piece of source) found.push(piece)
  return Buffer.concat(found)
}

const sealed = (content: Uint8Array, passphrase = 'pass'): Promise<Buffer> =>
  all(seal(passphrase, pieces(content, 10_007), CHEAP))
const opened = (bytes: Uint8Array, passphrase = 'pass'): Promise<Buffer> =>
  all(unseal(passphrase, pieces(bytes, 50_021)))

it.each([0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 17])(
  '[backup] gives back %i bytes',
  async (size) => {
    const content = bytesOf(size)
    expect(Buffer.compare(await opened(await sealed(content)), content)).toBe(0)
  },
)

it('[backup] is different each time, and the passphrase may be typed in either form of Unicode', async () => {
  const [a, b] = [await sealed(bytesOf(100), 'caf\u00e9'), await sealed(bytesOf(100), 'caf\u00e9')]
  expect(Buffer.compare(a, b)).not.toBe(0)
  expect(await opened(a, 'cafe\u0301')).toEqual(Buffer.from(bytesOf(100)))
})

it('[backup] refuses another passphrase', async () => {
  await expect(opened(await sealed(bytesOf(100)), 'Pass')).rejects.toThrow('The passphrase is wrong')
})

it('[backup] refuses a file that is cut off anywhere, also between two chunks', async () => {
  const whole = await sealed(bytesOf(3 * CHUNK + 5))
  const ends = [0, 7, 40, 41, 41 + 15, 41 + CHUNK + 16, 41 + 2 * (CHUNK + 16), whole.byteLength - 1]
  for (const end of ends)
    await expect(opened(whole.subarray(0, end)), `cut at ${end}`).rejects.toThrow(SealedStreamError)
})

it('[backup] refuses a file in which one bit has changed, or that goes on behind its end', async () => {
  const whole = await sealed(bytesOf(CHUNK + 5))
  for (const at of [0, 8, 9, 20, 36, 41, 41 + CHUNK, 41 + CHUNK + 16, whole.byteLength - 1]) {
    const changed = Buffer.from(whole)
    changed[at] = (changed[at] ?? 0) ^ 0x80
    await expect(opened(changed), `byte ${at}`).rejects.toThrow(SealedStreamError)
  }
  await expect(opened(Buffer.concat([whole, Buffer.alloc(1)]))).rejects.toThrow(SealedStreamError)
})

it('[backup] refuses chunks in another order', async () => {
  const whole = await sealed(bytesOf(4 * CHUNK))
  const size = CHUNK + 16
  const [first, second] = [whole.subarray(41, 41 + size), whole.subarray(41 + size, 41 + 2 * size)]
  const swapped = Buffer.concat([whole.subarray(0, 41), second, first, whole.subarray(41 + 2 * size)])
  await expect(opened(swapped)).rejects.toThrow(SealedStreamError)
})

it('[backup] gives out nothing that is not authenticated', async () => {
  const whole = await sealed(bytesOf(3 * CHUNK))
  whole[41 + CHUNK + 16 + 3] = (whole[41 + CHUNK + 16 + 3] ?? 0) ^ 1
  const got: Uint8Array[] = []
  const reading = (async () => {
    for await (const piece of unseal('pass', pieces(whole, 1000))) got.push(piece)
  })()
  await expect(reading).rejects.toThrow(`at byte ${41 + CHUNK + 16}`)
  expect(Buffer.compare(Buffer.concat(got), bytesOf(3 * CHUNK).subarray(0, CHUNK))).toBe(0)
})
