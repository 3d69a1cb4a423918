import { describe, expect, it } from 'vitest'
import { missing } from '../counting.ts'
import { runPool } from '../pool.ts'
import { simulator } from './simulator.ts'

const FRESH = { first: 1, count: 150, again: 4 }
const THREADS = 2
/** Only guards against a hang: on a busy machine it takes many times as long as on an idle one. */
const HANG_MS = 3_600_000

describe('replicas under simulated faults', () => {
  it(
    `[M14] [M16] [D3] [D7] agree in the end, and lose nothing that was acknowledged (${FRESH.count} seeds)`,
    async () => {
      const { counts, failures, determinismReruns } = await runPool(simulator, {
        firstSeed: FRESH.first,
        seeds: FRESH.count,
        threads: THREADS,
        determinism: FRESH.again,
      })
      expect(failures).toEqual([])
      expect(determinismReruns).toBe(FRESH.again)
      // A run in which nothing went wrong would prove nothing.
      expect(missing(counts, { ...simulator.musts, fromSchedules: FRESH.count })).toEqual([])
    },
    HANG_MS,
  )
})
