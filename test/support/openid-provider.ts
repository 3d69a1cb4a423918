import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Provider, type InteractionResults } from 'oidc-provider'

export type Person = {
  readonly sub: string
  readonly email?: string
  readonly email_verified?: boolean
  readonly name?: string
  readonly picture?: string
}

export type OpenIdLab = {
  readonly issuer: string
  /** Who signs in at the provider from now on; undefined refuses. */
  signsIn(person: Person | undefined): void
  close(): Promise<void>
}

export const OPENID_CLIENT = { id: 'rookery-google', secret: 'open-sesame-open-sesame-open-sesame' }

/** A real OpenID provider on loopback at which people sign in without being asked anything. It insists on PKCE. */
export async function startOpenIdProvider(
  redirectUrl: string,
  { claimsInToken = false }: { claimsInToken?: boolean } = {},
): Promise<OpenIdLab> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const people = new Map<string, Person>()
  let current: Person | undefined
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: OPENID_CLIENT.id,
        client_secret: OPENID_CLIENT.secret,
        redirect_uris: [redirectUrl],
        token_endpoint_auth_method: 'client_secret_post',
      },
    ],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'picture'] },
    conformIdTokenClaims: !claimsInToken,
    ttl: { Interaction: 600, Session: 600, Grant: 600, AccessToken: 600, AuthorizationCode: 60, IdToken: 600 },
    pkce: { required: () => true },
    cookies: { keys: ['only for tests'] },
    jwks: {
      keys: [
        {
          ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }),
          use: 'sig',
          alg: 'RS256',
        },
      ],
    },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_, { uid }) => `/interaction/${uid}` },
    findAccount: (_, id) => ({ accountId: id, claims: async () => ({ ...people.get(id), sub: id }) }),
  })
  const decide = async (request: IncomingMessage, response: ServerResponse): Promise<InteractionResults> => {
    if (!current) return { error: 'access_denied' }
    const { prompt, session } = await provider.interactionDetails(request, response)
    if (prompt.name === 'login') return { login: { accountId: current.sub } }
    const grant = new provider.Grant({ accountId: session?.accountId ?? '', clientId: OPENID_CLIENT.id })
    grant.addOIDCScope('openid email profile')
    return { consent: { grantId: await grant.save() } }
  }
  const serve = provider.callback()
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (request.url?.startsWith('/interaction/'))
      void decide(request, response).then((result) =>
        provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true }),
      )
    else void serve(request, response)
  })
  return {
    issuer,
    signsIn(person) {
      current = person
      if (person) people.set(person.sub, person)
    },
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
