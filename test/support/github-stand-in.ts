import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export type GitHubPerson = {
  readonly id: number
  readonly login: string
  readonly name?: string | null
  readonly emails: readonly { email: string; primary: boolean; verified: boolean }[]
}

export type GitHubLab = {
  readonly url: string
  /** Who signs in from now on; undefined refuses. */
  signsIn(person: GitHubPerson | undefined): void
  close(): Promise<void>
}

export const GITHUB_CLIENT = { id: 'rookery-github', secret: 'hubba-bubba-hubba-bubba' }

type Grant = { readonly person: GitHubPerson; readonly challenge: string }

/** GitHub's three endpoints as it documents them, on loopback: errors of the token endpoint come with status 200. */
export async function startGitHub(redirectUrl: string): Promise<GitHubLab> {
  let current: GitHubPerson | undefined
  const codes = new Map<string, Grant>()
  const tokens = new Map<string, GitHubPerson>()

  const authorize = (query: URLSearchParams): string => {
    const back = new URL(redirectUrl)
    const isKnown = query.get('client_id') === GITHUB_CLIENT.id && query.get('redirect_uri') === redirectUrl
    if (!isKnown || query.get('code_challenge_method') !== 'S256') throw new Error('The redirect_uri is not associated')
    const code = randomUUID()
    if (current) codes.set(code, { person: current, challenge: query.get('code_challenge') ?? '' })
    back.search = new URLSearchParams({
      ...(current ? { code } : { error: 'access_denied' }),
      state: query.get('state') ?? '',
    }).toString()
    return back.href
  }
  const redeem = (form: URLSearchParams): object => {
    const grant = codes.get(form.get('code') ?? '')
    codes.delete(form.get('code') ?? '')
    if (form.get('client_secret') !== GITHUB_CLIENT.secret) return { error: 'incorrect_client_credentials' }
    const challenge = createHash('sha256')
      .update(form.get('code_verifier') ?? '')
      .digest('base64url')
    if (grant?.challenge !== challenge || form.get('redirect_uri') !== redirectUrl)
      return { error: 'bad_verification_code', error_description: 'The code passed is incorrect or expired.' }
    const token = `gho_${randomUUID()}`
    tokens.set(token, grant.person)
    return { access_token: token, scope: 'read:user,user:email', token_type: 'bearer' }
  }
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', 'http://stand-in')
    let body = ''
    for await (const chunk of request.setEncoding('utf8')) body += String(chunk)
    const json = (status: number, value: object): void =>
      void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
    const person = tokens.get(request.headers.authorization?.replace(/^bearer /i, '') ?? '')
    if (url.pathname === '/login/oauth/authorize')
      return void response.writeHead(302, { location: authorize(url.searchParams) }).end()
    if (url.pathname === '/login/oauth/access_token') return json(200, redeem(new URLSearchParams(body)))
    if (!person) return json(401, { message: 'Requires authentication' })
    const { id, login, name = null, emails } = person
    if (url.pathname === '/user') return json(200, { id, login, name, avatar_url: 'https://avatars.example/1' })
    return url.pathname === '/user/emails' ? json(200, emails) : json(404, { message: 'Not Found' })
  }
  const server = createServer((request, response) => void answer(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    signsIn: (person) => void (current = person),
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
