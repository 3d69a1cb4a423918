import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { SMTPServer, type SMTPServerOptions } from 'smtp-server'

export type ReceivedMail = { readonly to: readonly string[]; readonly text: string; readonly user: unknown }

export type MailServer = {
  readonly port: number
  /** Everything taken so far. */
  readonly mails: ReceivedMail[]
  /** Resolves with the first mail to an address from now on. */
  next(to: string): Promise<ReceivedMail>
  close(): Promise<void>
}

/** A real SMTP server on loopback that takes every mail of who knows the password. */
export async function startMailServer(password: string, options: SMTPServerOptions = {}): Promise<MailServer> {
  const mails: ReceivedMail[] = []
  const waiting = new Map<string, (mail: ReceivedMail) => void>()
  const server = new SMTPServer({
    disabledCommands: ['STARTTLS'],
    authOptional: false,
    onAuth: (auth, _session, done) =>
      auth.password === password ? done(null, { user: auth.username }) : done(new Error('wrong password')),
    onData(stream, { envelope, user }, done) {
      let raw = ''
      stream.setEncoding('utf8')
      stream.on('data', (chunk) => (raw += String(chunk)))
      stream.on('end', () => {
        const mail = { to: envelope.rcptTo.map(({ address }) => address), text: unfolded(raw), user }
        mails.push(mail)
        for (const to of mail.to) waiting.get(to)?.(mail)
        done()
      })
    },
    ...options,
  })
  server.listen(0, '127.0.0.1')
  await once(server.server, 'listening')
  return {
    port: (server.server.address() as AddressInfo).port,
    mails,
    next: (to) => new Promise((resolve) => waiting.set(to, resolve)),
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}

/** Long lines travel folded. */
const unfolded = (raw: string): string =>
  /quoted-printable/i.test(raw)
    ? raw
        .replaceAll(/=\r?\n/g, '')
        .replaceAll(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)))
    : raw
