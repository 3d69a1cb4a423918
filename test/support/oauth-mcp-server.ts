import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'

export type OAuthMcpServer = {
  readonly url: string
  /** What a person's browser does: opens the link, consents, and is sent back to the answer. */
  consent(link: string): Promise<URL>
  /** Refuses the access tokens given out so far. */
  expireAccess(): void
  /** Refuses the refresh tokens given out so far, too. */
  endSignIns(): void
  /** How often tokens were renewed. */
  renewals(): number
  /** Set: who is asked gives this as `iss` in the answer. */
  answersAs: string | undefined
  close(): void
}

type Client = { readonly redirectUris: readonly string[] }
type Code = {
  readonly challenge: string
  readonly redirectUri: string
  readonly clientId: string
  readonly resource: string
}

/**
 * An MCP server that lets in whom its own authorisation server gave a token: metadata (RFC 9728, RFC 8414), registration
 * (RFC 7591), codes with PKCE (S256 only) and the resource, `iss` (RFC 9207), and refresh tokens that are good once.
 */
export async function startOAuthMcpServer(): Promise<OAuthMcpServer> {
  const clients = new Map<string, Client>()
  const codes = new Map<string, Code>()
  const access = new Set<string>()
  const refresh = new Set<string>()
  let renewals = 0
  const http = createServer((request, response) => void route(request, response))
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  const origin = `http://127.0.0.1:${(http.address() as AddressInfo).port}`
  const url = `${origin}/mcp`

  const json = (response: ServerResponse, status: number, body: object): void =>
    void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  const grant = (): object => {
    const [accessToken, refreshToken] = [randomUUID(), randomUUID()]
    access.add(accessToken)
    refresh.add(refreshToken)
    return { access_token: accessToken, refresh_token: refreshToken, token_type: 'Bearer', expires_in: 3600 }
  }

  async function route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', origin)
    switch (pathname) {
      case '/.well-known/oauth-protected-resource/mcp':
        return json(response, 200, { resource: url, authorization_servers: [origin], scopes_supported: ['notes'] })
      case '/.well-known/oauth-authorization-server':
        return json(response, 200, {
          issuer: origin,
          authorization_endpoint: `${origin}/authorize`,
          token_endpoint: `${origin}/token`,
          registration_endpoint: `${origin}/register`,
          response_types_supported: ['code'],
          code_challenge_methods_supported: ['S256'],
          token_endpoint_auth_methods_supported: ['none'],
          authorization_response_iss_parameter_supported: true,
        })
      case '/register': {
        const metadata = JSON.parse(await text(request))
        const clientId = randomUUID()
        clients.set(clientId, { redirectUris: metadata.redirect_uris })
        return json(response, 201, { ...metadata, client_id: clientId })
      }
      case '/authorize':
        return authorize(searchParams, response)
      case '/token':
        return token(new URLSearchParams(await text(request)), response)
      default:
        return await serve(request, response)
    }
  }

  function authorize(asked: URLSearchParams, response: ServerResponse): void {
    const of = (name: string): string => asked.get(name) ?? ''
    const redirectUri = of('redirect_uri')
    const isGood = clients.get(of('client_id'))?.redirectUris.includes(redirectUri) === true
    if (!isGood || of('code_challenge_method') !== 'S256') return void response.writeHead(400).end()
    const code = randomUUID()
    codes.set(code, {
      challenge: of('code_challenge'),
      redirectUri,
      clientId: of('client_id'),
      resource: of('resource'),
    })
    const back = new URL(redirectUri)
    back.search = new URLSearchParams({ code, state: of('state'), iss: server.answersAs ?? origin }).toString()
    response.writeHead(302, { location: back.href }).end()
  }

  function token(asked: URLSearchParams, response: ServerResponse): void {
    const refused = (): void => json(response, 400, { error: 'invalid_grant', error_description: 'That is over.' })
    if (asked.get('grant_type') === 'refresh_token') {
      if (!refresh.delete(asked.get('refresh_token') ?? '')) return refused()
      renewals++
      return json(response, 200, grant())
    }
    const code = codes.get(asked.get('code') ?? '')
    codes.delete(asked.get('code') ?? '')
    const proof = createHash('sha256')
      .update(asked.get('code_verifier') ?? '')
      .digest('base64url')
    const isGood =
      code?.challenge === proof &&
      code.redirectUri === asked.get('redirect_uri') &&
      code.clientId === asked.get('client_id') &&
      code.resource === url
    return isGood ? json(response, 200, grant()) : refused()
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const shown = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1]
    if (shown === undefined || !access.has(shown)) {
      const challenge = `Bearer resource_metadata="${origin}/.well-known/oauth-protected-resource/mcp"`
      return void response.writeHead(401, { 'www-authenticate': challenge }).end()
    }
    const mcp = new McpServer({ name: 'notes', version: '1' })
    mcp.registerTool('whisper', { description: 'Says something.' }, () => ({
      content: [{ type: 'text', text: 'only for you' }],
    }))
    const transport = new StreamableHTTPServerTransport({})
    response.on('close', () => void transport.close())
    await mcp.connect(transport)
    await transport.handleRequest(request, response)
  }

  const server: OAuthMcpServer = {
    url,
    async consent(link) {
      const answer = await fetch(link, { redirect: 'manual' })
      return new URL(answer.headers.get('location') ?? '')
    },
    expireAccess: () => access.clear(),
    endSignIns() {
      access.clear()
      refresh.clear()
    },
    renewals: () => renewals,
    answersAs: undefined,
    close() {
      http.close()
      http.closeAllConnections()
    },
  }
  return server
}
