import { addCounts, type Counts } from './counting.ts'
import { runWorld, tailOf } from './run-world.ts'
import type { Shape, Simulator } from './simulator.ts'

/** What a number of schedules came to. */
export type Tally = {
  readonly counts: Counts
  readonly failures: Failure[]
  determinismReruns: number
}

/** `tail`: what happened just before, unless all of it was told. */
export type Failure = {
  readonly seed: number
  readonly violations: readonly string[]
  readonly tail: readonly string[]
  readonly plan: object
}

/** With `twice` the schedule must come out the same again. */
export type Job = { readonly seed: number; readonly shape: Shape; readonly twice: boolean }

export const emptyTally = ({ emptyCounts }: Simulator): Tally => ({
  counts: emptyCounts(),
  failures: [],
  determinismReruns: 0,
})

export function addTally(total: Tally, more: Tally): void {
  addCounts(total.counts, more.counts)
  total.failures.push(...more.failures)
  total.determinismReruns += more.determinismReruns
}

/** Runs one schedule, and once more if it has to be seen why it failed. */
export async function tallySeed(
  { create }: Simulator,
  { seed, shape, twice }: Job,
  trace?: (line: string) => void,
): Promise<Tally> {
  const before = process.threadCpuUsage()
  const world = create(seed, shape)
  const { counts, violations, hash } = await runWorld(world, trace)
  const used = process.threadCpuUsage(before)
  counts.cpuMs = (used.user + used.system) / 1000
  const again = twice ? await runWorld(create(seed, shape)) : undefined
  const found = [...violations]
  if (again && again.hash !== hash) found.push(`[determinism] ${hash} the first time, ${again.hash} the second`)
  const tally: Tally = { counts, failures: [], determinismReruns: again ? 1 : 0 }
  if (found.length === 0) return tally
  const tail = trace ? [] : await tailOf(create(seed, shape))
  return { ...tally, failures: [{ seed, violations: found, tail, plan: world.plan }] }
}
