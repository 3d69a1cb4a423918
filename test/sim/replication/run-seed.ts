import type { Counts } from './counts.ts'
import { endWorld } from './end-phase.ts'
import { startFaults } from './faults.ts'
import { drawPlan, type Plan } from './plan.ts'
import { World } from './world.ts'

export type Outcome = {
  readonly plan: Plan
  readonly counts: Counts
  readonly violations: readonly string[]
  /** Equal for equal runs, and for hardly any others. */
  readonly hash: string
}

/** One schedule from the founding of its mesh to its last comparison. */
export async function runSeed(seed: number, trace?: (line: string) => void): Promise<Outcome> {
  return await runPlan(drawPlan(seed), trace)
}

export async function runPlan(plan: Plan, trace?: (line: string) => void): Promise<Outcome> {
  const world = new World(plan)
  const { time, counts, violations } = world
  if (trace) world.trace = (what) => trace(`${(time.nowMs / 1000).toFixed(3).padStart(9)} s  ${what}`)
  const onBug = (error: unknown): void => violations.add('bug', describe(error))
  process.on('unhandledRejection', onBug)
  try {
    await world.found()
    startFaults(world)
    await time.run(time.nowMs + plan.activeMs)
    await endWorld(world)
  } catch (error) {
    onBug(error)
  } finally {
    process.off('unhandledRejection', onBug)
  }
  summarise(world)
  const found = violations.found
  return { plan, counts, violations: found, hash: `${time.count}/${time.hash.toString(16)}/${world.ledger.hash}` }
}

function summarise({ counts, time, network }: World): void {
  counts.schedules = 1
  counts.simulatedMs = time.nowMs
  counts.events = time.count
  counts.framesSent = network.counts.sent
  counts.framesDropped = network.counts.dropped
  counts.framesDuplicated = network.counts.duplicated
  counts.framesLate = network.counts.late
}

const describe = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  return `${error.stack ?? error.message}${error.cause === undefined ? '' : `\nbecause ${describe(error.cause)}`}`
}
