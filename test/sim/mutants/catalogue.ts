import { attemptMutants } from './catalogue/attempts.ts'
import { certaintyMutants } from './catalogue/certainty.ts'
import { claimEndMutants } from './catalogue/claim-ends.ts'
import { claimantMutants } from './catalogue/claimant.ts'
import { claimMutants } from './catalogue/claims.ts'
import { decisionMutants } from './catalogue/decisions.ts'
import { electorateMutants } from './catalogue/electorate.ts'
import { gateMutants } from './catalogue/gates.ts'
import { holdingMutants } from './catalogue/holding.ts'
import { leaseEdgeMutants } from './catalogue/lease-edges.ts'
import { lockAskingMutants } from './catalogue/lock-asking.ts'
import { lockBoardMutants } from './catalogue/lock-boards.ts'
import { lockClaimMutants } from './catalogue/lock-claims.ts'
import { lockDocumentMutants } from './catalogue/lock-documents.ts'
import { lockEdgeMutants } from './catalogue/lock-edge.ts'
import { lockEndingMutants } from './catalogue/lock-ending.ts'
import { lockHolderMutants } from './catalogue/lock-holder.ts'
import { lockNoticeMutants } from './catalogue/lock-notices.ts'
import { lockResumingMutants } from './catalogue/lock-resuming.ts'
import { lockMutants } from './catalogue/locks.ts'
import { replicationMutants } from './catalogue/replication.ts'
import { statementMutants } from './catalogue/statements.ts'
import { successionMutants } from './catalogue/succession.ts'
import { taskClaimMutants } from './catalogue/task-claims.ts'
import { taskHostileMutants } from './catalogue/task-hostile.ts'
import { taskRecordMutants } from './catalogue/task-records.ts'
import { voterChangeMutants } from './catalogue/voter-change.ts'
import { voterServiceMutants } from './catalogue/voter-service.ts'
import { voterStateMutants } from './catalogue/voter-state.ts'
import { voterMutants } from './catalogue/voter.ts'
import type { Cut, Mutant } from './mutant.ts'

const leaseCuts: readonly Cut[] = [
  ...voterMutants,
  ...voterStateMutants,
  ...claimantMutants,
  ...successionMutants,
  ...decisionMutants,
  ...statementMutants,
  ...voterServiceMutants,
  ...attemptMutants,
  ...holdingMutants,
  ...voterChangeMutants,
  ...leaseEdgeMutants,
  ...electorateMutants,
  ...claimMutants,
  ...lockClaimMutants,
  ...claimEndMutants,
  ...lockResumingMutants,
  ...lockEndingMutants,
  ...lockHolderMutants,
  ...lockEdgeMutants,
  ...lockAskingMutants,
  ...lockBoardMutants,
  ...lockDocumentMutants,
  ...lockNoticeMutants,
  ...taskClaimMutants,
  ...taskRecordMutants,
  ...taskHostileMutants,
  ...certaintyMutants,
  ...gateMutants,
]

/** Every guard of the lease protocol, taken out. The fast subset has one of each file for each scenario. */
export const leaseMutants: readonly Mutant[] = leaseCuts.map((cut, i) => ({
  ...cut,
  play: playLeases,
  quick: cut.quick || isFirst(cut, leaseCuts.slice(0, i)),
}))

/** By what they are about. */
export const catalogues = { leases: leaseMutants, replication: replicationMutants, locks: lockMutants }

export const mutants: readonly Mutant[] = Object.values(catalogues).flat()

function isFirst({ scenario, file }: Cut, before: readonly Cut[]): boolean {
  return scenario !== undefined && !before.some((other) => other.scenario === scenario && other.file === file)
}

async function playLeases(seed: number): Promise<readonly string[]> {
  const { runWorld } = await import('../run-world.ts')
  const { simulator } = await import('../leases/simulator.ts')
  return (await runWorld(simulator.create(seed, {}))).violations
}
