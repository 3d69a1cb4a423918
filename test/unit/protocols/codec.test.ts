import { encode, rfc8949EncodeOptions } from 'cborg'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeCanonical } from '../../../protocols/codec.ts'

const value = fc.letrec((tie) => ({
  any: fc.oneof(
    fc.boolean(),
    fc.integer({ min: -(2 ** 53 - 1), max: 2 ** 53 - 1 }),
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.uint8Array({ maxLength: 40 }),
    fc.array(tie('any'), { maxLength: 4 }),
    fc.dictionary(fc.string({ unit: 'binary', maxLength: 300 }), tie('any'), { maxKeys: 8 }),
  ),
})).any

describe('[M3] one encoding of one value', () => {
  it('is the deterministic one of RFC 8949, whatever the keys', () => {
    fc.assert(
      fc.property(value, (any) => {
        expect(encodeCanonical(any)).toEqual(encode(any, rfc8949EncodeOptions))
      }),
      { numRuns: 500 },
    )
  })
})
