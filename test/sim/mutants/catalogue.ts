import { claimantMutants } from './catalogue/claimant.ts'
import { decisionMutants } from './catalogue/decisions.ts'
import { serviceMutants } from './catalogue/services.ts'
import { statementMutants } from './catalogue/statements.ts'
import { successionMutants } from './catalogue/succession.ts'
import { voterStateMutants } from './catalogue/voter-state.ts'
import { voterMutants } from './catalogue/voter.ts'
import type { Mutant } from './mutant.ts'

const all: readonly Mutant[] = [
  ...voterMutants,
  ...voterStateMutants,
  ...claimantMutants,
  ...successionMutants,
  ...decisionMutants,
  ...statementMutants,
  ...serviceMutants,
]

/** Every guard of the lease protocol, taken out. The fast subset has one of each file for each scenario. */
export const mutants: readonly Mutant[] = all.map((mutant, i) => ({
  ...mutant,
  quick: mutant.quick || isFirst(mutant, all.slice(0, i)),
}))

function isFirst({ scenario, file }: Mutant, before: readonly Mutant[]): boolean {
  return scenario !== undefined && !before.some((other) => other.scenario === scenario && other.file === file)
}
