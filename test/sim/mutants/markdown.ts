import { isCaught } from './run-trial.ts'
import type { Verdict } from './verdict.ts'

/** The table of MUTANTS.md. */
export function markdown(verdicts: readonly Verdict[]): string {
  const rows = verdicts.map(({ mutant, trials }) => {
    const caught = trials.filter((trial) => isCaught(mutant, trial))
    const by = caught.map(({ by, seeds }) => (seeds > 0 ? `seeds (${seeds})` : by)).join(', ') || '**nothing**'
    const rules = new Set(caught.flatMap(({ violations }) => violations.map(ruleOf)))
    const shown = [...rules].filter((rule) => mutant.expects.includes(rule)).join(', ')
    return `| ${mutant.name} | ${mutant.rule} | ${mutant.why} | ${by} | ${shown} |`
  })
  return ['| mutant | rule | without the guard | caught by | breaks |', '|---|---|---|---|---|', ...rows].join('\n')
}

const ruleOf = (violation: string): string => violation.slice(1, violation.indexOf(']'))
