import { array, assert, integer, property, uint8Array } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeFrame, FrameParser, FrameTooLargeError } from '../../../node/p2p/framing.ts'

describe('framing', () => {
  it('finds the same frames however the bytes are cut', () => {
    assert(
      property(
        array(uint8Array({ maxLength: 50 }), { maxLength: 20 }),
        array(integer({ min: 1, max: 17 }), { minLength: 1 }),
        (frames, cuts) => {
          const bytes = Buffer.concat(frames.map(encodeFrame))
          const parser = new FrameParser(50)
          const found: Uint8Array[] = []
          for (let at = 0, i = 0; at < bytes.length; i++) {
            const end = at + (cuts[i % cuts.length] ?? 1)
            found.push(...parser.push(bytes.subarray(at, end)))
            at = end
          }
          expect(found).toEqual(frames)
        },
      ),
    )
  })

  it('refuses a frame above the limit by its header alone', () => {
    const parser = new FrameParser(100)
    expect(() => [...parser.push(new Uint8Array([0, 0, 0, 101]))]).toThrow(FrameTooLargeError)
  })
})
