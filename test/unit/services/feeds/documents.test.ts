import * as Y from 'yjs'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { liveDoc, machineDoc, type DocId } from '../../../../crdt/ids.ts'
import type { Actor } from '../../../../crdt/actor.ts'
import { writtenAt } from '../../../../crdt/written-values.ts'
import { decodeCanonical, encodeCanonical } from '../../../../protocols/codec.ts'
import { parseEnvelope } from '../../../../protocols/feed/envelope.ts'
import { LIVE_BYTES_MAX } from '../../../../node/services/feeds/generations.ts'
import { StorageError, type DocumentChange } from '../../../../node/services/feeds/documents.ts'
import { createMemoryStore } from '../../../support/memory-store.ts'
import { crypto, identity } from '../../../support/identity.ts'
import { settle } from '../../../support/clock.ts'
import {
  contentOf,
  createMembership,
  createTestReplica,
  OTHER_PROJECT,
  PROJECT,
  setKey,
  sync,
  type TestReplica,
} from '../../../support/replicas.ts'

describe('writing', () => {
  it('[M10] makes one envelope of everything written in one tick', async () => {
    const a = await createTestReplica(0, createMembership(1))
    await a.documents.open(PROJECT)
    const positions = await Promise.all(
      ['x', 'y', 'z'].map((key) => a.documents.write(PROJECT, undefined, setKey(key, 1))),
    )
    expect(positions.map(({ position }) => position.seq)).toEqual([1, 1, 1])
    expect(a.store.appends.map((batch) => batch.length)).toEqual([1])
  })

  it('[M10] gives each actor an envelope of its own', async () => {
    const a = await createTestReplica(0, createMembership(1))
    const actor = (id: string): Actor => ({ kind: 'user', id, tokenId: 't', abilities: ['*'], gateway: a.peer })
    await a.documents.open(PROJECT)
    await Promise.all([
      a.documents.write(PROJECT, actor('u1'), setKey('x', 1)),
      a.documents.write(PROJECT, actor('u1'), setKey('y', 1)),
      a.documents.write(PROJECT, actor('u2'), setKey('z', 1)),
    ])
    const stored = a.store.appends.flat().map(({ bytes }) => parseEnvelope(bytes, crypto).actor?.id)
    expect(stored).toEqual(['u1', 'u2'])
    expect(a.store.appends).toHaveLength(1)
  })

  it('[M14] gathers what is written while a batch is on its way to the disk', async () => {
    const a = await createTestReplica(0, createMembership(1))
    await a.documents.open(PROJECT)
    a.store.hold()
    const first = a.documents.write(PROJECT, undefined, setKey('first', 1))
    await settle()
    const rest = Array.from({ length: 50 }, (_, i) => a.documents.write(PROJECT, undefined, setKey(`k${i}`, i)))
    await settle()
    a.store.release()
    await Promise.all([first, ...rest])
    expect(a.store.appends.map((batch) => batch.length)).toEqual([1, 1])
  })

  it('[M14] acknowledges, tells and sends nothing before it is durable', async () => {
    const a = await createTestReplica(0, createMembership(1))
    const seen: string[] = []
    await a.documents.open(PROJECT, () => seen.push('event'))
    a.documents.onAppend(() => seen.push('sent'))
    a.store.hold()
    const write = a.documents.write(PROJECT, undefined, setKey('x', 1)).then(() => seen.push('acknowledged'))
    await settle()
    expect(seen).toEqual([])
    expect(a.documents.vectors()).toEqual(new Map())
    a.store.release()
    await write
    expect(seen.toSorted()).toEqual(['acknowledged', 'event', 'sent'])
  })

  it('[M14] keeps everything acknowledged over a crash, and nothing else', async () => {
    const membership = createMembership(1)
    const a = await createTestReplica(0, membership)
    await a.documents.open(PROJECT)
    await a.documents.write(PROJECT, undefined, setKey('acknowledged', 1))
    a.store.hold()
    void a.documents.write(PROJECT, undefined, setKey('under way', 1)).catch(() => undefined)
    await settle()
    const disk = a.store.crash()
    a.store.release()
    const again = await createTestReplica(0, membership, disk)
    expect(await contentOf(again)).toEqual({ acknowledged: 1 })
    const { position } = await again.documents.write(PROJECT, undefined, setKey('next', 2))
    expect(position.seq).toBe(2)
  })

  it('[D3] writes with a new clientID after every start and declares it first', async () => {
    const membership = createMembership(2)
    let a = await createTestReplica(0, membership)
    await a.documents.write(PROJECT, undefined, setKey('x', 1))
    await a.documents.write(PROJECT, undefined, setKey('x', 2))
    const nonces = () => a.store.appends.flat().map(({ bytes }) => parseEnvelope(bytes, crypto).nonce)
    const [first, second] = nonces()
    expect(first).toHaveLength(16)
    expect(second).toBeUndefined()
    a = await createTestReplica(0, membership, a.store.crash())
    await a.documents.write(PROJECT, undefined, setKey('x', 3))
    const [third] = nonces()
    expect(third).toHaveLength(16)
    expect(third).not.toEqual(first)
    const b = await createTestReplica(1, membership)
    await sync(a, b)
    expect(await contentOf(b)).toEqual({ x: 3 })
  })

  it('answers a change of nothing with the place of what it saw', async () => {
    const a = await createTestReplica(0, createMembership(1))
    await a.documents.open(PROJECT)
    const write = a.documents.write(PROJECT, undefined, setKey('x', 1))
    const look = a.documents.write(PROJECT, undefined, (state) => state.getMap('m').get('x'))
    expect((await write).position.seq).toBe(1)
    expect(await look).toEqual({ value: 1, position: { doc: PROJECT, author: a.peer, seq: 1 } })
    expect(a.store.appends).toHaveLength(1)
  })

  it('splits a batch that does not fit one envelope', async () => {
    const membership = createMembership(2)
    const a = await createTestReplica(0, membership)
    const b = await createTestReplica(1, membership)
    await a.documents.open(PROJECT)
    const big = 'x'.repeat(100_000)
    await Promise.all([1, 2, 3].map((n) => a.documents.write(PROJECT, undefined, setKey(`k${n}`, big))))
    expect(a.store.appends.map((batch) => batch.length)).toEqual([3])
    await sync(a, b)
    expect(await contentOf(b)).toEqual({ k1: big, k2: big, k3: big })
  })
})

describe('refused writes', () => {
  it('[M14] change nothing when the disk is full, and later writes work', async () => {
    const membership = createMembership(2)
    const a = await createTestReplica(0, membership)
    const changes: DocumentChange[] = []
    await a.documents.open(PROJECT, (change) => changes.push(change))
    await a.documents.write(PROJECT, undefined, setKey('kept', 1))
    a.store.failWith(new Error('ENOSPC'))
    const refused = [
      a.documents.write(PROJECT, undefined, setKey('kept', 2)),
      a.documents.write(PROJECT, undefined, setKey('lost', 1)),
    ]
    const outcomes = await Promise.allSettled(refused)
    expect(outcomes.map((o) => o.status === 'rejected' && o.reason instanceof StorageError)).toEqual([true, true])
    expect(a.documents.readOpen(PROJECT, (state) => state.getMap('m').toJSON())).toEqual({ kept: 1 })
    a.store.failWith(undefined)
    const { position } = await a.documents.write(PROJECT, undefined, setKey('later', 3))
    expect(position.seq).toBe(2)
    // The two, and that what was refused is gone.
    expect(changes).toHaveLength(3)
    const b = await createTestReplica(1, membership)
    await sync(a, b)
    expect(await contentOf(b)).toEqual({ kept: 1, later: 3 })
  })

  it('fail together with what was written on top of them', async () => {
    const a = await createTestReplica(0, createMembership(1))
    await a.documents.open(PROJECT)
    a.store.hold()
    const first = a.documents.write(PROJECT, undefined, setKey('x', 1))
    await settle()
    const onTop = a.documents.write(PROJECT, undefined, (state) => setKey('y', state.getMap('m').get('x'))(state))
    a.store.failWith(new Error('ENOSPC'))
    a.store.release()
    const outcomes = await Promise.allSettled([first, onTop])
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect(await contentOf(a)).toEqual({})
  })

  it('never take with them what is written while documents are rebuilt after them', async () => {
    const a = await createTestReplica(0, createMembership(1))
    const docs = [PROJECT, OTHER_PROJECT]
    for (const doc of docs) await a.documents.open(doc)
    const acknowledged = new Map<DocId, Record<string, number>>(docs.map((doc) => [doc, {}]))
    let failures = 0
    const write = async (doc: DocId, n: number): Promise<void> => {
      try {
        await a.documents.write(doc, undefined, setKey(`k${n}`, n))
        acknowledged.set(doc, { ...acknowledged.get(doc), [`k${n}`]: n })
      } catch (error) {
        if (!(error instanceof StorageError)) throw error
        failures++
      }
    }
    const writes: Promise<void>[] = []
    for (let n = 0; n < 120; n++) {
      if (n % 10 === 3) a.store.failWith(new Error('ENOSPC'))
      if (n % 10 === 6) a.store.failWith(undefined)
      for (const doc of docs) writes.push(write(doc, n))
      await new Promise((resolve) => setImmediate(resolve))
    }
    await Promise.all(writes)
    for (const doc of docs) expect(await contentOf(a, doc)).toEqual(acknowledged.get(doc))
    expect([failures > 20, failures < 220]).toEqual([true, true])
  })

  it('of one document leave others alone', async () => {
    const a = await createTestReplica(0, createMembership(1))
    const live = liveDoc(a.peer, 1)
    await a.documents.open(live)
    await a.documents.open(PROJECT)
    a.store.failWith(new Error('ENOSPC'))
    const outcomes = await Promise.allSettled([
      a.documents.write(PROJECT, undefined, setKey('x', 1)),
      a.documents.write(live, undefined, setKey('x', 1)),
    ])
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'fulfilled'])
  })

  it('[D3] survive one that throws half-way while the batch before them is on its way to the disk', async () => {
    const membership = createMembership(2)
    const a = await createTestReplica(0, membership)
    await a.documents.open(PROJECT)
    a.store.hold()
    const first = a.documents.write(PROJECT, undefined, setKey('first', 1))
    await settle()
    const second = a.documents.write(PROJECT, undefined, setKey('second', 2))
    const broken = a.documents.write(PROJECT, undefined, (state) => {
      state.getMap('m').set('broken', 3)
      throw new Error('half-way')
    })
    a.store.release()
    await expect(broken).rejects.toThrow('half-way')
    await Promise.all([first, second])
    await a.documents.write(PROJECT, undefined, setKey('third', 3))
    const b = await createTestReplica(1, membership)
    await sync(a, b)
    expect(b.documents.frozen()).toEqual(new Map())
    expect(await contentOf(b)).toEqual({ first: 1, second: 2, third: 3 })
    expect(await contentOf(a)).toEqual({ first: 1, second: 2, third: 3 })
  })

  it('leave nothing behind when the change throws half-way, and keep what was written before', async () => {
    const a = await createTestReplica(0, createMembership(1))
    await a.documents.open(PROJECT)
    const before = a.documents.write(PROJECT, undefined, setKey('before', 1))
    const broken = a.documents.write(PROJECT, undefined, (state) => {
      setKey('before', 2)(state)
      throw new Error('half-way')
    })
    const after = a.documents.write(PROJECT, undefined, setKey('after', 1))
    await expect(broken).rejects.toThrow('half-way')
    await Promise.all([before, after])
    expect(await contentOf(a)).toEqual({ before: 1, after: 1 })
    const again = await createTestReplica(0, createMembership(1), a.store.crash())
    expect(await contentOf(again)).toEqual({ before: 1, after: 1 })
  })

  it.each([
    ['a key that no member accepts', (key: string) => setKey(key, 1), '__proto__'],
    ['rich text', () => (state: Y.Doc) => state.getText('t').insert(0, 'x', { bold: true }), ''],
    ['more than fits an envelope', () => setKey('x', new Uint8Array(200_000)), ''],
  ])('include %s', async (_what, change, key) => {
    const a = await createTestReplica(0, createMembership(1))
    await expect(a.documents.write(PROJECT, undefined, change(key))).rejects.toThrow(Error)
    expect(a.documents.vectors()).toEqual(new Map())
    expect(await contentOf(a)).toEqual({})
  })

  it('include documents that belong to another machine, and any without the capability', async () => {
    const membership = createMembership(2, [])
    const a = await createTestReplica(0, membership)
    await expect(a.documents.write(machineDoc(identity(1).peer), undefined, setKey('x', 1))).rejects.toThrow(
      'own machine',
    )
    await expect(a.documents.write(PROJECT, undefined, setKey('x', 1))).rejects.toThrow('capability')
    await a.documents.write(machineDoc(a.peer), undefined, setKey('x', 1))
  })

  it('include every change made while reading', async () => {
    const a = await createTestReplica(0, createMembership(1))
    await expect(a.documents.read(PROJECT, setKey('x', 1))).rejects.toThrow('through write() only')
    expect(await contentOf(a)).toEqual({})
  })
})

describe('documents', () => {
  it('[D6] leave memory when idle, keep what they said, and are written on', async () => {
    const membership = createMembership(2)
    const a = await createTestReplica(0, membership)
    await a.documents.write(PROJECT, undefined, setKey('x', 1))
    const loaded = () => a.documents.info().map((info) => info.loaded)
    expect(loaded()).toEqual([true])
    await a.clock.advance(310_000)
    expect(loaded()).toEqual([false])
    await a.documents.write(PROJECT, undefined, setKey('y', 2))
    expect(await contentOf(a)).toEqual({ x: 1, y: 2 })
    const b = await createTestReplica(1, membership)
    await sync(a, b)
    expect(await contentOf(b)).toEqual({ x: 1, y: 2 })
    expect(b.documents.frozen()).toEqual(new Map())
  })

  it('[D6] stay in memory while open', async () => {
    const a = await createTestReplica(0, createMembership(1))
    const unpin = await a.documents.open(PROJECT)
    await a.documents.write(PROJECT, undefined, setKey('x', 1))
    await a.clock.advance(600_000)
    expect(a.documents.readOpen(PROJECT, (state) => state.getMap('m').get('x'))).toBe(1)
    unpin()
    await a.clock.advance(600_000)
    expect(() => a.documents.readOpen(PROJECT, () => 0)).toThrow('not open')
  })

  it('tell once about each new document, and list only what has been written', async () => {
    const membership = createMembership(2)
    const [a, b] = [await createTestReplica(0, membership), await createTestReplica(1, membership)]
    const found: [string, DocId][] = []
    a.documents.onDocument((doc) => found.push(['a', doc]))
    b.documents.onDocument((doc) => found.push(['b', doc]))
    await a.documents.read(PROJECT, () => undefined)
    expect(a.documents.list()).toEqual([])
    await a.documents.write(PROJECT, undefined, setKey('x', 1))
    await a.documents.write(PROJECT, undefined, setKey('x', 2))
    await sync(a, b)
    expect(found).toEqual([
      ['a', PROJECT],
      ['b', PROJECT],
    ])
    expect(b.documents.list()).toEqual([PROJECT])
  })

  it('tell who waits when a position is reached', async () => {
    const membership = createMembership(2)
    const [a, b] = [await createTestReplica(0, membership), await createTestReplica(1, membership)]
    const { position } = await a.documents.write(PROJECT, undefined, setKey('x', 1))
    const stop = new AbortController()
    const there = b.documents.reached(position, stop.signal)
    const never = b.documents.reached({ ...position, seq: 99 }, stop.signal)
    await sync(a, b)
    expect(await there).toBe(true)
    stop.abort()
    expect(await never).toBe(false)
    expect(await b.documents.reached(position, stop.signal)).toBe(true)
  })

  it('[M15] are the same from snapshot and tail as from the whole feed', async () => {
    const membership = createMembership(1)
    let a = await createTestReplica(0, membership)
    await a.documents.open(PROJECT)
    for (let i = 0; i < 1200; i++) await a.documents.write(PROJECT, undefined, setKey(`k${i % 40}`, i))
    const hash = await a.documents.contentHash(PROJECT)
    const disk = a.store.crash()
    expect((await disk.loadSnapshot(PROJECT))?.heads.get(a.peer)?.seq).toBe(1000)
    a = await createTestReplica(0, membership, disk)
    expect(await a.documents.contentHash(PROJECT)).toEqual(hash)
    const replayed = createTestReplica(0, membership, { ...a.store, loadSnapshot: async () => undefined })
    expect(await (await replayed).documents.contentHash(PROJECT)).toEqual(hash)
  })

  it('say who wrote what, also of what was written by former processes and is in a snapshot', async () => {
    const membership = createMembership(2)
    let a = await createTestReplica(0, membership)
    const b = await createTestReplica(1, membership)
    const authorsAt = async ({ documents }: typeof a) => {
      const clients = await documents.read(PROJECT, (state) =>
        ['first', 'second', 'other'].map((key) => writtenAt(state.getMap('m'), key)?.client ?? -1),
      )
      return clients.map((client) => documents.authorOf(PROJECT, client))
    }
    await a.documents.write(PROJECT, undefined, setKey('first', 1))
    a = await createTestReplica(0, membership, a.store.crash())
    await a.documents.write(PROJECT, undefined, (state) => {
      setKey('second', 2)(state)
      expect(a.documents.authorOf(PROJECT, state.clientID)).toBe(a.peer)
    })
    await b.documents.write(PROJECT, undefined, setKey('other', 3))
    await sync(b, a)
    expect(await authorsAt(a)).toEqual([a.peer, a.peer, b.peer])
    expect(a.documents.authorOf(PROJECT, 1)).toBeUndefined()
    for (let i = 0; i < 120; i++) await a.documents.write(PROJECT, undefined, setKey('more', i))
    await a.documents.close()
    const disk = a.store.crash()
    const snapshot = await disk.loadSnapshot(PROJECT)
    const again = await createTestReplica(0, membership, disk)
    expect(await authorsAt(again)).toEqual([a.peer, a.peer, b.peer])
    // As release 0.1.0 left it: of each author the client id in use.
    if (!snapshot) throw new Error('no snapshot')
    const body = decodeCanonical(
      z.looseObject({ clients: z.array(z.tuple([z.string(), z.number()])) }),
      snapshot.bytes,
      1_000_000,
    )
    expect(body.clients.length).toBe(3)
    const bytes = encodeCanonical({ ...body, clients: [...new Map(body.clients)] })
    await again.documents.close()
    await disk.saveSnapshot(PROJECT, { ...snapshot, bytes })
    expect(await authorsAt(await createTestReplica(0, membership, disk.crash()))).toEqual([a.peer, a.peer, b.peer])
  })

  it('[M15] are replayed when their snapshot is damaged or of other feeds', async () => {
    const membership = createMembership(1)
    const a = await createTestReplica(0, membership)
    await a.documents.write(PROJECT, undefined, setKey('x', 1))
    const head = a.documents.headsOf(a.peer).get(PROJECT)
    if (!head) throw new Error('nothing written')
    const state = new Y.Doc()
    state.getMap('m').set('x', 'of other feeds')
    const other = encodeCanonical({ v: 1, clients: [], state: Y.encodeStateAsUpdateV2(state) })
    const of = (seq: number, hash: Uint8Array, bytes = other) => ({ heads: new Map([[a.peer, { seq, hash }]]), bytes })
    let disk = a.store
    for (const snapshot of [of(1, head.hash, new Uint8Array(9)), of(1, new Uint8Array(32)), of(2, head.hash)]) {
      disk = disk.crash()
      await disk.saveSnapshot(PROJECT, snapshot)
      expect(await contentOf(await createTestReplica(0, membership, disk))).toEqual({ x: 1 })
    }
  })

  it('[D6] refuse a stored feed that is not whole', async () => {
    const membership = createMembership(1)
    const a = await createTestReplica(0, membership)
    for (let i = 0; i < 3; i++) await a.documents.write(PROJECT, undefined, setKey('x', i))
    const [first, , third] = a.store.appends.flat()
    if (!first || !third) throw new Error('nothing written')
    const broken = createMemoryStore()
    await broken.append([first, { ...third, seq: 2 }])
    const again = await createTestReplica(0, membership, broken)
    await expect(contentOf(again)).rejects.toThrow(/^The stored feed of .* is broken at 3\.$/)
    await expect(again.documents.write(PROJECT, undefined, setKey('x', 9))).rejects.toThrow(StorageError)
    expect(broken.appends).toHaveLength(1)
  })

  it('[M15] never have in a snapshot what is not durable', async () => {
    const membership = createMembership(1)
    const a = await createTestReplica(0, membership)
    await a.documents.open(PROJECT)
    for (let i = 0; i < 999; i++) await a.documents.write(PROJECT, undefined, setKey('k', i))
    const last = a.documents.write(PROJECT, undefined, setKey('k', 'durable'))
    a.store.hold()
    await settle()
    const more = a.documents.write(PROJECT, undefined, setKey('k', 'not durable'))
    a.store.release()
    await last
    void more.catch(() => undefined)
    const again = await createTestReplica(0, membership, a.store.crash())
    const position = again.documents.vectors().get(PROJECT)?.get(a.peer)?.seq
    expect(await contentOf(again)).toEqual({ k: position === 1001 ? 'not durable' : 'durable' })
    const replayed = await createTestReplica(0, membership, { ...again.store, loadSnapshot: async () => undefined })
    expect(await replayed.documents.contentHash(PROJECT)).toEqual(await again.documents.contentHash(PROJECT))
  })

  it('[M15] never have in a snapshot what a change wrote before it threw', async () => {
    const membership = createMembership(2)
    const [a, b] = [await createTestReplica(0, membership), await createTestReplica(1, membership)]
    await a.documents.write(PROJECT, undefined, setKey('ours', 1))
    for (let i = 0; i < 998; i++) await b.documents.write(PROJECT, undefined, setKey('k', i))
    await sync(b, a)
    await b.documents.write(PROJECT, undefined, setKey('k', 'last'))
    a.store.hold()
    const receiving = sync(b, a)
    await settle()
    const broken = a.documents.write(PROJECT, undefined, (state) => {
      setKey('ours', 'broken')(state)
      throw new Error('half-way')
    })
    a.store.release()
    await expect(broken).rejects.toThrow('half-way')
    await receiving
    expect(await contentOf(a)).toEqual({ ours: 1, k: 'last' })
  })
})

describe('live documents', () => {
  it('are never stored, and only the newest generation is kept', async () => {
    const membership = createMembership(2)
    const [a, b] = [await createTestReplica(0, membership), await createTestReplica(1, membership)]
    const [old, fresh] = [liveDoc(a.peer, 1), liveDoc(a.peer, 2)]
    await a.documents.write(old, undefined, setKey('x', 1))
    await sync(a, b)
    const late: Uint8Array[] = []
    for await (const bytes of a.documents.missing(new Map(), Infinity)) late.push(bytes)
    expect(await contentOf(b, old)).toEqual({ x: 1 })
    await a.documents.write(fresh, undefined, setKey('x', 2))
    await sync(a, b)
    expect([a.documents.list(), b.documents.list()]).toEqual([[fresh], [fresh]])
    expect(await b.documents.receive(late, a.peer)).toMatchObject({ applied: 0, waiting: 0, refused: [] })
    expect(b.documents.list()).toEqual([fresh])
    expect(await contentOf(b, fresh)).toEqual({ x: 2 })
    await expect(a.documents.write(old, undefined, setKey('x', 3))).rejects.toThrow('newer generation')
    expect([...a.store.appends, ...b.store.appends]).toEqual([])
    expect(a.documents.headsOf(a.peer)).toEqual(new Map())
  })

  it('are forgotten when a newer generation comes with them', async () => {
    const membership = createMembership(2)
    const [a, b] = [await createTestReplica(0, membership), await createTestReplica(1, membership)]
    const [old, fresh] = [liveDoc(a.peer, 1), liveDoc(a.peer, 2)]
    await a.documents.write(old, undefined, setKey('x', 1))
    const envelopes = await missingOf(a)
    await a.documents.write(fresh, undefined, setKey('x', 2))
    envelopes.unshift(...(await missingOf(a)))
    await b.documents.receive(envelopes, a.peer)
    expect(b.documents.list()).toEqual([fresh])

    const c = await createTestReplica(1, membership)
    const [newer = new Uint8Array(), older = new Uint8Array()] = envelopes
    // Both have been screened before either is accepted.
    await Promise.all([c.documents.receive([newer], a.peer), c.documents.receive([older], a.peer)])
    expect(c.documents.list()).toEqual([fresh])
  })

  it('are bounded', async () => {
    const membership = createMembership(2)
    const a = await createTestReplica(0, membership)
    const live = liveDoc(a.peer, 1)
    const write = (n: number) => a.documents.write(live, undefined, setKey(`k${n}`, new Uint8Array(100_000)))
    let written = 0
    const fill = async (): Promise<void> => {
      for (; written * 100_000 <= LIVE_BYTES_MAX; written++) await write(written)
    }
    await expect(fill()).rejects.toThrow('new generation')
    const keys = async (replica: TestReplica) => Object.keys((await contentOf(replica, live)) as object).length
    expect(await keys(a)).toBe(written)
    const b = await createTestReplica(1, membership)
    await sync(a, b)
    expect(await keys(b)).toBe(written)
  })
})

async function missingOf(replica: TestReplica): Promise<Uint8Array[]> {
  const found: Uint8Array[] = []
  for await (const bytes of replica.documents.missing(new Map(), Infinity)) found.push(bytes)
  return found
}
