import { z } from 'zod'
import { authRows, signInRows } from './auth.ts'
import { commandRows, executionRows } from './commands.ts'
import { contextRows } from './context.ts'
import { lockRows } from './locks.ts'
import { machineRows } from './machines.ts'
import { approveRow, mcpRows } from './mcp.ts'
import { morePairingRows, pairingRows } from './pairing.ts'
import { projectRows } from './projects.ts'
import { rest, shape, text, time } from './row.ts'
import type { RestRow } from './row.ts'
import { eraseSessionRow, sessionRows } from './sessions.ts'
import { skillRows } from './skills.ts'
import { claimNextRow, taskRows } from './tasks.ts'

const health = rest('16', 'GET /api/health', {
  needsToken: false,
  reply: shape({ status: z.literal('ok'), version: text, timestamp: time }),
})

/** All that the ClaudeNest document lists, route by route, in its order. */
export const DOCUMENTED: readonly RestRow[] = [
  ...authRows,
  ...pairingRows,
  ...machineRows,
  ...sessionRows,
  ...projectRows,
  ...taskRows,
  ...contextRows,
  ...lockRows,
  ...skillRows,
  ...mcpRows,
  ...commandRows,
  health,
]

/** Routes beyond the document, each with a reason to be there. */
export const BEYOND: readonly RestRow[] = [
  ...signInRows,
  ...morePairingRows,
  claimNextRow,
  eraseSessionRow,
  approveRow,
  ...executionRows,
]
