import fc from 'fast-check'
import nacl from 'tweetnacl'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { encodeCanonical, MalformedError } from '../../../../protocols/codec.ts'
import type { Crypto } from '../../../../protocols/crypto.ts'
import { pack, Packed, Seal, Signatures, type Draft, type Signed } from '../../../../protocols/lease/signing.ts'
import { crypto, identity } from '../../../support/identity.ts'
import { peer, signaturesOf, signedBy } from '../../../support/lease-lab.ts'

const SIGNER = 7
const sha256 = (bytes: Uint8Array): Uint8Array => crypto.sha256(bytes)

/** `count` statements, signed together by one signature. */
function batchOf(count: number): Signed<{ n: number }>[] {
  const signatures = signaturesOf(SIGNER)
  const drafts = Array.from({ length: count }, (_, n) => signatures.draft('grant', { n }))
  return signatures.seal(drafts).map((seal, n) => ({ ...drafts[n]!, seal }))
}

/** Checked by somebody who has checked nothing before. */
const isGenuine = (signed: Signed<unknown>, by = SIGNER): boolean => signaturesOf(40).isSignedBy(peer(by), signed)

const withSeal = (signed: Signed<unknown>, change: Partial<Seal>): Signed<unknown> => ({
  ...signed,
  seal: { ...signed.seal, ...change },
})

const tag = (name: string): Uint8Array => sha256(new TextEncoder().encode(`rookery/lease/1/${name}`))
const leafOf = ({ kind, hash }: Draft<unknown>): Uint8Array =>
  sha256(Buffer.concat([[0], tag(kind), hash].map(bytesOf)))
const innerOf = (left: Uint8Array, right: Uint8Array): Uint8Array =>
  sha256(Buffer.concat([[1], left, right].map(bytesOf)))
const bytesOf = (part: Uint8Array | number[]): Buffer => Buffer.from(part)

describe('[L2.3] statements signed together', () => {
  it.each([1, 2, 3, 5, 64, 1000, 1024])('each of %i has its proof, and one signature covers all', (count) => {
    const batch = batchOf(count)
    const verifier = signaturesOf(40)
    expect(batch).toHaveLength(count)
    expect(batch.filter((signed) => !verifier.isSignedBy(peer(SIGNER), signed))).toEqual([])
    expect(new Set(batch.map(({ seal }) => Buffer.from(seal.sig).toString('hex'))).size).toBe(1)
    expect(batch.every(({ seal }) => Seal.safeParse(seal).success)).toBe(true)
  })

  it('no proof serves another statement, of the same batch or of another', () => {
    const batch = batchOf(3)
    const other = signedBy(SIGNER, 'grant', { n: 99 })
    const swapped = [...batch, other].flatMap((signed) =>
      [...batch, other].filter((from) => from !== signed).map(({ seal }) => ({ ...signed, seal })),
    )
    expect(swapped.filter((signed) => isGenuine(signed))).toEqual([])
  })

  it('nothing signs nothing', () => {
    expect(signaturesOf(SIGNER).seal([])).toEqual([])
  })

  it('a statement signed alone has an empty path', () => {
    expect(signedBy(SIGNER, 'promise', { n: 1 }).seal).toEqual({ sig: expect.any(Uint8Array), path: [], at: 0 })
  })
})

describe('[L2.3] what is signed', () => {
  it('is the root of an RFC 6962 tree under a tag of its own; tweetnacl agrees', () => {
    const [a, b, c] = batchOf(3) as [Signed<unknown>, Signed<unknown>, Signed<unknown>]
    const root = innerOf(innerOf(leafOf(a), leafOf(b)), innerOf(leafOf(c), leafOf(c)))
    const message = new Uint8Array(Buffer.concat([tag('batch'), root]))
    const { publicKey } = identity(SIGNER)
    expect(nacl.sign.detached.verify(message, a.seal.sig, publicKey)).toBe(true)
    expect(crypto.verify(peer(SIGNER), message, a.seal.sig)).toBe(true)
    expect(nacl.sign.detached.verify(root, a.seal.sig, publicKey)).toBe(false)
  })

  it('a signature by tweetnacl counts as much', () => {
    const draft = signaturesOf(1).draft('promise', { n: 1 })
    const message = new Uint8Array(Buffer.concat([tag('batch'), leafOf(draft)]))
    const { publicKey, secretKey } = nacl.sign.keyPair.fromSeed(sha256(new TextEncoder().encode('test identity 7')))
    expect(Buffer.from(publicKey)).toEqual(Buffer.from(identity(SIGNER).publicKey))
    const seal = { sig: nacl.sign.detached(message, secretKey), path: [], at: 0 }
    expect(isGenuine({ ...draft, seal })).toBe(true)
  })
})

describe('[L2.3] what is not genuine', () => {
  const batch = batchOf(4)
  const [one, two, three, four] = batch as [Signed<unknown>, Signed<unknown>, Signed<unknown>, Signed<unknown>]
  const [sibling, above] = one.seal.path as [Uint8Array, Uint8Array]

  it.each<[string, Signed<unknown>]>([
    ['a path that does not lead to the root', withSeal(one, { path: [above, sibling] })],
    ['a path that ends too early', withSeal(one, { path: [sibling] })],
    ['a path that goes on', withSeal(one, { path: [sibling, above, above] })],
    ['no path', withSeal(one, { path: [] })],
    ['the place of its neighbour', withSeal(one, { at: 1 })],
    ['a place outside the tree', withSeal(one, { at: 4 })],
    ['a place far outside the tree', withSeal(one, { at: 1020 })],
    ['another kind', { ...one, kind: 'seal' }],
    ['another hash', { ...one, hash: two.hash }],
    ['another signature', withSeal(one, { sig: signedBy(SIGNER, 'grant', { n: 0 }).seal.sig })],
    ['an empty signature', withSeal(one, { sig: new Uint8Array(64) })],
  ])('%s', (_what, signed) => {
    expect(isGenuine(one)).toBe(true)
    expect(isGenuine(signed)).toBe(false)
  })

  it('another signer', () => {
    expect(batch.filter((signed) => isGenuine(signed, 8))).toEqual([])
  })

  it('an inner node is no statement, and no statement is an inner node', () => {
    const [left, right] = [innerOf(leafOf(one), leafOf(two)), innerOf(leafOf(three), leafOf(four))]
    const rightAbove: Partial<Seal> = { path: [right], at: 0 }
    const children = new Uint8Array(Buffer.concat([leafOf(one), leafOf(two)]))
    for (const hash of [left, children, sha256(children)]) {
      expect(isGenuine(withSeal({ ...one, hash }, rightAbove))).toBe(false)
    }
    // Alone under a signature, a statement whose bytes are those of two leaves does not vouch for them.
    const posing = signedBy(SIGNER, 'grant', { n: 1 })
    expect(isGenuine({ ...one, seal: { ...posing.seal, path: [leafOf(two)], at: 0 } })).toBe(false)
  })

  it('whatever bit of the seal is changed', () => {
    const where = fc.record({ part: fc.constantFrom<'sig' | number>('sig', 0, 1), byte: fc.nat(63), bit: fc.nat(7) })
    fc.assert(
      fc.property(where, ({ part, byte, bit }) => {
        const seal = { sig: one.seal.sig.slice(), path: one.seal.path.map((hash) => hash.slice()), at: one.seal.at }
        const bytes = part === 'sig' ? seal.sig : seal.path[part]!
        const at = byte % bytes.byteLength
        bytes[at] = bytes[at]! ^ (1 << bit)
        return !isGenuine({ ...one, seal })
      }),
    )
  })
})

describe('[L2.3] roots that were checked', () => {
  /** Signatures that count how often they ask the curve. */
  function counting(): { signatures: Signatures; count: () => number } {
    let count = 0
    const verify: Crypto['verify'] = (...args) => {
      count += 1
      return crypto.verify(...args)
    }
    return {
      signatures: new Signatures({ signer: identity(40), crypto: { ...crypto, verify } }),
      count: () => count,
    }
  }

  it('are not checked again: a batch costs one verification', () => {
    const { signatures, count } = counting()
    const batch = batchOf(64)
    expect(batch.every((signed) => signatures.isSignedBy(peer(SIGNER), signed))).toBe(true)
    expect(count()).toBe(1)
  })

  it('what this node signed itself is known', () => {
    const { signatures, count } = counting()
    const mine = signatures.sign('grant', { n: 1 })
    expect([signatures.isSignedBy(peer(40), mine), count()]).toEqual([true, 0])
    expect(signatures.isSignedBy(peer(41), mine)).toBe(false)
  })

  it('never vouch for another signer, another signature or another statement', () => {
    const verifier = signaturesOf(40)
    const [one, two] = batchOf(2) as [Signed<unknown>, Signed<unknown>]
    expect(verifier.isSignedBy(peer(SIGNER), one)).toBe(true)
    const malleable = one.seal.sig.slice()
    malleable[0] = malleable[0]! ^ 1
    expect([
      verifier.isSignedBy(peer(8), one),
      verifier.isSignedBy(peer(SIGNER), withSeal(one, { sig: malleable })),
      verifier.isSignedBy(peer(SIGNER), { ...one, kind: 'promise' }),
      verifier.isSignedBy(peer(SIGNER), { ...one, hash: sha256(one.hash) }),
      verifier.isSignedBy(peer(SIGNER), { ...two, seal: one.seal }),
    ]).toEqual([false, false, false, false, false])
    // What was refused is not remembered as genuine either.
    expect(verifier.isSignedBy(peer(8), one)).toBe(false)
    expect(verifier.isSignedBy(peer(SIGNER), two)).toBe(true)
  })

  it('are remembered in bounded number, the oldest forgotten first', () => {
    const { signatures, count } = counting()
    const many = Array.from({ length: 1025 }, (_, n) => signedBy(SIGNER, 'grant', { n }))
    for (const signed of many) signatures.isSignedBy(peer(SIGNER), signed)
    const before = count()
    expect(signatures.isSignedBy(peer(SIGNER), many[1]!)).toBe(true)
    expect(count() - before).toBe(0)
    expect(signatures.isSignedBy(peer(SIGNER), many[0]!)).toBe(true)
    expect(count() - before).toBe(1)
  })
})

describe('[L2.3] statements from the wire', () => {
  const Body = z.strictObject({ n: z.int() })
  const { b, s } = pack(signedBy(SIGNER, 'grant', { n: 5 }))
  const unpack = (packed: Packed) => signaturesOf(40).unpack('grant', Body, packed, 100)

  it('come back with the hash of the very bytes that were signed', () => {
    const back = unpack({ b, s })
    expect(back).toEqual(signedBy(SIGNER, 'grant', { n: 5 }))
    expect(back.hash).toEqual(sha256(b))
    expect(isGenuine(back)).toBe(true)
  })

  it('are malformed when their body is not canonical, too long or of another shape', () => {
    for (const bytes of [b.subarray(1), encodeCanonical({ n: 'x' }), Uint8Array.of(...b, 0), new Uint8Array(101)]) {
      expect(() => unpack({ b: bytes, s })).toThrow(MalformedError)
    }
  })

  it.each<[string, object]>([
    ['a signature of 63 bytes', { ...s, sig: s.sig.subarray(1) }],
    ['a path of eleven', { ...s, path: Array.from({ length: 11 }, () => new Uint8Array(32)) }],
    ['a step of 31 bytes', { ...s, path: [new Uint8Array(31)] }],
    ['a place of -1', { ...s, at: -1 }],
    ['a place of 1024', { ...s, at: 1024 }],
    ['a place between two', { ...s, at: 0.5 }],
    ['more than a seal', { ...s, more: 1 }],
  ])('a seal with %s is no seal', (_what, seal) => {
    expect(Packed.safeParse({ b, s }).success).toBe(true)
    expect(Packed.safeParse({ b, s: seal }).success).toBe(false)
  })
})

describe('[L2.3] a batch that was checked before', () => {
  it('vouches for nothing but its own statements, each with its whole path', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.nat(), fc.nat(), fc.nat(7), (size, known, other, bit) => {
        const batch = batchOf(size)
        const fresh = signaturesOf(40)
        expect(fresh.isSignedBy(peer(SIGNER), batch[known % size]!)).toBe(true)
        const one = batch[other % size]!
        const { path, at } = one.seal
        const isGenuine = (seal: Partial<Seal>): boolean => fresh.isSignedBy(peer(SIGNER), withSeal(one, seal))
        for (const height of path.keys()) {
          const bent = path.map((hash, i) =>
            i === height ? hash.map((byte, j) => (j === 0 ? byte ^ (1 << bit) : byte)) : hash,
          )
          expect(isGenuine({ path: bent })).toBe(false)
        }
        expect([isGenuine({ path: [...path, path[0] ?? one.hash] }), isGenuine({ path: path.slice(1) })]).toEqual([
          false,
          path.length === 0,
        ])
        expect(fresh.isSignedBy(peer(SIGNER), { ...one, hash: sha256(one.hash) })).toBe(false)
        expect([isGenuine({ at }), fresh.isSignedBy(peer(8), one)]).toEqual([true, false])
      }),
    )
  })
})
