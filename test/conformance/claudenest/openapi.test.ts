import { Validator } from '@seriousme/openapi-schema-validator'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { claudenestRoutes } from '../../../gateway/dialects/claudenest/routes.ts'
import { startGatewayLab, type GatewayLab, type Json } from '../../support/gateway-lab.ts'
import { nameOf } from './document/row.ts'
import { generatedFrom } from './openapi-values.ts'
import { prepareWorld, type World } from './openapi-world.ts'

const isLong = process.env['ROOKERY_LONG'] === '1'
/** Of the whole dialect. */
const REQUESTS = isLong ? 5000 : 400
/** The same requests each time where a failure must be one's own; `fast-check` prints the seed that it chose otherwise. */
const seed = isLong ? {} : { seed: 20260205 }

/** Routes that need what no chance comes up with: a password, a code, a nonce, a provider, a machine that sleeps. */
const NEVER_DONE = [
  'POST /api/auth/login',
  'POST /api/auth/register',
  'GET /api/auth/:provider/redirect',
  'GET /api/auth/:provider/callback',
  'POST /api/auth/magic-link/verify',
  'POST /api/auth/reset-password',
  'POST /api/auth/refresh',
  'DELETE /api/pairing/:code',
  'POST /api/pairing/:code/reveal',
  'POST /api/machines/:id/wake',
  // What chance comes up with must not run: these ask a machine that cannot answer.
  'POST /api/machines/:machine/mcp',
  'PATCH /api/machines/:machine/mcp/:name',
  'POST /api/machines/:machine/mcp/:name/start',
  'POST /api/machines/:machine/mcp/:name/stop',
  'POST /api/machines/:machine/mcp/:name/execute',
  'POST /api/machines/:machine/mcp/:name/approve',
  'DELETE /api/machines/:machine/mcp/:name',
  // Needs a server that runs.
  'GET /api/machines/:machine/mcp/:name/tools',
]
const done = new Set<string>()

let lab: GatewayLab
let document: Json
let world: World

beforeAll(async () => {
  lab = await startGatewayLab({}, { node: { http: { publicUrl: 'http://127.0.0.1:8000' } } })
  document = (await lab.call('GET', '/docs/json', { token: null })).json
  world = await prepareWorld(lab)
})
afterAll(() => lab.stop())

describe('the OpenAPI document', () => {
  it('is valid OpenAPI 3.1', async () => {
    const { valid, errors } = await new Validator().validate(document)
    expect([document.openapi, errors, valid]).toEqual(['3.1.0', undefined, true])
  })

  it('tells every route with who may call it, what it answers and how it refuses', () => {
    for (const route of claudenestRoutes) {
      const told = document.paths[documented(route.path)][route.method.toLowerCase()]
      const { policy } = route
      const who = typeof policy === 'object' ? policy.ability : policy === 'public' ? 'no token' : 'any valid token'
      expect([nameOf(route), told.description]).toEqual([nameOf(route), expect.stringContaining(who)])
      expect([nameOf(route), told.security.length]).toEqual([nameOf(route), policy === 'public' ? 0 : 1])
      const statuses = policy === 'public' ? ['400', '403', '429', '500'] : ['400', '401', '403', '429', '500']
      expect(Object.keys(told.responses)).toEqual(expect.arrayContaining([String(route.status ?? 200), ...statuses]))
      expect(told.responses).not.toHaveProperty('default')
    }
  })
})

describe('a request made of the OpenAPI document', () => {
  it.each(claudenestRoutes.map((route) => [nameOf(route), route] as const))(
    '%s is never answered with what is not documented, and never breaks anything',
    async (_, route) => {
      const operation = document.paths[documented(route.path)][route.method.toLowerCase()]
      const numRuns = Math.ceil(REQUESTS / claudenestRoutes.length)
      const request = generatedFrom(operation)
      const answers = fc.asyncProperty(request, async ({ params, query, body, caller }) => {
        const path = await world.pathOf(route, params)
        const { status, json } = await lab.call(route.method, `${path}${query}`, {
          token: await world.tokenOf(route, caller),
          ...(body === undefined ? {} : { body }),
        })
        if (status < 400) done.add(nameOf(route))
        expect(Object.keys(operation.responses)).toContain(String(status))
        if (status < 400) (status === 202 ? route.pending : route.reply)?.parse(json.data)
        else expect(codesOf(operation.responses[status])).toContain(json.error.code)
        expect(json.error?.code).not.toBe('SRV_001')
      })
      await fc.assert(answers, { numRuns, ...seed })
    },
  )
})

describe('the requests together', () => {
  it('were not all refused at the door', () => {
    const doable = claudenestRoutes.map(nameOf).filter((name) => !NEVER_DONE.includes(name))
    const undone = doable.filter((name) => !done.has(name))
    if (isLong) expect(undone).toEqual([])
    expect(undone.length).toBeLessThan(doable.length / 3)
  })
})

const codesOf = ({ $ref }: { $ref: string }): Json =>
  document.components.responses[$ref.split('/').at(-1) ?? ''].content['application/json'].schema.properties.error
    .properties.code.enum

const documented = (path: string): string => path.replace(/:(\w+)/g, '{$1}')
