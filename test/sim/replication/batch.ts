import { addCounts, emptyCounts, type Counts } from './counts.ts'
import { runSeed } from './run-seed.ts'

/** What a number of schedules came to. */
export type Tally = {
  readonly counts: Counts
  readonly failures: Failure[]
  determinismReruns: number
}

export type Failure = { readonly seed: number; readonly violations: readonly string[] }

/** So much of a run: which seed, and whether it must come out the same twice. */
export type Job = { readonly seed: number; readonly twice: boolean }

export const emptyTally = (): Tally => ({ counts: emptyCounts(), failures: [], determinismReruns: 0 })

export function addTally(total: Tally, more: Tally): void {
  addCounts(total.counts, more.counts)
  total.failures.push(...more.failures)
  total.determinismReruns += more.determinismReruns
}

/** Runs one schedule. */
export async function tallySeed({ seed, twice }: Job): Promise<Tally> {
  const { counts, violations, hash } = await runSeed(seed)
  const again = twice ? await runSeed(seed) : undefined
  const found = [...violations]
  if (again && again.hash !== hash) found.push(`[determinism] ${hash} the first time, ${again.hash} the second`)
  const failures = found.length > 0 ? [{ seed, violations: found }] : []
  return { counts, failures, determinismReruns: again ? 1 : 0 }
}
