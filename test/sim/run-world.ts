import type { Counts } from './counting.ts'
import { startFaults } from './faults.ts'
import type { SimWorld } from './sim-world.ts'
import { describeError } from './violations.ts'

export type Outcome = {
  readonly counts: Counts
  readonly violations: readonly string[]
  /** Equal for equal runs, and for hardly any others. */
  readonly hash: string
}

/** How a violation begins in a trace. */
const VIOLATION = '!!!'
/** Lines of the trace that are kept for whoever wants to know how it came to a violation. */
const TAIL_MAX = 60

/** One schedule from the founding of its mesh to its last probe. */
export async function runWorld(world: SimWorld, trace?: (line: string) => void): Promise<Outcome> {
  const { time, counts, violations } = world
  if (trace) world.trace = (what) => trace(`${(time.nowMs / 1000).toFixed(3).padStart(9)} s  ${what}`)
  violations.onAdd = (violation) => world.trace?.(`${VIOLATION} ${violation}`)
  const onBug = (error: unknown): void => violations.add('bug', describeError(error))
  process.on('unhandledRejection', onBug)
  try {
    await world.found()
    startFaults(world)
    await time.run(time.nowMs + world.plan.activeMs)
    await world.end()
  } catch (error) {
    onBug(error)
  } finally {
    process.off('unhandledRejection', onBug)
  }
  summarise(world)
  const found = [...violations.found]
  world.trace = undefined
  await world.close()
  world.network.close()
  return { counts, violations: found, hash: world.hash }
}

/** The last lines before the first violation in this world. */
export async function tailOf(world: SimWorld): Promise<string[]> {
  const tail: string[] = []
  let isOver = false
  await runWorld(world, (line) => {
    if (isOver) return
    tail.push(line)
    if (tail.length > TAIL_MAX) tail.shift()
    isOver = line.includes(VIOLATION)
  })
  return tail
}

function summarise({ counts, time, network }: SimWorld): void {
  counts.schedules = 1
  counts.simulatedMs = time.nowMs
  counts.events = time.count
  counts.framesSent = network.counts.sent
  counts.framesDropped = network.counts.dropped
  counts.framesDuplicated = network.counts.duplicated
  counts.framesLate = network.counts.late
}
