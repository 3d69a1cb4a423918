import { expect, it } from 'vitest'
import type { Services } from '../../../node/services/services.ts'
import { callGateway, openGateway, type Answer } from '../../support/gateway-lab.ts'
import { nameOf } from './document/row.ts'
import { call, example, holdAgainstDocument, refusal, ROWS, theLab, UNKNOWN } from './harness.ts'

const served = ROWS.filter(({ unbuilt }) => unbuilt === undefined)
/** Fields of a body that are refused with 401 themselves. */
const CREDENTIALS = ['password', 'refresh_token']
const pathOf = (path: string): string => path.replace(/:\w+/g, UNKNOWN)

/** What the document says of no route in particular: envelopes, errors, limits, health. */
export function everyRoute(): void {
  it('[1.2] echoes X-Request-ID as meta.request_id, and makes one up otherwise', async () => {
    const given = await call('GET', '/api/machines', { headers: { 'x-request-id': 'req_abc123' } })
    expect(given.json.meta.request_id).toBe('req_abc123')
    const made = await call('GET', '/api/machines')
    expect(made.json.meta.request_id).toMatch(/^req_/)
  })
  it('[1.2] answers 404 in the envelope where there is no route, and 405 where there is another method', async () => {
    expect(await refusal('GET', '/api/nothing')).toEqual([404, 'REQ_003'])
    const wrong = await call('PATCH', '/api/machines')
    expect([wrong.status, wrong.json.error.code, wrong.headers.get('allow')]).toEqual([405, 'REQ_004', 'GET, POST'])
  })
  it('[1.3] answers 401 on every route without a token, and on none that needs none', async () => {
    for (const row of served) {
      const { status } = await call(row.method, pathOf(row.path), { token: null, body: row.body })
      const isSignIn = CREDENTIALS.some((name) => row.body?.[name] !== undefined)
      expect([nameOf(row), status === 401 && !isSignIn]).toEqual([nameOf(row), row.needsToken])
    }
  })
  it('[14.2] answers 422 VAL_001 that names the field on every route that takes a body', async () => {
    for (const row of served.filter(({ body }) => body !== undefined)) {
      const { status, json } = await call(row.method, pathOf(row.path), { body: { no_such_field: 1 } })
      expect([nameOf(row), status, json.error.code]).toEqual([nameOf(row), 422, 'VAL_001'])
      expect(json.error.errors).toHaveProperty('no_such_field')
      expect(json.error.details).toEqual(json.error.errors)
      expect(json.error.message).toBe('The given data was invalid.')
    }
  })
  it('[14.1] answers 500 SRV_001 when something breaks inside, and does not say what', async () => {
    const broken = { ...theLab().services.projects, get: () => Promise.reject(new Error('/home/ada/secret')) }
    await atGateway({ services: { projects: broken } }, async (ask) => {
      const { status, json } = await ask('GET', `/api/projects/${UNKNOWN}`)
      expect([status, json.error.code]).toEqual([500, 'SRV_001'])
      expect(JSON.stringify(json)).not.toContain('secret')
    })
  })
  limits()
  example('GET /api/health', () => ({}))
}

/** Asks a further gateway over the same node, which has limits and faults of its own. */
async function atGateway(
  change: { services?: Partial<Services> },
  run: (ask: typeof call, url: string) => Promise<void>,
): Promise<void> {
  const { services, log, token } = theLab()
  const { gateway, url } = await openGateway({ services: { ...services, ...change.services }, log })
  const ask: typeof call = async (method, path, options) =>
    holdAgainstDocument(await callGateway(url, method, path, { token, ...options }), method, path)
  try {
    await run(ask, url)
  } finally {
    await gateway.close()
  }
}

/** Asks until the minute's allowance is used up and once more. */
function limitTest(group: string, limit: number, ask: (asking: typeof call, url: string) => Promise<Answer>) {
  return async () =>
    await atGateway({}, async (asking, url) => {
      const startedAt = Math.floor(Date.now() / 1000)
      const answers: Answer[] = []
      for (let n = 0; n < limit; n++) answers.push(await ask(asking, url))
      const told = (name: string): number[] => answers.map(({ headers }) => Number(headers.get(`x-ratelimit-${name}`)))
      expect([group, ...new Set(told('limit'))]).toEqual([group, limit])
      expect(told('remaining')).toEqual(Array.from({ length: limit }, (_, n) => limit - 1 - n))
      expect(Math.min(...told('reset'))).toBeGreaterThan(startedAt)
      expect(Math.max(...told('reset'))).toBeLessThanOrEqual(Math.ceil(Date.now() / 1000) + 60)
      const refused = await ask(asking, url)
      expect([refused.status, refused.json.error.code]).toEqual([429, 'RTE_001'])
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    })
}

function limits(): void {
  const nobody = { email: 'nobody@example.org', password: 'x' }
  it(
    '[15] counts 10 attempts to sign in per minute',
    limitTest('authentication', 10, (ask) => ask('POST', '/api/auth/login', { token: null, body: nobody })),
  )
  it(
    '[15] counts 10 calls of pairing per minute',
    limitTest('pairing', 10, (ask) => ask('GET', '/api/pairing/ABC-234', { token: null })),
  )
  it(
    '[15] counts 10 sockets per minute',
    limitTest('websocket', 10, async (_, url) => await callGateway(url, 'GET', '/app/rookery', {})),
  )
  it(
    '[15] counts 1000 calls per minute',
    limitTest('api', 1000, (ask) => ask('GET', '/api/auth/me')),
  )
  it('[15] counts them for each token of an address', async () => {
    const { token } = await theLab().tokenWith(['machine:read'])
    const remaining = async (ask: typeof call, by: string) =>
      (await ask('GET', '/api/machines', { token: by })).headers.get('x-ratelimit-remaining')
    await atGateway({}, async (ask) => {
      const before = [await remaining(ask, theLab().token), await remaining(ask, theLab().token)]
      expect([...before, await remaining(ask, token)]).toEqual(['999', '998', '999'])
    })
  })
}
