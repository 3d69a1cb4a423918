import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { findLogDamage } from '../../../node/adapters/level-log.ts'
import { StoreUnusableError } from '../../../node/adapters/level-db.ts'
import { openLevelStore } from '../../../node/adapters/level-store.ts'
import { checkedValue, withChecksum } from '../../../node/adapters/level-values.ts'
import type { FeedStore } from '../../../node/ports/feed-store.ts'

/** Over a hundred kilobytes: batches in one block, over two, and over several. */
const SIZES = [10, 700, 90, 3000, 20_000, 1, 70_000, 5000, 40, 9000, 300]

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'rookery-level-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

const bytesOf = (size: number): Uint8Array => Uint8Array.from({ length: size }, (_, i) => (i * i * 31 + size) & 255)

/** A store that was filled by one write after another and closed; all of them are in its log. */
async function filled(): Promise<string> {
  const store = await openLevelStore(dir)
  for (const [i, size] of SIZES.entries()) await store.putFact(`fact ${i}`, bytesOf(size))
  await store.close()
  return join(
    dir,
    (await readdir(dir)).find((name) => name.endsWith('.log'))!,
  )
}

async function factsOf(store: FeedStore): Promise<number> {
  let whole = 0
  for (const [i, size] of SIZES.entries()) {
    const fact = await store.getFact(`fact ${i}`)
    if (fact === undefined) continue
    expect(fact).toEqual(bytesOf(size))
    whole++
  }
  await store.close()
  return whole
}

it('[M14] refuses a log that is damaged anywhere before its last batch, and leaves it as it is', async () => {
  const path = await filled()
  const log = await readFile(path)
  expect(findLogDamage(log)).toBeUndefined()
  const lastBatch = log.byteLength - 340
  for (let at = 0; at < lastBatch; at += 97) {
    const damaged = Buffer.from(log)
    damaged[at] = (damaged[at] ?? 0) ^ 0x10
    expect(findLogDamage(damaged), `byte ${at}`).toBeDefined()
  }
  const damaged = Buffer.from(log)
  damaged.fill(0x5a, 30_000, 30_020)
  await writeFile(path, damaged)
  await expect(openLevelStore(dir)).rejects.toThrow(StoreUnusableError)
  expect(await readFile(path)).toEqual(damaged)
})

it.each([
  [0, 11],
  [1, 10],
  [7, 10],
  [700, 9],
  [20_000, 6],
  [60_000, 6],
])('takes a log that was torn %i bytes before its end, with the %i batches that are whole', async (missing, whole) => {
  const path = await filled()
  await truncate(path, (await readFile(path)).byteLength - missing)
  expect(await factsOf(await openLevelStore(dir))).toBe(whole)
})

it('takes a log whose last batch reached the disk without its beginning', async () => {
  const path = await filled()
  const whole = await readFile(path)
  // The batch of 70,000 bytes lies in three blocks; what follows it is cut off, its first part is zeros.
  const cut = whole.subarray(0, 3 * 32 * 1024 - 100)
  cut.fill(0, 25_000, 32 * 1024)
  await writeFile(path, cut)
  expect(await factsOf(await openLevelStore(dir))).toBe(6)
})

it('notices a value that has changed in a table, which LevelDB itself does not', async () => {
  await filled()
  await (await openLevelStore(dir)).close() // moves the log into a table
  const name = (await readdir(dir)).find((file) => file.endsWith('.ldb'))!
  const table = await readFile(join(dir, name))
  const at = table.indexOf(Buffer.from(bytesOf(700).subarray(100, 116)))
  expect(at).toBeGreaterThan(0)
  table[at] = (table[at] ?? 0) ^ 1
  await writeFile(join(dir, name), table)
  const store = await openLevelStore(dir)
  await expect(factsOf(store)).rejects.toThrow('is damaged')
  await store.close()
})

it('gives back a value only under its own key', () => {
  const [one, other, value] = [bytesOf(3), bytesOf(4), bytesOf(50)]
  const stored = withChecksum(one, value)
  expect([checkedValue(one, stored), checkedValue(other, stored), checkedValue(one, stored.subarray(1))]).toEqual([
    value,
    undefined,
    undefined,
  ])
  expect(checkedValue(one, new Uint8Array(3))).toBeUndefined()
})
