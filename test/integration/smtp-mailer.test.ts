import { inspect } from 'node:util'
import { afterEach, expect, it } from 'vitest'
import { createSmtpMailer, type SmtpSettings } from '../../node/adapters/smtp-mailer.ts'
import { startMailServer, type MailServer } from '../support/mail-server.ts'

const PASSWORD = 'post-office-box'
const mail = { to: 'ada@example.org', subject: 'Sign in', text: 'https://nest.example/#sign-in=secret-of-the-link\n' }

const servers: MailServer[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close()
})

async function serve(...given: Parameters<typeof startMailServer>): Promise<MailServer> {
  const server = await startMailServer(...given)
  servers.push(server)
  return server
}

const mailerTo = (
  { port }: { port: number },
  more: Partial<SmtpSettings> = {},
  password: string | undefined = PASSWORD,
) =>
  createSmtpMailer(
    { host: '127.0.0.1', port, security: 'none', user: 'post', from: 'Rookery <nest@example.org>', ...more },
    async () => password,
  )

/** What is said of a failure: never what was in the mail, nor for whom it was. */
async function failureOf(sending: Promise<void>): Promise<string> {
  const error = await sending.then(
    () => new Error('it was sent'),
    (failure: unknown) => failure,
  )
  const said = error instanceof Error ? `${error.message} ${inspect(error)}` : String(error)
  expect(said).not.toMatch(/secret-of-the-link|ada@example\.org|post-office-box/)
  return said
}

it('sends as the configured user, to exactly one address whatever is in it', async () => {
  const server = await serve(PASSWORD)
  await mailerTo(server).send(mail)
  await mailerTo(server).send({ ...mail, to: 'a,b@example.org' })
  expect(server.mails.map(({ to, user }) => [to, user])).toEqual([
    [['ada@example.org'], 'post'],
    [['"a,b"@example.org'], 'post'],
  ])
  expect(server.mails[0]?.text).toContain('secret-of-the-link')
})

it('says what failed: the password, its absence, or the server', async () => {
  const server = await serve(PASSWORD)
  expect(await failureOf(mailerTo(server, {}, 'wrong').send(mail))).toContain('EAUTH')
  const without = createSmtpMailer(
    { host: '127.0.0.1', port: server.port, security: 'none', user: 'post', from: 'nest@example.org' },
    async () => undefined,
  )
  expect(await failureOf(without.send(mail))).toContain('rookery secret set smtp')
  await server.close()
  expect(await failureOf(mailerTo(server).send(mail))).toMatch(/ECONNECTION|ESOCKET|ECONNREFUSED/)
  expect(server.mails).toEqual([])
})

it.each([
  ['a server that offers no STARTTLS', 'starttls', { disabledCommands: ['STARTTLS'] }],
  ['a certificate that nobody vouches for', 'starttls', { disabledCommands: [] }],
  ['a server without TLS', 'tls', { disabledCommands: ['STARTTLS'] }],
] as const)('never falls back to sending in the clear: %s', async (_, security, options) => {
  const server = await serve(PASSWORD, { disabledCommands: [...options.disabledCommands] })
  expect(await failureOf(mailerTo(server, { security }).send(mail))).toContain('refused or did not answer')
  expect(server.mails).toEqual([])
})
