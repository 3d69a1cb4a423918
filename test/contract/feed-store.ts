import { expect, it } from 'vitest'
import type { DocId } from '../../crdt/ids.ts'
import type { FeedStore, StoredEnvelope } from '../../node/ports/feed-store.ts'
import { identity } from '../support/identity.ts'
import { OTHER_PROJECT, PROJECT } from '../support/replicas.ts'

/** What the suite needs of an adapter: a fresh store, and the same store after its process has ended. */
export type FeedStoreHarness = {
  readonly create: () => Promise<FeedStore>
  readonly reopen: (store: FeedStore) => Promise<FeedStore>
}

const [A, B] = [identity(0).peer, identity(1).peer]
const MESH_DOC = 'mesh' as DocId
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)
const envelope = (seq: number, doc = PROJECT, author = A): StoredEnvelope => ({
  doc,
  author,
  seq,
  bytes: bytes(seq % 256, seq >> 8),
})

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of source) found.push(item)
  return found
}

/** Acceptance tests of every feed store, real or simulated. */
export function describeFeedStore({ create, reopen }: FeedStoreHarness): void {
  it('is empty at first', async () => {
    const store = await create()
    expect(await store.documents()).toEqual(new Map())
    expect(await all(store.read(PROJECT, A, 1))).toEqual([])
    expect(await store.loadSnapshot(PROJECT)).toBeUndefined()
    expect(await store.readRecords()).toEqual([])
    expect(await store.getFact('x')).toBeUndefined()
  })

  it('reads feeds in order and apart, from any place, as plain byte arrays', async () => {
    const store = await create()
    const many = Array.from({ length: 700 }, (_, i) => envelope(i + 1))
    await store.append([...many, envelope(1, PROJECT, B), envelope(1, OTHER_PROJECT), envelope(1, MESH_DOC)])
    expect(await all(store.read(PROJECT, A, 1))).toEqual(many)
    expect(await all(store.read(PROJECT, A, 255))).toEqual(many.slice(254))
    expect(await all(store.read(PROJECT, A, 701))).toEqual([])
    expect(await all(store.read(PROJECT, B, 1))).toEqual([envelope(1, PROJECT, B)])
    const [first] = await all(store.read(MESH_DOC, A, 1))
    expect(first?.bytes.constructor).toBe(Uint8Array)
    expect(await store.readOne(PROJECT, A, 300)).toEqual(envelope(300).bytes)
    expect([await store.readOne(PROJECT, A, 701), await store.readOne(PROJECT, B, 2)]).toEqual([undefined, undefined])
    expect((await store.readOne(MESH_DOC, A, 1))?.constructor).toBe(Uint8Array)
  })

  it('can stop reading half-way', async () => {
    const store = await create()
    await store.append([1, 2, 3].map((seq) => envelope(seq)))
    for await (const { seq } of store.read(PROJECT, A, 1)) if (seq === 2) break
    expect(await all(store.read(PROJECT, A, 3))).toEqual([envelope(3)])
  })

  it('names every document with its heads', async () => {
    const store = await create()
    await store.append([envelope(1), envelope(2), envelope(1, PROJECT, B), envelope(1, MESH_DOC, B)])
    const heads = new Map([
      [
        PROJECT,
        new Map([
          [A, 2],
          [B, 1],
        ]),
      ],
      [MESH_DOC, new Map([[B, 1]])],
    ])
    expect(await store.documents()).toEqual(heads)
    expect(await (await reopen(store)).documents()).toEqual(heads)
  })

  it('[M14] has everything that was acknowledged after its process has ended', async () => {
    const store = await create()
    await store.append([envelope(1), envelope(2)])
    await store.appendRecords([bytes(1), bytes(2)])
    await store.putFact('counter', bytes(9))
    await store.saveSnapshot(PROJECT, { heads: new Map([[A, { seq: 2, hash: new Uint8Array(32) }]]), bytes: bytes(5) })
    const again = await reopen(store)
    expect(await all(again.read(PROJECT, A, 1))).toEqual([envelope(1), envelope(2)])
    await again.appendRecords([bytes(3)])
    expect(await again.readRecords()).toEqual([bytes(1), bytes(2), bytes(3)])
    expect(await again.getFact('counter')).toEqual(bytes(9))
    expect(await again.loadSnapshot(PROJECT)).toEqual({
      heads: new Map([[A, { seq: 2, hash: new Uint8Array(32) }]]),
      bytes: bytes(5),
    })
  })

  it('replaces snapshots and facts', async () => {
    const store = await create()
    for (const value of [1, 2]) {
      await store.putFact('x', bytes(value))
      await store.saveSnapshot(PROJECT, { heads: new Map(), bytes: bytes(value) })
    }
    expect(await store.getFact('x')).toEqual(bytes(2))
    expect(await store.loadSnapshot(PROJECT)).toEqual({ heads: new Map(), bytes: bytes(2) })
  })

  it('keeps summaries, and finds documents by the names in them', async () => {
    const store = await create()
    const summary = (value: number) => ({
      heads: new Map([[A, { seq: value, hash: new Uint8Array(32) }]]),
      bytes: bytes(value),
    })
    const many = Array.from({ length: 5000 }, (_, n) => `many ${n}`)
    await store.saveSummary(PROJECT, summary(1), { added: ['x', 'y', ...many], removed: [] })
    await store.saveSummary(MESH_DOC, summary(2), { added: ['x', 'x y'], removed: ['never'] })
    await store.saveSummary(PROJECT, summary(3), { added: ['z'], removed: ['y'] })
    for (const next of [async () => store, () => reopen(store)]) {
      const one = await next()
      expect(await one.loadSummary(PROJECT)).toEqual(summary(3))
      expect(await one.loadSummary(MESH_DOC)).toEqual(summary(2))
      expect(await Promise.all(['x', 'y', 'z', 'x y', 'many 4999', 'many'].map((name) => one.named(name)))).toEqual([
        [MESH_DOC, PROJECT],
        [],
        [PROJECT],
        [MESH_DOC],
        [PROJECT],
        [],
      ])
      expect([await one.readRecords(), await one.documents(), await one.loadSnapshot(PROJECT)]).toEqual([
        [],
        new Map(),
        undefined,
      ])
    }
  })

  it('[M7] forgets the end of one feed and nothing else', async () => {
    const store = await create()
    await store.append([...[1, 2, 3, 4].map((seq) => envelope(seq)), envelope(1, PROJECT, B), envelope(1, MESH_DOC)])
    await store.truncate(PROJECT, A, 2)
    await store.truncate(MESH_DOC, A, 0)
    for (const next of [async () => store, () => reopen(store)]) {
      const one = await next()
      expect(await all(one.read(PROJECT, A, 1))).toEqual([envelope(1), envelope(2)])
      expect(await one.documents()).toEqual(
        new Map([
          [
            PROJECT,
            new Map([
              [A, 2],
              [B, 1],
            ]),
          ],
        ]),
      )
    }
  })

  it('does not keep hold of what its caller may change', async () => {
    const store = await create()
    const mine = envelope(1)
    const appended = store.append([mine])
    await appended
    mine.bytes.fill(0xff)
    expect(await all(store.read(PROJECT, A, 1))).toEqual([envelope(1)])
  })
}
