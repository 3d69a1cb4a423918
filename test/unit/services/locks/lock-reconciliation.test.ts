import { describe, expect, it } from 'vitest'
import { playLocks } from '../../../support/lock-schedules.ts'

/**
 * Each is replayed by its number. `test/support/play-locks.ts` plays as many more as one likes; that they notice when a
 * guard is missing, `test/sim/mutants` shows.
 */
const SCHEDULES = 120

describe('[I8] schedules of cuts, locks, releases and restarts', () => {
  const met = { provisional: 0, yields: 0, restarts: 0, certified: 0 }
  const seeds = Array.from({ length: SCHEDULES }, (_, i) => i + 1)

  it.each(seeds)('end in agreement (seed %i)', async (seed) => {
    const { faults, ...seen } = await playLocks(seed)
    expect(faults).toEqual([])
    met.provisional += seen.provisional
    met.yields += seen.yields
    met.restarts += seen.restarts
    met.certified += seen.certified
  })

  it('have met what they are about', () => {
    expect(met.provisional).toBeGreaterThan(SCHEDULES)
    for (const count of [met.yields, met.restarts, met.certified]) expect(count).toBeGreaterThan(SCHEDULES / 15)
  })
})
