import { generateKeyPairSync, sign } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import { createGitHubProvider, createOpenIdProvider } from '../../node/adapters/identity-providers.ts'
import { systemClock } from '../../node/adapters/system-clock.ts'
import { Browser } from '../support/browser.ts'
import { GITHUB_CLIENT, startGitHub } from '../support/github-stand-in.ts'
import { createRecordedLog } from '../support/log.ts'
import { OPENID_CLIENT, startOpenIdProvider } from '../support/openid-provider.ts'
import { codeOf, valueOf } from '../support/results.ts'

const REDIRECT = 'http://127.0.0.1:1/sign-in/google'
const flow = (more: object = {}) => ({
  state: 's'.repeat(43),
  nonce: 'n'.repeat(43),
  verifier: 'v'.repeat(43),
  redirectUrl: REDIRECT,
  ...more,
})
const GRACE = {
  sub: 'g-1',
  email: 'grace@example.org',
  email_verified: true,
  name: 'Grace',
  picture: 'https://img.example/g',
}

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

const log = createRecordedLog()
const means = (secret: string | undefined) => ({ clock: systemClock, log, secret: async () => secret })
const settings = { clientId: OPENID_CLIENT.id, redirectUrl: null }

async function google(options: { claimsInToken?: boolean } = {}) {
  const lab = await startOpenIdProvider(REDIRECT, options)
  cleanups.push(() => lab.close())
  lab.signsIn(GRACE)
  const provider = createOpenIdProvider({ ...settings, issuer: lab.issuer }, means(OPENID_CLIENT.secret))
  /** The code that a browser brings back from a flow. */
  const codeFor = async (begun = flow()) => {
    const back = await new Browser().goTo(valueOf(await provider.authorizationUrl(begun)), REDIRECT)
    return { code: back.searchParams.get('code') ?? '', iss: back.searchParams.get('iss') ?? '' }
  }
  return { lab, provider, codeFor }
}

it.each([true, false])(
  'knows a person by the id token, or by who the token is of (claims in it: %s)',
  async (claimsInToken) => {
    const { provider, codeFor } = await google({ claimsInToken })
    expect(valueOf(await provider.identify(flow(), await codeFor()))).toEqual({
      provider: 'google',
      subject: 'g-1',
      verifiedEmail: 'grace@example.org',
      name: 'Grace',
      avatarUrl: 'https://img.example/g',
    })
  },
)

it('believes no code of another nonce, verifier, issuer or client', async () => {
  const { lab, provider, codeFor } = await google()
  const refused = async (answer: Promise<object>, as = flow(), by = provider): Promise<string> =>
    codeOf(await by.identify(as, await answer))
  expect(await refused(codeFor(flow({ nonce: 'x'.repeat(43) })))).toBe('provider_refused')
  expect(await refused(codeFor(flow({ verifier: 'x'.repeat(43) })))).toBe('provider_refused')
  const elsewhere = codeFor().then(({ code }) => ({ code, iss: 'https://evil.example' }))
  expect(await refused(elsewhere)).toBe('provider_refused')
  const other = createOpenIdProvider({ ...settings, issuer: lab.issuer }, means('another secret'))
  expect(await refused(codeFor(), flow(), other)).toBe('provider_refused')
})

it('takes GitHub’s primary address, and only a verified one', async () => {
  const lab = await startGitHub(REDIRECT)
  cleanups.push(() => lab.close())
  const provider = createGitHubProvider(
    {
      clientId: GITHUB_CLIENT.id,
      redirectUrl: null,
      authorizeUrl: `${lab.url}/login/oauth/authorize`,
      tokenUrl: `${lab.url}/login/oauth/access_token`,
      apiUrl: lab.url,
    },
    means(GITHUB_CLIENT.secret),
  )
  const identify = async (primary: boolean, verified: boolean) => {
    const emails = [
      { email: 'old@example.org', primary: !primary, verified: true },
      { email: 'grace@example.org', primary, verified },
    ]
    lab.signsIn({ id: 7, login: 'grace', emails })
    const back = await new Browser().goTo(valueOf(await provider.authorizationUrl(flow())), REDIRECT)
    return valueOf(await provider.identify(flow(), { code: back.searchParams.get('code') ?? '' }))
  }
  expect(await identify(true, true)).toMatchObject({ subject: '7', name: 'grace', verifiedEmail: 'grace@example.org' })
  expect((await identify(true, false)).verifiedEmail).toBe(undefined)
  expect((await identify(false, true)).verifiedEmail).toBe('old@example.org')
})

it('believes no id token that the published key has not signed', async () => {
  const [published, other] = [0, 1].map(() => generateKeyPairSync('rsa', { modulusLength: 2048 }))
  let signedBy = published!
  const issuer: string = await listen((request, response) => {
    const json = (value: object): void =>
      void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value))
    if (request.url === '/jwks')
      return json({ keys: [{ ...published!.publicKey.export({ format: 'jwk' }), alg: 'RS256' }] })
    if (request.url === '/token') return json({ access_token: 'a', token_type: 'Bearer', id_token: idToken() })
    const endpoints = {
      authorization_endpoint: `${issuer}/a`,
      token_endpoint: `${issuer}/token`,
      jwks_uri: `${issuer}/jwks`,
    }
    return json({ issuer, ...endpoints })
  })
  const idToken = (): string => {
    const nowSeconds = Math.floor(Date.now() / 1000)
    const claims = {
      ...GRACE,
      iss: issuer,
      aud: OPENID_CLIENT.id,
      nonce: flow().nonce,
      iat: nowSeconds,
      exp: nowSeconds + 60,
    }
    const text = [{ alg: 'RS256' }, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.')
    return `${text}.${sign('sha256', Buffer.from(text), signedBy.privateKey).toString('base64url')}`
  }
  const provider = createOpenIdProvider({ ...settings, issuer }, means(OPENID_CLIENT.secret))
  expect(valueOf(await provider.identify(flow(), { code: 'x' })).subject).toBe('g-1')
  signedBy = other!
  expect(codeOf(await provider.identify(flow(), { code: 'x' }))).toBe('provider_refused')
})

/** Something that listens where a provider should be. */
async function listen(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(async () => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

it('follows no redirect, reads no endless answer, and says that the provider could not be reached', async () => {
  const asked: string[] = []
  const inner = await listen((request, response) => {
    asked.push(request.url ?? '')
    response.end('{}')
  })
  const issuers = {
    'is elsewhere': await listen((_, response) => response.writeHead(302, { location: inner }).end()),
    'never ends': await listen((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      const fill = (): void => void response.write('x'.repeat(65_536), fill)
      fill()
    }),
    'talks nonsense': await listen((_, response) => response.end('<html>')),
    'is down': 'http://127.0.0.1:1',
  }
  for (const [what, issuer] of Object.entries(issuers)) {
    const provider = createOpenIdProvider({ ...settings, issuer }, means(OPENID_CLIENT.secret))
    expect([what, codeOf(await provider.authorizationUrl(flow()))]).toEqual([what, 'provider_unreachable'])
  }
  expect(asked).toEqual([])
})

it('is not ready without its secret, and never asks beyond this machine in the clear', async () => {
  const { lab } = await google()
  const without = createOpenIdProvider({ ...settings, issuer: lab.issuer }, means(undefined))
  expect(await without.isReady()).toBe(false)
  const clear = createOpenIdProvider({ ...settings, issuer: 'http://example.org' }, means(OPENID_CLIENT.secret))
  expect(codeOf(await clear.authorizationUrl(flow()))).toBe('provider_unreachable')
  expect(log.lines.at(-1)?.fields).toEqual({ provider: 'google', reason: 'example.org is not asked without https' })
})

it('[A-T4] logs neither codes nor secrets', () => {
  expect(log.lines.length).toBeGreaterThan(5)
  const text = JSON.stringify(log.lines)
  expect([OPENID_CLIENT.secret, GITHUB_CLIENT.secret, 'v'.repeat(43)].filter((one) => text.includes(one))).toEqual([])
  expect(log.lines.every(({ fields }) => Object.keys(fields).join() === 'provider,reason')).toBe(true)
})
