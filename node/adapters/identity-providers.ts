import * as client from 'openid-client'
import { z } from 'zod'
import type { IdentityProviderName } from '../../crdt/account-records.ts'
import { domainError, type DomainErrorCode } from '../../crdt/errors.ts'
import { err, ok, type Result } from '../../crdt/result.ts'
import type { Clock } from '../ports/clock.ts'
import type { IdentityProvider, ProvenIdentity, ProviderAnswer, SignInFlow } from '../ports/identity-provider.ts'
import type { Log } from '../ports/log.ts'
import { fetchBounded } from './bounded-fetch.ts'

/** Providers hardly ever move their endpoints. */
const DISCOVERY_KEPT_MS = 3_600_000
const AVATAR_URL_CHARS_MAX = 2048

type Means = { readonly clock: Clock; readonly log: Log; readonly secret: () => Promise<string | undefined> }

type Settings = { readonly clientId: string; readonly redirectUrl: string | null }
export type OpenIdSettings = Settings & { readonly issuer: string }
export type GitHubSettings = Settings & {
  readonly authorizeUrl: string
  readonly tokenUrl: string
  readonly apiUrl: string
}

/** What is particular to one kind of provider. */
type Kind = {
  readonly name: IdentityProviderName
  readonly scope: string
  readonly server: () => Promise<client.ServerMetadata>
  readonly identify: (config: client.Configuration, flow: SignInFlow, answer: URL) => Promise<ProvenIdentity>
}

/** Google, or whoever else speaks OpenID Connect: endpoints are discovered, the id token is verified. */
export function createOpenIdProvider({ issuer, ...settings }: OpenIdSettings, means: Means): IdentityProvider {
  let known: { readonly server: client.ServerMetadata; readonly untilMs: number } | undefined
  const server = async (): Promise<client.ServerMetadata> => {
    if (known && known.untilMs > means.clock.monoMs()) return known.server
    const found = await client.discovery(new URL(issuer), settings.clientId, undefined, undefined, {
      [client.customFetch]: fetchBounded,
      execute: [client.allowInsecureRequests],
    })
    known = { server: found.serverMetadata(), untilMs: means.clock.monoMs() + DISCOVERY_KEPT_MS }
    return known.server
  }
  return createProvider(
    { name: 'google', scope: 'openid email profile', server, identify: identifyByIdToken },
    settings,
    means,
  )
}

const Person = z.object({
  sub: z.string().min(1).max(255),
  email: z.string().optional(),
  email_verified: z.unknown().optional(),
  name: z.string().optional(),
  picture: z.string().optional(),
})

async function identifyByIdToken(config: client.Configuration, flow: SignInFlow, answer: URL): Promise<ProvenIdentity> {
  // Whoever has handed on the code alone is told apart by the binding; one server has one issuer.
  if (!answer.searchParams.has('iss')) answer.searchParams.set('iss', config.serverMetadata().issuer)
  const tokens = await client.authorizationCodeGrant(config, answer, {
    pkceCodeVerifier: flow.verifier,
    expectedState: flow.state,
    expectedNonce: flow.nonce,
    idTokenExpected: true,
  })
  const claims = Person.parse(tokens.claims())
  const { sub, email, email_verified, name, picture } =
    claims.email === undefined
      ? Person.parse(await client.fetchUserInfo(config, tokens.access_token, claims.sub))
      : claims
  return {
    provider: 'google',
    subject: sub,
    verifiedEmail: email_verified === true ? email : undefined,
    name,
    avatarUrl: avatarOf(picture),
  }
}

/** GitHub speaks OAuth 2 without OpenID; who it is and which addresses are verified is asked of its API. */
export function createGitHubProvider(
  { authorizeUrl, tokenUrl, apiUrl, ...settings }: GitHubSettings,
  means: Means,
): IdentityProvider {
  const metadata: client.ServerMetadata = {
    issuer: new URL(authorizeUrl).origin,
    authorization_endpoint: authorizeUrl,
    token_endpoint: tokenUrl,
  }
  return createProvider(
    {
      name: 'github',
      scope: 'read:user user:email',
      server: async () => metadata,
      identify: (config, flow, answer) => identifyByApi(config, { flow, answer, apiUrl }),
    },
    settings,
    means,
  )
}

const GitHubUser = z.object({
  id: z.int().positive(),
  login: z.string(),
  name: z.string().nullish(),
  avatar_url: z.string().nullish(),
})
const GitHubEmails = z.array(z.object({ email: z.string(), primary: z.boolean(), verified: z.boolean() }))

async function identifyByApi(
  config: client.Configuration,
  { flow, answer, apiUrl }: { flow: SignInFlow; answer: URL; apiUrl: string },
): Promise<ProvenIdentity> {
  answer.searchParams.delete('iss')
  const { access_token: token } = await client.authorizationCodeGrant(config, answer, {
    pkceCodeVerifier: flow.verifier,
    expectedState: flow.state,
  })
  const ask = async (path: string): Promise<unknown> => {
    const headers = new Headers({ accept: 'application/vnd.github+json', 'user-agent': 'rookery' })
    const response = await client.fetchProtectedResource(
      config,
      token,
      new URL(`${apiUrl}${path}`),
      'GET',
      null,
      headers,
    )
    if (!response.ok) throw new TypeError(`the API answered ${response.status}`)
    return await response.json()
  }
  const user = GitHubUser.parse(await ask('/user'))
  const emails = GitHubEmails.parse(await ask('/user/emails?per_page=100'))
  return {
    provider: 'github',
    subject: String(user.id),
    verifiedEmail: emails.find(({ primary, verified }) => primary && verified)?.email,
    name: user.name ?? user.login,
    avatarUrl: avatarOf(user.avatar_url),
  }
}

function createProvider(kind: Kind, { clientId, redirectUrl }: Settings, { log, secret }: Means): IdentityProvider {
  const configure = async (): Promise<client.Configuration> => {
    const text = await secret()
    if (text === undefined) throw new TypeError('its client secret is not set')
    const config = new client.Configuration(await kind.server(), clientId, undefined, client.ClientSecretPost(text))
    config[client.customFetch] = fetchBounded
    // `fetchBounded` refuses what leaves this machine without https.
    client.allowInsecureRequests(config)
    client.enableNonRepudiationChecks(config)
    return config
  }
  const attempt = async <T>(work: () => Promise<T>): Promise<Result<T>> => {
    try {
      return ok(await work())
    } catch (error) {
      const code = failureOf(error)
      log.warn({ provider: kind.name, reason: reasonOf(error) }, 'a sign-in through a provider failed')
      return err(domainError(code))
    }
  }
  return {
    name: kind.name,
    redirectUrl,
    isReady: async () => (await secret()) !== undefined,
    authorizationUrl: (flow) => attempt(async () => await urlOf(await configure(), kind.scope, flow)),
    identify: (flow, answer) =>
      attempt(async () => await kind.identify(await configure(), flow, answerUrl(flow, answer))),
  }
}

async function urlOf(config: client.Configuration, scope: string, flow: SignInFlow): Promise<string> {
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: flow.redirectUrl,
    scope,
    state: flow.state,
    nonce: flow.nonce,
    code_challenge: await client.calculatePKCECodeChallenge(flow.verifier),
    code_challenge_method: 'S256',
  })
  return url.href
}

/** The address the browser came back to. Only what we know of goes on. */
function answerUrl({ redirectUrl, state }: SignInFlow, { code = '', iss }: ProviderAnswer): URL {
  const url = new URL(redirectUrl)
  url.search = new URLSearchParams({ code, state, ...(iss === undefined ? {} : { iss }) }).toString()
  return url
}

/** Only a web address that others can be shown. */
function avatarOf(url: string | null | undefined): string | undefined {
  return url && url.length <= AVATAR_URL_CHARS_MAX && url.startsWith('https://') && URL.canParse(url) ? url : undefined
}

const UNREACHABLE: ReadonlySet<unknown> = new Set([
  'OAUTH_TIMEOUT',
  'OAUTH_ABORT',
  'OAUTH_RESPONSE_IS_NOT_CONFORM',
  'OAUTH_RESPONSE_IS_NOT_JSON',
  'OAUTH_PARSE_ERROR',
])

function failureOf(error: unknown): Extract<DomainErrorCode, 'provider_refused' | 'provider_unreachable'> {
  const isUnreachable = error instanceof TypeError || error instanceof z.ZodError || UNREACHABLE.has(codeOf(error))
  return isUnreachable ? 'provider_unreachable' : 'provider_refused'
}

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined)

/** For the log: never the error itself, which may carry the code, a token or the answer. */
function reasonOf(error: unknown): string {
  if (error instanceof client.ResponseBodyError) return `${error.status} ${error.error}`
  if (error instanceof z.ZodError) return 'its answer has another shape than expected'
  const reason = error instanceof Error ? error.message : 'unknown'
  const code = codeOf(error)
  return typeof code === 'string' ? `${code}: ${reason}` : reason
}
