import { afterAll, describe, expect, it } from 'vitest'
import { claudenestRoutes } from '../../../gateway/dialects/claudenest/routes.ts'
import { authRequirements } from './auth.ts'
import { removeFolders, tested, useLab } from './harness.ts'
import { lockRequirements } from './locks.ts'
import { machineRequirements } from './machines.ts'
import { projectRequirements } from './projects.ts'
import { REQUIREMENTS } from './requirements.ts'
import { sessionRequirements } from './sessions.ts'
import { taskRequirements } from './tasks.ts'

/** What the document lists in its sections 2,  4.1-4.5, 4.7, 5, 6.1-6.5, 7, 9.1-9.7 and 16. */
const DOCUMENTED = `
GET /api/auth/:provider/redirect
GET /api/auth/:provider/callback
POST /api/auth/login
POST /api/auth/register
POST /api/auth/logout
GET /api/auth/me
GET /api/auth/tokens
POST /api/auth/tokens
DELETE /api/auth/tokens/:id
POST /api/auth/magic-link
POST /api/auth/magic-link/verify
GET /api/machines
POST /api/machines
GET /api/machines/:id
PATCH /api/machines/:id
DELETE /api/machines/:id
GET /api/machines/:id/environment
POST /api/machines/:id/wake
GET /api/machines/:machine/sessions
POST /api/machines/:machine/sessions
GET /api/sessions/:id
DELETE /api/sessions/:id
GET /api/sessions/:id/logs
POST /api/sessions/:id/attach
POST /api/sessions/:id/input
POST /api/sessions/:id/resize
GET /api/machines/:machine/projects
POST /api/machines/:machine/projects
GET /api/projects/:id
PATCH /api/projects/:id
DELETE /api/projects/:id
GET /api/projects/:project/tasks
POST /api/projects/:project/tasks
GET /api/projects/:project/tasks/next-available
GET /api/tasks/:id
PATCH /api/tasks/:id
DELETE /api/tasks/:id
POST /api/tasks/:id/claim
POST /api/tasks/:id/release
POST /api/tasks/:id/complete
GET /api/projects/:project/locks
POST /api/projects/:project/locks
POST /api/projects/:project/locks/check
POST /api/projects/:project/locks/extend
POST /api/projects/:project/locks/bulk
POST /api/projects/:project/locks/release
POST /api/projects/:project/locks/force-release
GET /api/health
`
  .trim()
  .split('\n')

/** What we serve beyond the document. */
const OURS = [
  'POST /api/auth/forgot-password',
  'POST /api/auth/reset-password',
  'POST /api/auth/refresh',
  'POST /api/projects/:project/tasks/claim-next',
]

useLab()
afterAll(removeFolders)

describe('ClaudeNest 2 and 16: authentication and health', () => {
  authRequirements()
})
describe('ClaudeNest 4: machines', () => {
  machineRequirements()
})
describe('ClaudeNest 5: sessions', () => {
  sessionRequirements()
})
describe('ClaudeNest 6: projects', () => {
  projectRequirements()
})
describe('ClaudeNest 7: tasks', () => {
  taskRequirements()
})
describe('ClaudeNest 9: file locks', () => {
  lockRequirements()
})

describe('coverage', () => {
  const served = claudenestRoutes.map((route) => `${route.method} ${route.path}`)

  it('serves every documented route of the slice and nothing unlisted', () => {
    expect(served.toSorted()).toEqual([...DOCUMENTED, ...OURS].toSorted())
  })

  it('has a requirement for every route that is served', () => {
    const required = new Set(REQUIREMENTS.map((row) => `${row.method} ${row.path}`))
    expect(served.filter((route) => !required.has(route))).toEqual([])
  })

  it('has a test for every requirement', () => {
    expect(REQUIREMENTS.filter((row) => !tested.has(row))).toEqual([])
  })
})
