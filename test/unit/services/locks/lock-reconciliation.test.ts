import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { LOCK_MUTANTS } from '../../../support/lock-mutants.ts'
import { playLocks } from '../../../support/lock-schedules.ts'

/** Each is replayed by its number. `test/support/play-locks.ts` plays as many more as one likes. */
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

const PLAYER = join(import.meta.dirname, '../../../support/play-locks.ts')

describe('[I8] a schedule goes wrong when', () => {
  it.each(Object.entries(LOCK_MUTANTS))('%s', async (name, { seed }) => {
    const { stdout } = await promisify(execFile)(process.execPath, [PLAYER, String(seed), '1', name])
    expect(JSON.parse(stdout.trim().split('\n').at(-1) ?? '')).toMatchObject({ first: seed, seeds: 1, failed: 1 })
  })
})
