import type { Dialect, Route } from '../../http/dialect.ts'
import type { ClaudenestDeps } from './deps.ts'
import { failure } from './errors.ts'
import { activityRoutes } from './routes-activity.ts'
import { authRoutes, healthRoute } from './routes-auth.ts'
import { commandRoutes } from './routes-commands.ts'
import { contextRoutes } from './routes-context.ts'
import { executionRoutes } from './routes-executions.ts'
import { lockRoutes } from './routes-locks.ts'
import { machineRoutes } from './routes-machines.ts'
import { mcpRoutes } from './routes-mcp.ts'
import { pairingRoutes } from './routes-pairing.ts'
import { projectRoutes } from './routes-projects.ts'
import { sessionRoutes } from './routes-sessions.ts'
import { skillRoutes } from './routes-skills.ts'
import { taskRoutes } from './routes-tasks.ts'
import { signInRoutes } from './routes-sign-in.ts'
import { success } from './envelope.ts'

/** The ClaudeNest API as data. */
export const claudenestRoutes: readonly Route<ClaudenestDeps>[] = [
  healthRoute,
  ...authRoutes,
  ...signInRoutes,
  ...pairingRoutes,
  ...machineRoutes,
  ...sessionRoutes,
  ...projectRoutes,
  ...activityRoutes,
  ...taskRoutes,
  ...contextRoutes,
  ...lockRoutes,
  ...skillRoutes,
  ...commandRoutes,
  ...executionRoutes,
  ...mcpRoutes,
]

export const claudenest: Dialect<ClaudenestDeps> = {
  name: 'claudenest',
  title: 'Rookery: ClaudeNest API',
  routes: claudenestRoutes,
  success,
  failure,
}
