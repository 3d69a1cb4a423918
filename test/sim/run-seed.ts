import { endWorld } from './leases/end-phase.ts'
import type { Counts } from './leases/counts.ts'
import { startFaults } from './leases/faults.ts'
import { drawPlan, type Plan, type Shape } from './leases/swarm.ts'
import { World } from './leases/world.ts'

export type Outcome = {
  readonly plan: Plan
  readonly counts: Counts
  readonly violations: readonly string[]
  /** Equal for equal runs, and for hardly any others. */
  readonly hash: string
}

/** Lines of the trace that are kept for whoever wants to know how it came to a violation. */
const TAIL_MAX = 60

/** One schedule from its first start to its last probe. */
export async function runSeed(seed: number, shape: Shape = {}, trace?: (line: string) => void): Promise<Outcome> {
  return await runPlan(drawPlan(seed, shape), trace)
}

export async function runPlan(plan: Plan, trace?: (line: string) => void): Promise<Outcome> {
  const world = new World(plan)
  const { time, counts, violations } = world
  if (trace) world.trace = (what) => trace(`${(time.nowMs / 1000).toFixed(3).padStart(9)} s  ${what}`)
  violations.onAdd = (violation) => world.trace?.(`${VIOLATION} ${violation}`)
  const onBug = (error: unknown): void => violations.add('bug', describe(error))
  process.on('unhandledRejection', onBug)
  try {
    await world.found()
    startFaults(world)
    await time.run(time.nowMs + plan.activeMs)
    await endWorld(world)
    world.history.check(violations)
  } catch (error) {
    onBug(error)
  } finally {
    process.off('unhandledRejection', onBug)
  }
  summarise(world)
  const found = [...violations.found]
  world.trace = undefined
  await world.dispose()
  return { plan, counts, violations: found, hash: `${time.count}/${time.hash.toString(16)}` }
}

/** The last lines before the first violation: the schedule is run once more for them. */
export async function tailOf(seed: number, shape: Shape): Promise<string[]> {
  const tail: string[] = []
  let isOver = false
  const keep = (line: string): void => {
    if (isOver) return
    tail.push(line)
    if (tail.length > TAIL_MAX) tail.shift()
    if (line.includes(VIOLATION)) isOver = true
  }
  await runSeed(seed, shape, keep)
  return tail
}

/** How a violation begins in a trace. */
export const VIOLATION = '!!!'

function summarise({ counts, time, network, store, hosts, ballots }: World): void {
  counts.epochsDecided = ballots.decisions
  counts.schedules = 1
  counts.simulatedMs = time.nowMs
  counts.events = time.count
  counts.framesSent = network.counts.sent
  counts.framesDropped = network.counts.dropped
  counts.framesDuplicated = network.counts.duplicated
  counts.framesLate = network.counts.late
  counts.protectedWrites = store.writes
  counts.staleWritesRejected = store.rejected
  for (const { promises } of hosts) {
    counts.renewals += promises.count.renewals
    counts.compactions += promises.count.compactions
    counts.importConflicts += promises.count.importConflicts
    counts.waitsEnded += promises.count.waitsEnded
  }
}

const describe = (error: unknown): string => (error instanceof Error ? (error.stack ?? error.message) : String(error))
