import { claimantMutants } from './catalogue/claimant.ts'
import { decisionMutants } from './catalogue/decisions.ts'
import { serviceMutants } from './catalogue/services.ts'
import { statementMutants } from './catalogue/statements.ts'
import { successionMutants } from './catalogue/succession.ts'
import { voterStateMutants } from './catalogue/voter-state.ts'
import { voterMutants } from './catalogue/voter.ts'
import type { Mutant } from './mutant.ts'

/** Every guard of the lease protocol, taken out. */
export const mutants: readonly Mutant[] = [...voterMutants, ...voterStateMutants, ...successionMutants, ...claimantMutants, ...decisionMutants, ...statementMutants, ...serviceMutants]
