import { afterAll, beforeAll, expect } from 'vitest'
import { callGateway, FIRST_USER, startGatewayLab, type Answer, type Json } from '../../support/gateway-lab.ts'
import { Browser } from '../../support/browser.ts'
import { codeIn, startSignInLab, type SignInLab } from '../../support/sign-in-lab.ts'
import { call, data, fresh, meets, refusal, theLab, UNKNOWN } from './harness.ts'

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
  signInRequirements()
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

/** These need a mail server and providers, so they have a gateway of their own. */
function signInRequirements(): void {
  let lab: SignInLab
  beforeAll(async () => {
    lab = await startSignInLab()
  })
  afterAll(() => lab.stop())
  const post = (path: string, body: object) => lab.call('POST', path, { token: null, body })
  providerRequirements(() => lab)
  linkRequirements(() => lab)

  /** Somebody of their own for each test: nobody gets more than a few mails an hour. */
  const newcomer = async (): Promise<string> => {
    const email = `${fresh('reader')}@example.org`
    await post('/api/auth/register', { ...FIRST_USER, email, password_confirmation: FIRST_USER.password })
    return email
  }
  const mailed = async (path: string, what: 'sign-in' | 'reset', email: string): Promise<string> => {
    const next = lab.mail.next(email)
    await post(path, { email })
    return codeIn(await next, what)
  }
  const signedInByLink = async (email: string): Promise<Json> => {
    const token = await mailed('/api/auth/magic-link', 'sign-in', email)
    return (await post('/api/auth/magic-link/verify', { token })).json
  }
  const verify = 'POST /api/auth/magic-link/verify'
  meets(verify, 'answers the user with an access and a refresh token', async () => {
    const email = await newcomer()
    expect((await signedInByLink(email)).data).toMatchObject({
      user: { ...user, email, role: 'member', email_verified_at: expect.any(String) },
      tokens: { access_token: expect.stringMatching(/^cn_/), refresh_token: expect.stringMatching(/^cn_rt_/) },
    })
  })
  meets(verify, 'answers 400 AUTH_004 for a token that is unknown or used', async () => {
    const token = await mailed('/api/auth/magic-link', 'sign-in', await newcomer())
    await post('/api/auth/magic-link/verify', { token })
    for (const again of [token, 'abc123'])
      expect(refusalIn(await post('/api/auth/magic-link/verify', { token: again }))).toEqual([400, 'AUTH_004'])
  })
  const refresh = 'POST /api/auth/refresh'
  meets(refresh, 'answers a new pair for a refresh token', async () => {
    const { refresh_token } = (await signedInByLink(await newcomer())).data.tokens
    const { data: pair } = (await post('/api/auth/refresh', { refresh_token })).json
    expect(pair).toMatchObject({ access_token: expect.stringMatching(/^cn_/), token: pair.access_token })
    expect(pair.refresh_token).not.toBe(refresh_token)
    expect((await lab.call('GET', '/api/auth/me', { token: pair.access_token })).status).toBe(200)
  })
  meets(refresh, 'answers 401 AUTH_005 for one that is not good', async () => {
    const refresh_token = `cn_rt_${'x'.repeat(43)}`
    expect(refusalIn(await post('/api/auth/refresh', { refresh_token }))).toEqual([401, 'AUTH_005'])
  })
  const reset = 'POST /api/auth/reset-password'
  const choose = (token: string, email: string) =>
    post('/api/auth/reset-password', {
      token,
      email,
      password: 'another horse battery',
      password_confirmation: 'another horse battery',
    })
  meets(reset, 'sets the password with the code that was mailed', async () => {
    const email = await newcomer()
    const answer = await choose(await mailed('/api/auth/forgot-password', 'reset', email), email)
    expect(answer.json.data).toEqual({ message: expect.any(String) })
    const credentials = { email, password: 'another horse battery' }
    expect((await post('/api/auth/login', credentials)).status).toBe(200)
  })
  meets(reset, 'answers 400 AUTH_004 for a code that is unknown or used', async () => {
    expect(refusalIn(await choose('abc123', FIRST_USER.email))).toEqual([400, 'AUTH_004'])
  })
}

const refusalIn = ({ status, json }: Answer): [number, string] => [status, json.error?.code]

function providerRequirements(lab: () => SignInLab): void {
  const redirect = 'GET /api/auth/:provider/redirect'
  const callback = 'GET /api/auth/:provider/callback'
  meets(redirect, 'answers where to send the browser, with state, nonce and a PKCE challenge', async () => {
    for (const provider of ['google', 'github']) {
      const { status, json } = await lab().call('GET', `/api/auth/${provider}/redirect`, { token: null })
      const query = new URL(json.data.redirect_url).searchParams
      expect([status, query.get('code_challenge_method'), query.get('response_type')]).toEqual([200, 'S256', 'code'])
      for (const name of ['state', 'nonce', 'code_challenge']) expect(query.get(name)).toMatch(/^[\w-]{43}$/)
    }
  })
  for (const [route, rest] of [
    [redirect, 'redirect'],
    [callback, 'callback?code=x'],
  ] as const)
    meets(route, 'answers 400 AUTH_001 for another provider', async () => {
      expect(refusalIn(await lab().call('GET', `/api/auth/gitlab/${rest}`, { token: null }))).toEqual([400, 'AUTH_001'])
    })
  const begin = async (browser: Browser): Promise<string> =>
    ((await (await browser.fetch(`${lab().url}/api/auth/google/redirect`)).json()) as Json).data.redirect_url
  const finish = (browser: Browser, code: string) =>
    browser.fetch(`${lab().url}/api/auth/google/callback?code=${encodeURIComponent(code)}`)
  meets(callback, 'answers the user with an avatar, a cn_ token and when it expires', async () => {
    const picture = 'https://img.example/grace'
    lab().google.signsIn({ sub: 'g', email: 'grace@example.org', email_verified: true, name: 'Grace', picture })
    const browser = new Browser()
    const back = await browser.goTo(await begin(browser), `${lab().url}/sign-in/google`)
    const answer = await finish(browser, back.searchParams.get('code') ?? '')
    expect([answer.status, ((await answer.json()) as Json).data]).toEqual([
      200,
      {
        user: expect.objectContaining({ email: 'grace@example.org', name: 'Grace', avatar_url: picture }),
        token: expect.stringMatching(/^cn_/),
        expires_at: expect.any(String),
      },
    ])
  })
  meets(callback, 'answers 401 AUTH_002 for a code the provider does not know', async () => {
    const browser = new Browser()
    await begin(browser)
    const answer = await finish(browser, 'made-up')
    expect([answer.status, ((await answer.json()) as Json).error.code]).toEqual([401, 'AUTH_002'])
  })
}

function linkRequirements(lab: () => SignInLab): void {
  for (const path of ['/api/auth/magic-link', '/api/auth/forgot-password'])
    meets(`POST ${path}`, 'answers the same whether or not the address is known', async () => {
      const ask = async (email: string) => {
        const { status, json } = await lab().call('POST', path, { token: null, body: { email } })
        return [status, json.data]
      }
      const answers = [await ask('nobody@example.org'), await ask(FIRST_USER.email)]
      const told = [200, { message: expect.stringMatching(/sent to your email/) }]
      expect(answers).toEqual([told, told])
      expect(answers[0]).toEqual(answers[1])
    })
  meets('POST /api/auth/forgot-password', 'answers 400 AUTH_003 where no link can be sent', async () => {
    // Nobody knows the address of the node behind this gateway, so no link could lead there.
    const body = { email: FIRST_USER.email }
    expect(await refusal('POST', '/api/auth/forgot-password', { token: null, body })).toEqual([400, 'AUTH_003'])
  })
}
