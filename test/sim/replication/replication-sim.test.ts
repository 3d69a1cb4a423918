import { describe, expect, it } from 'vitest'
import { missing } from './counts.ts'
import { mutants } from './mutants/mutants.ts'
import { mutated } from './mutants/plant.ts'
import { tryMutant } from './mutants/trial.ts'
import { runPool } from './pool.ts'

const FRESH = { first: 1, count: 150, again: 4 }
const THREADS = 2

describe('replicas under simulated faults', () => {
  it(`[M14] [M16] [D3] [D7] agree in the end, and lose nothing that was acknowledged (${FRESH.count} seeds)`, async () => {
    const { counts, failures, determinismReruns } = await runPool({
      jobs: Array.from({ length: FRESH.count }, (_, i) => ({ seed: FRESH.first + i, twice: i < FRESH.again })),
      threads: THREADS,
      signal: new AbortController().signal,
      onProgress: () => undefined,
    })
    expect(failures).toEqual([])
    expect(determinismReruns).toBe(FRESH.again)
    // A run in which nothing went wrong would prove nothing.
    expect(missing(counts, FRESH.count)).toEqual([])
  })
})

/** The faults that the simulator has found in the product are among these: each schedule finds its fault again. */
describe('a replica without one of its guards', () => {
  it.each(mutants)('is described by what the code still says: $name', (mutant) => {
    expect(mutated(mutant)).not.toContain(mutant.from)
    expect(mutant.seeds.length).toBeGreaterThan(0)
  })

  it.each(mutants.filter(({ quick }) => quick))('[$rule] is found out: $name', async (mutant) => {
    const trial = await tryMutant(mutant, mutant.seeds)
    expect(trial).toMatchObject({ seed: expect.any(Number) })
  })
})
