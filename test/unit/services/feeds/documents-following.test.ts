import { expect, it } from 'vitest'
import type * as Y from 'yjs'
import { z } from 'zod'
import type { DocId } from '../../../../crdt/ids.ts'
import { StorageError, type Follower } from '../../../../node/services/feeds/documents.ts'
import { settle } from '../../../support/clock.ts'
import {
  createMembership,
  createTestReplica,
  OTHER_PROJECT,
  PROJECT,
  setKey,
  sync,
  type TestReplica,
} from '../../../support/replicas.ts'

const contentIn = (state: Y.Doc): string => JSON.stringify(state.getMap('m').toJSON())

/** Follows all projects and writes down what it is told. */
async function follow({ documents }: TestReplica, change: Partial<Follower<string>> = {}) {
  const told: string[] = []
  const name = (doc: DocId): string => (doc === PROJECT ? 'one' : doc === OTHER_PROJECT ? 'other' : doc)
  const { caughtUp } = await documents.follow({
    kind: 'project',
    part: 'test',
    summary: z.string(),
    loaded: (doc, state) => void told.push(`${name(doc)} loaded ${contentIn(state)}`),
    changed: ({ doc }, state) => void told.push(`${name(doc)} changed ${contentIn(state)}`),
    isNeeded: () => false,
    summarize: (_doc, state) => contentIn(state),
    away: (doc, summary) => void told.push(`${name(doc)} away ${summary}`),
    ...change,
  })
  return { caughtUp, take: () => told.splice(0) }
}

const loaded = ({ documents }: TestReplica): DocId[] =>
  documents.info().flatMap((info) => (info.loaded ? [info.doc] : []))

const idle = ({ clock }: TestReplica): Promise<void> => clock.advance(310_000)

it('[D6] whoever follows is told what comes into memory before it is used, each change, and what leaves it', async () => {
  const membership = createMembership(2)
  const [a, b] = [await createTestReplica(0, membership), await createTestReplica(1, membership)]
  const { take } = await follow(a)
  await a.documents.write(PROJECT, undefined, setKey('x', 1))
  expect(take()).toEqual(['one loaded {}', 'one changed {"x":1}'])
  await idle(a)
  expect(take()).toEqual(['one away {"x":1}'])
  // What others write brings it back, as it was before.
  await sync(a, b)
  await b.documents.write(PROJECT, undefined, setKey('y', 2))
  await sync(b, a)
  expect(take()).toEqual(['one loaded {"x":1}', 'one changed {"x":1,"y":2}'])
  await idle(a)
  await a.documents.read(PROJECT, () => undefined)
  expect(take()).toEqual(['one away {"x":1,"y":2}', 'one loaded {"x":1,"y":2}'])
})

it('after a stop, nothing has to be loaded to know what was to be known', async () => {
  const membership = createMembership(1)
  const a = await createTestReplica(0, membership)
  const first = await follow(a)
  for (const doc of [PROJECT, OTHER_PROJECT]) await a.documents.write(doc, undefined, setKey('x', 1))
  await a.documents.close()
  const b = await createTestReplica(0, membership, a.store.crash())
  const second = await follow(b)
  await second.caughtUp
  expect(first.take()).not.toContain('one away {"x":1}')
  expect(second.take().toSorted()).toEqual(['one away {"x":1}', 'other away {"x":1}'])
  expect(loaded(b)).toEqual([])
})

it('after a crash, what had changed is loaded and leaves again, the rest is not touched', async () => {
  const membership = createMembership(1)
  const a = await createTestReplica(0, membership)
  await follow(a)
  for (const doc of [PROJECT, OTHER_PROJECT]) await a.documents.write(doc, undefined, setKey('x', 1))
  await idle(a)
  await a.documents.write(PROJECT, undefined, setKey('x', 2))
  const b = await createTestReplica(0, membership, a.store.crash())
  const { caughtUp, take } = await follow(b)
  expect(take()).toEqual(['other away {"x":1}'])
  await caughtUp
  await b.documents.contentHash(OTHER_PROJECT)
  await b.clock.advance(0)
  expect(take()).toEqual(['one loaded {"x":2}', 'one away {"x":2}', 'other loaded {"x":1}', 'other away {"x":1}'])
  expect(loaded(b)).toEqual([])
})

it('after a crash, nothing has to be loaded that had come to rest', async () => {
  const membership = createMembership(1)
  const a = await createTestReplica(0, membership)
  const stored: number[] = []
  const saveSummary = a.store.saveSummary.bind(a.store)
  a.store.saveSummary = async (...summary) => {
    stored.push(summary.length)
    await saveSummary(...summary)
  }
  await follow(a)
  await a.documents.write(PROJECT, undefined, setKey('x', 1))
  await a.clock.advance(60_000)
  expect([stored.length, loaded(a)]).toEqual([1, [PROJECT]])
  const b = await createTestReplica(0, membership, a.store.crash())
  const { caughtUp, take } = await follow(b)
  await caughtUp
  expect([take(), loaded(b)]).toEqual([['one away {"x":1}'], []])
})

it('a part that does not fit, or was not kept by an earlier release, is made anew', async () => {
  const membership = createMembership(1)
  const a = await createTestReplica(0, membership)
  await follow(a)
  await a.documents.write(PROJECT, undefined, setKey('x', 1))
  await idle(a)
  const b = await createTestReplica(0, membership, a.store.crash())
  const followers = [await follow(b, { summary: z.string().max(1) }), await follow(b, { part: 'another' })]
  for (const { caughtUp } of followers) await caughtUp
  await b.clock.advance(0)
  expect(followers.map(({ take }) => take())).toEqual([
    ['one loaded {"x":1}', 'one away {"x":1}'],
    ['one loaded {"x":1}', 'one away {"x":1}'],
  ])
})

it('names lead to documents that are not in memory', async () => {
  const a = await createTestReplica(0, createMembership(1))
  const changes = new Map([
    [PROJECT, { added: ['x', 'y'], removed: [] as string[] }],
    [OTHER_PROJECT, { added: ['y'], removed: [] as string[] }],
  ])
  await follow(a, { names: (doc) => changes.get(doc)! })
  const writeAll = async (value: number): Promise<void> => {
    for (const doc of [PROJECT, OTHER_PROJECT]) await a.documents.write(doc, undefined, setKey('n', value))
    await idle(a)
  }
  const named = () => Promise.all(['x', 'y', 'z'].map((name) => a.documents.named(name)))
  await writeAll(1)
  expect(await named()).toEqual([[PROJECT], [PROJECT, OTHER_PROJECT], []])
  changes.set(PROJECT, { added: ['z'], removed: ['y'] }).set(OTHER_PROJECT, { added: [], removed: [] })
  await writeAll(2)
  expect(await named()).toEqual([[PROJECT], [OTHER_PROJECT], [PROJECT]])
})

it('what somebody needs stays, and so does what cannot be summed up', async () => {
  const a = await createTestReplica(0, createMembership(1))
  const needed = new Set([PROJECT])
  const { take } = await follow(a, { isNeeded: (doc) => needed.has(doc) })
  for (const doc of [PROJECT, OTHER_PROJECT]) await a.documents.write(doc, undefined, setKey('x', 1))
  a.store.failWith(new Error('the disk is full'))
  await idle(a)
  expect(loaded(a)).toEqual([PROJECT, OTHER_PROJECT])
  a.store.failWith(undefined)
  await idle(a)
  expect(loaded(a)).toEqual([PROJECT])
  needed.clear()
  await idle(a)
  expect([loaded(a), take().filter((line) => line.includes('away'))]).toEqual([
    [],
    ['other away {"x":1}', 'one away {"x":1}'],
  ])
})

it('[D6] when documents take much memory they leave it sooner, those first that were used last longest ago', async () => {
  const a = await createTestReplica(0, createMembership(1))
  const docs = Array.from({ length: 9 }, (_, n) => `project/00000000-0000-4000-8000-00000000000${n}` as DocId)
  for (const doc of docs) {
    for (let part = 0; part < 80; part++) await a.documents.write(doc, undefined, setKey(`${part}`, 'x'.repeat(1e5)))
    await a.clock.advance(1)
  }
  // Nine of 8 MB; 64 MiB may stay.
  await a.clock.advance(20_000)
  expect(loaded(a)).toEqual(docs.slice(1))
})

it('[M7] what a removal drops of a document that is not in memory is told as a change', async () => {
  const membership = createMembership(2)
  const [a, b] = [await createTestReplica(0, membership), await createTestReplica(1, membership)]
  const { take } = await follow(a)
  await b.documents.write(PROJECT, undefined, setKey('kept', 1))
  await sync(b, a)
  const head = a.documents.headsOf(b.peer)
  await b.documents.write(PROJECT, undefined, setKey('lost', 2))
  await sync(b, a)
  await idle(a)
  take()
  membership.members.delete(b.peer)
  membership.removed.set(b.peer, new Map(head))
  await a.documents.membershipChanged()
  expect(take()).toEqual(['one loaded {"kept":1,"lost":2}', 'one changed {"kept":1}'])
})

it('[M14] whoever was shown with one change what the disk then refuses is told that it is gone', async () => {
  const a = await createTestReplica(0, createMembership(1))
  const { take } = await follow(a)
  a.store.hold()
  const first = a.documents.write(PROJECT, undefined, setKey('first', 1))
  await settle()
  const second = a.documents.write(PROJECT, undefined, setKey('second', 2))
  a.store.release()
  await first
  a.store.failWith(new Error('the disk is full'))
  await expect(second).rejects.toThrow(StorageError)
  expect(take()).toEqual(['one loaded {}', 'one changed {"first":1,"second":2}', 'one changed {"first":1}'])
})

it('who begins to follow while a document is put away is not left thinking that it is in memory', async () => {
  const membership = createMembership(1)
  const a = await createTestReplica(0, membership)
  await a.documents.write(PROJECT, undefined, setKey('x', 1))
  const b = await createTestReplica(0, membership, a.store.crash())
  const { promise: disk, resolve: release } = Promise.withResolvers<void>()
  const saveSummary = b.store.saveSummary.bind(b.store)
  b.store.saveSummary = async (...summary) => {
    await disk
    await saveSummary(...summary)
  }
  const first = await follow(b)
  await first.caughtUp
  const second = await follow(b, { part: 'another' })
  release()
  await second.caughtUp
  await idle(b)
  for (const { take } of [first, second]) expect(take()).toEqual(['one loaded {"x":1}', 'one away {"x":1}'])
  expect(loaded(b)).toEqual([])
})
