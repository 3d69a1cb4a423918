import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { loadConfig } from '../../../node/cli/config.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rookery-config-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

const file = (value: unknown): Promise<void> =>
  writeFile(join(directory, 'config.json'), typeof value === 'string' ? value : JSON.stringify(value))

it('has a safe default for everything', async () => {
  const { config } = await loadConfig(directory, {}, {})
  expect(config.http).toMatchObject({ host: '127.0.0.1', port: 8000, trustedProxies: [], origins: [] })
  expect(config.registration).toBe('closed')
})

it('takes the file, then the environment, then the flags, and says which', async () => {
  await file({ http: { port: 1 }, name: 'file', log: { level: 'warn' } })
  const { config, sources } = await loadConfig(
    directory,
    { ROOKERY_HTTP_PORT: '2', ROOKERY_NAME: 'environment' },
    { 'http.port': 3, gateway: undefined },
  )
  expect([config.http.port, config.name, config.log.level]).toEqual([3, 'environment', 'warn'])
  expect(sources).toEqual({ 'http.port': 'flag', name: 'environment', 'log.level': 'file' })
  const unset = await loadConfig(directory, { ROOKERY_HTTP_PORT: '', ROOKERY_NAME: '' }, {})
  expect([unset.sources.name, unset.sources['http.port']]).not.toContain('environment')
})

it.each([
  [{ http: { port: 70_000 } }, 'http.port'],
  [{ name: 'desk\u001b[2J' }, 'name'],
  [{ name: ' desk' }, 'must not begin or end with a space'],
  [{ htpp: {}, http: { prot: 1 } }, 'prot'],
  [{ http: { tls: 'auto', certFile: '/etc/rookery.pem' } }, 'certFile and keyFile go together'],
  ['{ not json', 'is not JSON'],
  ['{"__proto__": {"gateway": false}}', '__proto__'],
])('refuses %j and names what is wrong', async (content, named) => {
  await file(content)
  await expect(loadConfig(directory, {}, {})).rejects.toThrow(named)
})

it('refuses a value in place of a group also where a flag or variable says something in that group', async () => {
  await file({ http: '127.0.0.1:8001' })
  for (const [environment, flags] of [
    [{}, { 'http.port': 8002 }],
    [{ ROOKERY_HTTP_PORT: '8002' }, {}],
  ] as const)
    await expect(loadConfig(directory, environment, flags)).rejects.toThrow(
      `http (${directory}/config.json): Invalid input: expected object, received string`,
    )
})

const smtp = { host: 'mail.example.org', from: 'nest@example.org' }
const github = { clientId: 'x' }

it.each([
  [{ http: { publicUrl: 'http://board.example' } }, 'http.publicUrl'],
  [{ http: { publicUrl: 'https://board.example/nest' } }, 'must have no path'],
  [{ mail: { smtp: { ...smtp, security: 'none' } } }, 'mail.smtp.security'],
  [{ mail: { links: { signIn: 'https://board.example/in' } } }, '{token}'],
  [{ oauth: { google: { clientId: 'x', issuer: 'http://accounts.example' } } }, 'oauth.google.issuer'],
  [{ oauth: { github: { ...github, tokenUrl: 'ftp://github.example/token' } } }, 'oauth.github.tokenUrl'],
  [{ oauth: { google: { clientId: 'x', clientSecret: 'y' } } }, 'clientSecret'],
])('sends secrets nowhere in the clear, and has none in the file: %j', async (content, named) => {
  await file(content)
  await expect(loadConfig(directory, {}, {})).rejects.toThrow(named)
})

it('takes a mail server and a provider with what they need, and plain http on this machine', async () => {
  const local = { host: '127.0.0.1', from: 'nest@example.org', security: 'none' }
  await file({ http: { publicUrl: 'https://board.example/' }, mail: { smtp: local }, oauth: { github } })
  const { http, mail, oauth } = (await loadConfig(directory, {}, {})).config
  expect(http.publicUrl).toBe('https://board.example')
  expect(mail.smtp).toEqual({ ...local, port: 587 })
  expect(oauth.github).toMatchObject({ clientId: 'x', apiUrl: 'https://api.github.com' })
  expect(oauth.google).toBe(undefined)
})
