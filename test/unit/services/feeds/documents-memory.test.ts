import { expect, it } from 'vitest'
import type { DocId } from '../../../../crdt/ids.ts'
import { createMembership, createTestReplica, setKey, sync, type TestReplica } from '../../../support/replicas.ts'

const COUNT = 200
const docs = Array.from(
  { length: COUNT },
  (_, n) => `project/00000000-0000-4000-8000-${String(n).padStart(12, '0')}` as DocId,
)

const loaded = ({ documents }: TestReplica): number => documents.info().filter((info) => info.loaded).length

/** Longer than a document stays after it was used last. */
const idle = ({ clock }: TestReplica): Promise<void> => clock.advance(5 * 60_000)

it('[D6] of many documents only those in use are in memory', async () => {
  const membership = createMembership(2)
  const [a, b] = [await createTestReplica(0, membership), await createTestReplica(1, membership)]
  for (const doc of docs) await a.documents.write(doc, undefined, setKey('n', doc))
  expect(loaded(a)).toBe(COUNT)
  await idle(a)
  await idle(a)
  expect(loaded(a)).toBe(0)
  // What is read, compared, followed, received or waited for is let go again too.
  await sync(a, b)
  const closes = await Promise.all(docs.slice(0, 5).map((doc) => b.documents.open(doc, () => undefined)))
  const hashes = await Promise.all(docs.map((doc) => b.documents.contentHash(doc)))
  const gone = AbortSignal.abort()
  for (const doc of docs) await b.documents.reached({ doc, author: a.peer, seq: 9 }, gone)
  await idle(b)
  await idle(b)
  expect(loaded(b)).toBe(5)
  for (const close of closes) close()
  await idle(b)
  expect(loaded(b)).toBe(0)
  // They are as they were when they are needed again.
  expect(await Promise.all(docs.map((doc) => b.documents.contentHash(doc)))).toEqual(hashes)
  const [doc = docs[0]!] = docs
  const restarted = await createTestReplica(0, membership, a.store.crash())
  expect(loaded(restarted)).toBe(0)
  await restarted.documents.read(doc, (state) => state.getMap('m').size)
  expect(loaded(restarted)).toBe(1)
})

it('[D6] a document that comes back into memory leaves nothing open on the disk', async () => {
  const a = await createTestReplica(0, createMembership(1))
  const [doc = docs[0]!] = docs
  const disk = { ...a.store }
  let open = 0
  a.store.read = async function* (...from) {
    open++
    try {
      yield* disk.read(...from)
    } finally {
      open--
    }
  }
  // Enough for a snapshot, and then a little that it does not have.
  for (const n of Array(120).keys()) await a.documents.write(doc, undefined, setKey('n', n))
  await idle(a)
  await a.documents.write(doc, undefined, setKey('n', 'last'))
  await idle(a)
  expect(loaded(a)).toBe(0)
  expect(await a.documents.read(doc, (state) => state.getMap('m').get('n'))).toBe('last')
  expect(open).toBe(0)
})
