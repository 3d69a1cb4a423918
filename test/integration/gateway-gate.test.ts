import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { claudenestRoutes } from '../../gateway/dialects/claudenest/routes.ts'
import {
  FIRST_USER,
  openSocket,
  rawCall,
  rawText,
  refusedUpgrade,
  startGatewayLab,
  type GatewayLab,
  type Json,
} from '../support/gateway-lab.ts'

let lab: GatewayLab
const friend = 'https://board.example'

beforeAll(async () => {
  lab = await startGatewayLab({ corsOrigins: [friend] })
})
afterAll(() => lab.stop())

const bearer = (): string => `Bearer ${lab.token}`
const newMachine = { body: JSON.stringify({ name: 'intruder' }) }
const machineCount = async (): Promise<number> => (await lab.call('GET', '/api/machines')).json.meta.pagination.total
const concrete = (path: string): string => path.replace(/:\w+/g, '00000000-0000-4000-8000-000000000000')
const kinds = () => [
  '/api/health',
  '/metrics',
  '/docs',
  '/docs/json',
  '/',
  '/app.js',
  '/api/machines',
  '/nowhere',
  '/%E0%A4',
]

it.each([
  ['another site', () => 'https://evil.example'],
  ['the opaque origin', () => 'null'],
  ['our name as a prefix', () => `${lab.url}.evil.example`],
  ['our host on another port', () => `http://127.0.0.1:${lab.port + 1}`],
  ['our host under another scheme', () => `https://127.0.0.1:${lab.port}`],
])('[A-B1] refuses a write with a good token from %s, without effect or CORS header', async (_name, origin) => {
  const before = await machineCount()
  const headers = {
    host: lab.host,
    origin: origin(),
    authorization: bearer(),
    'content-type': 'application/json',
    'content-length': String(newMachine.body.length),
  }
  const answer = await rawCall(lab.port, { method: 'POST', path: '/api/machines', headers, ...newMachine })
  expect([answer.status, JSON.parse(answer.text).error.code]).toEqual([403, 'GTE_002'])
  expect(answer.headers['access-control-allow-origin']).toBe(undefined)
  expect(await machineCount()).toBe(before)
})

it('[A-B1] answers our own origin, and a configured one with exactly its CORS header', async () => {
  const from = (origin: string) => lab.call('GET', '/api/machines', { headers: { origin } })
  const own = await from(lab.url)
  expect([own.status, own.headers.get('access-control-allow-origin')]).toEqual([200, null])
  const other = await from(friend)
  expect([other.status, other.headers.get('access-control-allow-origin')]).toEqual([200, friend])
})

it('[A-B1] answers a preflight of a configured origin only', async () => {
  const preflight = (origin: string) =>
    lab.call('OPTIONS', '/api/machines', { headers: { origin, 'access-control-request-method': 'POST' } })
  const allowed = await preflight(friend)
  expect([allowed.status, allowed.headers.get('access-control-allow-origin')]).toEqual([204, friend])
  expect((await preflight('https://evil.example')).status).toBe(403)
})

it.each(['cross-site', 'same-site'])('[A-B1] refuses a %s fetch, but lets a person follow a link', async (site) => {
  const call = (headers: Record<string, string>) =>
    rawCall(lab.port, { path: '/', headers: { host: lab.host, 'sec-fetch-site': site, ...headers } })
  expect((await call({ 'sec-fetch-mode': 'no-cors' })).status).toBe(403)
  expect((await call({ 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' })).status).toBe(403)
  expect((await call({ 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' })).status).toBe(200)
})

it.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'application/xml'])(
  '[A-B2] answers 415 to a body of %s',
  async (type) => {
    const before = await machineCount()
    const answer = await lab.call('POST', '/api/machines', { ...newMachine, headers: { 'content-type': type } })
    expect([answer.status, answer.json.error.code]).toEqual([415, 'REQ_005'])
    expect(await machineCount()).toBe(before)
  },
)

it('[A-B3] refuses a socket of an evil origin before the handshake, and leaves the ticket usable', async () => {
  const machine = lab.services.machines.self
  const { json } = await lab.call('POST', `/api/machines/${machine}/sessions`, { body: { agent: 'shell' } })
  const { id, websocket_token: token } = json.data
  for (const path of ['/app/rookery', '//app/rookery']) {
    expect(await refusedUpgrade(lab.url, { path, origin: 'https://evil.example' })).toBe(403)
    expect(await refusedUpgrade(lab.url, { path, headers: { host: 'evil.example' } })).toBe(403)
  }
  const socket = await openSocket(lab.url)
  socket.subscribe(`private-session.${id}`, { token })
  expect(await socket.event('pusher_internal:subscription_succeeded')).toBeDefined()
  socket.close()
})

it('[A-B4] refuses a foreign Host on every kind of route', async () => {
  for (const path of kinds()) {
    for (const host of [
      'evil.example',
      `evil.example:${lab.port}`,
      '127.0.0.1',
      `127.0.0.1.evil.example:${lab.port}`,
    ]) {
      const { status } = await rawCall(lab.port, { path, headers: { host, authorization: bearer() } })
      expect([path, host, status]).toEqual([path, host, 403])
    }
  }
})

it('[A-B4] refuses two Host headers, none, and an absolute-form target', async () => {
  const ours = `Host: ${lab.host}`
  const get = (target: string, ...headers: string[]) => rawText(lab.port, [`GET ${target} HTTP/1.1`, ...headers])
  expect(await get('/api/health', ours)).toMatch(/^HTTP\/1.1 200 /)
  expect(await get('/api/health', ours, 'Host: evil.example')).toMatch(/^HTTP\/1.1 (400|403) /)
  expect(await get('/api/health')).toMatch(/^HTTP\/1.1 400 /)
  expect(await get(`http://${lab.host}/api/health`, ours)).toMatch(/^HTTP\/1.1 400 /)
})

it('[A-B5] does not take a cookie for a credential', async () => {
  const headers = { cookie: `token=${lab.token}; rookery-token=${lab.token}` }
  expect((await lab.call('GET', '/api/auth/me', { token: null, headers })).status).toBe(401)
})

it('[A-B6] changes nothing by any documented GET', async () => {
  const state = async () =>
    JSON.stringify([
      (await lab.services.machines.list({}, { page: 1, perPage: 100 })).items.map((machine) => ({
        ...machine,
        lastSeenAt: null,
      })),
      await lab.services.projects.all(),
      (await lab.services.accounts.listUsers()).ok,
      await lab.services.sessions.list(lab.services.machines.self, {}, { page: 1, perPage: 100 }),
    ])
  const before = await state()
  const gets = Object.entries((await lab.call('GET', '/docs/json')).json.paths).filter(([, at]: Json) => at.get)
  expect(gets.length).toBeGreaterThan(10)
  for (const [path] of [...gets, ...gets]) await lab.call('GET', concrete(path.replace(/\{(\w+)\}/g, ':$1')))
  expect(await state()).toBe(before)
})

it.each(claudenestRoutes.filter((route) => route.policy !== 'public').map((route) => [route.method, route.path]))(
  '[A-T1] answers 401 in the envelope to %s %s without or with a wrong token',
  async (method, path) => {
    for (const token of [null, 'cn_wrong']) {
      const { status, headers, json } = await lab.call(method, concrete(path), { token })
      expect([status, json.success, json.error.code, headers.get('www-authenticate')]).toEqual([
        401,
        false,
        'AUTH_005',
        'Bearer',
      ])
    }
  },
)

it('[A-T1] asks for a token on the routes that are not a dialect’s', async () => {
  for (const [method, path] of [
    ['GET', '/rookery/status'],
    ['GET', '/rookery/projects'],
    ['GET', concrete('/rookery/projects/:project/lock-notices')],
    ['DELETE', concrete('/rookery/projects/:project/lock-notices/:id')],
    ['POST', '/broadcasting/auth'],
  ] as const) {
    expect((await lab.call(method, path, { token: null })).status).toBe(401)
  }
})

it('[A-T1] refuses a token in the URL, however good', async () => {
  const answer = await lab.call('GET', `/api/auth/me?token=${lab.token}`)
  expect([answer.status, answer.json.error.code]).toEqual([400, 'GTE_005'])
  expect(await refusedUpgrade(lab.url, { path: `/app/rookery?token=${lab.token}` })).toBe(400)
})

it('[A-T2] never issues more than the issuer has, and an empty ability set allows nothing', async () => {
  const narrow = await lab.tokenWith(['token:manage', 'task:read'])
  const ask = (abilities: string[]) =>
    lab.call('POST', '/api/auth/tokens', { token: narrow.token, body: { name: 'wider', abilities } })
  expect((await ask(['*'])).status).toBe(403)
  expect((await ask(['task:read', 'task:write'])).status).toBe(403)
  expect((await ask(['task:read'])).status).toBe(201)

  const empty = await lab.tokenWith([])
  const needAbility = claudenestRoutes.filter((route) => typeof route.policy === 'object')
  expect(needAbility.length).toBeGreaterThan(30)
  for (const { method, path } of needAbility) {
    expect((await lab.call(method, concrete(path), { token: empty.token })).status).toBe(403)
  }
})

it('[A-T3] answers 401 to a revoked token and closes its sockets', async () => {
  const { token, id } = await lab.tokenWith(['machine:read'])
  const socket = await openSocket(lab.url)
  socket.subscribe('private-mesh', { token })
  await socket.event('pusher_internal:subscription_succeeded')
  const bystander = await openSocket(lab.url)
  bystander.subscribe('private-mesh', { token: lab.token })
  await bystander.event('pusher_internal:subscription_succeeded')

  await lab.call('DELETE', `/api/auth/tokens/${id}`)
  expect(await socket.closed()).toEqual({ code: 4009 })
  expect((await lab.call('GET', '/api/machines', { token })).status).toBe(401)
  expect(bystander.socket.readyState).toBe(bystander.socket.OPEN)
  bystander.close()
})

it('[A-T4] leaves no secret in the data directory or the log', async () => {
  const machine = lab.services.machines.self
  const session = await lab.call('POST', `/api/machines/${machine}/sessions`, { body: { agent: 'shell' } })
  const bridged = await lab.call('POST', '/api/machines', { body: { name: 'bridged' } })
  const minted = await lab.tokenWith(['task:read'])
  await lab.call('POST', '/api/auth/login', { token: null, body: { ...FIRST_USER, name: undefined } })
  await lab.call('GET', `/api/auth/me?token=${minted.token}`)
  const secrets = [lab.token, lab.password, minted.token, bridged.json.data.token, session.json.data.websocket_token]
  expect(secrets.every((secret) => typeof secret === 'string' && secret.length > 15)).toBe(true)

  const files = await readdir(lab.dataDir, { recursive: true, withFileTypes: true })
  const kept = files.filter((file) => file.isFile()).map((file) => join(file.parentPath, file.name))
  expect(kept.length).toBeGreaterThan(5)
  const told = inspect(lab.log.lines, { depth: null, maxArrayLength: null, maxStringLength: null })
  const places = [...(await Promise.all(kept.map((path) => readFile(path, 'latin1')))), told]
  expect(secrets.filter((secret) => places.some((text) => text.includes(secret)))).toEqual([])
})
