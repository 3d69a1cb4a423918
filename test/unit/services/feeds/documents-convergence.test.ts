import * as Y from 'yjs'
import { describe, expect, it } from 'vitest'
import { randomFraction, type Random } from '../../../../node/ports/random.ts'
import { toHex } from '../../../../protocols/codec.ts'
import { contentHash } from '../../../../protocols/feed/content-hash.ts'
import { createSeededRandom, crypto } from '../../../support/identity.ts'
import { settle } from '../../../support/clock.ts'
import { createMembership, createTestReplica, PROJECT, sync, type TestReplica } from '../../../support/replicas.ts'

const below = (random: Random, max: number): number => Math.floor(randomFraction(random) * max)

/** Writes of every kind that the services make: flat maps, nested maps, lists, texts, deletions. */
function scribble(state: Y.Doc, random: Random): void {
  const map = state.getMap<unknown>('m')
  const list = state.getArray<unknown>('l')
  const text = state.getText('t')
  const key = `k${below(random, 6)}`
  const nested = map.get(`n${key}`)
  const acts = [
    () => map.set(key, { value: below(random, 1000), list: [1, 'a', null] }),
    () => map.delete(key),
    () => map.set(`n${key}`, new Y.Map([['born', below(random, 1000)]])),
    () => nested instanceof Y.Map && nested.set(key, 'x'.repeat(below(random, 20))),
    () => list.insert(below(random, list.length + 1), [below(random, 1000), 'b']),
    () => list.length > 0 && list.delete(below(random, list.length)),
    () => text.insert(below(random, text.length + 1), 'word '),
    () => text.length > 3 && text.delete(below(random, text.length - 2), 2),
  ]
  for (let n = below(random, 4) + 1; n > 0; n--) acts[below(random, acts.length)]?.()
}

/** Every envelope reaches every other replica, out of order and repeated, while all write. */
async function run(seed: number) {
  const random = createSeededRandom(seed)
  const membership = createMembership(3)
  const replicas: TestReplica[] = []
  for (let n = 0; n < 3; n++) replicas.push(await createTestReplica(n, membership))
  const wire: { to: TestReplica; bytes: Uint8Array }[] = []
  let waited = 0
  const listen = (from: TestReplica): void =>
    void from.documents.onAppend((envelopes) => {
      for (const to of replicas) if (to.peer !== from.peer) for (const { bytes } of envelopes) wire.push({ to, bytes })
    })
  replicas.forEach(listen)
  for (let step = 0; step < 120; step++) {
    const at = below(random, 3)
    const replica = replicas[at]!
    switch (below(random, 5)) {
      case 0:
      case 1: {
        const writes = Array.from({ length: below(random, 3) + 1 }, () =>
          replica.documents.write(PROJECT, undefined, (state) => scribble(state, random)),
        )
        if (below(random, 2) === 0) await Promise.all(writes)
        break
      }
      case 2:
      case 3: {
        const index = below(random, wire.length)
        const [frame] = below(random, 4) === 0 ? wire.slice(index, index + 1) : wire.splice(index, 1)
        if (frame) waited += (await frame.to.documents.receive([frame.bytes], replica.peer)).waiting
        break
      }
      default:
        if (below(random, 8) === 0) {
          await settle()
          replicas[at] = await createTestReplica(at, membership, replica.store.crash())
          for (let i = wire.length - 1; i >= 0; i--) if (wire[i]?.to === replica) wire.splice(i, 1)
          listen(replicas[at])
        }
    }
  }
  await settle()
  for (let round = 0; round < 2; round++)
    for (const from of replicas) for (const to of replicas) if (from !== to) await sync(from, to)
  return { replicas, waited }
}

describe('replicas', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])(
    '[M10] [M16] converge to the same content, whatever is written, repeated, reordered or restarted (seed %i)',
    async (seed) => {
      const { replicas, waited } = await run(seed)
      const hashes = await Promise.all(replicas.map(({ documents }) => documents.contentHash(PROJECT)))
      expect(hashes).toEqual([hashes[0], hashes[0], hashes[0]])
      const states = await Promise.all(
        replicas.map(({ documents }) =>
          documents.read(PROJECT, (state) => ({
            map: state.getMap('m').toJSON(),
            list: state.getArray('l').toJSON(),
            text: state.getText('t').toJSON(),
          })),
        ),
      )
      expect(states[1]).toEqual(states[0])
      expect(states[2]).toEqual(states[0])
      expect(replicas.map(({ documents }) => documents.frozen().size)).toEqual([0, 0, 0])
      expect(replicas[1]?.documents.vectors()).toEqual(replicas[0]?.documents.vectors())
      // A run without reordering or without content would prove nothing.
      expect(waited).toBeGreaterThan(0)
      expect(Object.keys(states[0]?.map ?? {}).length).toBeGreaterThan(0)
    },
  )

  it('[M16] send what is missing in bounded portions that the other side can apply at once', async () => {
    const membership = createMembership(3)
    const [a, b, c] = [
      await createTestReplica(0, membership),
      await createTestReplica(1, membership),
      await createTestReplica(2, membership),
    ]
    for (let i = 0; i < 20; i++) {
      const from = i % 2 === 0 ? a : b
      await from.documents.write(PROJECT, undefined, (state) => state.getText('t').insert(0, `${i} `))
      await sync(from, from === a ? b : a)
    }
    let rounds = 0
    for (; rounds < 100; rounds++) {
      const portion: Uint8Array[] = []
      for await (const bytes of a.documents.missing(c.documents.vectors(), 2000)) portion.push(bytes)
      if (portion.length === 0) break
      expect(portion.reduce((sum, bytes) => sum + bytes.byteLength, 0)).toBeLessThan(4000)
      expect(await c.documents.receive(portion, a.peer)).toMatchObject({
        applied: portion.length,
        waiting: 0,
        refused: [],
      })
    }
    expect(rounds).toBeGreaterThan(3)
    expect(await c.documents.contentHash(PROJECT)).toEqual(await b.documents.contentHash(PROJECT))
  })

  it('[D3] replay in the same order, whatever the order of arrival', async () => {
    const membership = createMembership(3)
    const replicas = await Promise.all([0, 1, 2].map((n) => createTestReplica(n, membership)))
    for (const { documents } of replicas)
      for (let n = 0; n < 3; n++) await documents.write(PROJECT, undefined, (state) => state.getArray('l').push([n]))
    for (const to of replicas.toReversed()) for (const from of replicas) if (from !== to) await sync(from, to)
    for (const to of replicas) for (const from of replicas) if (from !== to) await sync(from, to)
    const orders = await Promise.all(
      replicas.map(async ({ documents }) => {
        const order: string[] = []
        for await (const bytes of documents.missing(new Map(), Infinity)) order.push(toHex(crypto.sha256(bytes)))
        return order
      }),
    )
    expect(orders[0]).toHaveLength(9)
    expect(orders).toEqual([orders[0], orders[0], orders[0]])
  })

  it('[D1] read a document nobody has written as empty, without making it exist', async () => {
    const membership = createMembership(2)
    const [a, b] = [await createTestReplica(0, membership), await createTestReplica(1, membership)]
    await a.documents.read(PROJECT, (state) => state.getMap('m').toJSON())
    await sync(a, b)
    expect([a.documents.vectors(), b.documents.vectors()]).toEqual([new Map(), new Map()])
  })

  it('tell a difference that state vectors hide', async () => {
    const [a, b] = [new Y.Doc(), new Y.Doc()]
    a.clientID = b.clientID = 1
    a.getMap('m').set('k', 'one')
    b.getMap('m').set('k', 'two')
    expect(Y.encodeStateVector(a)).toEqual(Y.encodeStateVector(b))
    expect(contentHash(a, crypto)).not.toEqual(contentHash(b, crypto))
  })
})
