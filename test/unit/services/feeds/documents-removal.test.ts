import { describe, expect, it } from 'vitest'
import { liveDoc, type DocId, type PeerId } from '../../../../crdt/ids.ts'
import type { FeedCut } from '../../../../protocols/membership/membership.ts'
import type { StoredEnvelope } from '../../../../node/ports/feed-store.ts'
import { NotWritableError } from '../../../../node/services/feeds/documents.ts'
import { settle } from '../../../support/clock.ts'
import { eventually } from '../../../support/nodes.ts'
import {
  contentOf,
  createMembership,
  createTestReplica,
  PROJECT,
  setKey,
  sync,
  type TestMembership,
} from '../../../support/replicas.ts'
import type { RecordedLog } from '../../../support/log.ts'

async function threeReplicas() {
  const membership = createMembership(3)
  const [a, b, c] = [
    await createTestReplica(0, membership),
    await createTestReplica(1, membership),
    await createTestReplica(2, membership),
  ]
  return { membership, a, b, c }
}

function remove(membership: TestMembership, peer: PeerId, cuts: ReadonlyMap<DocId, FeedCut>): void {
  membership.members.delete(peer)
  membership.removed.set(peer, new Map(cuts))
}

/** `c` is removed with what `a` has of it; `b` has more, and has not been told. */
async function removedBeforeSomeWrites() {
  const { membership, a, b, c } = await threeReplicas()
  await c.documents.write(PROJECT, undefined, setKey('before', 1))
  await sync(c, a)
  const cuts = a.documents.headsOf(c.peer)
  await c.documents.write(PROJECT, undefined, setKey('after', 2))
  await sync(c, b)
  remove(membership, c.peer, cuts)
  return { membership, a, b, c }
}

/** Removes a member and asks, so many microtasks later, for the document that it wrote, which a slow disk has. */
async function readDuringRemoval(gap: number): Promise<unknown> {
  const membership = createMembership(2)
  const [before, b] = [await createTestReplica(0, membership), await createTestReplica(1, membership)]
  await b.documents.write(PROJECT, undefined, setKey('x', 1))
  await sync(b, before)
  const a = await createTestReplica(0, membership, before.store.crash())
  const read = a.store.read.bind(a.store)
  let reads = 0
  a.store.read = async function* (...place) {
    const isFirst = reads++ === 0
    const envelopes: StoredEnvelope[] = []
    for await (const envelope of read(...place)) envelopes.push(envelope)
    for (let turns = 0; isFirst && turns < 10; turns++) await settle()
    yield* envelopes
  }
  remove(membership, b.peer, new Map())
  const removing = a.documents.membershipChanged()
  for (let n = 0; n < gap; n++) await Promise.resolve()
  await Promise.all([removing, contentOf(a)])
  return await contentOf(a)
}

describe('removal of a member', () => {
  it('[M7] keeps what it wrote up to the cut and voids the rest, also after a restart', async () => {
    const { membership, a, b, c } = await threeReplicas()
    await c.documents.write(PROJECT, undefined, setKey('before', 1))
    await sync(c, a)
    const cuts = a.documents.headsOf(c.peer)
    await c.documents.write(PROJECT, undefined, setKey('after', 2))
    await sync(c, b)
    expect(await contentOf(b)).toEqual({ before: 1, after: 2 })
    remove(membership, c.peer, cuts)
    const changes: unknown[] = []
    await b.documents.open(PROJECT, ({ author, local }) => changes.push({ author, local }))
    await Promise.all([a.documents.membershipChanged(), b.documents.membershipChanged()])
    expect(changes).toEqual([{ author: c.peer, local: false }])
    expect(await contentOf(b)).toEqual({ before: 1 })
    expect(await b.documents.contentHash(PROJECT)).toEqual(await a.documents.contentHash(PROJECT))

    const [, beyond] = await collect(c)
    expect(await b.documents.receive(beyond ? [beyond] : [], c.peer)).toMatchObject({
      applied: 0,
      waiting: 0,
      refused: [{ author: c.peer, reason: 'beyond the cut of a removed member' }],
    })
    const again = await createTestReplica(1, membership, b.store.crash())
    expect(await contentOf(again)).toEqual({ before: 1 })
    const fresh = await createTestReplica(0, membership)
    await sync(again, fresh)
    expect(await contentOf(fresh)).toEqual({ before: 1 })
  })

  it('tells in the log whose writes to which document are lost, and nothing of what goes with its author', async () => {
    const { membership, a, b, c } = await removedBeforeSomeWrites()
    await Promise.all([a.documents.membershipChanged(), b.documents.membershipChanged()])
    expect(a.log.lines).toEqual([])
    const [{ level, fields }] = b.log.lines as [RecordedLog['lines'][number]]
    expect([b.log.lines.length, level, fields]).toEqual([1, 'warn', { doc: PROJECT, author: c.peer, envelopes: 1 }])
    const live = liveDoc(b.peer, 1)
    await b.documents.write(live, undefined, setKey('x', 1))
    await sync(b, a)
    remove(membership, b.peer, a.documents.headsOf(b.peer))
    await a.documents.membershipChanged()
    expect([await contentOf(a, live), a.log.lines]).toEqual([{}, []])
  })

  it('[M7] does not take back what others have built on', async () => {
    const { membership, a, b, c } = await threeReplicas()
    await c.documents.write(PROJECT, undefined, setKey('before', 1))
    await sync(c, a)
    const cuts = a.documents.headsOf(c.peer)
    await c.documents.write(PROJECT, undefined, setKey('after', 2))
    await sync(c, b)
    await b.documents.write(PROJECT, undefined, setKey('after', 'seen by b'))
    remove(membership, c.peer, cuts)
    await Promise.all([a.documents.membershipChanged(), b.documents.membershipChanged()])
    expect(b.log.lines).toEqual([])
    await sync(b, a)
    expect(await contentOf(a)).toEqual({ before: 1, after: 'seen by b' })
    expect(await a.documents.contentHash(PROJECT)).toEqual(await b.documents.contentHash(PROJECT))
  })

  it('[M7] voids every document that it does not name, live ones included', async () => {
    const { membership, a, c } = await threeReplicas()
    const live = liveDoc(c.peer, 1)
    await c.documents.write(PROJECT, undefined, setKey('x', 1))
    await c.documents.write(live, undefined, setKey('x', 1))
    await sync(c, a)
    remove(membership, c.peer, new Map())
    await a.documents.membershipChanged()
    expect(a.documents.list()).toEqual([])
    expect(await contentOf(a)).toEqual({})
    expect(await contentOf(a, live)).toEqual({})
  })

  it('[M7] voids what is just being read from the disk, too', async () => {
    const contents = await Promise.all(Array.from({ length: 40 }, (_, gap) => readDuringRemoval(gap)))
    expect(contents).toEqual(contents.map(() => ({})))
  })

  it('[M7] is tried again when the disk refused to cut anything off', async () => {
    const { a, b, c } = await removedBeforeSomeWrites()
    b.store.failWith(new Error('the disk is full'))
    await b.documents.membershipChanged()
    b.store.failWith(undefined)
    await b.clock.advance(10_000)
    await eventually(() => (b.documents.headsOf(c.peer).get(PROJECT)?.seq === 1 ? true : undefined))
    expect(await contentOf(b)).toEqual({ before: 1 })
    expect(b.documents.vectors()).toEqual(a.documents.vectors())
  })

  it('[M7] is caught up with at the start, when the node ended before it had cut anything off', async () => {
    const { membership, a, b } = await removedBeforeSomeWrites()
    const again = await createTestReplica(1, membership, b.store.crash())
    expect(await contentOf(again)).toEqual({ before: 1 })
    expect(again.documents.vectors()).toEqual(a.documents.vectors())
  })

  it('[M10] does not read a document again, at each change of members, for what was kept in it', async () => {
    const { membership, b, c } = await threeReplicas()
    await c.documents.write(PROJECT, undefined, setKey('needed', 1))
    await sync(c, b)
    await b.documents.write(PROJECT, undefined, setKey('honest', 2))
    remove(membership, c.peer, new Map())
    await b.documents.membershipChanged()
    const read = b.store.read.bind(b.store)
    let reads = 0
    b.store.read = (...place) => {
      reads++
      return read(...place)
    }
    await b.documents.membershipChanged()
    expect([reads, await contentOf(b)]).toEqual([0, { needed: 1, honest: 2 }])
  })

  it('[M6] [M10] keeps of one whose admission has become void what members have built on', async () => {
    const { membership, a, b, c } = await threeReplicas()
    await c.documents.write(PROJECT, undefined, setKey('needed', 1))
    await sync(c, b)
    await b.documents.write(PROJECT, undefined, setKey('honest', 2))
    await c.documents.write(PROJECT, undefined, setKey('alone', 3))
    await sync(c, b)
    membership.members.delete(c.peer)
    membership.voided.add(c.peer)
    await Promise.all([a.documents.membershipChanged(), b.documents.membershipChanged()])
    expect((await a.documents.receive(await collect(c), c.peer)).refused).toMatchObject([
      { reason: 'the admission of the author is void' },
      { reason: 'the admission of the author is void' },
    ])
    await sync(b, a)
    expect(await contentOf(a)).toEqual({ needed: 1, honest: 2 })
    expect(await a.documents.contentHash(PROJECT)).toEqual(await b.documents.contentHash(PROJECT))
  })

  it('leaves our own feed alone when it is us: its numbers must never be used again', async () => {
    const { membership, a } = await threeReplicas()
    await a.documents.write(PROJECT, undefined, setKey('x', 1))
    const heads = a.documents.headsOf(a.peer)
    remove(membership, a.peer, new Map())
    await a.documents.membershipChanged()
    expect(a.documents.headsOf(a.peer)).toEqual(heads)
    await expect(a.documents.write(PROJECT, undefined, setKey('x', 2))).rejects.toThrow(NotWritableError)
  })

  it('keeps our own writes that were under way', async () => {
    const { membership, a, c } = await threeReplicas()
    await c.documents.write(PROJECT, undefined, setKey('theirs', 1))
    await sync(c, a)
    await a.documents.write(PROJECT, undefined, setKey('mine', 1))
    await c.documents.write(PROJECT, undefined, setKey('late', 1))
    const cuts = a.documents.headsOf(c.peer)
    await sync(c, a)
    remove(membership, c.peer, cuts)
    const [, write] = await Promise.all([
      a.documents.membershipChanged(),
      a.documents.write(PROJECT, undefined, setKey('mine', 2)),
    ])
    expect(write.position.seq).toBe(2)
    expect(await contentOf(a)).toMatchObject({ theirs: 1, mine: 2 })
    const again = await createTestReplica(0, membership, a.store.crash())
    expect(await again.documents.contentHash(PROJECT)).toEqual(await a.documents.contentHash(PROJECT))
  })
})

describe('losing the capability `store`', () => {
  it('[M6] stops new writes, not what others have built on', async () => {
    const { membership, a, b, c } = await threeReplicas()
    await c.documents.write(PROJECT, undefined, setKey('x', 1))
    await sync(c, b)
    await b.documents.write(PROJECT, undefined, setKey('y', 2))
    const member = membership.members.get(c.peer)
    if (member) membership.members.set(c.peer, { ...member, capabilities: new Set() })
    await expect(c.documents.write(PROJECT, undefined, setKey('z', 3))).rejects.toThrow('capability')
    expect((await a.documents.receive(await collect(c), c.peer)).refused).toEqual([
      { author: c.peer, reason: 'the author lacks the capability `store`' },
    ])
    await sync(b, a)
    expect(await contentOf(a)).toEqual({ x: 1, y: 2 })
  })
})

async function collect(replica: Awaited<ReturnType<typeof createTestReplica>>): Promise<Uint8Array[]> {
  const found: Uint8Array[] = []
  for await (const bytes of replica.documents.missing(new Map(), Infinity)) found.push(bytes)
  return found
}
