import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import type { Actor } from '../../crdt/actor.ts'
import type { PeerId } from '../../crdt/ids.ts'
import type { McpService } from '../../node/services/mcp/mcp-service.ts'
import type { SignInAnswer } from '../../node/ports/mcp-sign-ins.ts'
import { startGatewayLab, type GatewayLab } from '../support/gateway-lab.ts'
import { rookeryInTerminal } from '../support/terminal.ts'
import { startOAuthMcpServer, type OAuthMcpServer } from '../support/oauth-mcp-server.ts'
import { valueOf as value } from '../support/results.ts'

const REDIRECT = 'http://127.0.0.1:1717/callback'

let lab: GatewayLab
let mcp: McpService
let actor: Actor
let server: OAuthMcpServer
const machine = (): string => lab.services.machines.self

beforeAll(async () => {
  lab = await startGatewayLab()
  mcp = lab.services.mcp
  const gateway = lab.services.mesh.members()[0]?.peerId as PeerId
  actor = { kind: 'local', id: 'local', tokenId: `local:${gateway}`, abilities: ['*'], gateway }
  server = await startOAuthMcpServer()
})
afterAll(async () => {
  await lab.stop()
  server.close()
})
beforeEach(async () => {
  server.answersAs = undefined
  await mcp.remove(actor, machine(), 'notes')
  value(await mcp.add(actor, machine(), { name: 'notes', url: server.url }))
})

const begin = async (): Promise<string> =>
  value(await mcp.signIn(actor, machine(), { name: 'notes', redirectUrl: REDIRECT })).link
const answerOf = ({ searchParams: said }: URL): SignInAnswer => ({
  state: said.get('state') ?? '',
  code: said.get('code') ?? undefined,
  iss: said.get('iss') ?? undefined,
})
const finish = (answer: SignInAnswer) => mcp.finishSignIn(actor, machine(), { name: 'notes', answer })
const signIn = async () => value(await finish(answerOf(await server.consent(await begin()))))
const whisper = () =>
  mcp.execute(actor, machine(), { name: 'notes', tool: 'whisper', args: {} }, new AbortController().signal)
const kept = (): Promise<string[]> => readdir(join(lab.dataDir, 'mcp/sign-ins')).catch(() => [])

it('says what to do where a server asks for OAuth', async () => {
  expect(await mcp.start(actor, machine(), 'notes')).toMatchObject({
    ok: false,
    error: { code: 'mcp_start_failed', message: expect.stringContaining('rookery mcp sign-in <name>') },
  })
})

it('signs in with PKCE and state, keeps the tokens private, and never shows them', async () => {
  const link = new URL(await begin())
  expect(Object.fromEntries(link.searchParams)).toMatchObject({
    response_type: 'code',
    code_challenge_method: 'S256',
    redirect_uri: REDIRECT,
    resource: server.url,
    scope: 'notes',
    state: expect.stringMatching(/^[\w-]{43}$/),
  })
  expect(await signIn()).toMatchObject({ status: 'running', toolsCount: 1 })
  expect(value(await whisper()).content).toBe('only for you')
  const [file = ''] = await kept()
  const path = join(lab.dataDir, 'mcp/sign-ins', file)
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  const { tokens } = JSON.parse(await readFile(path, 'utf8'))
  const shown = JSON.stringify([value(await mcp.get(actor, machine(), 'notes')), lab.log])
  expect(shown).not.toContain(tokens.access_token)
  expect(shown).not.toContain(tokens.refresh_token)
})

it('takes an answer once, only for a sign-in that began here, and only of the server that was asked', async () => {
  const answer = answerOf(await server.consent(await begin()))
  for (const wrong of [
    { ...answer, state: 'somebody-elses' },
    { state: answer.state, iss: answer.iss, error: 'access_denied' },
    answer, // the wrong one has used it up
  ])
    expect(await finish(wrong)).toMatchObject({ ok: false, error: { code: 'mcp_start_failed' } })
  server.answersAs = 'https://elsewhere.example'
  expect(await finish(answerOf(await server.consent(await begin())))).toMatchObject({
    ok: false,
    error: { message: expect.stringContaining('not of the server at which the sign-in began') },
  })
  const { iss: _, ...unsaid } = answerOf(await server.consent(await begin()))
  expect((await finish(unsaid)).ok).toBe(false)
  expect(await kept()).toEqual([])
})

it('renews tokens by itself, once for many that are refused at the same time', async () => {
  await signIn()
  const before = server.renewals()
  server.expireAccess()
  const said = await Promise.all([whisper(), whisper(), whisper()])
  expect(said.map((one) => value(one).content)).toEqual(['only for you', 'only for you', 'only for you'])
  expect(server.renewals()).toBe(before + 1)
  await mcp.stop(actor, machine(), 'notes')
  server.expireAccess()
  expect(value(await mcp.start(actor, machine(), 'notes')).status).toBe('running')
})

it('says that a sign-in has ended, and forgets what is of no use', async () => {
  await signIn()
  server.endSignIns()
  expect(await whisper()).toMatchObject({ ok: false, error: { message: expect.stringContaining('has ended') } })
  await expect.poll(kept).toEqual([])
})

it('forgets the tokens with the server, and when somebody signs out', async () => {
  await signIn()
  expect(value(await mcp.signOut(actor, machine(), 'notes')).status).toBe('stopped')
  expect(await kept()).toEqual([])
  await signIn()
  value(await mcp.update(actor, machine(), { name: 'notes', change: { url: `${server.url}?other` } }))
  expect(await kept()).toEqual([])
})

it('is of no use for a program, nor where a token was given by hand', async () => {
  value(await mcp.add(actor, machine(), { name: 'program', command: 'true', args: [] }))
  value(await mcp.add(actor, machine(), { name: 'by-hand', url: server.url, headers: { authorization: 'Bearer x' } }))
  for (const name of ['program', 'by-hand'])
    expect(await mcp.signIn(actor, machine(), { name, redirectUrl: REDIRECT })).toMatchObject({
      ok: false,
      error: { code: 'mcp_start_failed' },
    })
  for (const redirectUrl of ['https://elsewhere.example/callback', 'http://127.0.0.1:80@evil.example/callback'])
    expect((await mcp.signIn(actor, machine(), { name: 'notes', redirectUrl })).ok).toBe(false)
})

it('is done from the command line, by the browser or by pasting the address at which it ends', async () => {
  const args = ['mcp', 'sign-in', 'notes', '--data-dir', lab.dataDir]
  const linkIn = (shown: string): string => /http:\S+\/authorize\S+/.exec(shown.replaceAll(/\r\n/g, '\n'))?.[0] ?? ''
  const first = rookeryInTerminal(args)
  const answer = await server.consent(linkIn(await first.until('Waiting')))
  const visit = async (url: string): Promise<number> => (await fetch(url)).status
  expect(await visit(`${answer.origin}/`)).toBe(404)
  expect(await visit(`${answer.origin}/callback?code=x&state=guessed`)).toBe(200) // and changes nothing
  expect(await visit(answer.href)).toBe(200)
  const done = await first.ended
  expect([done.code, done.shown]).toEqual([
    0,
    expect.stringContaining('You are signed in at notes. It runs, with 1 tools.'),
  ])

  const second = rookeryInTerminal(args)
  const pasted = await server.consent(linkIn(await second.until('Waiting')))
  second.type('yes\r')
  await second.until('That is not the address')
  second.type(`${pasted.href}\r`)
  expect((await second.ended).code).toBe(0)
})
