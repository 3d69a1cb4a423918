import * as Y from 'yjs'
import { beforeEach, describe, expect, it } from 'vitest'
import { createEncoder, toUint8Array, writeUint8, writeVarUint } from 'lib0/encoding'
import { liveDoc, machineDoc, type MeshId } from '../../../../crdt/ids.ts'
import { clientIdOf, ENVELOPE_BYTES_MAX, sealEnvelope, type Envelope } from '../../../../protocols/feed/envelope.ts'
import { inspectUpdate, NESTING_MAX, VALUE_DEPTH_MAX } from '../../../../protocols/feed/inspect.ts'
import { LIVE_BYTES_MAX } from '../../../../node/services/feeds/generations.ts'
import { WAITING_PER_AUTHOR_MAX } from '../../../../node/services/feeds/waiting-room.ts'
import { createSeededRandom, crypto, identity } from '../../../support/identity.ts'
import {
  contentOf,
  createMembership,
  createTestReplica,
  Forger,
  MESH,
  OTHER_PROJECT,
  PROJECT,
  setKey,
  sync,
  updateBy,
  type TestMembership,
  type TestReplica,
} from '../../../support/replicas.ts'

const NONCE = new Uint8Array(16).fill(7)

let membership: TestMembership
/** The one under attack, and who wrote what is in it. */
let target: TestReplica
let victim: TestReplica
let mallory: Forger
let malloryClient: number
/** Everything the victim has written, as one update. */
let victimState: Uint8Array
let victimClient: number
let before: Uint8Array

beforeEach(async () => {
  membership = createMembership(3)
  target = await createTestReplica(0, membership)
  victim = await createTestReplica(1, membership)
  mallory = new Forger(2)
  malloryClient = clientIdOf(crypto, mallory.peer, PROJECT, NONCE)
  await victim.documents.write(PROJECT, undefined, setKey('precious', 1))
  await victim.documents.write(PROJECT, undefined, setKey('more', 2))
  await sync(victim, target)
  victimState = await victim.documents.read(PROJECT, (state) => Y.encodeStateAsUpdate(state))
  victimClient = [...Y.decodeStateVector(Y.encodeStateVectorFromUpdate(victimState)).keys()][0] ?? 0
  before = await target.documents.contentHash(PROJECT)
})

const receive = (...envelopes: (Envelope | Uint8Array)[]) =>
  target.documents.receive(
    envelopes.map((envelope) => (envelope instanceof Uint8Array ? envelope : envelope.bytes)),
    mallory.peer,
  )

const reasons = (outcome: Awaited<ReturnType<typeof receive>>) => outcome.refused.map(({ reason }) => reason)

/** Nothing has changed, on disk neither, whatever was sent. */
async function expectIntact(): Promise<void> {
  expect(await target.documents.contentHash(PROJECT)).toEqual(before)
  const again = await createTestReplica(0, membership, target.store.crash())
  expect(await again.documents.contentHash(PROJECT)).toEqual(before)
  expect(await contentOf(again)).toEqual({ precious: 1, more: 2 })
}

const expectFrozen = (): void => expect([...target.documents.frozen().keys()]).toEqual([mallory.peer])

/** A hand-made update: one section of structs, then an empty delete set. */
function forgedUpdate(
  client: number,
  clock: number,
  structs: (out: ReturnType<typeof createEncoder>) => number,
): Uint8Array {
  const body = createEncoder()
  const count = structs(body)
  const out = createEncoder()
  for (const value of [1, count, client, clock]) writeVarUint(out, value)
  return Uint8Array.from([...toUint8Array(out), ...toUint8Array(body), 0])
}

const gc = (client: number, clock: number, len: number): Uint8Array =>
  forgedUpdate(client, clock, (out) => {
    writeVarUint(out, 0)
    writeVarUint(out, len)
    return 1
  })

const writtenByMallory = (key = 'x', value: unknown = 1): Uint8Array => updateBy(malloryClient, setKey(key, value))

describe('what a member with a modified program sends', () => {
  it('[A-C1] a raw Yjs update is no envelope', async () => {
    expect(await receive(writtenByMallory())).toMatchObject({ applied: 0, waiting: 0 })
    await expectIntact()
    expect(target.documents.frozen()).toEqual(new Map())
  })

  it('[A-C1] a forged GC struct would erase content, and is refused', async () => {
    const forged = gc(victimClient, 0, 2)
    const unguarded = new Y.Doc()
    Y.applyUpdate(unguarded, forged)
    Y.applyUpdate(unguarded, victimState)
    expect(unguarded.getMap('m').toJSON()).toEqual({})

    const outcome = await receive(mallory.seal(forged, { nonce: NONCE }))
    expect(reasons(outcome)).toEqual(['malformed update: a struct of a clientID that its author has not declared'])
    await expectIntact()
    expectFrozen()
  })

  it('[A-C1] a forged GC struct beyond the end of the victim’s clocks is refused too', async () => {
    await receive(mallory.seal(gc(victimClient, 2, 1000), { nonce: NONCE }))
    await victim.documents.write(PROJECT, undefined, setKey('later', 3))
    await sync(victim, target)
    expect(await contentOf(target)).toEqual({ precious: 1, more: 2, later: 3 })
    expectFrozen()
  })

  it('[A-C1] a struct under a clientID that was not declared', async () => {
    const outcome = await receive(mallory.seal(writtenByMallory()))
    expect(reasons(outcome)).toEqual(['malformed update: a struct of a clientID that its author has not declared'])
    await expectIntact()
    expectFrozen()
  })

  it('[A-C1] clocks with a gap', async () => {
    const outcome = await receive(mallory.seal(gc(malloryClient, 5, 1), { nonce: NONCE }))
    expect(reasons(outcome)).toEqual(['malformed update: clocks are not contiguous'])
    await expectIntact()
    expectFrozen()
  })

  it('[A-C1] the same clocks twice', async () => {
    const again = [mallory.seal(writtenByMallory('x', 1), { nonce: NONCE }), mallory.seal(writtenByMallory('x', 2))]
    const outcome = await receive(...again)
    expect(outcome.applied).toBe(1)
    expect(reasons(outcome)).toEqual(['malformed update: clocks are not contiguous'])
    expect(await contentOf(target)).toEqual({ precious: 1, more: 2, x: 1 })
    expectFrozen()
  })

  it('[A-C1] a gap marked as such', async () => {
    const skip = forgedUpdate(malloryClient, 0, (out) => {
      writeVarUint(out, 10)
      writeVarUint(out, 3)
      return 1
    })
    expect(reasons(await receive(mallory.seal(skip, { nonce: NONCE })))).toEqual(['malformed update: a gap'])
    await expectIntact()
  })

  it('[A-C1] a clientID declared twice', async () => {
    const twice = [
      mallory.seal(writtenByMallory(), { nonce: NONCE }),
      mallory.seal(writtenByMallory(), { nonce: NONCE }),
    ]
    expect(reasons(await receive(...twice))).toEqual(['a nonce is used twice'])
    expectFrozen()
  })

  it('[A-C1] [M12] two envelopes for one place freeze their author, on every member that gets the proof', async () => {
    const told: (readonly Uint8Array[])[] = []
    target.documents.onFrozen((_author, _reason, evidence) => told.push(evidence))
    const one = mallory.seal(writtenByMallory('x', 1), { nonce: NONCE })
    const fork = new Forger(2)
    const other = fork.seal(writtenByMallory('x', 2), { nonce: NONCE })
    expect((await receive(one)).applied).toBe(1)
    expect(reasons(await receive(other))).toEqual(['equivocation'])
    expectFrozen()
    expect(told).toEqual([[one.bytes, other.bytes]])
    expect(await target.documents.evidence(mallory.peer)).toEqual([one.bytes, other.bytes])
    expect(await contentOf(target)).toEqual({ precious: 1, more: 2 })

    await victim.documents.receive(told[0] ?? [], target.peer)
    expect([...victim.documents.frozen().keys()]).toEqual([mallory.peer])
    // Kept, for it may be what others have built on; nobody has.
    expect(reasons(await receive(mallory.seal(updateBy(malloryClient, setKey('y', 1)))))).toEqual([])
    expect(
      reasons(await receive(mallory.seal(writtenByMallory(), { doc: OTHER_PROJECT, seq: 1, prev: null }))),
    ).toEqual(['the author is frozen'])
    expect(await contentOf(target)).toEqual({ precious: 1, more: 2 })
    const again = await createTestReplica(0, membership, target.store.crash())
    expect([...again.documents.frozen().keys()]).toEqual([mallory.peer])
  })

  it('[M12] two waiting envelopes for one place freeze their author', async () => {
    mallory.seq = 5
    mallory.prev = new Uint8Array(32)
    const one = mallory.seal(writtenByMallory('x', 1))
    mallory.seq = 5
    mallory.prev = new Uint8Array(32)
    expect((await receive(one)).waiting).toBe(1)
    expect(reasons(await receive(mallory.seal(writtenByMallory('x', 2))))).toEqual(['equivocation'])
    expectFrozen()
  })

  it('[M12] a feed continued on another predecessor freezes its author', async () => {
    await receive(mallory.seal(writtenByMallory('x', 1), { nonce: NONCE }))
    const fork = new Forger(2)
    fork.seal(writtenByMallory('x', 2), { nonce: NONCE })
    expect(reasons(await receive(fork.seal(writtenByMallory('x', 3))))).toEqual(['equivocation'])
    expectFrozen()
  })

  it('[A-C1] a repetition changes nothing and harms nobody', async () => {
    const feed: Uint8Array[] = []
    for await (const bytes of victim.documents.missing(new Map(), Infinity)) feed.push(bytes)
    expect(await receive(...feed, ...feed)).toMatchObject({ applied: 0, waiting: 0, refused: [] })
    await expectIntact()
    expect(target.documents.frozen()).toEqual(new Map())
  })

  it('[A-C1] an envelope of another document, mesh or author does not pass as one of this', async () => {
    const [feed] = await collect(victim)
    const stolen = {
      ...JSON.parse('{}'),
      mesh: MESH,
      doc: OTHER_PROJECT,
      author: victim.peer,
      seq: 1,
      prev: null,
      deps: {},
    }
    const asVictim = sealEnvelope({ ...stolen, at: 0, update: writtenByMallory() }, identity(2), crypto)
    const otherMesh = mallory.seal(writtenByMallory(), { nonce: NONCE, mesh: 'cd'.repeat(32) as MeshId })
    const machine = sealEnvelope(
      { ...stolen, doc: machineDoc(victim.peer), author: mallory.peer, at: 0, update: writtenByMallory() },
      identity(2),
      crypto,
    )
    const live = sealEnvelope(
      { ...stolen, doc: liveDoc(victim.peer, 9), author: mallory.peer, at: 0, update: writtenByMallory() },
      identity(2),
      crypto,
    )
    expect(reasons(await receive(asVictim, otherMesh, machine, live))).toEqual([
      'the signature is not valid',
      'an envelope of another mesh',
      'only its own machine writes this document',
      'only its own machine writes this document',
    ])
    expect(feed).toBeDefined()
    await expectIntact()
    expect(target.documents.frozen()).toEqual(new Map())
    expect(target.documents.list()).toEqual([PROJECT])
  })

  it('[A-C1] nobody outside the mesh writes', async () => {
    const outsider = new Forger(9)
    const client = clientIdOf(crypto, outsider.peer, PROJECT, NONCE)
    expect(reasons(await receive(outsider.seal(updateBy(client, setKey('x', 1)), { nonce: NONCE })))).toEqual([
      'the author is no member',
    ])
    await expectIntact()
  })

  it('[A-C1] deletions of what is not there wait instead of staying behind in the document', async () => {
    const unknown = Uint8Array.from([0, 1, ...varUint(4242), 1, 0, 5])
    expect(await receive(mallory.seal(unknown, { nonce: NONCE }))).toMatchObject({
      applied: 0,
      waiting: 1,
      refused: [],
    })
    await expectIntact()
  })

  it('[A-C1] references to what is not there wait', async () => {
    const base = updateBy(4242, (state) => state.getText('t').insert(0, 'hello'))
    const onTop = updateBy(malloryClient, (state) => state.getText('t').insert(2, 'x'), base)
    expect(await receive(mallory.seal(onTop, { nonce: NONCE }))).toMatchObject({ applied: 0, waiting: 1, refused: [] })
    await expectIntact()
  })

  it('[A-C2] keys that poison prototypes', async () => {
    const forbidden: [string, Uint8Array][] = [
      ['map', writtenByMallory('__proto__', { polluted: true })],
      ['map', writtenByMallory('constructor', 1)],
      ['nested', writtenByMallory('x', { a: [{ prototype: 1 }] })],
      ['nested', writtenByMallory('x', JSON.parse('{"a": {"__proto__": {"polluted": true}}}'))],
      ['root', updateBy(malloryClient, (state) => state.getMap('__proto__').set('x', 1))],
    ]
    for (const [, update] of forbidden) {
      const fresh = await createTestReplica(0, membership)
      const { applied, refused } = await fresh.documents.receive(
        [new Forger(2).seal(update, { nonce: NONCE }).bytes],
        mallory.peer,
      )
      expect({ applied, reason: refused[0]?.reason }).toMatchObject({
        applied: 0,
        reason: expect.stringMatching(/^malformed update: a key (__proto__|constructor|prototype)$/),
      })
    }
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
  })

  it('[A-C2] content that is not plain data', async () => {
    const odd = [
      writtenByMallory('x', new Y.XmlElement('script')),
      writtenByMallory('x', new Y.Doc()),
      writtenByMallory('x', 2n ** 60n),
      updateBy(malloryClient, (state) => state.getText('t').insert(0, 'x', { bold: true })),
      updateBy(malloryClient, (state) => state.getText('t').insertEmbed(0, { image: 'x' })),
      writtenByMallory('x', nestedMaps(NESTING_MAX + 1)),
      writtenByMallory('x', nestedArrays(VALUE_DEPTH_MAX + 2)),
    ]
    for (const update of odd) {
      const fresh = await createTestReplica(0, membership)
      const outcome = await fresh.documents.receive([new Forger(2).seal(update, { nonce: NONCE }).bytes], mallory.peer)
      expect(outcome).toMatchObject({ applied: 0, waiting: 0, refused: [{ author: mallory.peer }] })
    }
  })

  it('[A-C2] a bomb of many clients is refused by its header', async () => {
    const bomb = (clients: number): Uint8Array => {
      const out = createEncoder()
      writeVarUint(out, clients)
      for (let client = 1; client <= clients; client++) for (const value of [0, client, 0]) writeVarUint(out, value)
      writeVarUint(out, 0)
      return toUint8Array(out)
    }
    expect(() => mallory.seal(bomb(200_000))).toThrow(RangeError)
    expect(reasons(await receive(mallory.seal(bomb(30_000), { nonce: NONCE })))).toEqual([
      'malformed update: structs of 30000 clients',
    ])
    expect(reasons(await receive(new Uint8Array(ENVELOPE_BYTES_MAX + 1)))).toEqual([
      `malformed envelope: ${ENVELOPE_BYTES_MAX + 1} bytes, at most ${ENVELOPE_BYTES_MAX} allowed`,
    ])
    await expectIntact()
  })

  it('[A-C2] 10,000 truncated and bit-flipped envelopes', async () => {
    const [first, second] = await collect(victim)
    if (!first || !second) throw new Error('nothing to mutilate')
    const fresh = await createTestReplica(0, membership)
    await fresh.documents.receive([first], victim.peer)
    const hash = await fresh.documents.contentHash(PROJECT)
    const random = createSeededRandom(1)
    const pick = (max: number): number => (random.bytes(2)[0]! * 256 + random.bytes(1)[0]!) % max
    const mutilated = Array.from({ length: 10_000 }, (_, i) => {
      const bytes = (i % 3 === 0 ? first : second).slice()
      if (i % 2 === 0) return bytes.slice(0, pick(bytes.byteLength))
      bytes[pick(bytes.byteLength)]! ^= 1 << (i % 8)
      return bytes
    })
    const outcome = await fresh.documents.receive(mutilated, victim.peer)
    expect(outcome).toMatchObject({ applied: 0, waiting: 0 })
    expect(outcome.refused.length).toBe(10_000)
    expect(await fresh.documents.contentHash(PROJECT)).toEqual(hash)
    expect(fresh.documents.frozen()).toEqual(new Map())
    expect((await fresh.documents.receive([second], victim.peer)).applied).toBe(1)
  })

  it('[A-C2] 10,000 mutilated updates, properly signed: nobody else’s content is touched', async () => {
    const update = updateBy(malloryClient, (state) => {
      state.getMap('m').set('x', { deep: [1, 'two', null] })
      state.getText('t').insert(0, 'some text')
      state.getMap('m').set('x', new Y.Map([['k', 1]]))
    })
    const random = createSeededRandom(2)
    let applied = 0
    let refused = 0
    for (let i = 0; i < 10_000; i++) {
      const bytes = update.slice()
      const [a = 0, b = 0] = random.bytes(2)
      bytes[(a * 256 + b) % bytes.byteLength]! ^= 1 << (i % 8)
      const cut = i % 4 === 0 ? bytes.slice(0, a % bytes.byteLength) : bytes
      const doc = await decideAlone(cut)
      if (doc) applied++
      else refused++
    }
    expect(applied + refused).toBe(10_000)
    // A run in which everything is refused, or nothing, would prove nothing.
    expect(Math.min(applied, refused)).toBeGreaterThan(100)
  })

  it('[A-C1] a struct on both sides of another', async () => {
    const both = forgedUpdate(malloryClient, 0, (out) => {
      writeUint8(out, 8 | 128 | 64)
      for (const value of [victimClient, 0, victimClient, 0, 1]) writeVarUint(out, value)
      writeVarUint(out, 126)
      return 1
    })
    const outcome = await receive(mallory.seal(both, { nonce: NONCE }))
    expect(reasons(outcome)).toEqual(['malformed update: a struct on both sides of another'])
    await expectIntact()
  })

  it('[D3] contradictory places make replicas differ; a rebuild makes them equal again', async () => {
    await victim.documents.write(PROJECT, undefined, (state) => {
      state.getArray('l').push(['first', 'last'])
      state.getMap('m').set('nested', new Y.Map([['inner', 1]]))
    })
    await sync(victim, target)
    const ids = await victim.documents.read(PROJECT, (state) => {
      const inner = state.getMap<Y.Map<unknown>>('m').get('nested')?._map.get('inner')?.id
      return { left: state.getArray('l')._start?.id, right: inner }
    })
    if (!ids.left || !ids.right) throw new Error('nothing to refer to')
    const { left, right } = ids
    // To the right of a list's item and to the left of what is in a map.
    const torn = forgedUpdate(malloryClient, 0, (out) => {
      writeUint8(out, 8 | 128 | 64)
      for (const value of [left.client, left.clock, right.client, right.clock, 1]) writeVarUint(out, value)
      writeVarUint(out, 126)
      return 1
    })
    const envelope = mallory.seal(torn, { nonce: NONCE, at: 1_900_000_000_000 })
    expect((await receive(envelope)).applied).toBe(1)
    await victim.documents.write(PROJECT, undefined, (state) => state.getMap('m').delete('nested'))
    await sync(victim, target)
    await sync(target, victim)
    const hashes = () => Promise.all([target, victim].map(({ documents }) => documents.contentHash(PROJECT)))
    const [one, other] = await hashes()
    expect(target.documents.vectors()).toEqual(victim.documents.vectors())
    expect(one).not.toEqual(other)
    expect(await target.documents.rebuild(PROJECT)).toBe('rebuilt')
    expect(await victim.documents.rebuild(PROJECT)).toBe('rebuilt')
    const [healed, same] = await hashes()
    expect(healed).toEqual(same)
    expect(await contentOf(target)).toEqual({ precious: 1, more: 2 })
    expect(await target.documents.rebuild(PROJECT)).toBe('too soon')
    await target.documents.write(PROJECT, undefined, setKey('goes on', 1))
    await sync(target, victim)
    expect(await contentOf(victim)).toEqual({ precious: 1, more: 2, 'goes on': 1 })
  })

  it('[D4] [M11] a stored update that does not apply costs its author, and whoever built on it, that envelope only', async () => {
    const store = target.store.crash()
    const good = mallory.seal(writtenByMallory('good', 1), { nonce: NONCE })
    // Past the checks: what a bug or a crash half-way could have left on disk.
    const base = updateBy(4242, (state) => state.getText('t').insert(0, 'hello'))
    const hanging = updateBy(malloryClient, (state) => state.getText('t').insert(2, 'x'), base)
    const bad = mallory.seal(hanging, {})
    const builtOn = new Forger(1)
    builtOn.seq = 2
    builtOn.prev = target.documents.headsOf(victim.peer).get(PROJECT)?.hash ?? null
    const honest = builtOn.seal(updateBy(victimClient, setKey('on top', 1), victimState), {
      deps: { [mallory.peer]: { seq: 2, hash: bad.hash } },
    })
    const stored = [good, bad, honest].map(({ doc, author, seq, bytes }) => ({ doc, author, seq, bytes }))
    await store.append(stored)
    const again = await createTestReplica(0, membership, store)
    expect(await contentOf(again)).toEqual({ precious: 1, more: 2, good: 1 })
    expect([...again.documents.frozen().keys()]).toEqual([mallory.peer])
    const positions = new Map([
      [victim.peer, 2],
      [mallory.peer, 1],
    ])
    expect(positionsOf(again)).toEqual(positions)
    expect(await store.documents()).toEqual(new Map([[PROJECT, positions]]))
    await again.documents.write(PROJECT, undefined, setKey('goes on', 1))
    expect(await contentOf(again)).toEqual({ precious: 1, more: 2, good: 1, 'goes on': 1 })
  })

  it('[A-C2] a live document without end', async () => {
    const live = liveDoc(mallory.peer, 1)
    const client = clientIdOf(crypto, mallory.peer, live, NONCE)
    const doc = new Y.Doc()
    doc.clientID = client
    const updates: Uint8Array[] = []
    doc.on('update', (update: Uint8Array) => updates.push(update))
    for (let n = 0; n * 150_000 < LIVE_BYTES_MAX; n++) doc.getMap('m').set(`k${n}`, new Uint8Array(150_000))
    const feed = updates.map((update, n) => mallory.seal(update, n === 0 ? { doc: live, nonce: NONCE } : { doc: live }))
    const outcome = await receive(...feed)
    expect(outcome.applied).toBe(Math.floor(LIVE_BYTES_MAX / (feed[1]?.bytes.byteLength ?? 0)))
    expect(outcome.applied).toBeLessThan(feed.length)
    expect(reasons(outcome)).toEqual([`a live document larger than ${LIVE_BYTES_MAX} bytes`])
  })

  it('[M11] what waits is bounded per author, and the oldest go', async () => {
    mallory.seq = 1
    mallory.prev = new Uint8Array(32)
    const flood = Array.from({ length: WAITING_PER_AUTHOR_MAX + 200 }, () => mallory.seal(writtenByMallory()).bytes)
    await target.documents.receive(flood, mallory.peer)
    expect(target.documents.info().map(({ waiting }) => waiting)).toEqual([WAITING_PER_AUTHOR_MAX])
    await expectIntact()
  })

  it('[M12] a frozen author cannot make honest members wait for each other', async () => {
    const one = mallory.seal(writtenByMallory('x', 1), { nonce: NONCE })
    const two = mallory.seal(updateBy(malloryClient, setKey('y', 2), one.update))
    const other = new Forger(2).seal(writtenByMallory('x', 'other'), { nonce: NONCE, at: 5 })
    // The victim has seen both before anything was wrong, and has written on top of them.
    await victim.documents.receive([one.bytes, two.bytes], mallory.peer)
    await victim.documents.write(PROJECT, undefined, setKey('honest', 3))
    await receive(one)
    await receive(other)
    expectFrozen()
    await receive(two)
    expect(await contentOf(target)).toEqual({ precious: 1, more: 2 })
    await sync(victim, target)
    expect(await contentOf(target)).toEqual({ precious: 1, more: 2, x: 1, y: 2, honest: 3 })
    await sync(target, victim)
    expect(await target.documents.contentHash(PROJECT)).toEqual(await victim.documents.contentHash(PROJECT))
  })
})

/** Whether the target would accept this update of Mallory's; if it would, applies it to a copy and checks the victim's content. */
async function decideAlone(update: Uint8Array): Promise<boolean> {
  const doc = new Y.Doc()
  Y.applyUpdate(doc, victimState)
  const verdict = inspectUpdate(update, { client: malloryClient, clockOf: (client) => Y.getState(doc.store, client) })
  if (verdict.kind !== 'sound') return false
  Y.applyUpdate(doc, update)
  expect([doc.store.pendingStructs, doc.store.pendingDs]).toEqual([null, null])
  expect(Y.getState(doc.store, malloryClient)).toBe(verdict.clock)
  const victims = doc.store.clients.get(victimClient) ?? []
  expect(victims.some((struct) => struct instanceof Y.GC)).toBe(false)
  return true
}

const nestedMaps = (depth: number): Y.Map<unknown> => new Y.Map(depth > 1 ? [['inner', nestedMaps(depth - 1)]] : [])

const nestedArrays = (depth: number): unknown[] => (depth > 1 ? [nestedArrays(depth - 1)] : [])

const positionsOf = ({ documents }: TestReplica) =>
  new Map([...(documents.vectors().get(PROJECT) ?? [])].map(([author, { seq }]) => [author, seq]))

async function collect(replica: TestReplica): Promise<Uint8Array[]> {
  const found: Uint8Array[] = []
  for await (const bytes of replica.documents.missing(new Map(), Infinity)) found.push(bytes)
  return found
}

function varUint(value: number): number[] {
  const out = createEncoder()
  writeVarUint(out, value)
  return [...toUint8Array(out)]
}
