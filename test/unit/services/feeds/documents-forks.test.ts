import { decode } from 'cborg'
import * as Y from 'yjs'
import { beforeEach, describe, expect, it } from 'vitest'
import { encodeCanonical, toHex } from '../../../../protocols/codec.ts'
import { clientIdOf, type Envelope } from '../../../../protocols/feed/envelope.ts'
import { createSeededRandom, crypto, identity } from '../../../support/identity.ts'
import {
  contentOf,
  createMembership,
  createTestReplica,
  Forger,
  PROJECT,
  setKey,
  sync,
  type TestMembership,
  type TestReplica,
} from '../../../support/replicas.ts'

const NONCE = new Uint8Array(16).fill(7)
const MALLORY = 3
const mallory = identity(MALLORY).peer

let membership: TestMembership
let a: TestReplica
let b: TestReplica
let c: TestReplica

beforeEach(async () => {
  membership = createMembership(5)
  a = await createTestReplica(0, membership)
  b = await createTestReplica(1, membership)
  c = await createTestReplica(2, membership)
})

/** One of the histories of a feed; what is written to it goes on where it stands. */
class History {
  readonly envelopes: Envelope[] = []
  readonly #forger = new Forger(MALLORY)
  readonly #state = new Y.Doc()

  constructor() {
    this.#state.clientID = clientIdOf(crypto, mallory, PROJECT, NONCE)
  }

  write(change: (state: Y.Doc) => void): this {
    const before = Y.encodeStateVector(this.#state)
    this.#state.transact(() => change(this.#state))
    const update = Y.encodeStateAsUpdate(this.#state, before)
    this.envelopes.push(this.#forger.seal(update, this.#forger.seq === 0 ? { nonce: NONCE } : {}))
    return this
  }

  /** Another one that has been the same so far. */
  fork(): History {
    const other = new History()
    other.#forger.seq = this.#forger.seq
    other.#forger.prev = this.#forger.prev
    other.#state.clientID = 0 // Yjs takes another one, and says so, when its own comes from elsewhere
    Y.applyUpdate(other.#state, Y.encodeStateAsUpdate(this.#state))
    other.#state.clientID = this.#state.clientID
    other.envelopes.push(...this.envelopes)
    return other
  }
}

const list =
  (key: string, ...items: string[]) =>
  (state: Y.Doc) =>
    void state.getMap('m').set(key, Y.Array.from(items))

const push = (key: string, item: string) => (state: Y.Doc) => {
  const array = state.getMap('m').get(key)
  if (!(array instanceof Y.Array)) throw new Error(`no list ${key}`)
  array.push([item])
}

const tell = (to: TestReplica, { envelopes }: { readonly envelopes: readonly (Envelope | undefined)[] }) =>
  to.documents.receive(
    envelopes.flatMap((envelope) => envelope?.bytes ?? []),
    mallory,
  )

const write = (replica: TestReplica, change: (state: Y.Doc) => void) =>
  replica.documents.write(PROJECT, undefined, change)

/** Everybody talks to everybody until nothing is new: each round brings the proofs that the next one builds on. */
async function settle(...replicas: TestReplica[]): Promise<void> {
  for (let round = 0; round < 4; round++)
    for (const from of replicas) for (const to of replicas) if (from !== to) await sync(from, to)
}

async function expectAgreement(...replicas: TestReplica[]): Promise<void> {
  const [first, ...others] = await Promise.all(replicas.map(standOf))
  for (const other of others) expect(other).toEqual(first)
}

const standOf = async ({ documents }: TestReplica) => ({
  ends: new Map(
    [...(documents.vectors().get(PROJECT) ?? [])].map(([author, { seq, hash }]) => [author, `${seq} ${toHex(hash)}`]),
  ),
  forks: [...documents.forks()].map(({ seq }) => seq),
  content: await documents.read(PROJECT, (state) => state.getMap('m').toJSON()),
  hash: toHex(await documents.contentHash(PROJECT)),
})

function factsWrittenBy({ store }: TestReplica): { bytes: number } {
  const written = { bytes: 0 }
  const putFact = store.putFact.bind(store)
  store.putFact = async (key, value) => {
    written.bytes += value.byteLength
    await putFact(key, value)
  }
  return written
}

const endOf = ({ documents }: TestReplica): number => documents.vectors().get(PROJECT)?.get(mallory)?.seq ?? 0

describe('a feed that its author continues in two ways', () => {
  it('[M12] ends before the place where it does, on every member, whichever of the two it had', async () => {
    const one = new History().write(setKey('common', 1))
    const other = one.fork().write(setKey('x', 'other'))
    one.write(setKey('x', 'one')).write(setKey('y', 2))
    await tell(a, one)
    await tell(b, other)
    expect([endOf(a), endOf(b)]).toEqual([3, 2])
    await settle(a, b, c)
    await expectAgreement(a, b, c)
    expect([endOf(a), endOf(c)]).toEqual([1, 1])
    expect(await contentOf(c)).toEqual({ common: 1 })
    expect([...c.documents.frozen().keys()]).toEqual([mallory])
  })

  it('[M10] [M12] [M16] stays as far as others have built on it, on each of its branches, for everybody', async () => {
    const one = new History().write(list('common', 'c'))
    const other = one.fork().write(list('other', 'mallory')).write(setKey('unseen', 1))
    one.write(list('one', 'mallory'))
    await tell(a, one)
    await write(a, push('one', 'a'))
    await tell(b, { envelopes: other.envelopes.slice(0, 2) })
    await write(b, push('other', 'b'))
    await write(b, push('common', 'b'))
    await tell(b, other)
    await settle(a, b, c)
    await expectAgreement(a, b, c)
    expect(await contentOf(c)).toEqual({ common: ['c', 'b'], one: ['mallory', 'a'], other: ['mallory', 'b'] })
    // Whoever knows of both goes on with both.
    await write(c, push('one', 'c'))
    await write(b, (state) => (state.getMap('m').get('other') as Y.Array<string>).delete(0, 1))
    await settle(a, b, c)
    await expectAgreement(a, b, c)
    expect(await contentOf(a)).toEqual({ common: ['c', 'b'], one: ['mallory', 'a', 'c'], other: ['b'] })
  })

  it('[M12] [M15] is told of after a restart, and to those who join late', async () => {
    const one = new History().write(list('one', 'mallory'))
    const other = new History().write(list('other', 'mallory'))
    await tell(a, one)
    await write(a, push('one', 'a'))
    await tell(b, other)
    await write(b, push('other', 'b'))
    await settle(a, b)
    const again = await createTestReplica(0, membership, a.store.crash())
    await expectAgreement(again, b)
    await settle(again, c)
    await expectAgreement(again, b, c)
    expect(await contentOf(c)).toEqual({ one: ['mallory', 'a'], other: ['mallory', 'b'] })
  })

  it('[M12] [M15] [A-D1] is never written twice, however much others have built on, and is there after a restart', async () => {
    const one = new History().write(setKey('first', 1))
    for (let i = 0; i < 60; i++) one.write(setKey('large', `${i % 10}`.repeat(90_000)))
    await tell(a, one)
    await tell(b, one)
    expect([endOf(a), endOf(b)]).toEqual([61, 61])
    await write(a, setKey('a', 1))
    const written = factsWrittenBy(a)
    await tell(a, new History().write(setKey('x', 2)))
    expect(written.bytes).toBeGreaterThan(5_000_000)
    for (let i = 1; i < 5; i++) {
      one.write(list(`more ${i}`, 'mallory'))
      await tell(b, one)
      await write(b, push(`more ${i}`, 'b'))
      written.bytes = 0
      for await (const bytes of b.documents.missing(new Map(), Infinity)) await a.documents.receive([bytes], b.peer)
      expect(await contentOf(a)).toHaveProperty(`more ${i}`, ['mallory', 'b'])
      expect(written.bytes).toBeGreaterThan(0)
      expect(written.bytes).toBeLessThan(20_000)
    }
    const again = await createTestReplica(0, membership, a.store.crash())
    await expectAgreement(again, a)
  })

  it('[M15] is read as releases before 0.2.0 have kept it', async () => {
    const one = new History().write(list('one', 'mallory'))
    await tell(a, one)
    await write(a, push('one', 'a'))
    await tell(a, new History().write(setKey('x', 2)))
    const name = `feeds/forks/${PROJECT}/${mallory}`
    const [head, part] = await Promise.all([a.store.getFact(name), a.store.getFact(`${name}/0`)])
    if (!head || !part) throw new Error('nothing is kept')
    const { proof } = decode(head)
    await a.store.putFact(name, encodeCanonical({ proof, kept: decode(part) }))
    await a.store.putFact(`${name}/0`, new Uint8Array())
    const disk = a.store.crash()
    const first = await createTestReplica(0, membership, disk)
    expect(await contentOf(first)).toEqual({ one: ['mallory', 'a'] })
    const second = await createTestReplica(0, membership, first.store.crash())
    expect(await contentOf(second)).toEqual({ one: ['mallory', 'a'] })
  })

  it('[M7] [M12] is settled like that too when its author has been removed before anybody knew', async () => {
    const one = new History().write(list('one', 'mallory'))
    const other = new History().write(list('other', 'mallory'))
    await tell(a, one)
    await tell(b, other)
    await write(b, push('other', 'b'))
    const cuts = a.documents.headsOf(mallory)
    membership.members.delete(mallory)
    membership.removed.set(mallory, new Map(cuts))
    for (const { documents } of [a, b, c]) await documents.membershipChanged()
    await sync(a, c)
    await settle(a, b, c)
    await expectAgreement(a, b, c)
    expect(await contentOf(a)).toEqual({ other: ['mallory', 'b'] })
  })

  it('[M7] [M12] ends also for an envelope that would not count, but follows on another branch', async () => {
    const one = new History().write(setKey('x', 1))
    await tell(a, one)
    membership.members.delete(mallory)
    membership.removed.set(mallory, new Map(a.documents.headsOf(mallory)))
    await a.documents.membershipChanged()
    const other = new History().write(setKey('x', 2)).write(setKey('y', 2))
    await tell(a, { envelopes: other.envelopes.slice(1) })
    expect([...a.documents.forks()]).toMatchObject([{ seq: 1 }])
    expect(await contentOf(a)).toEqual({})
  })

  it('[M7] [M12] keeps to the branch that was built on when nobody has the one that the removal names', async () => {
    const other = new History().write(setKey('x', 1)).write(list('other', 'mallory'))
    await tell(b, other)
    await write(b, push('other', 'b'))
    await tell(c, other)
    membership.members.delete(mallory)
    membership.removed.set(mallory, new Map([[PROJECT, { seq: 2, hash: new Uint8Array(32).fill(9) }]]))
    for (const { documents } of [a, b, c]) await documents.membershipChanged()
    expect([endOf(b), endOf(c)]).toEqual([2, 1])
    await settle(a, b, c)
    await expectAgreement(a, b, c)
    expect(await contentOf(a)).toEqual({ x: 1, other: ['mallory', 'b'] })
  })

  it('[M12] ends at the lowest such place, also when that becomes known later', async () => {
    const root = new History().write(list('root', 'mallory'))
    const early = root.fork().write(list('early', 'mallory'))
    root.write(list('common', 'mallory'))
    const late = root.fork().write(list('late', 'mallory'))
    root.write(list('latest', 'mallory'))
    await tell(a, root)
    await write(a, push('latest', 'a'))
    await tell(b, late)
    await write(b, push('late', 'b'))
    await settle(a, b)
    await expectAgreement(a, b)
    expect(endOf(a)).toBe(2)
    await write(a, push('late', 'a'))
    await tell(c, early)
    await write(c, push('early', 'c'))
    await settle(a, b, c)
    await expectAgreement(a, b, c)
    expect(endOf(c)).toBe(1)
    expect(await contentOf(b)).toEqual({
      root: ['mallory'],
      common: ['mallory'],
      early: ['mallory', 'c'],
      late: ['mallory', 'b', 'a'],
      latest: ['mallory', 'a'],
    })
  })

  it('[M12] [A-D1] rebuilds for ever lower places at a growing distance, and gets to the lowest', async () => {
    const trunk = new History()
    const branches: History[] = []
    for (let i = 0; i < 40; i++) {
      branches.push(trunk.fork().write(setKey('branch', i)))
      trunk.write(setKey('trunk', i))
    }
    await tell(a, trunk)
    const rebuilds = (): number => a.log.lines.filter(({ message }) => message.startsWith('a feed is forked')).length
    const proveAll = async (): Promise<void> => {
      for (const branch of branches.toReversed()) await tell(a, { envelopes: [branch.envelopes.at(-1)] })
    }
    await proveAll()
    expect(rebuilds()).toBe(8)
    for (let minutes = 0; minutes < 60; minutes++) {
      await a.clock.advance(60_000)
      await tell(a, { envelopes: [branches[0]!.envelopes.at(-1)] })
      await proveAll()
      expect(rebuilds()).toBeLessThanOrEqual(9 + minutes)
    }
    expect(endOf(a)).toBe(0)
    await sync(a, b)
    await tell(b, trunk)
    await tell(b, { envelopes: branches.flatMap(({ envelopes }) => envelopes.slice(-1)) })
    await settle(a, b)
    await expectAgreement(a, b)
  })

  it('[M12] [M16] is found by comparison however far back its branches part', async () => {
    const one = new History().write(setKey('common', 1))
    const other = one.fork()
    for (let n = 0; n < 700; n++) {
      one.write(setKey('x', n))
      other.write(setKey('x', -n - 1))
    }
    await tell(a, one)
    await write(a, setKey('a', 1))
    await tell(b, other)
    await settle(a, b)
    await expectAgreement(a, b)
    expect(endOf(a)).toBe(1)
    expect(await contentOf(b)).toEqual({ common: 1, x: 699, a: 1 })
  })

  it('[M12] does not end for the claim that something builds on another branch', async () => {
    const one = new History().write(setKey('x', 1))
    await tell(a, one)
    const liar = new Forger(2)
    const client = clientIdOf(crypto, liar.peer, PROJECT, NONCE)
    const state = new Y.Doc()
    state.clientID = client
    state.getMap('m').set('y', 1)
    const claim = liar.seal(Y.encodeStateAsUpdate(state), {
      nonce: NONCE,
      deps: { [mallory]: { seq: 1, hash: new Uint8Array(32) } },
    })
    expect(await a.documents.receive([claim.bytes], liar.peer)).toMatchObject({ applied: 0, waiting: 1, refused: [] })
    expect(await contentOf(a)).toEqual({ x: 1 })
    expect([...a.documents.forks()]).toEqual([])
    expect(a.documents.frozen()).toEqual(new Map())
  })

  it('[M12] has nothing in the document of a branch that nobody has built on, however it grows', async () => {
    const one = new History().write(setKey('x', 1))
    const other = new History().write(setKey('x', 2))
    await tell(a, one)
    await tell(a, other)
    const before = await a.documents.contentHash(PROJECT)
    await tell(a, one.write(setKey('y', 1)))
    expect(await contentOf(a)).toEqual({})
    expect(await a.documents.contentHash(PROJECT)).toEqual(before)
  })

  it('[M12] [D7] goes on here when the disk refuses to end it, until its other branch comes again', async () => {
    const one = new History().write(setKey('x', 1))
    await tell(a, one)
    await write(a, setKey('a', 1))
    const truncate = a.store.truncate.bind(a.store)
    a.store.truncate = async () => {
      throw new Error('the disk is gone')
    }
    await tell(a, new History().write(setKey('x', 2)))
    a.store.truncate = truncate
    expect(endOf(a)).toBe(1)
    expect(await contentOf(a)).toEqual({ x: 1, a: 1 })
    await tell(a, new History().write(setKey('x', 2)))
    expect(endOf(a)).toBe(0)
    expect(await contentOf(a)).toEqual({ x: 1, a: 1 })
  })

  it('[M12] [D7] is ended by the next run when one has stopped half-way', async () => {
    await tell(a, new History().write(setKey('x', 1)))
    await write(a, setKey('a', 1))
    a.store.truncate = async () => {
      throw new Error('the disk is gone')
    }
    await tell(a, new History().write(setKey('x', 2)))
    const again = await createTestReplica(0, membership, a.store.crash())
    expect(endOf(again)).toBe(0)
    expect(await contentOf(again)).toEqual({ x: 1, a: 1 })
    expect(await again.store.documents()).toEqual(new Map([[PROJECT, new Map([[a.peer, 1]])]]))
  })

  it('[M12] [D7] is ended by the next run with what was accepted of it after one had stopped half-way', async () => {
    const one = new History().write(list('one', 'mallory'))
    await tell(a, one)
    one.write(list('two', 'mallory'))
    await tell(b, one)
    await write(b, push('two', 'b'))
    a.store.truncate = async () => {
      throw new Error('the disk is gone')
    }
    await tell(a, new History().write(setKey('x', 2)))
    for await (const bytes of b.documents.missing(new Map(), Infinity)) await a.documents.receive([bytes], b.peer)
    expect(endOf(a)).toBe(2)
    const again = await createTestReplica(0, membership, a.store.crash())
    expect(endOf(again)).toBe(0)
    expect(await contentOf(again)).toEqual({ one: ['mallory'], two: ['mallory', 'b'] })
  })

  it('[M12] is not waited for beyond its end', async () => {
    await tell(a, new History().write(setKey('x', 1)))
    const position = { doc: PROJECT, author: mallory, seq: 5 }
    const waited = a.documents.reached(position, new AbortController().signal)
    await tell(a, new History().write(setKey('x', 2)))
    expect(await waited).toBe(true)
    expect(await a.documents.reached(position, new AbortController().signal)).toBe(true)
  })

  it('[M12] keeps what comes before two that wait for one place', async () => {
    const one = new History().write(setKey('x', 1)).write(setKey('x', 2))
    const other = one.fork().write(setKey('x', 3))
    one.write(setKey('x', 4))
    await tell(a, { envelopes: one.envelopes.slice(0, 1) })
    await write(a, setKey('a', 1))
    await tell(a, { envelopes: [one.envelopes[2], other.envelopes[2]] })
    expect([...a.documents.forks()]).toMatchObject([{ seq: 3 }])
    expect(endOf(a)).toBe(1)
    await tell(a, other)
    expect(await contentOf(a)).toEqual({ x: 2, a: 1 })
  })

  it('[M12] is left alone by the author itself', async () => {
    const author = await createTestReplica(MALLORY, membership)
    await write(author, setKey('x', 1))
    const other = new History().write(setKey('x', 2))
    await author.documents.receive(
      other.envelopes.map(({ bytes }) => bytes),
      a.peer,
    )
    expect(endOf(author)).toBe(1)
    await expect(write(author, setKey('x', 3))).rejects.toThrow('frozen')
  })

  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    '[M10] [M12] [M16] costs nobody a write, whatever is told to whom and when (chance %i)',
    async (seed) => {
      const random = createSeededRandom(seed)
      const pick = <T>(items: readonly T[]): T => items[(random.bytes(1)[0] ?? 0) % items.length] as T
      const histories = [new History().write(list('list', 'mallory'))]
      const members = [a, b, c]
      const written = new Map<string, TestReplica>()
      for (let step = 0; step < 60; step++) {
        const kind = pick([0, 1, 2, 3, 4, 5])
        const member = pick(members)
        if (kind === 0 && histories.length < 6) histories.push(pick(histories).fork())
        else if (kind === 1)
          pick(histories).write(pick([list('list', `mallory ${step}`), push('list', `more ${step}`)]))
        else if (kind === 2) await tell(member, pick(histories))
        else if (kind === 3) await sync(pick(members), member)
        else {
          const key = `w${step}`
          await write(member, (state) => {
            const map = state.getMap('m')
            const array = map.get('list')
            if (array instanceof Y.Array && kind === 4) array.insert(pick([0, array.length]), [key])
            if (array instanceof Y.Array && array.length > 3) array.delete(1, 1)
            map.set(key, step)
          })
          written.set(key, member)
        }
      }
      const joiner = await createTestReplica(4, membership)
      await settle(a, b, c)
      await settle(joiner, c)
      await expectAgreement(a, b, c, joiner)
      expect(await contentOf(joiner)).toMatchObject(
        Object.fromEntries([...written].map(([key]) => [key, expect.any(Number)])),
      )
      const again = await createTestReplica(1, membership, b.store.crash())
      await expectAgreement(a, again)
    },
  )
})
