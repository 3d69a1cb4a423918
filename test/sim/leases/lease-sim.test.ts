import { availableParallelism } from 'node:os'
import { describe, expect, it } from 'vitest'
import { missing, VACUOUS_FROM_SCHEDULES } from './counts.ts'
import { runPool } from '../pool.ts'
import { REGRESSIONS } from './regressions.ts'
import { runSeed } from '../run-seed.ts'

/** Elsewhere than where runs by hand begin, so that they look at more together. */
const FIRST_SEED = 500_000
const RUN_TWICE = 100
/** Only guards against a hang: on a busy machine it takes many times as long as on an idle one. */
const HANG_MS = 3_600_000

describe('leases on simulated machines', () => {
  it.each(REGRESSIONS)('[I1] keeps every promise where $why (seed $seed)', async ({ seed, shape }) => {
    expect((await runSeed(seed, shape)).violations).toEqual([])
  })

  it(
    '[I1] keeps I1 to I7, I9 and I10 in 2,000 worlds, and 100 of them come out the same again',
    async () => {
      const { counts, failures, determinismReruns } = await runPool({
        firstSeed: FIRST_SEED,
        seeds: VACUOUS_FROM_SCHEDULES,
        shape: {},
        jobs: availableParallelism(),
        determinism: RUN_TWICE,
        signal: new AbortController().signal,
        onProgress: () => undefined,
      })
      expect(failures).toEqual([])
      expect(missing(counts)).toEqual([])
      expect({ schedules: counts.schedules, determinismReruns }).toEqual({
        schedules: VACUOUS_FROM_SCHEDULES,
        determinismReruns: RUN_TWICE,
      })
    },
    HANG_MS,
  )
})
