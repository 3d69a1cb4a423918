import { expect } from 'vitest'
import { callGateway, FIRST_USER, startGatewayLab } from '../../support/gateway-lab.ts'
import { call, data, meets, refusal, theLab, UNKNOWN } from './harness.ts'

const credentials = { email: FIRST_USER.email, password: FIRST_USER.password }

const user = {
  id: expect.stringMatching(/^[0-9a-f-]{36}$/),
  name: FIRST_USER.name,
  email: FIRST_USER.email,
  avatar_url: null,
  email_verified_at: null,
  role: 'owner',
}

export function authRequirements(): void {
  const login = 'POST /api/auth/login'
  meets(login, 'answers 200 with the user, a cn_ token and when it expires', async () => {
    expect(await data('POST', '/api/auth/login', { token: null, body: { ...credentials, remember: false } })).toEqual({
      user,
      token: expect.stringMatching(/^cn_/),
      expires_at: expect.any(String),
    })
  })
  meets(login, 'answers 401 AUTH_002 for a wrong password', async () => {
    const body = { ...credentials, password: 'wrong' }
    expect(await refusal('POST', '/api/auth/login', { token: null, body })).toEqual([401, 'AUTH_002'])
  })
  meets(login, 'answers 422 VAL_001 that names a missing field', async () => {
    const { status, json } = await call('POST', '/api/auth/login', { token: null, body: { password: 'x' } })
    const fields = { email: ['The email field is required.'] }
    expect([status, json.error]).toEqual([
      422,
      { code: 'VAL_001', message: 'The given data was invalid.', errors: fields, details: fields },
    ])
  })
  registerRequirements()
  tokenRequirements()
}

/** Registration needs a mesh without users, so each of these makes its own gateway. */
function registerRequirements(): void {
  const register = 'POST /api/auth/register'
  const someone = { ...FIRST_USER, email: 'grace@example.org', password_confirmation: FIRST_USER.password }
  meets(register, 'refuses a confirmation that differs', async () => {
    const body = { ...someone, password_confirmation: 'another' }
    const { status, json } = await call('POST', '/api/auth/register', { token: null, body })
    expect([status, json.error.errors]).toEqual([
      422,
      { password_confirmation: ['The password confirmation does not match.'] },
    ])
  })
  meets(register, 'answers 201 with user and token', async () => {
    await withoutUsers(async (url, setupCode) => {
      const made = await callGateway(url, 'POST', '/api/auth/register', { body: { ...someone, setup_code: setupCode } })
      expect([made.status, made.json.data]).toEqual([
        201,
        {
          user: { ...user, email: someone.email },
          token: expect.stringMatching(/^cn_/),
          expires_at: expect.any(String),
        },
      ])
    })
  })
  meets(register, 'takes the setup code from the body or from X-Setup-Code', async () => {
    await withoutUsers(async (url, setupCode) => {
      const without = await callGateway(url, 'POST', '/api/auth/register', { body: someone })
      expect([without.status, without.json.error.code]).toEqual([403, 'AUTH_008'])
      const headers = { 'x-setup-code': setupCode }
      const made = await callGateway(url, 'POST', '/api/auth/register', { body: someone, headers })
      expect(made.status).toBe(201)
    })
  })
}

async function withoutUsers(run: (url: string, setupCode: string) => Promise<void>): Promise<void> {
  const empty = await startGatewayLab({}, { register: false })
  try {
    await run(empty.url, empty.services.accounts.setupCode() ?? 'none')
  } finally {
    await empty.stop()
  }
}

function tokenRequirements(): void {
  meets('POST /api/auth/logout', 'answers null data, and the token is dead afterwards', async () => {
    const { token } = await data('POST', '/api/auth/login', { token: null, body: credentials })
    expect(await data('POST', '/api/auth/logout', { token })).toBe(null)
    expect(await refusal('GET', '/api/auth/me', { token })).toEqual([401, 'AUTH_005'])
  })
  meets('GET /api/auth/me', 'answers the user, nested and flat', async () => {
    expect(await data('GET', '/api/auth/me')).toEqual({ ...user, user })
  })
  meets('GET /api/auth/tokens', 'lists tokens without their text', async () => {
    const tokens = await data('GET', '/api/auth/tokens')
    expect(tokens.length).toBeGreaterThan(0)
    expect(JSON.stringify(tokens)).not.toContain(theLab().token)
    expect(tokens[0]).toMatchObject({ abilities: ['*'], is_active: true })
  })
  meets('POST /api/auth/tokens', 'answers 201 with the token, shown once', async () => {
    const body = { name: 'Mobile', abilities: ['task:read'], expires_in_days: 90 }
    const made = await data('POST', '/api/auth/tokens', { body })
    expect(made).toMatchObject({ token: expect.stringMatching(/^cn_/), name: 'Mobile', abilities: ['task:read'] })
    const days = (Date.parse(made.expires_at) - Date.parse(made.created_at)) / 86_400_000
    expect(Math.round(days)).toBe(90)
    expect(JSON.stringify(await data('GET', '/api/auth/tokens'))).not.toContain(made.token)
  })
  meets('DELETE /api/auth/tokens/:id', 'revokes', async () => {
    const { token, id } = await theLab().tokenWith(['user:read'])
    expect(await data('GET', '/api/auth/me', { token })).toMatchObject({ email: FIRST_USER.email })
    expect(await data('DELETE', `/api/auth/tokens/${id}`)).toBe(null)
    expect(await refusal('GET', '/api/auth/me', { token })).toEqual([401, 'AUTH_005'])
  })
  meets('DELETE /api/auth/tokens/:id', 'answers 404 TOK_001 for an unknown id', async () => {
    expect(await refusal('DELETE', `/api/auth/tokens/${UNKNOWN}`)).toEqual([404, 'TOK_001'])
    expect(await refusal('DELETE', '/api/auth/tokens/not-a-uuid')).toEqual([404, 'TOK_001'])
  })
  meets('GET /api/health', 'answers ok, version and time without a token', async () => {
    expect(await data('GET', '/api/health', { token: null })).toEqual({
      status: 'ok',
      version: '0.1.0',
      timestamp: expect.any(String),
    })
  })
}
