import type { Mutant } from './mutant.ts'
import { isCaught, runTrial, SEEDS, type Trial } from './trial.ts'

/** What became of one mutant. */
export type Verdict = {
  readonly mutant: Mutant
  /** By whatever was to find it: all of it has to. */
  readonly trials: readonly Trial[]
  readonly isKilled: boolean
}

/** Tries everything that is to catch the mutant; without seeds only what no scenario catches is tried by them. */
async function judge(mutant: Mutant, withSeeds: boolean): Promise<Verdict> {
  const trials: Trial[] = []
  if (mutant.scenario !== undefined) trials.push(await runTrial(mutant, mutant.scenario))
  if (mutant.seeds !== undefined && (withSeeds || mutant.scenario === undefined))
    trials.push(await runTrial(mutant, SEEDS))
  return { mutant, trials, isKilled: trials.length > 0 && trials.every((trial) => isCaught(mutant, trial)) }
}

/** Judges all, `jobs` at a time. */
export async function judgeAll(
  mutants: readonly Mutant[],
  options: { readonly jobs: number; readonly withSeeds: boolean; readonly onVerdict?: (verdict: Verdict) => void },
): Promise<Verdict[]> {
  const verdicts: Verdict[] = []
  const left = mutants.map((mutant, at) => ({ mutant, at }))
  const work = async (): Promise<void> => {
    for (let next = left.shift(); next; next = left.shift()) {
      const verdict = await judge(next.mutant, options.withSeeds)
      verdicts[next.at] = verdict
      options.onVerdict?.(verdict)
    }
  }
  await Promise.all(Array.from({ length: options.jobs }, work))
  return verdicts
}

/** What a survivor's trials came to, in words. */
export function survival({ mutant, trials }: Verdict): string[] {
  if (trials.length === 0) return ['nothing is there to catch it']
  return trials
    .filter((trial) => !isCaught(mutant, trial))
    .map(({ by, isPlanted, violations, crash }) => {
      if (crash !== null) return `${by}: crashed: ${crash}`
      if (!isPlanted) return `${by}: never loads ${mutant.file}`
      return `${by}: ${violations.length === 0 ? 'sees nothing' : `sees something else: ${violations.join('; ')}`}`
    })
}
