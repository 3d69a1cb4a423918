import { expect } from 'vitest'
import { Browser } from '../../support/browser.ts'
import { FIRST_USER } from '../../support/gateway-lab.ts'
import type { Json } from '../../support/gateway-lab.ts'
import { codeIn } from '../../support/sign-in-lab.ts'
import { call, data, example, fresh, holdAgainstDocument, labs, meets, refusal, refuses, theLab } from './harness.ts'

/** Links, codes and sign-ins at a provider are good at the gateway they were asked of. */
export function signInRequirements(): void {
  redirectRequirements()
  callbackRequirements()
  linkRequirements()
  magicLinkRequirements()
  resetRequirements()
  refreshRequirements()
}

const ask = { token: null } as const
const gitlab = { params: { provider: 'gitlab' } }

function redirectRequirements(): void {
  const redirect = 'GET /api/auth/:provider/redirect'
  example(redirect, () => ({ params: { provider: 'google' } }))
  refuses(redirect, 'AUTH_001', () => gitlab)
  meets(redirect, 'sends to either provider with state, nonce and a PKCE challenge', async () => {
    for (const provider of ['google', 'github']) {
      const { redirect_url } = await data('GET', `/api/auth/${provider}/redirect`, ask)
      const query = new URL(redirect_url).searchParams
      expect([query.get('code_challenge_method'), query.get('response_type')]).toEqual(['S256', 'code'])
      for (const name of ['state', 'nonce', 'code_challenge']) expect(query.get(name)).toMatch(/^[\w-]{43}$/)
    }
  })
}

function callbackRequirements(): void {
  const callback = 'GET /api/auth/:provider/callback'
  const google = { params: { provider: 'google' } }
  const grace = { email: 'grace@example.org', name: 'Grace', picture: 'https://img.example/grace' }
  const begin = async (browser: Browser): Promise<string> => {
    const answer = await browser.fetch(`${theLab().url}/api/auth/google/redirect`)
    return ((await answer.json()) as Json).data.redirect_url
  }
  const codeOf = async (browser: Browser): Promise<string> => {
    theLab().google.signsIn({ sub: 'g', email_verified: true, ...grace })
    const back = await browser.goTo(await begin(browser), `${theLab().url}/sign-in/google`)
    return `?code=${encodeURIComponent(back.searchParams.get('code') ?? 'none')}`
  }
  example(
    callback,
    async () => {
      const browser = new Browser()
      const query = await codeOf(browser)
      return { ...google, query, headers: browser.cookies() }
    },
    ({ user, ...rest }) => {
      expect(user).toMatchObject({ email: grace.email, name: grace.name, avatar_url: grace.picture })
      expect(Object.keys(rest)).toEqual(['token', 'expires_at'])
    },
  )
  refuses(callback, 'AUTH_001', () => ({ ...gitlab, query: '?code=x' }))
  refuses(callback, 'AUTH_002', async () => {
    const browser = new Browser()
    await begin(browser)
    return { ...google, query: '?code=made-up', headers: browser.cookies() }
  })
  meets(callback, 'wants the browser that has begun', async () => {
    const query = await codeOf(new Browser())
    expect(await refusal('GET', `/api/auth/google/callback${query}`, ask)).toEqual([401, 'AUTH_002'])
  })
}

/** What holds for both mails. */
function linkRequirements(): void {
  for (const path of ['/api/auth/magic-link', '/api/auth/forgot-password']) {
    const route = `POST ${path}`
    example(
      route,
      () => ({}),
      ({ message }) => expect(message).toMatch(/sent to your email/),
    )
    meets(route, 'answers the same whether or not the address is known', async () => {
      const known = await data('POST', path, { ...ask, body: { email: FIRST_USER.email } })
      expect(known).toEqual(await data('POST', path, { ...ask, body: { email: 'nobody@example.org' } }))
    })
    meets(route, 'answers 400 AUTH_003 where no link can be sent', async () => {
      // Nobody knows the address of the node behind the other gateway, so no link could lead there.
      const unreachable = labs().find((lab) => lab !== theLab())!
      const answer = await unreachable.call('POST', path, { ...ask, body: { email: FIRST_USER.email } })
      const { status, json } = holdAgainstDocument(answer, 'POST', path)
      expect([status, json.error.code]).toEqual([400, 'AUTH_003'])
    })
  }
}

/** Somebody of their own for each test: nobody gets more than a few mails an hour. */
async function newcomer(): Promise<{ email: string; token: string }> {
  const email = `${fresh('reader')}@example.org`
  const body = { ...FIRST_USER, email, password_confirmation: FIRST_USER.password }
  const { token } = await data('POST', '/api/auth/register', { ...ask, body })
  return { email, token }
}

async function mailed(email: string, what: 'sign-in' | 'reset'): Promise<string> {
  const mail = theLab().mail.next(email)
  await data('POST', `/api/auth/${what === 'reset' ? 'forgot-password' : 'magic-link'}`, { ...ask, body: { email } })
  return codeIn(await mail, what)
}

async function magicLink(): Promise<string> {
  return await mailed((await newcomer()).email, 'sign-in')
}

function magicLinkRequirements(): void {
  const verify = 'POST /api/auth/magic-link/verify'
  const post = async (token: string) => await data('POST', '/api/auth/magic-link/verify', { ...ask, body: { token } })
  example(
    verify,
    async () => ({ body: { token: await magicLink() } }),
    ({ user }) => expect(user).toMatchObject({ role: 'member', email_verified_at: expect.any(String) }),
  )
  refuses(verify, 'AUTH_004', () => ({}))
  meets(verify, 'takes a link once', async () => {
    const token = await magicLink()
    const { tokens } = await post(token)
    expect((await call('GET', '/api/auth/me', { token: tokens.access_token })).status).toBe(200)
    const again = await refusal('POST', '/api/auth/magic-link/verify', { ...ask, body: { token } })
    expect(again).toEqual([400, 'AUTH_004'])
  })
}

function resetRequirements(): void {
  const reset = 'POST /api/auth/reset-password'
  const withCode = async () => {
    const { email, token } = await newcomer()
    return { email, old: token, token: await mailed(email, 'reset') }
  }
  example(reset, async () => {
    const { email, token } = await withCode()
    return { body: { email, token } }
  })
  refuses(reset, 'AUTH_004', () => ({}))
  meets(reset, 'sets the password, and ends every token', async () => {
    const { email, old, token } = await withCode()
    const password = 'another horse battery'
    await data('POST', '/api/auth/reset-password', {
      ...ask,
      body: { token, email, password, password_confirmation: password },
    })
    expect(await refusal('GET', '/api/auth/me', { token: old })).toEqual([401, 'AUTH_005'])
    expect(await data('POST', '/api/auth/login', { ...ask, body: { email, password } })).toHaveProperty('token')
  })
  meets(reset, 'refuses a confirmation that differs', async () => {
    const body = { token: 'abc123', password: 'another horse', password_confirmation: 'another house' }
    const { status, json } = await call('POST', '/api/auth/reset-password', { ...ask, body })
    expect([status, Object.keys(json.error.errors)]).toEqual([422, ['password_confirmation']])
  })
}

function refreshRequirements(): void {
  const refresh = 'POST /api/auth/refresh'
  const signIn = async (): Promise<Json> => {
    const body = { token: await magicLink() }
    return (await data('POST', '/api/auth/magic-link/verify', { ...ask, body })).tokens
  }
  const renew = (refresh_token: string) => ({ ...ask, body: { refresh_token } })
  example(refresh, async () => ({ body: { refresh_token: (await signIn()).refresh_token } }))
  meets(refresh, 'ends the pair that it replaces', async () => {
    const before = await signIn()
    const { access_token: token } = await data('POST', '/api/auth/refresh', renew(before.refresh_token))
    expect((await call('GET', '/api/auth/me', { token })).status).toBe(200)
    expect(await refusal('GET', '/api/auth/me', { token: before.access_token })).toEqual([401, 'AUTH_005'])
    expect(await refusal('POST', '/api/auth/refresh', renew(before.refresh_token))).toEqual([401, 'AUTH_005'])
  })
  meets(refresh, 'answers 401 AUTH_005 for one that is not good', async () => {
    const unknown = renew(`cn_rt_${'x'.repeat(43)}`)
    expect(await refusal('POST', '/api/auth/refresh', unknown)).toEqual([401, 'AUTH_005'])
  })
}
