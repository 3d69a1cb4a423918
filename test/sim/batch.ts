import { addCounts, emptyCounts, type Counts } from './leases/counts.ts'
import { runSeed, tailOf } from './run-seed.ts'
import type { Shape } from './leases/swarm.ts'

/** What a number of schedules came to. */
export type Tally = {
  readonly counts: Counts
  readonly failures: Failure[]
  determinismReruns: number
}

/** `tail`: what happened just before. */
export type Failure = {
  readonly seed: number
  readonly violations: readonly string[]
  readonly tail: readonly string[]
}

export const emptyTally = (): Tally => ({ counts: emptyCounts(), failures: [], determinismReruns: 0 })

export function addTally(total: Tally, more: Tally): void {
  addCounts(total.counts, more.counts)
  total.failures.push(...more.failures)
  total.determinismReruns += more.determinismReruns
}

/** Runs one schedule; with `twice` it must come out the same again. */
export async function tallySeed(seed: number, shape: Shape, twice: boolean): Promise<Tally> {
  const before = process.threadCpuUsage()
  const { counts, violations, hash } = await runSeed(seed, shape)
  const used = process.threadCpuUsage(before)
  counts.cpuMs = (used.user + used.system) / 1000
  const again = twice ? await runSeed(seed, shape) : undefined
  const found = [...violations]
  if (again && again.hash !== hash) found.push(`[determinism] ${hash} the first time, ${again.hash} the second`)
  const failures = found.length > 0 ? [{ seed, violations: found, tail: await tailOf(seed, shape) }] : []
  return { counts, failures, determinismReruns: again ? 1 : 0 }
}
