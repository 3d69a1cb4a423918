import { expect } from 'vitest'
import { callGateway, FIRST_USER, startGatewayLab } from '../../support/gateway-lab.ts'
import { call, data, example, meets, refusal, refuses, theLab, UNKNOWN } from './harness.ts'

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
  example(
    login,
    () => ({ body: credentials }),
    (signedIn) => expect(signedIn.user).toEqual(user),
  )
  refuses(login, 'AUTH_002', () => ({ body: { ...credentials, password: 'wrong' } }))
  meets(login, 'answers 422 VAL_001 that names a missing field', async () => {
    const { status, json } = await call('POST', '/api/auth/login', { token: null, body: { password: 'x' } })
    const fields = { email: ['The email field is required.'] }
    expect([status, json.error]).toEqual([
      422,
      { code: 'VAL_001', message: 'The given data was invalid.', errors: fields, details: fields },
    ])
  })
  registerRequirements()
  signedInRequirements()
  tokenRequirements()
}

function registerRequirements(): void {
  const register = 'POST /api/auth/register'
  const someone = { ...FIRST_USER, email: 'grace@example.org', password_confirmation: FIRST_USER.password }
  example(
    register,
    // The printed address is taken: what asks every route without a token has sent the whole example before.
    () => ({ body: { email: 'john@example.com' } }),
    (made) => expect(made.user).toMatchObject({ name: 'John Doe', email: 'john@example.com', role: 'member' }),
  )
  meets(register, 'refuses a confirmation that differs', async () => {
    const body = { ...someone, password_confirmation: 'another' }
    const { status, json } = await call('POST', '/api/auth/register', { token: null, body })
    expect([status, json.error.errors]).toEqual([
      422,
      { password_confirmation: ['The password confirmation does not match.'] },
    ])
  })
  meets(register, 'takes the setup code from the body or from X-Setup-Code', async () => {
    const lab = await startGatewayLab({}, { register: false })
    const ask = (more: object, headers = {}) =>
      callGateway(lab.url, 'POST', '/api/auth/register', { body: { ...someone, ...more }, headers })
    try {
      const code = lab.services.accounts.setupCode() ?? 'none'
      const without = await ask({})
      expect([without.status, without.json.error.code]).toEqual([403, 'AUTH_008'])
      expect((await ask({ setup_code: 'wrong' })).json.error.code).toBe('AUTH_008')
      expect((await ask({}, { 'x-setup-code': code })).json.data).toMatchObject({
        user: { ...user, email: someone.email },
      })
    } finally {
      await lab.stop()
    }
  })
}

function signedInRequirements(): void {
  const signIn = async () => await data('POST', '/api/auth/login', { token: null, body: credentials })
  example('POST /api/auth/logout', async () => ({ token: (await signIn()).token }))
  meets('POST /api/auth/logout', 'leaves the token dead', async () => {
    const { token } = await signIn()
    await data('POST', '/api/auth/logout', { token })
    expect(await refusal('GET', '/api/auth/me', { token })).toEqual([401, 'AUTH_005'])
  })
  example('GET /api/auth/me', () => ({}))
  meets('GET /api/auth/me', 'answers the user flat, too', async () => {
    expect(await data('GET', '/api/auth/me')).toEqual({ ...user, user })
  })
}

function tokenRequirements(): void {
  example('GET /api/auth/tokens', () => ({}))
  meets('GET /api/auth/tokens', 'lists tokens without their text', async () => {
    const tokens = await data('GET', '/api/auth/tokens')
    expect(tokens.length).toBeGreaterThan(0)
    expect(JSON.stringify(tokens)).not.toContain(theLab().token)
    expect(tokens[0]).toMatchObject({ abilities: ['*'], is_active: true })
  })
  example('POST /api/auth/tokens', () => ({}))
  meets('POST /api/auth/tokens', 'shows the token once, and ends it in time', async () => {
    const body = { name: 'Mobile', abilities: ['task:read'], expires_in_days: 90 }
    const made = await data('POST', '/api/auth/tokens', { body })
    expect(made).toMatchObject({ token: expect.stringMatching(/^cn_/), name: 'Mobile', abilities: ['task:read'] })
    const days = (Date.parse(made.expires_at) - Date.parse(made.created_at)) / 86_400_000
    expect(Math.round(days)).toBe(90)
    expect(JSON.stringify(await data('GET', '/api/auth/tokens'))).not.toContain(made.token)
  })
  const revoke = 'DELETE /api/auth/tokens/:id'
  example(revoke, async () => ({ params: { id: (await theLab().tokenWith(['user:read'])).id } }))
  meets(revoke, 'revokes', async () => {
    const { token, id } = await theLab().tokenWith(['user:read'])
    expect(await data('GET', '/api/auth/me', { token })).toMatchObject({ email: FIRST_USER.email })
    expect(await data('DELETE', `/api/auth/tokens/${id}`)).toBe(null)
    expect(await refusal('GET', '/api/auth/me', { token })).toEqual([401, 'AUTH_005'])
  })
  meets(revoke, 'answers 404 TOK_001 for an unknown id', async () => {
    expect(await refusal('DELETE', `/api/auth/tokens/${UNKNOWN}`)).toEqual([404, 'TOK_001'])
    expect(await refusal('DELETE', '/api/auth/tokens/not-a-uuid')).toEqual([404, 'TOK_001'])
  })
}
