import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareHlc, HLC_AHEAD_MAX_MS, nextHlc, type Hlc } from '../../../crdt/hlc.ts'
import { outranks, type Ranked } from '../../../crdt/lock-rank.ts'

const reading = fc.record({ ms: fc.integer({ min: 0, max: 2000 }), n: fc.integer({ min: 0, max: 5 }) })

describe('a hybrid logical clock', () => {
  it('reads the wall clock where that is later than all that is known', () => {
    expect(nextHlc([{ ms: 5, n: 9 }], 6.7)).toEqual({ ms: 6, n: 0 })
    expect(nextHlc([], 6)).toEqual({ ms: 6, n: 0 })
  })

  it('counts on where the wall clock stands still or goes back', () => {
    expect(
      nextHlc(
        [
          { ms: 6, n: 1 },
          { ms: 6, n: 0 },
        ],
        6,
      ),
    ).toEqual({ ms: 6, n: 2 })
    expect(nextHlc([{ ms: 9, n: 0 }], 6)).toEqual({ ms: 9, n: 1 })
  })

  it('does not follow a clock that is far ahead', () => {
    expect(nextHlc([{ ms: 6 + HLC_AHEAD_MAX_MS + 1, n: 0 }], 6)).toEqual({ ms: 6, n: 0 })
    expect(nextHlc([{ ms: 6 + HLC_AHEAD_MAX_MS, n: 0 }], 6)).toEqual({ ms: 6 + HLC_AHEAD_MAX_MS, n: 1 })
  })

  it('is later than everything it knows, and the order is total', () => {
    fc.assert(
      fc.property(fc.array(reading, { maxLength: 6 }), fc.integer({ min: 0, max: 2000 }), (known, wallMs) => {
        const next = nextHlc(known, wallMs)
        for (const before of known) expect(compareHlc(before, next)).toBeLessThan(0)
      }),
    )
  })
})

describe('[P2] rank', () => {
  const certified = (token: number, lease = 'a'): Ranked => ({ token, lease })
  const provisional = (hlc: Hlc, lease = 'a'): Ranked => ({ token: null, hlc, lease })

  it('is certified before provisional, higher token, earlier claim, smaller id', () => {
    const best = [
      certified(2),
      certified(1),
      provisional({ ms: 1, n: 0 }),
      provisional({ ms: 1, n: 1 }),
      provisional({ ms: 2, n: 0 }, 'a'),
      provisional({ ms: 2, n: 0 }, 'b'),
    ]
    for (const [i, a] of best.entries()) {
      for (const [j, b] of best.entries()) expect([i, j, outranks(a, b)]).toEqual([i, j, i < j])
    }
  })
})
