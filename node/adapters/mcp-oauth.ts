import {
  auth,
  extractWWWAuthenticateParams,
  type OAuthClientProvider,
  type OAuthDiscoveryState,
} from '@modelcontextprotocol/sdk/client/auth.js'
import type { OAuthClientInformationMixed, OAuthTokens } from '@modelcontextprotocol/sdk/shared/auth.js'
import { LATEST_PROTOCOL_VERSION } from '@modelcontextprotocol/sdk/types.js'
import type { SignInAnswer } from '../ports/mcp-sign-ins.ts'
import type { SignIn, SignInFiles } from './mcp-sign-in-files.ts'

/** Of one request to a server that signs people in. */
const ASK_MS = 15_000
const MESSAGE_CHARS_MAX = 400
const BY_HEADER = 'Or make a token there and give it as a header: `rookery mcp set <name> --header-file <file>`.'

/** A sign-in that waits for somebody's consent. */
export type SignInFlow = {
  readonly url: string
  readonly redirectUrl: string
  readonly state: string
  link: string | undefined
  verifier: string | undefined
  client: OAuthClientInformationMixed | undefined
  /** What was found out at the start: the code goes to the server that was asked for it, whatever is said meanwhile. */
  discovery: OAuthDiscoveryState | undefined
  scope: string | undefined
}

/**
 * Finds out where the server lets people sign in, registers there, and fills in the link (PKCE S256, RFC 8707 resource).
 * @throws Error with what a person can act on
 */
export async function beginFlow(flow: SignInFlow, ask: typeof fetch): Promise<void> {
  const challenge = await challengeOf(flow.url, ask)
  flow.scope = challenge.scope
  try {
    await auth(
      providerOf(flow, () => undefined),
      {
        serverUrl: flow.url,
        fetchFn: limited(ask),
        ...(challenge.scope === undefined ? {} : { scope: challenge.scope }),
        ...(challenge.resourceMetadataUrl === undefined ? {} : { resourceMetadataUrl: challenge.resourceMetadataUrl }),
      },
    )
  } catch (error) {
    throw new Error(`The sign-in could not begin: ${said(error)} ${BY_HEADER}`, { cause: error })
  }
  const link = URL.parse(flow.link ?? '')
  if (!link || !/^https?:$/.test(link.protocol)) throw new Error('The server gave no address at which to sign in.')
}

/** What is to be kept. The answer must be of the server that was asked. @throws Error with what a person can act on */
export async function finishFlow(flow: SignInFlow, answer: SignInAnswer, ask: typeof fetch): Promise<SignIn> {
  const server = flow.discovery?.authorizationServerMetadata
  const mustSay = Object(server)['authorization_response_iss_parameter_supported'] === true
  if ((answer.iss !== undefined || mustSay) && answer.iss !== server?.issuer)
    throw new Error('The answer is not of the server at which the sign-in began. Nothing was kept.')
  if (answer.error !== undefined || answer.code === undefined)
    throw new Error(`Nobody was signed in: ${plain(answer.error ?? 'the answer has no code')}.`)
  let tokens: OAuthTokens | undefined
  try {
    await auth(
      providerOf(flow, (given) => (tokens = given)),
      {
        serverUrl: flow.url,
        authorizationCode: answer.code,
        fetchFn: limited(ask),
        ...(flow.scope === undefined ? {} : { scope: flow.scope }),
      },
    )
  } catch (error) {
    throw new Error(`The server did not take the answer: ${said(error)}`, { cause: error })
  }
  if (!tokens || !flow.client) throw new Error('The server gave no token.')
  return { v: 1, url: flow.url, redirectUrl: flow.redirectUrl, client: { ...flow.client }, tokens: { ...tokens } }
}

/**
 * A `fetch` that shows the token that is kept for `url`, to that address alone, and has it renewed once when it is
 * refused: many requests that are refused at once renew it once, since a renewed one often ends the others.
 */
export async function signedIn(url: string, ask: typeof fetch, files: SignInFiles): Promise<typeof fetch> {
  const kept = await files.read(url)
  if (!kept) return ask
  let current = kept
  let renewing: Promise<void> | undefined
  const renew = (): Promise<void> =>
    (renewing ??= renewed(current, ask, files)
      .then((fresh) => void (current = fresh))
      .finally(() => (renewing = undefined)))
  return async (input, init) => {
    if (new URL(input instanceof Request ? input.url : input).href !== new URL(url).href) return await ask(input, init)
    const send = async (): Promise<[Response, string]> => {
      const { access_token: token } = current.tokens
      const headers = new Headers(init?.headers)
      headers.set('authorization', `Bearer ${token}`)
      return [await ask(input, { ...init, headers }), token]
    }
    const [answer, shown] = await send()
    if (answer.status !== 401) return answer
    await answer.body?.cancel()
    if (current.tokens.access_token === shown) await renew()
    const [again] = await send()
    return again
  }
}

const ENDED = 'The sign-in at the server has ended: `rookery mcp sign-in <name>` on its machine makes a new one.'

async function renewed(kept: SignIn, ask: typeof fetch, files: SignInFiles): Promise<SignIn> {
  let fresh: SignIn | undefined
  let isOver = kept.tokens['refresh_token'] === undefined
  const provider: OAuthClientProvider = {
    redirectUrl: kept.redirectUrl,
    clientMetadata: clientMetadata(kept.redirectUrl),
    clientInformation: () => kept.client,
    tokens: () => (isOver ? undefined : kept.tokens),
    saveTokens: (tokens) => void (fresh = { ...kept, tokens: { ...tokens } }),
    // Nobody sits there: a person begins anew by hand.
    redirectToAuthorization: () => {
      throw new Error(isOver ? ENDED : 'The sign-in could not be renewed: the server that does so did not answer.')
    },
    saveCodeVerifier: () => undefined,
    codeVerifier: () => '',
    invalidateCredentials: async () => {
      isOver = true
      await files.forget(kept.url)
    },
  }
  await auth(provider, { serverUrl: kept.url, fetchFn: limited(ask) })
  if (!fresh) throw new Error(ENDED)
  await files.write(fresh)
  return fresh
}

const providerOf = (flow: SignInFlow, onTokens: (tokens: OAuthTokens) => void): OAuthClientProvider => ({
  redirectUrl: flow.redirectUrl,
  clientMetadata: clientMetadata(flow.redirectUrl),
  state: () => flow.state,
  clientInformation: () => flow.client,
  saveClientInformation: (client) => void (flow.client = client),
  tokens: () => undefined,
  saveTokens: onTokens,
  redirectToAuthorization: (link) => void (flow.link = link.href),
  saveCodeVerifier: (verifier) => void (flow.verifier = verifier),
  codeVerifier: () => flow.verifier ?? '',
  discoveryState: () => flow.discovery,
  saveDiscoveryState: (found) => void (flow.discovery = found),
})

/** A public client: a secret that lies on everybody's machine is none; PKCE stands in for it. */
const clientMetadata = (redirectUrl: string): OAuthClientProvider['clientMetadata'] => ({
  client_name: 'Rookery',
  redirect_uris: [redirectUrl],
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  token_endpoint_auth_method: 'none',
})

/** What the server answers to who shows nothing. @throws when it lets everybody in, or does not answer */
async function challengeOf(url: string, ask: typeof fetch): Promise<ReturnType<typeof extractWWWAuthenticateParams>> {
  const params = {
    protocolVersion: LATEST_PROTOCOL_VERSION,
    capabilities: {},
    clientInfo: { name: 'rookery', version: '0' },
  }
  const answer = await limited(ask)(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params }),
  })
  await answer.body?.cancel()
  if (answer.status !== 401) throw new Error(`The server asks nobody to sign in: it answered ${answer.status}.`)
  return extractWWWAuthenticateParams(answer)
}

const limited =
  (ask: typeof fetch) =>
  async (input: string | URL, init: RequestInit = {}): Promise<Response> => {
    const late = AbortSignal.timeout(ASK_MS)
    return await ask(input, { ...init, signal: init.signal ? AbortSignal.any([init.signal, late]) : late })
  }

function said(error: unknown): string {
  if (!(error instanceof Error)) return plain(String(error))
  return error.cause instanceof Error && error.cause.message !== '' ? said(error.cause) : plain(error.message)
}

const plain = (text: string): string => text.replace(/\p{Cc}+/gu, ' ').slice(0, MESSAGE_CHARS_MAX)
