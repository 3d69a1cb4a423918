import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { heapBytes } from '../../bench/heap.ts'
import { missing } from '../counting.ts'
import { runPool } from '../pool.ts'
import { runWorld } from '../run-world.ts'
import { drawPlan, withTwoHistories } from './plan.ts'
import { simulator } from './simulator.ts'
import { World } from './world.ts'

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

describe('replicas whose disk refuses', () => {
  it('[M7] [M16] cut a removed member off later, without a restart (seed 314)', async () => {
    const { violations } = await runWorld(new World(drawPlan(314)))
    expect(violations).toEqual([])
  })
})

/** Of a member's two histories each was built upon before anybody knew of both: once, such a document stayed split. */
describe('replicas that were told two histories', () => {
  it.each([
    { seed: 900_240, plan: drawPlan(900_240) },
    ...[7, 31, 47].map((seed) => ({ seed, plan: withTwoHistories(drawPlan(seed)) })),
  ])('[M10] [M12] [M16] agree, and lose nothing that was written on either (seed $seed)', async ({ seed, plan }) => {
    const { counts, violations } = await runWorld(new World(plan))
    expect(violations).toEqual([])
    expect(counts['forks']).toBeGreaterThan(0)
    if (seed !== 900_240) expect(counts['builtOnBranches']).toBeGreaterThan(0)
  })
})

describe('a schedule that is over', () => {
  it('leaves nothing in memory: thousands are played in one process', async () => {
    const worlds = [await played(4), await played(6), await played(10)]
    await nextTurn()
    heapBytes()
    expect(worlds.map((world) => world.deref())).toEqual([undefined, undefined, undefined])
  })
})

async function played(seed: number): Promise<WeakRef<World>> {
  const world = new World(drawPlan(seed))
  await runWorld(world)
  return new WeakRef(world)
}
