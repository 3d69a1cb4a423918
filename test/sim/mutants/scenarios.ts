import type { Scenario } from './scenario.ts'
import { claimEndScenarios } from './scenarios/claim-ends.ts'
import { claimantScenarios } from './scenarios/claimant.ts'
import { claimScenarios } from './scenarios/claims.ts'
import { decisionScenarios } from './scenarios/decisions.ts'
import { electorateScenarios } from './scenarios/electorate.ts'
import { gateScenarios } from './scenarios/gates.ts'
import { leaseEdgeScenarios } from './scenarios/lease-edges.ts'
import { lockScenarios } from './scenarios/locks.ts'
import { feedAuthorScenarios } from './scenarios/feed-authors.ts'
import { membershipScenarios } from './scenarios/membership.ts'
import { lockAskingScenarios } from './scenarios/lock-asking.ts'
import { lockClaimScenarios } from './scenarios/lock-claims.ts'
import { lockDocumentScenarios } from './scenarios/lock-documents.ts'
import { lockEdgeScenarios } from './scenarios/lock-edge.ts'
import { lockEndingScenarios } from './scenarios/lock-ending.ts'
import { lockHolderScenarios } from './scenarios/lock-holder.ts'
import { lockNoticeScenarios } from './scenarios/lock-notices.ts'
import { lockResumingScenarios } from './scenarios/lock-resuming.ts'
import { passingOnScenarios } from './scenarios/passing-on.ts'
import { serviceScenarios } from './scenarios/services.ts'
import { statementScenarios } from './scenarios/statements.ts'
import { successionScenarios } from './scenarios/succession.ts'
import { taskClaimScenarios } from './scenarios/task-claims.ts'
import { taskHostileScenarios } from './scenarios/task-hostile.ts'
import { taskRecordScenarios } from './scenarios/task-records.ts'
import { voterChangeScenarios } from './scenarios/voters-change.ts'
import { voterMemoryScenarios } from './scenarios/voter-memory.ts'
import { wireScenarios } from './scenarios/wire.ts'
import { voterRequestScenarios } from './scenarios/voter-requests.ts'

export const scenarios: readonly Scenario[] = [
  ...voterRequestScenarios,
  ...voterMemoryScenarios,
  ...successionScenarios,
  ...claimantScenarios,
  ...decisionScenarios,
  ...statementScenarios,
  ...serviceScenarios,
  ...voterChangeScenarios,
  ...wireScenarios,
  ...membershipScenarios,
  ...leaseEdgeScenarios,
  ...electorateScenarios,
  ...claimScenarios,
  ...lockClaimScenarios,
  ...claimEndScenarios,
  ...lockResumingScenarios,
  ...lockEndingScenarios,
  ...lockHolderScenarios,
  ...lockEdgeScenarios,
  ...lockAskingScenarios,
  ...lockDocumentScenarios,
  ...lockNoticeScenarios,
  ...lockScenarios,
  ...taskClaimScenarios,
  ...taskRecordScenarios,
  ...taskHostileScenarios,
  ...gateScenarios,
  ...passingOnScenarios,
  ...feedAuthorScenarios,
]
