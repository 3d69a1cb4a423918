import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { meshDoc } from '../../../crdt/ids.ts'
import { openLevelStore } from '../../../node/adapters/level-store.ts'
import { encodeCanonical } from '../../../protocols/codec.ts'
import { identity } from '../../support/identity.ts'
import { PROJECT } from '../../support/replicas.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'rookery-sizes-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

const [a, b] = [identity(0).peer, identity(1).peer]
const envelope = (seq: number, size = 100) => ({
  seq,
  bytes: encodeCanonical({ at: seq * 1000, update: new Uint8Array(size) }),
})

it('[storage] counts bytes and envelopes per document and author, and those written since a moment', async () => {
  const store = await openLevelStore(dir)
  const feeds = [
    { doc: PROJECT, author: a, count: 700 },
    { doc: PROJECT, author: b, count: 3 },
    { doc: meshDoc, author: a, count: 1 },
  ]
  for (const { doc, author, count } of feeds)
    await store.append(Array.from({ length: count }, (_, i) => ({ doc, author, ...envelope(i + 1) })))
  await store.saveSnapshot(PROJECT, { heads: new Map(), bytes: new Uint8Array(5000) })
  await store.appendRecords([new Uint8Array(10), new Uint8Array(20)])
  await store.saveSummary(PROJECT, { heads: new Map(), bytes: new Uint8Array(9) }, { added: ['x', 'y'], removed: [] })
  await store.putFact('boot', new Uint8Array(3))
  const { feeds: found, snapshots, summaries, records, facts } = await store.sizes(650_500)
  const of = (doc: string, author: string) => found.find((feed) => feed.doc === doc && feed.author === author)!
  expect(found.map(({ envelopes }) => envelopes).toSorted((x, y) => x - y)).toEqual([1, 3, 700])
  const one = of(meshDoc, a).bytes
  expect(of(PROJECT, a)).toMatchObject({ envelopes: 700, firstAt: 1000 })
  // A key names its document; sequence numbers and times take as much in each.
  expect(of(PROJECT, a).lateBytes / of(PROJECT, a).bytes).toBeCloseTo(50 / 700, 2)
  expect([of(PROJECT, b).lateBytes, one > 100]).toEqual([0, true])
  expect(snapshots.get(PROJECT)).toBeGreaterThan(5000)
  expect([summaries.count, records.count, facts.count]).toEqual([3, 2, 1])
  await store.close()
})

it('[storage] whoever asks while it is being measured gets the same answer', async () => {
  const store = await openLevelStore(dir)
  const [first, second] = await Promise.all([store.sizes(0), store.sizes(0)])
  expect(second).toBe(first)
  expect(await store.sizes(0)).not.toBe(first)
  await store.close()
})
