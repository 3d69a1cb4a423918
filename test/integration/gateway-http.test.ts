import { once } from 'node:events'
import { connect } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import { domainError } from '../../crdt/errors.ts'
import type { GatewayConfig } from '../../gateway/http/config.ts'
import { StorageError, UnreadableError } from '../../node/services/feeds/documents.ts'
import { FIRST_USER, rawCall, startGatewayLab, type GatewayLab } from '../support/gateway-lab.ts'

const labs: GatewayLab[] = []
const open = async (config: Partial<GatewayConfig> = {}): Promise<GatewayLab> => {
  const lab = await startGatewayLab(config)
  labs.push(lab)
  return lab
}
afterEach(async () => {
  for (const lab of labs.splice(0)) await lab.stop()
})

it('[A-T5] counts logins from every spelling of loopback in one bucket, and says when to come back', async () => {
  const lab = await open({ rateLimits: {}, trustedProxies: ['127.0.0.1'] })
  const login = (from: string, password = 'wrong') =>
    lab.call('POST', '/api/auth/login', {
      token: null,
      body: { email: FIRST_USER.email, password },
      headers: { 'x-forwarded-for': from },
    })
  const spellings = ['127.0.0.1', '::1', '::ffff:127.0.0.1', '127.8.9.1']
  for (let i = 0; i < 10; i++) {
    const { status, headers } = await login(spellings[i % spellings.length] ?? '')
    const told = [status, headers.get('x-ratelimit-limit'), headers.get('x-ratelimit-remaining')]
    expect(told).toEqual([401, '10', String(9 - i)])
  }
  const refused = await login('::ffff:7f00:1', FIRST_USER.password)
  expect([refused.status, refused.json.error.code]).toEqual([429, 'RTE_001'])
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(Number(refused.headers.get('x-ratelimit-reset')) * 1000).toBeGreaterThan(Date.now())
  expect((await login('192.0.2.7', FIRST_USER.password)).status).toBe(200)
})

it('answers also who sends a body that is much too large, and reads only then', async () => {
  const lab = await open()
  const { hostname, port } = new URL(lab.url)
  const body = Buffer.alloc(24 * 1024 * 1024, ' ')
  const socket = connect(Number(port), hostname)
  const head = `POST /api/auth/login HTTP/1.1\r\nHost: ${hostname}:${port}\r\nContent-Type: application/json\r\n`
  socket.write(`${head}Content-Length: ${body.length}\r\n\r\n`)
  await new Promise((resolve) => socket.write(body, resolve))
  const [answer] = (await once(socket.setEncoding('utf8'), 'data')) as [string]
  expect(answer).toMatch(/^HTTP\/1.1 413 [^]*REQ_001/)
  socket.destroy()
})

it('counts the API per token, and neither health nor metrics', async () => {
  const lab = await open({ rateLimits: { api: 2 } })
  const other = await lab.services.accounts.login({ ...FIRST_USER, remember: false })
  if (!other.ok) throw new Error('no second token')
  const machines = (token: string) => lab.call('GET', '/api/machines', { token })
  for (const remaining of ['1', '0']) {
    expect((await machines(lab.token)).headers.get('x-ratelimit-remaining')).toBe(remaining)
  }
  expect((await machines(lab.token)).status).toBe(429)
  expect((await machines(other.value.token)).status).toBe(200)
  const health = await lab.call('GET', '/api/health')
  expect([health.status, health.headers.get('x-ratelimit-limit')]).toEqual([200, null])
  expect((await lab.call('GET', '/metrics')).status).toBe(200)
})

it('stops looking at wrong tokens of an address, but never locks out a good one behind it', async () => {
  const lab = await open({ rateLimits: { guess: 3 } })
  expect((await lab.call('GET', '/api/machines')).status).toBe(200)
  for (let i = 0; i < 3; i++) expect((await lab.call('GET', '/api/machines', { token: `cn_${i}` })).status).toBe(401)
  expect((await lab.call('GET', '/api/machines', { token: 'cn_again' })).status).toBe(429)
  expect((await lab.call('GET', '/api/machines')).status).toBe(200)
})

it('answers malformed, oversized and misdirected requests in the envelope', async () => {
  const lab = await open()
  const post = (body: string) => lab.call('POST', '/api/machines', { body })
  const broken = await post('{"name":')
  expect([broken.status, broken.json.error.code, broken.json.error.errors.body[0]]).toEqual([
    400,
    'VAL_001',
    expect.stringContaining('not valid JSON'),
  ])
  expect((await post('{"__proto__":{"isAdmin":true}}')).status).toBe(400)
  const big = await post(JSON.stringify({ name: 'x'.repeat(1024 * 1024) }))
  expect([big.status, big.json.error.code]).toEqual([413, 'REQ_001'])
  const list = await post('[]')
  expect([list.status, list.json.error.errors]).toEqual([422, { body: [expect.any(String)] }])
  const nowhere = await lab.call('GET', '/api/nowhere')
  expect([nowhere.status, nowhere.json.error.code]).toEqual([404, 'REQ_003'])
  const wrong = await lab.call('PUT', '/api/machines')
  expect([wrong.status, wrong.json.error.code, wrong.headers.get('allow')]).toEqual([405, 'REQ_004', 'GET, POST'])
  expect((await lab.call('GET', '/api/machines/%E0%A4')).json.error.code).toBe('REQ_003')
})

it('accepts an empty body that is called JSON, and two slashes', async () => {
  const lab = await open()
  const headers = { 'content-type': 'application/json' }
  expect((await lab.call('GET', '//api//health')).status).toBe(200)
  expect((await lab.call('GET', '/claudenest/api/machines')).status).toBe(200)
  expect((await lab.call('POST', '/api/auth/logout', { body: '', headers })).status).toBe(200)
})

it('echoes a request id that can be trusted in a log, and no other', async () => {
  const lab = await open()
  const idOf = async (given: string) =>
    (await lab.call('GET', '/api/health', { headers: { 'x-request-id': given } })).json.meta.request_id
  expect(await idOf('trace-1.2:3')).toBe('trace-1.2:3')
  expect(await idOf('a b"c')).toMatch(/^req_/)
  expect(await idOf('x'.repeat(129))).toMatch(/^req_/)
})

it('tells nothing of what broke inside, and logs it', async () => {
  const lab = await open()
  const secret = new Error('the password of the database is hunter2')
  Object.assign(lab.services.machines, { list: () => Promise.reject(secret) })
  const { status, json } = await lab.call('GET', '/api/machines')
  expect([status, json.error]).toEqual([500, { code: 'SRV_001', message: domainError('internal').message }])
  const logged = lab.log.lines.filter(({ level }) => level === 'error')
  expect(logged).toEqual([
    {
      level: 'error',
      message: 'a request failed inside',
      fields: { err: secret, requestId: json.meta.request_id, method: 'GET', route: '/api/machines' },
    },
  ])
})

it('says that the disk refused a write', async () => {
  const lab = await open()
  Object.assign(lab.services.machines, { list: () => Promise.reject(new StorageError('ENOSPC')) })
  const { status, json } = await lab.call('GET', '/api/machines')
  expect([status, json.error.code]).toEqual([507, 'STO_001'])
})

it('does not ask for room on the disk when what is stored cannot be read', async () => {
  const lab = await open()
  Object.assign(lab.services.machines, { list: () => Promise.reject(new UnreadableError('damaged')) })
  expect((await lab.call('GET', '/api/machines')).status).toBe(500)
})

it('names the voters that did not answer', async () => {
  const lab = await open()
  const refusal = domainError('quorum_unreachable', { details: { missingVoters: ['attic', 'cellar'] } })
  Object.assign(lab.services.tasks, { claim: async () => ({ ok: false, error: refusal }) })
  const id = '00000000-0000-4000-8000-000000000000'
  const { status, json } = await lab.call('POST', `/api/tasks/${id}/claim`, { body: { instance_id: 'a' } })
  expect([status, json.error]).toEqual([
    503,
    { code: 'LCK_002', message: refusal.message, details: { missing_voters: ['attic', 'cellar'] } },
  ])
})

it('shows metrics to this host, and behind a proxy only to a token that may', async () => {
  const direct = await open()
  expect((await direct.call('GET', '/metrics', { token: null })).json).toContain('rookery_http_requests_total')
  const proxied = await open({ trustedProxies: ['127.0.0.1'] })
  expect((await proxied.call('GET', '/metrics', { token: null })).status).toBe(401)
  expect((await proxied.call('GET', '/metrics')).status).toBe(200)
})

it('serves the first page and its files with a strict policy, and the documentation', async () => {
  const lab = await open({ appKey: 'a"b' })
  const page = await rawCall(lab.port, { path: '/', headers: { host: lab.host } })
  expect(page.headers['content-security-policy']).toMatch(/^default-src 'none'; script-src 'self';/)
  expect(page.text).toContain('name="rookery-app-key" content="a&quot;b"')
  expect(page.text).not.toMatch(/<script(?![^>]*src=)|\son\w+=|style="/)
  for (const path of [
    '/app.js',
    '/waking.js',
    '/register.js',
    '/sign-in.js',
    '/style.css',
    '/favicon.svg',
    '/sign-in/google',
    '/sign-in/github',
  ]) {
    expect((await rawCall(lab.port, { path, headers: { host: lab.host } })).status).toBe(200)
  }
  const { json } = await lab.call('GET', '/docs/json', { token: null })
  expect(json.openapi).toBe('3.1.0')
  expect(json.paths['/api/tasks/{id}/claim'].post.security).toEqual([{ bearer: [] }])
})

it('refuses to listen on another address without TLS or a proxy', async () => {
  await expect(startGatewayLab({ host: '0.0.0.0' })).rejects.toThrow(/Refusing to listen on 0\.0\.0\.0/)
})

it('[A-D1] serves an honest user while 200 connections say nothing', async () => {
  const lab = await open()
  const silent = Array.from({ length: 200 }, () => connect(lab.port, '127.0.0.1'))
  await Promise.all(silent.map((socket) => once(socket, 'connect')))
  expect((await lab.call('GET', '/api/machines')).status).toBe(200)
  for (const socket of silent) socket.destroy()
})

it('lists the notices of lost locks, and refuses to dismiss what is not there', async () => {
  const lab = await open()
  const [folder, { json: machines }] = [lab.dataDir, await lab.call('GET', '/api/machines')]
  const body = { name: 'work', project_path: folder }
  const made = await lab.call('POST', `/api/machines/${machines.data[0].id}/projects`, { body })
  const notices = `/rookery/projects/${made.json.data.id}/lock-notices`
  expect((await lab.call('GET', notices)).json.data).toEqual([])
  const unknown = await lab.call('DELETE', `${notices}/${'a'.repeat(32)}`)
  expect([unknown.status, unknown.json.error.code]).toEqual([404, 'LCK_004'])
  const { token } = await lab.tokenWith(['lock:read'])
  expect((await lab.call('GET', notices, { token })).status).toBe(200)
  expect((await lab.call('DELETE', `${notices}/x`, { token })).status).toBe(403)
})
