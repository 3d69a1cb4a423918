import * as fc from 'fast-check'
import * as Y from 'yjs'
import { describe, expect, it } from 'vitest'
import type { DocId } from '../../../crdt/ids.ts'
import { encodeCanonical, equalBytes, MalformedError } from '../../../protocols/codec.ts'
import { Branches } from '../../../protocols/feed/branches.ts'
import { checkEnvelope, provesEquivocation, type CheckContext } from '../../../protocols/feed/check.ts'
import {
  clientIdOf,
  DEPS_MAX,
  ENVELOPE_BYTES_MAX,
  hasValidSignature,
  parseEnvelope,
  sealEnvelope,
  UPDATE_BYTES_MAX,
  type EnvelopeBody,
} from '../../../protocols/feed/envelope.ts'
import { inspectUpdate } from '../../../protocols/feed/inspect.ts'
import { joinOwnChanges, type OwnChange } from '../../../protocols/feed/own-update.ts'
import { crypto, identity } from '../../support/identity.ts'
import { createMembership, Forger, MESH, OTHER_PROJECT, PROJECT, setKey, updateBy } from '../../support/replicas.ts'

const NONCE = new Uint8Array(16).fill(1)
const author = identity(0).peer
const CLIENT = clientIdOf(crypto, author, PROJECT, NONCE)
const UPDATE = updateBy(CLIENT, setKey('x', 1))
const HASH = new Uint8Array(32).fill(2)
const BODY: EnvelopeBody = { mesh: MESH, doc: PROJECT, author, seq: 1, prev: null, deps: {}, at: 5, update: UPDATE }

describe('an envelope', () => {
  it('[M10] survives sealing and parsing, with everything optional', () => {
    const actor = { kind: 'user' as const, id: 'u', tokenId: 't', abilities: ['*'], gateway: author }
    const body = { ...BODY, deps: { [identity(1).peer]: { seq: 7, hash: HASH } }, actor, nonce: NONCE }
    const sealed = sealEnvelope(body, identity(0), crypto)
    const parsed = parseEnvelope(sealed.bytes, crypto)
    expect(parsed).toEqual(sealed)
    expect(parsed).toMatchObject({ ...body, v: 1, hash: crypto.sha256(sealed.bytes) })
    expect(hasValidSignature(parsed, crypto)).toBe(true)
  })

  it('[M3] is signed as a whole: no field can be changed', () => {
    const { bytes: _, hash: __, ...sealed } = sealEnvelope({ ...BODY, nonce: NONCE }, identity(0), crypto)
    const changes: Partial<EnvelopeBody>[] = [
      { mesh: 'cd'.repeat(32) as EnvelopeBody['mesh'] },
      { doc: OTHER_PROJECT },
      { author: identity(1).peer },
      { seq: 2, prev: new Uint8Array(32) },
      { deps: { [identity(1).peer]: { seq: 1, hash: HASH } } },
      { at: 6 },
      { nonce: undefined },
      { update: updateBy(CLIENT, setKey('x', 2)) },
    ]
    for (const change of changes) {
      const parsed = parseEnvelope(encodeCanonical({ ...sealed, ...change }), crypto)
      expect([change, hasValidSignature(parsed, crypto)]).toEqual([change, false])
    }
  })

  it.each<[string, object]>([
    ['another version', { v: 2 }],
    ['an unknown field', { extra: 1 }],
    ['a first envelope with a predecessor', { prev: new Uint8Array(32) }],
    ['a later envelope without one', { seq: 2 }],
    ['sequence number 0', { seq: 0 }],
    ['a fraction', { seq: 1.5 }],
    ['a document name that is none', { doc: '../etc' as DocId }],
    ['a dependency on its own author', { deps: { [author]: { seq: 1, hash: HASH } } }],
    ['a dependency on no peer', { deps: { x: { seq: 1, hash: HASH } } }],
    ['a dependency without a hash', { deps: { [identity(1).peer]: { seq: 1 } } }],
    ['a dependency by number alone', { deps: { [identity(1).peer]: 1 } }],
    ['a short nonce', { nonce: new Uint8Array(15) }],
    ['a short signature', { sig: new Uint8Array(63) }],
    ['an update that is text', { update: 'x' }],
    ['too large an update', { update: new Uint8Array(UPDATE_BYTES_MAX + 1) }],
  ])('is refused with %s', (_what, change) => {
    const { bytes: _, hash: __, ...sealed } = sealEnvelope(BODY, identity(0), crypto)
    expect(() => parseEnvelope(encodeCanonical({ ...sealed, ...change }), crypto)).toThrow(MalformedError)
  })

  it('fits the limit with the largest header and update', () => {
    const deps = Object.fromEntries(
      Array.from({ length: DEPS_MAX }, (_, n) => [
        `12D3KooW${String(n).padStart(44, 'z').replaceAll('0', 'a')}`,
        { seq: 2 ** 40, hash: HASH },
      ]),
    ) as EnvelopeBody['deps']
    const abilities = Array.from({ length: 64 }, () => 'a'.repeat(64))
    const actor = { kind: 'user' as const, id: 'u'.repeat(128), tokenId: 't'.repeat(128), abilities, gateway: author }
    const update = new Uint8Array(UPDATE_BYTES_MAX)
    const sealed = sealEnvelope({ ...BODY, deps, actor, nonce: NONCE, update }, identity(0), crypto)
    expect(Object.keys(sealed.deps)).toHaveLength(DEPS_MAX)
    expect(sealed.bytes.byteLength).toBeLessThanOrEqual(ENVELOPE_BYTES_MAX)
    expect(parseEnvelope(sealed.bytes, crypto).deps).toEqual(deps)
  })

  it('[M12] proves equivocation only with another one, genuine, at the same place', () => {
    const one = new Forger(0).seal(UPDATE)
    const other = new Forger(0).seal(UPDATE, { at: 9 })
    const second = new Forger(0).seal(UPDATE, { seq: 2, prev: one.hash })
    const forged = { ...other, sig: one.sig }
    expect(provesEquivocation(one, other, crypto)).toBe(true)
    expect([one, second, forged].map((b) => provesEquivocation(one, b, crypto))).toEqual([false, false, false])
  })
})

describe('a clientID', () => {
  it('[M14] is a 53-bit number that author, document and nonce alone decide', () => {
    const ids = [
      CLIENT,
      clientIdOf(crypto, identity(1).peer, PROJECT, NONCE),
      clientIdOf(crypto, author, OTHER_PROJECT, NONCE),
      clientIdOf(crypto, author, PROJECT, new Uint8Array(16)),
    ]
    expect(new Set(ids).size).toBe(4)
    expect(ids.every((id) => Number.isSafeInteger(id) && id >= 0)).toBe(true)
    expect(clientIdOf(crypto, author, PROJECT, NONCE.slice())).toBe(CLIENT)
    const many = Array.from({ length: 64 }, (_, n) => clientIdOf(crypto, author, PROJECT, new Uint8Array(16).fill(n)))
    expect(many.some((id) => id > 2 ** 52)).toBe(true)
  })

  it.each([2 ** 53 - 1, 2 ** 53 - 2, 2 ** 32, 2 ** 32 - 1, 2 ** 31, CLIENT])(
    'is kept by Yjs in both encodings (%i)',
    (client) => {
      const write = (state: Y.Doc): void => {
        state.getMap('m').set('k', new Y.Map([['a', [1, { b: 'c' }]]]))
        state.getText('t').insert(0, 'hello')
        state.getText('t').delete(1, 2)
      }
      const a = new Y.Doc()
      Y.applyUpdate(a, updateBy(client, write))
      const b = new Y.Doc()
      Y.applyUpdateV2(b, Y.encodeStateAsUpdateV2(a))
      b.clientID = 2 ** 53 - 3
      b.getText('t').insert(2, 'XY')
      b.getMap('m').set('k', 1)
      Y.applyUpdateV2(a, Y.encodeStateAsUpdateV2(b, Y.encodeStateVector(a)))
      const c = new Y.Doc()
      Y.applyUpdate(c, Y.encodeStateAsUpdate(b))
      for (const doc of [a, b, c]) {
        expect([doc.getText('t').toJSON(), doc.getMap('m').toJSON()]).toEqual(['hlXYo', { k: 1 }])
        expect([...Y.decodeStateVector(Y.encodeStateVector(doc)).keys()]).toEqual(
          expect.arrayContaining([client, 2 ** 53 - 3]),
        )
      }
    },
  )
})

describe('changes of one tick', () => {
  it('are joined into one update that does the same', () => {
    const act = fc.record({ kind: fc.integer({ min: 0, max: 7 }), at: fc.nat(20), key: fc.constantFrom('a', 'b', 'c') })
    const run = (acts: { kind: number; at: number; key: string }[][]): void => {
      const base = new Y.Doc()
      base.clientID = 7
      base.getText('t').insert(0, 'what was there before')
      base.getMap('m').set('a', 'old')
      const start = Y.encodeStateAsUpdate(base)
      const doc = new Y.Doc()
      Y.applyUpdate(doc, start)
      doc.clientID = CLIENT
      const changes: OwnChange[] = []
      doc.on('update', (update: Uint8Array, _origin: unknown, _doc: Y.Doc, { deleteSet }: Y.Transaction) =>
        changes.push({ update, deletes: deleteSet.clients }),
      )
      for (const group of acts) doc.transact(() => group.forEach((one) => perform(doc, one)))
      fc.pre(changes.length > 0)
      const joined = joinOwnChanges(changes)
      const copy = new Y.Doc()
      Y.applyUpdate(copy, start)
      const known = { client: CLIENT, clockOf: (client: number) => Y.getState(copy.store, client) }
      expect(inspectUpdate(joined, known)).toEqual({ kind: 'sound', clock: Y.getState(doc.store, CLIENT) })
      Y.applyUpdate(copy, joined)
      expect(Y.encodeStateVector(copy)).toEqual(Y.encodeStateVector(doc))
      expect(copy.getMap('m').toJSON()).toEqual(doc.getMap('m').toJSON())
      expect(copy.getText('t').toJSON()).toEqual(doc.getText('t').toJSON())
      expect(joined.byteLength).toBeLessThanOrEqual(changes.reduce((sum, { update }) => sum + update.byteLength, 0))
    }
    fc.assert(
      fc.property(fc.array(fc.array(act, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 8 }), run),
      {
        seed: 1,
        numRuns: 300,
      },
    )
  })

  it('of two clients are refused: that is a bug of the caller', () => {
    const change = (client: number): OwnChange => ({ update: updateBy(client, setKey('x', 1)), deletes: new Map() })
    expect(() => joinOwnChanges([change(1), change(2)])).toThrow('several clients')
    expect(() =>
      joinOwnChanges([change(1), { ...change(1), deletes: new Map([[1, [{ clock: 0, len: 1 }]]]) }]),
    ).toThrow('the deletes are not those of the update')
  })
})

function perform(doc: Y.Doc, { kind, at, key }: { kind: number; at: number; key: string }): void {
  const [text, map] = [doc.getText('t'), doc.getMap<unknown>('m')]
  if (kind < 2) text.insert(Math.min(at, text.length), `<${at}>`)
  else if (kind < 4) text.delete(Math.min(at, text.length), Math.min(3, text.length - Math.min(at, text.length)))
  else if (kind === 4) map.set(key, at)
  else if (kind === 5) map.delete(key)
  else if (kind === 6) map.set(key, new Y.Map([['x', at]]))
  else map.set(key, { at })
}

describe('checking', () => {
  const membership = createMembership(2)
  const context = (change: Partial<CheckContext> = {}): CheckContext => ({
    crypto,
    membership: membership.current(),
    view: { head: () => undefined, holds: () => false, clientOf: () => undefined, clockOf: () => 0 },
    branches: new Branches(crypto, PROJECT, new Map()),
    isFrozen: () => false,
    neededOf: () => 0,
    ...change,
  })
  const next = () => new Forger(0).seal(UPDATE, { nonce: NONCE })

  it('[M11] accepts what is next, and says which clocks it adds', () => {
    expect(checkEnvelope(next(), context())).toMatchObject({ kind: 'accept', client: CLIENT, clock: 1 })
  })

  it('[M11] never verifies a signature for what is refused or known more cheaply', () => {
    const verify = (): boolean => {
      throw new Error('verified')
    }
    const strict = { ...crypto, verify }
    const head = () => ({ seq: 1, hash: new Uint8Array(32) })
    const cheap = [
      checkEnvelope(next(), context({ crypto: strict, view: { ...context().view, head } })),
      checkEnvelope(new Forger(5).seal(UPDATE), context({ crypto: strict })),
      checkEnvelope(
        new Forger(0).seal(UPDATE, { mesh: 'cd'.repeat(32) as EnvelopeBody['mesh'] }),
        context({ crypto: strict }),
      ),
    ]
    expect(cheap.map(({ kind }) => kind)).toEqual(['known', 'refuse', 'refuse'])
    expect(() => checkEnvelope(next(), context({ crypto: strict }))).toThrow('verified')
  })

  it('[M11] makes nothing wait whose signature is not valid', () => {
    const early = { ...new Forger(0).seal(UPDATE, { seq: 5, prev: new Uint8Array(32) }), sig: new Uint8Array(64) }
    expect(checkEnvelope(early, context())).toEqual({
      kind: 'refuse',
      reason: 'the signature is not valid',
      proof: false,
    })
  })

  it('[M10] makes an envelope wait for its predecessor and for what it depends on', () => {
    const other = identity(1).peer
    const early = new Forger(0).seal(UPDATE, { seq: 2, prev: new Uint8Array(32) })
    const dependent = new Forger(0).seal(UPDATE, { nonce: NONCE, deps: { [other]: { seq: 3, hash: HASH } } })
    const seen = (seq: number, hash: Uint8Array) => {
      const holds: CheckContext['view']['holds'] = (peer, place) =>
        peer === other && place.seq <= seq && equalBytes(place.hash, hash)
      return context({ view: { ...context().view, holds } })
    }
    expect([
      checkEnvelope(early, context()),
      checkEnvelope(dependent, seen(2, HASH)),
      checkEnvelope(dependent, seen(3, new Uint8Array(32))),
    ]).toEqual([
      { kind: 'wait', for: 'predecessor' },
      { kind: 'wait', for: 'dependency' },
      { kind: 'wait', for: 'dependency' },
    ])
    expect(checkEnvelope(dependent, seen(3, HASH)).kind).toBe('accept')
  })
})
