import { availableParallelism } from 'node:os'
import { describe, expect, it } from 'vitest'
import { missing } from '../counting.ts'
import { runPool } from '../pool.ts'
import { runWorld } from '../run-world.ts'
import { REGRESSIONS } from './regressions.ts'
import { simulator } from './simulator.ts'

/** Elsewhere than where runs by hand begin, so that they look at more together. */
const FIRST_SEED = 500_000
const SCHEDULES = simulator.musts.fromSchedules
const RUN_TWICE = 100
/** Only guards against a hang: on a busy machine it takes many times as long as on an idle one. */
const HANG_MS = 3_600_000

describe('leases on simulated machines', () => {
  it.each(REGRESSIONS)('[I1] keeps every promise where $why (seed $seed)', async ({ seed, shape }) => {
    expect((await runWorld(simulator.create(seed, shape))).violations).toEqual([])
  })

  it(
    '[I1] keeps I1 to I7, I9 and I10 in 2,000 worlds, and 100 of them come out the same again',
    async () => {
      const { counts, failures, determinismReruns } = await runPool(simulator, {
        firstSeed: FIRST_SEED,
        seeds: SCHEDULES,
        threads: availableParallelism(),
        determinism: RUN_TWICE,
      })
      expect(failures).toEqual([])
      expect(missing(counts, simulator.musts)).toEqual([])
      expect({ schedules: counts.schedules, determinismReruns }).toEqual({
        schedules: SCHEDULES,
        determinismReruns: RUN_TWICE,
      })
    },
    HANG_MS,
  )
})
