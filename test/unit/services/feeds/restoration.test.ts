import { expect, it } from 'vitest'
import { NotWritableError } from '../../../../node/services/feeds/documents.ts'
import { settle } from '../../../support/clock.ts'
import { contentOf, createMembership, createTestReplica, PROJECT, sync } from '../../../support/replicas.ts'
import { afterBackup, put, restored, testify } from '../../../support/restoration-lab.ts'

it('[M14] a node from a backup writes nothing until every member has said what it has of it, and all of that is in', async () => {
  const { membership, b, c, backup } = await afterBackup()
  const a = await restored(membership, backup)
  await expect(put(a, 'x')).rejects.toThrow(NotWritableError)
  await testify(c, a)
  await expect(put(a, 'x')).rejects.toThrow('one member has yet to say')
  await testify(b, a)
  await expect(put(a, 'x')).rejects.toThrow(NotWritableError)
  expect(a.documents.restoration.view()).toMatchObject({ cause: 'backup', asOf: 1, awaited: [b.peer] })
  await sync(b, a)
  expect(a.documents.restoration.view()).toBeUndefined()
  const { position } = await put(a, 'x')
  expect(position.seq).toBe(3)
  for (const other of [b, c]) await sync(a, other)
  for (const replica of [a, b, c]) {
    expect(await contentOf(replica)).toEqual({ before: 'before', after: 'after', x: 'x' })
    expect(replica.documents.frozen().size).toBe(0)
  }
})

it('[M14] without the wait the same node would be taken for a forger', async () => {
  const { membership, b, c, backup } = await afterBackup()
  const a = await createTestReplica(0, membership, backup)
  await put(a, 'x')
  await sync(a, b)
  await sync(a, c)
  expect([...b.documents.frozen().keys()]).toEqual([a.peer])
})

it('[M14] whom it has heard is remembered over a restart', async () => {
  const { membership, b, c, backup } = await afterBackup()
  const first = await restored(membership, backup)
  await testify(c, first)
  const again = await createTestReplica(0, membership, first.store.crash())
  expect(again.documents.restoration.view()?.awaited).toEqual([b.peer])
})

it('[M14] members that only others know of are waited for too, removed ones are not', async () => {
  const { membership, b, c, backup } = await afterBackup()
  const admitted = membership.members.get(b.peer)
  membership.members.delete(b.peer)
  const a = await restored(membership, backup)
  await a.documents.restoration.heard(c.peer, { heads: new Map(), members: [b.peer, c.peer], isElsewhere: false })
  expect(a.documents.restoration.view()?.awaited).toEqual([b.peer])
  if (admitted) membership.members.set(b.peer, admitted)
  await a.documents.membershipChanged()
  expect(a.documents.restoration.view()?.awaited).toEqual([b.peer])
  membership.members.delete(b.peer)
  membership.removed.set(b.peer, new Map())
  await a.documents.membershipChanged()
  expect(a.documents.restoration.view()).toBeUndefined()
})

it('[M14] the only member of a mesh goes on at once', async () => {
  const membership = createMembership(1)
  const a = await createTestReplica(0, membership)
  await put(a, 'before')
  const again = await restored(membership, a.store.copy())
  expect((await put(again, 'x')).position.seq).toBe(2)
})

it('[M14] goes on without members that a person says are lost', async () => {
  const { membership, b, c, backup } = await afterBackup()
  const a = await restored(membership, backup)
  let ended = 0
  a.documents.restoration.onEnd(() => ended++)
  await a.documents.restoration.goOnWithout([b.peer])
  expect(a.documents.restoration.view()?.awaited).toEqual([c.peer])
  await testify(c, a)
  expect([a.documents.restoration.view(), ended]).toEqual([undefined, 1])
})

it('[M14] does not go on while a member hears another copy of it', async () => {
  const { membership, b, c, backup } = await afterBackup()
  const a = await restored(membership, backup)
  await sync(b, a)
  await testify(c, a)
  await testify(b, a, true)
  expect(a.documents.restoration.view()).toMatchObject({ isCopied: true, seenBy: [b.peer], awaited: [b.peer] })
  await expect(put(a, 'x')).rejects.toThrow('another copy of it is running')
  await testify(b, a)
  expect(a.documents.restoration.view()).toBeUndefined()
})

it('[M14] a node whose disk went back in time without a word stops at the first envelope of its own that it had forgotten', async () => {
  const { membership, b, c, backup } = await afterBackup()
  const a = await createTestReplica(0, membership, backup)
  await sync(b, a)
  const refused = await put(a, 'x').catch((error: unknown) => error)
  expect(refused).toBeInstanceOf(NotWritableError)
  expect(a.documents.restoration.view()).toMatchObject({ cause: 'behind', awaited: [b.peer, c.peer] })
  await testify(b, a)
  await testify(c, a)
  await put(a, 'x')
})

it('[M14] what was written while the news came in is refused, since its place may be taken', async () => {
  const { membership, b, backup } = await afterBackup()
  const a = await createTestReplica(0, membership, backup)
  await contentOf(a) // loaded: the write below is made at once
  const news = sync(b, a)
  let late: Promise<unknown> | undefined
  const unfollow = await a.documents.open(PROJECT, () => {
    late ??= put(a, 'late').catch((error: unknown) => error)
  })
  await news
  expect(await late).toBeInstanceOf(NotWritableError)
  unfollow()
  expect(await contentOf(a)).toEqual({ before: 'before', after: 'after' })
})

it('[M14] a node that sees what it did not write appear while it runs says that it is copied, and stays silent until it is restarted', async () => {
  const { membership, a, b, c, backup } = await afterBackup()
  const copy = await createTestReplica(0, membership, backup)
  await sync(b, copy)
  for (const teller of [b, c]) await testify(teller, copy)
  await a.clock.advance(600_000)
  await put(a, 'meanwhile')
  await sync(a, b)
  await sync(b, copy)
  expect(copy.documents.restoration.view()).toMatchObject({ isCopied: true })
  for (const teller of [b, c]) await testify(teller, copy)
  await expect(put(copy, 'x')).rejects.toThrow('another copy of it is running')
  const restarted = await createTestReplica(0, membership, copy.store.crash())
  for (const teller of [b, c]) await testify(teller, restarted)
  await put(restarted, 'x')
  await sync(restarted, b)
  expect(b.documents.frozen().size).toBe(0)
})

it('[M14] what waits at others for something they lack is forgotten before the node goes on', async () => {
  const { membership, a: old, b, c, backup } = await afterBackup()
  // c gets an envelope of the old process whose predecessor it has not, and keeps it.
  await put(old, 'lost 1')
  const { position } = await put(old, 'lost 2')
  const lost = old.store.appends.flat().find(({ seq }) => seq === position.seq)
  await c.documents.receive([lost!.bytes], old.peer)
  expect(c.documents.info()[0]?.waiting).toBe(1)
  const a = await restored(membership, backup)
  await sync(b, a)
  c.documents.forgetWaiting(a.peer)
  for (const teller of [b, c]) await testify(teller, a)
  await put(a, 'x')
  await put(a, 'y')
  await sync(a, c)
  expect([c.documents.frozen().size, c.documents.info()[0]?.waiting]).toEqual([0, 0])
})

it('[M14] what is written as soon as it may waits for the document that is made anew without what was refused', async () => {
  const { membership, b, c, backup } = await afterBackup()
  // Nobody has told it that its disk went back in time.
  const a = await createTestReplica(0, membership, backup)
  await a.documents.open(PROJECT)
  const { promise: disk, resolve: release } = Promise.withResolvers<void>()
  a.store.loadSnapshot = async () => {
    await disk
    return undefined
  }
  a.store.hold()
  const receiving = sync(b, a)
  await settle()
  const refused = put(a, 'refused').catch((error: unknown) => error)
  a.store.release()
  await receiving
  for (const other of [b, c]) await testify(other, a)
  expect(a.documents.restoration.view()).toBeUndefined()
  const late = put(a, 'late')
  await settle()
  release()
  expect(await refused).toBeInstanceOf(NotWritableError)
  await late
  await sync(a, b)
  expect(b.documents.frozen().size).toBe(0)
  for (const replica of [a, b])
    expect(await contentOf(replica)).toEqual({ before: 'before', after: 'after', late: 'late' })
})
