import { decode, encode, rfc8949EncodeOptions } from 'cborg'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { decodeCanonical, decodeInPlace, encodeCanonical, MalformedError } from '../../../protocols/codec.ts'

const value = fc.letrec((tie) => ({
  any: fc.oneof(
    fc.boolean(),
    fc.constant(null),
    fc.integer(),
    fc.integer({ min: -(2 ** 53 - 1), max: 2 ** 53 - 1 }),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.string({ unit: 'binary', maxLength: 100 }),
    fc.string({ maxLength: 100 }),
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie('any'), { maxLength: 30 }),
    fc.dictionary(fc.string({ unit: 'binary', maxLength: 300 }), tie('any'), { maxKeys: 30 }),
    fc.dictionary(fc.string({ maxLength: 4 }), tie('any'), { maxKeys: 8 }),
  ),
})).any

/** Reads with another decoder; undefined unless it is the one encoding of what it says. */
function readElsewhere(bytes: Uint8Array): { value: unknown } | undefined {
  try {
    const read: unknown = decode(bytes, {
      strict: true,
      allowIndefinite: false,
      allowUndefined: false,
      allowInfinity: false,
      allowNaN: false,
      allowBigInt: false,
      rejectDuplicateMapKeys: true,
    })
    return Buffer.from(encode(read, rfc8949EncodeOptions)).equals(bytes) ? { value: read } : undefined
  } catch {
    return undefined
  }
}

function read(bytes: Uint8Array): { value: unknown } | undefined {
  try {
    return { value: decodeCanonical(z.unknown(), bytes, 2 ** 20) }
  } catch (error) {
    if (error instanceof MalformedError) return undefined
    throw error
  }
}

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'))

describe('[M3] one encoding of one value', () => {
  it('is the deterministic one of RFC 8949, whatever the keys', () => {
    fc.assert(
      fc.property(value, (any) => {
        expect(encodeCanonical(any)).toEqual(new Uint8Array(encode(any, rfc8949EncodeOptions)))
      }),
      { numRuns: 500 },
    )
  })

  it('is read as what it was', () => {
    fc.assert(
      fc.property(value, (any) => {
        const bytes = encode(any, rfc8949EncodeOptions)
        expect(read(bytes)).toEqual(readElsewhere(bytes))
        expect(readElsewhere(bytes)).toBeDefined()
      }),
      { numRuns: 500 },
    )
  })

  it('is the only one that is read, when single bytes of it are changed', () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 })
    fc.assert(
      fc.property(value, damage, fc.nat(3), (any, changes, cut) => {
        const bytes = encode(any, rfc8949EncodeOptions)
        for (const [at, byte] of changes) bytes[at % bytes.byteLength] = byte
        const damaged = bytes.subarray(0, Math.max(0, bytes.byteLength - (cut === 3 ? 1 : 0)))
        expect(read(damaged)).toEqual(readElsewhere(damaged))
      }),
      { numRuns: 2000 },
    )
  })

  it('is the only one that is read, when the bytes are anything', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 12 }), (bytes) => {
        expect(read(bytes)).toEqual(readElsewhere(bytes))
      }),
      { numRuns: 5000 },
    )
  })

  it.each([
    ['a longer head than needed', '1817'],
    ['a length in eight bytes that four would hold', '1b00000000ffffffff'],
    ['an integer beyond those that a double holds', '1b0020000000000000'],
    ['a negative one beyond them', '3b001fffffffffffff'],
    ['keys out of order', 'a2616201616102'],
    ['a longer key before a shorter one', 'a2626161016162 02'.replace(' ', '')],
    ['a key twice', 'a2616101616102'],
    ['a key that is no text', 'a10102'],
    ['text that is not UTF-8', '62c328'],
    ['half a surrogate pair', '63eda080'],
    ['an indefinite length', '9f01ff'],
    ['a tag', 'c101'],
    ['undefined', 'f7'],
    ['infinity', 'f97c00'],
    ['not a number', 'f97e00'],
    ['a whole number as a fraction', 'f93c00'],
    ['a fraction in more bytes than it needs', 'fa3fc00000'],
    ['more than one value', '0101'],
    ['a length beyond the end', '5affffffff00'],
    ['an array of more than there is', '9affffffff00'],
    ['nothing', ''],
    ['what nests without end', '81'.repeat(5000)],
  ])('refuses %s', (_what, text) => {
    expect(read(hex(text))).toBeUndefined()
  })

  it.each([
    { decoder: decodeCanonical, what: 'copies', after: 2 },
    { decoder: decodeInPlace, what: 'views', after: 9 },
  ])('holds binaries as $what with $decoder.name', ({ decoder, after }) => {
    const bytes = encodeCanonical({ part: Uint8Array.of(1, 2) })
    const { part } = decoder(z.object({ part: z.instanceof(Uint8Array) }), bytes, 100)
    expect([...part]).toEqual([1, 2])
    bytes[bytes.byteLength - 1] = 9
    expect(part[1]).toBe(after)
  })

  it('leaves out what is undefined, and keeps the name __proto__ a name', () => {
    expect(encodeCanonical({ a: undefined, b: 1 })).toEqual(hex('a1616201'))
    const odd = hex('a1695f5f70726f746f5f5fa1616101')
    const { value: map } = read(odd) as { value: object }
    expect(Object.getPrototypeOf(map)).toBe(Object.prototype)
    expect(encodeCanonical(map)).toEqual(odd)
  })

  it('encodes what is larger than its buffer, and goes on after what cannot be encoded', () => {
    const large = [new Uint8Array(1_200_000), 'x'.repeat(100_000)]
    expect(Buffer.from(encodeCanonical(large)).equals(encode(large))).toBe(true)
    expect(() => encodeCanonical({ a: () => 1 })).toThrow()
    expect(encodeCanonical({ a: 1 })).toEqual(hex('a1616101'))
  })
})
