import { chmod } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Browser } from '../support/browser.ts'
import { FIRST_USER, type Json } from '../support/gateway-lab.ts'
import { codeIn, SMTP_PASSWORD, startSignInLab, type SignInLab } from '../support/sign-in-lab.ts'
import { OPENID_CLIENT } from '../support/openid-provider.ts'
import { GITHUB_CLIENT } from '../support/github-stand-in.ts'

let lab: SignInLab
beforeAll(async () => {
  lab = await startSignInLab()
})
afterAll(() => lab.stop())

const post = async (path: string, body: object) => {
  const { status, json } = await lab.call('POST', path, { token: null, body })
  return { status, json, code: json.error?.code }
}

let someone = 0
const freshEmail = (): string => `somebody-${++someone}@example.org`
const register = (email: string) =>
  post('/api/auth/register', { ...FIRST_USER, email, password_confirmation: FIRST_USER.password })

type Provider = 'google' | 'github'

/** Begins at the gateway and signs in at the provider; answers with where the browser is sent back to. */
async function goThrough(browser: Browser, provider: Provider): Promise<URL> {
  const begun: Json = await (await browser.fetch(`${lab.url}/api/auth/${provider}/redirect`)).json()
  return await browser.goTo(begun.data.redirect_url, `${lab.url}/sign-in/${provider}`)
}

async function finish(browser: Browser, provider: Provider, { search }: URL) {
  const answer = await browser.fetch(`${lab.url}/api/auth/${provider}/callback${search}`)
  const json: Json = await answer.json()
  return { status: answer.status, json, code: json.error?.code, data: json.data }
}

async function signIn(provider: Provider, browser = new Browser()) {
  return await finish(browser, provider, await goThrough(browser, provider))
}

const meOf = async (token: string) => (await lab.call('GET', '/api/auth/me', { token })).json.data

describe.each<Provider>(['google', 'github'])('signing in through %s', (provider) => {
  const be = (email: string, verified: boolean, id = ++someone): void => {
    lab.google.signsIn({ sub: `g-${id}`, email, email_verified: verified, name: 'Grace' })
    const other = { email: 'other@example.net', primary: false, verified: true }
    lab.github.signsIn({ id, login: 'grace', name: 'Grace', emails: [other, { email, primary: true, verified }] })
  }

  it('makes a user on an open mesh, and is the same user the next time, whatever became of the address', async () => {
    const [email, id] = [freshEmail(), ++someone]
    be(email, true, id)
    const first = await signIn(provider)
    expect([first.status, first.data]).toEqual([
      200,
      {
        user: expect.objectContaining({ email, name: 'Grace', role: 'member', email_verified_at: expect.any(String) }),
        token: expect.stringMatching(/^cn_/),
        expires_at: expect.any(String),
      },
    ])
    be(freshEmail(), false, id)
    const again = await signIn(provider)
    expect((await meOf(again.data.token)).user).toEqual(first.data.user)
  })

  it('refuses an address the provider has not verified', async () => {
    be(freshEmail(), false)
    const { status, code } = await signIn(provider)
    expect([status, code]).toEqual([403, 'AUTH_010'])
  })

  it('never lands in an account that somebody else registered with the address before', async () => {
    const email = freshEmail()
    const squatter = (await register(email)).json.data.token
    be(email, true)
    const { status, code } = await signIn(provider)
    expect([status, code]).toEqual([403, 'AUTH_010'])
    expect((await meOf(squatter)).email_verified_at).toBe(null)
  })

  it('finishes only in the browser that began it, once, and with its own state', async () => {
    be(freshEmail(), true)
    const browser = new Browser()
    const back = await goThrough(browser, provider)
    const refused = [401, 'AUTH_002']
    const stranger = await finish(new Browser(), provider, back)
    expect([stranger.status, stranger.code]).toEqual(refused)
    const otherBack = new URL(back)
    otherBack.searchParams.set('state', 'of-another-flow')
    const foreign = await finish(browser, provider, otherBack)
    expect([foreign.status, foreign.code]).toEqual(refused)
    expect((await finish(browser, provider, back)).status).toBe(200)
    const twice = await finish(browser, provider, back)
    expect([twice.status, twice.code]).toEqual(refused)
  })

  it('takes the code alone, as the document has it, where the browser has the flow', async () => {
    be(freshEmail(), true)
    const browser = new Browser()
    const back = await goThrough(browser, provider)
    back.search = new URLSearchParams({ code: back.searchParams.get('code') ?? '' }).toString()
    expect((await finish(browser, provider, back)).status).toBe(200)
  })

  it('refuses the code of another flow, which was issued to another verifier', async () => {
    be(freshEmail(), true)
    const attacker = await goThrough(new Browser(), provider)
    const victim = new Browser()
    const back = await goThrough(victim, provider)
    back.searchParams.set('code', attacker.searchParams.get('code') ?? '')
    const { status, code } = await finish(victim, provider, back)
    expect([status, code]).toEqual([401, 'AUTH_002'])
  })

  it('says so when the person refuses', async () => {
    lab.google.signsIn(undefined)
    lab.github.signsIn(undefined)
    const { status, code } = await signIn(provider)
    expect([status, code]).toEqual([401, 'AUTH_002'])
  })
})

describe('signing in through a provider', () => {
  it('answers AUTH_001 for one that is unknown or not set up', async () => {
    for (const path of ['gitlab/redirect', 'gitlab/callback?code=x', '__proto__/redirect']) {
      const { status, json } = await lab.call('GET', `/api/auth/${path}`, { token: null })
      expect([status, json.error.code]).toEqual([400, 'AUTH_001'])
    }
  })

  it('is not offered while its secret is missing or open to others, and needs no restart', async () => {
    const ways = async () => (await lab.call('GET', '/rookery/sign-in', { token: null })).json.data
    const file = join(lab.dataDir, 'secrets', 'oauth-github')
    const all = { public_url: lab.url, providers: ['google', 'github'], sends_mail: true, registration: 'open' }
    expect(await ways()).toEqual(all)
    await chmod(file, 0o644)
    expect(await ways()).toEqual({ ...all, providers: ['google'] })
    const begun = await lab.call('GET', '/api/auth/github/redirect', { token: null })
    expect([begun.status, begun.json.error.code]).toEqual([400, 'AUTH_001'])
    await chmod(file, 0o600)
    expect(await ways()).toEqual(all)
  })

  it('keeps its binding from scripts, other sites, and beyond ten minutes', async () => {
    const answer = await fetch(`${lab.url}/api/auth/google/redirect`)
    expect(answer.headers.getSetCookie()).toEqual([
      expect.stringMatching(/^rookery_sign_in_google=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax; Max-Age=600$/),
    ])
  })
})

describe('a mailed link', () => {
  const askLink = async (email: string): Promise<string> => {
    const next = lab.mail.next(email)
    await post('/api/auth/magic-link', { email })
    const mail = await next
    expect([mail.to, mail.user]).toEqual([[email], 'post'])
    return codeIn(mail, 'sign-in')
  }

  it('[A-T6] signs in once, of twenty that try at the same time, and proves the address', async () => {
    const email = freshEmail()
    await register(email)
    const token = await askLink(email)
    const tries = await Promise.all(Array.from({ length: 20 }, () => post('/api/auth/magic-link/verify', { token })))
    const outcomes = tries.map(({ status, code }) => `${status} ${code}`).sort()
    expect(outcomes).toEqual(['200 undefined', ...Array<string>(19).fill('400 AUTH_004')])
    const { data } = tries.find(({ status }) => status === 200)!.json
    expect(data).toEqual({
      user: expect.objectContaining({ email, email_verified_at: expect.any(String) }),
      tokens: { access_token: data.token, refresh_token: expect.stringMatching(/^cn_rt_[\w-]{43}$/) },
      token: expect.stringMatching(/^cn_/),
      expires_at: expect.any(String),
    })
  })

  it('answers the same for an address that nobody has, and mails nothing', async () => {
    const email = freshEmail()
    await register(email)
    const before = lab.mail.mails.length
    const next = lab.mail.next(email)
    const unknown = await post('/api/auth/magic-link', { email: 'nobody@example.org' })
    const known = await post('/api/auth/magic-link', { email })
    const told = ({ status, json }: { status: number; json: Json }) => [status, Object.keys(json), json.data]
    expect(told(unknown)).toEqual(told(known))
    expect((await next).to).toEqual([email])
    expect(lab.mail.mails.length).toBe(before + 1)
  })

  it('lets the owner of the address use Google afterwards', async () => {
    const email = freshEmail()
    await register(email)
    lab.google.signsIn({ sub: `g-${email}`, email, email_verified: true })
    expect((await signIn('google')).status).toBe(403)
    const { json } = await post('/api/auth/magic-link/verify', { token: await askLink(email) })
    const { data } = await signIn('google')
    expect(data.user.id).toBe(json.data.user.id)
  })

  it('gives a refresh token that is good once, and ends everything when it is used again', async () => {
    await register('refresh@example.org')
    const { json } = await post('/api/auth/magic-link/verify', { token: await askLink('refresh@example.org') })
    const { access_token: first, refresh_token } = json.data.tokens
    const second = (await post('/api/auth/refresh', { refresh_token })).json.data
    expect(second).toMatchObject({ access_token: second.token, refresh_token: expect.stringMatching(/^cn_rt_/) })
    expect((await lab.call('GET', '/api/auth/me', { token: first })).status).toBe(401)
    expect((await meOf(second.access_token)).email).toBe('refresh@example.org')
    const stolen = await post('/api/auth/refresh', { refresh_token })
    expect([stolen.status, stolen.code]).toEqual([401, 'AUTH_005'])
    expect((await lab.call('GET', '/api/auth/me', { token: second.access_token })).status).toBe(401)
    expect((await post('/api/auth/refresh', { refresh_token: second.refresh_token })).status).toBe(401)
  })
})

describe('a forgotten password', () => {
  it('is replaced by the code in the mail, and every token ends', async () => {
    const email = freshEmail()
    const { token: old } = (await register(email)).json.data
    const next = lab.mail.next(email)
    expect((await post('/api/auth/forgot-password', { email })).status).toBe(200)
    const token = codeIn(await next, 'reset')
    const reset = (more: object) =>
      post('/api/auth/reset-password', {
        token,
        email,
        password: 'a new one',
        password_confirmation: 'a new one',
        ...more,
      })
    const short = await reset({ password: 'short', password_confirmation: 'short' })
    expect([short.status, short.code]).toEqual([422, 'VAL_001'])
    const wrong = [await reset({ email: 'other@example.org' }), await reset({ token: 'x'.repeat(43) })]
    expect(wrong.map(({ status, code }) => [status, code])).toEqual([
      [400, 'AUTH_004'],
      [400, 'AUTH_004'],
    ])
    expect((await reset({})).json.data).toEqual({ message: 'Password has been reset successfully.' })
    expect((await reset({})).code).toBe('AUTH_004')
    expect((await lab.call('GET', '/api/auth/me', { token: old })).status).toBe(401)
    expect((await post('/api/auth/login', { email, password: FIRST_USER.password })).status).toBe(401)
    expect((await post('/api/auth/login', { email, password: 'a new one' })).status).toBe(200)
  })
})

it('remembers preferences for whoever signs in, and says what is wrong with one', async () => {
  const patch = (body: object) => lab.call('PATCH', '/rookery/preferences', { body })
  expect((await patch({ theme: 'dark' })).json.data).toEqual({ theme: 'dark' })
  expect((await lab.call('GET', '/rookery/preferences')).json.data).toEqual({ theme: 'dark' })
  const refused = await patch({ 'a b': 1 })
  expect([refused.status, Object.keys(refused.json.error.errors)]).toEqual([422, ['a b']])
  const { token } = await lab.tokenWith(['user:read'])
  expect((await lab.call('PATCH', '/rookery/preferences', { token, body: {} })).status).toBe(403)
})

it('[A-T4] leaves none of its secrets in the log', () => {
  const written = JSON.stringify(lab.log.lines, (_, value: unknown) =>
    value instanceof Error ? String(value.stack) : value,
  )
  const secrets = [SMTP_PASSWORD, OPENID_CLIENT.secret, GITHUB_CLIENT.secret, ...lab.mail.mails.map(({ text }) => text)]
  const codes = lab.mail.mails.map(({ text }) => /#(?:sign-in|reset)=([\w-]{43})/.exec(text)?.[1] ?? 'none')
  expect(lab.mail.mails.length).toBeGreaterThan(4)
  expect([...secrets, ...codes].filter((secret) => written.includes(secret))).toEqual([])
})
