import { foreseen, isCaught } from './trial.ts'
import type { Verdict } from './verdict.ts'

export const MUTANTS_MD = new URL('../MUTANTS.md', import.meta.url)
const MARK = '<!-- written by `npm run sim -- --mutants --markdown` -->'

/** The document with what came out below its mark. */
export function document(text: string, verdicts: readonly Verdict[]): string {
  const [above] = text.split(MARK)
  const killed = verdicts.filter(({ isKilled }) => isKilled).length
  return `${above}${MARK}\n\n${killed} of ${verdicts.length} mutants are caught.\n\n${tableOf(verdicts)}\n`
}

function tableOf(verdicts: readonly Verdict[]): string {
  const rows = verdicts.map(({ mutant, trials }) => {
    const caught = trials.filter((trial) => isCaught(mutant, trial))
    const by = caught.map(({ by, seed }) => (seed === null ? by : `${seed} random`)).join(', ') || '**nothing**'
    const rules = new Set(caught.flatMap(({ violations }) => foreseen(mutant, violations)))
    return `| ${mutant.name} | ${mutant.rule} | ${mutant.why} | ${by} | ${[...rules].join(', ')} |`
  })
  return [
    '| mutant | rule | without the guard | caught by | breaks |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n')
}
