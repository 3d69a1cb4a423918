import type { Scenario } from './scenario.ts'
import { claimantScenarios } from './scenarios/claimant.ts'
import { decisionScenarios } from './scenarios/decisions.ts'
import { gateScenarios } from './scenarios/gates.ts'
import { lockScenarios } from './scenarios/locks.ts'
import { membershipScenarios } from './scenarios/membership.ts'
import { lockAskingScenarios } from './scenarios/lock-asking.ts'
import { lockClaimScenarios } from './scenarios/lock-claims.ts'
import { lockEdgeScenarios } from './scenarios/lock-edge.ts'
import { lockEndingScenarios } from './scenarios/lock-ending.ts'
import { lockResumingScenarios } from './scenarios/lock-resuming.ts'
import { passingOnScenarios } from './scenarios/passing-on.ts'
import { serviceScenarios } from './scenarios/services.ts'
import { statementScenarios } from './scenarios/statements.ts'
import { successionScenarios } from './scenarios/succession.ts'
import { taskClaimScenarios } from './scenarios/task-claims.ts'
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
  ...lockClaimScenarios,
  ...lockResumingScenarios,
  ...lockEndingScenarios,
  ...lockEdgeScenarios,
  ...lockAskingScenarios,
  ...lockScenarios,
  ...taskClaimScenarios,
  ...gateScenarios,
  ...passingOnScenarios,
]
