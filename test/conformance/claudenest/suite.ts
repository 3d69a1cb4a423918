import { describe, expect, it } from 'vitest'
import { claudenestRoutes } from '../../../gateway/dialects/claudenest/routes.ts'
import { activityRequirements } from './activity.ts'
import { authRequirements } from './auth.ts'
import { contextRequirements } from './context.ts'
import { commandRequirements } from './commands.ts'
import { DOCUMENTED_ERRORS, UNANSWERED } from './document/errors.ts'
import { nameOf } from './document/row.ts'
import { socketRows } from './document/socket.ts'
import { BEYOND, DOCUMENTED } from './document/table.ts'
import { everyRoute } from './every-route.ts'
import { answeredCodes, requirementsOf, ROWS, tested, useLab, type Asked } from './harness.ts'
import { lockRequirements } from './locks.ts'
import { machineRequirements } from './machines.ts'
import { mcpRequirements } from './mcp.ts'
import { pairingRequirements } from './pairing.ts'
import { projectRequirements } from './projects.ts'
import { sessionRequirements } from './sessions.ts'
import { signInRequirements } from './sign-in.ts'
import { skillRequirements } from './skills.ts'
import { heard, socketRequirements } from './socket.ts'
import { taskRequirements } from './tasks.ts'

/** All that the ClaudeNest document asks for, asked of one gateway of a mesh of two. */
export function conformanceSuite(asked: Asked): void {
  useLab(asked)

  describe('ClaudeNest 1, 14, 15 and 16: what every route has', () => {
    everyRoute()
  })
  describe('ClaudeNest 2: authentication', () => {
    authRequirements()
    signInRequirements()
  })
  describe('ClaudeNest 3: pairing', () => {
    pairingRequirements()
  })
  describe('ClaudeNest 4: machines', () => {
    machineRequirements()
  })
  describe('ClaudeNest 5: sessions', () => {
    sessionRequirements()
  })
  describe('ClaudeNest 6: projects', () => {
    projectRequirements()
    activityRequirements()
  })
  describe('ClaudeNest 7: tasks', () => {
    taskRequirements()
  })
  describe('ClaudeNest 8: context', () => {
    contextRequirements()
  })
  describe('ClaudeNest 9: file locks', () => {
    lockRequirements()
  })
  describe('ClaudeNest 10: skills', () => {
    skillRequirements()
  })
  describe('ClaudeNest 12: commands', () => {
    commandRequirements()
  })
  describe('ClaudeNest 11: MCP servers', () => {
    mcpRequirements()
  })
  describe('ClaudeNest 13: the socket', () => {
    socketRequirements()
  })
  describe('coverage', () => {
    coverage()
  })
}

function coverage(): void {
  const served = new Set(claudenestRoutes.map(nameOf))

  it('knows each of the 89 documented routes and 12 messages once', () => {
    expect([new Set(DOCUMENTED.map(nameOf)).size, DOCUMENTED.length]).toEqual([89, 89])
    expect([new Set(socketRows.map(({ event }) => event)).size, socketRows.length]).toEqual([12, 12])
  })

  for (const row of DOCUMENTED) {
    const fails = row.unbuilt !== undefined
    it(`[${row.section}] ${nameOf(row)} is served${fails ? ` (not yet: ${row.unbuilt})` : ''}`, { fails }, () => {
      expect(served).toContain(nameOf(row))
    })
  }

  it('serves nothing that is not listed', () => {
    const listed = new Set([...DOCUMENTED, ...BEYOND].map(nameOf))
    expect([...served].filter((route) => !listed.has(route))).toEqual([])
  })

  it('has a test for everything that a served route is asked for', () => {
    const asked = ROWS.filter(({ unbuilt }) => unbuilt === undefined).flatMap(requirementsOf)
    expect(asked.filter((requirement) => !tested.has(requirement))).toEqual([])
  })

  it('has heard or sent every documented message', () => {
    expect(socketRows.map(({ event }) => event).filter((event) => !heard.has(event))).toEqual([])
  })

  it('has been answered every documented error, but for those listed with a reason', () => {
    expect(Object.keys(DOCUMENTED_ERRORS).filter((code) => !answeredCodes.has(code))).toEqual(Object.keys(UNANSWERED))
  })
}
