import { expect, it } from 'vitest'
import * as Y from 'yjs'
import { toHex } from '../../../../protocols/codec.ts'
import { contentHash } from '../../../../protocols/feed/content-hash.ts'
import { settle } from '../../../support/clock.ts'
import { crypto } from '../../../support/identity.ts'
import {
  createMembership,
  createTestReplica,
  PROJECT,
  setKey,
  sync,
  type TestReplica,
} from '../../../support/replicas.ts'

/** A replica with a document of some megabytes, on a machine on which every piece of work takes long. */
async function withLargeDocument(onPause: (replica: TestReplica) => void): Promise<TestReplica> {
  const replica = await createTestReplica(0, createMembership(1))
  for (let n = 0; n < 40; n++) await replica.documents.write(PROJECT, undefined, setKey(`${n}`, 'x'.repeat(100_000)))
  let ms = 1e6
  const after = replica.clock.after.bind(replica.clock)
  replica.clock.monoMs = () => (ms += 20)
  replica.clock.after = (delayMs, task) => {
    if (delayMs === 0) onPause(replica)
    return after(delayMs, task)
  }
  return replica
}

async function hashOf({ documents, clock }: TestReplica): Promise<Uint8Array> {
  let hash: Uint8Array | undefined
  const done = documents.contentHash(PROJECT).then((value) => (hash = value))
  while (!hash) {
    await settle()
    await clock.advance(0)
  }
  return await done
}

const atOnce = ({ documents }: TestReplica): Promise<Uint8Array> =>
  documents.read(PROJECT, (state) => contentHash(state, crypto))

it('[D3] the content of a large document is hashed a piece at a time, and is what it is at once', async () => {
  let pauses = 0
  const replica = await withLargeDocument(() => pauses++)
  expect(await hashOf(replica)).toEqual(await atOnce(replica))
  expect(pauses).toBeGreaterThan(20)
})

it('what has not changed is not hashed again, nor brought into memory for it', async () => {
  let pauses = 0
  const replica = await withLargeDocument(() => pauses++)
  const before = [await hashOf(replica), pauses] as const
  expect([await hashOf(replica), pauses]).toEqual(before)
  replica.clock.monoMs = () => Infinity
  await replica.clock.advance(10_000)
  const isLoaded = (): boolean[] => replica.documents.info().map(({ loaded }) => loaded)
  expect([isLoaded(), await replica.documents.contentHash(PROJECT), isLoaded()]).toEqual([[false], before[0], [false]])
  await replica.documents.write(PROJECT, undefined, setKey('more', 1))
  expect(await hashOf(replica)).toEqual(await atOnce(replica))
  expect(await hashOf(replica)).not.toEqual(before[0])
})

it.each([1, Infinity])('[D3] a document that changes in %d pauses is hashed as it is at one moment', async (times) => {
  let pauses = 0
  const writes: Promise<unknown>[] = []
  const replica = await withLargeDocument(({ documents }) => {
    if (++pauses <= times) writes.push(documents.write(PROJECT, undefined, setKey('pause', pauses)))
  })
  expect(await hashOf(replica)).toEqual(await atOnce(replica))
  expect(pauses).toBeGreaterThan(times === 1 ? 20 : 2)
  await Promise.all(writes)
})

it('[D3] what is written below something deleted is part of the content too', async () => {
  const membership = createMembership(2)
  const [a, b] = [await createTestReplica(0, membership), await createTestReplica(1, membership)]
  const below = (state: Y.Doc): Y.Map<unknown> => state.getMap('m').get('below') as Y.Map<unknown>
  await a.documents.write(PROJECT, undefined, setKey('below', new Y.Map()))
  await sync(a, b)
  await a.documents.write(PROJECT, undefined, (state) => state.getMap('m').delete('below'))
  await b.documents.write(PROJECT, undefined, (state) => below(state).set('deep', 1))
  const before = await a.documents.contentHash(PROJECT)
  await sync(b, a)
  await sync(a, b)
  expect(await a.documents.contentHash(PROJECT)).not.toEqual(before)
  expect(await a.documents.contentHash(PROJECT)).toEqual(await b.documents.contentHash(PROJECT))
})

it('[D3] a hash is of what the feeds say, whatever is written just then', async () => {
  const gaps = await Promise.all(Array.from({ length: 40 }, (_, gap) => hashDuringWrite(gap)))
  expect(gaps.filter(({ isOfHeads }) => !isOfHeads)).toEqual([])
  // Some come before the write, some after it.
  expect(new Set(gaps.map(({ seq }) => seq))).toEqual(new Set([1, 2]))
})

/** Asks for the hash, and writes so many microtasks later to a disk that is slow. */
async function hashDuringWrite(gap: number): Promise<{ gap: number; seq: number; isOfHeads: boolean }> {
  const replica = await createTestReplica(0, createMembership(1))
  const { documents, store, peer } = replica
  await documents.write(PROJECT, undefined, setKey('a', 1))
  const known = [await atOnce(replica)]
  const append = store.append.bind(store)
  const { promise: disk, resolve: release } = Promise.withResolvers<void>()
  store.append = async (envelopes) => {
    await disk
    await append(envelopes)
  }
  let found: { seq: number; hash: Uint8Array } | undefined
  const hashing = documents.contentHash(PROJECT).then((hash) => {
    found = { hash, seq: documents.heads(PROJECT).get(peer)?.seq ?? 0 }
  })
  for (let n = 0; n < gap; n++) await Promise.resolve()
  const writing = documents.write(PROJECT, undefined, setKey('b', 2))
  await settle()
  release()
  await Promise.all([hashing, writing])
  known.push(await atOnce(replica))
  const { seq = 0, hash } = found ?? {}
  return { gap, seq, isOfHeads: toHex(hash ?? new Uint8Array()) === toHex(known[seq - 1] ?? new Uint8Array()) }
}
