import { createTransport } from 'nodemailer'
import type { Mailer } from '../ports/mailer.ts'

export type SmtpSettings = {
  readonly host: string
  readonly port: number
  /** `tls` from the first byte, `starttls` or nothing, or `none` on this machine. */
  readonly security: 'tls' | 'starttls' | 'none'
  readonly user: string | null
  readonly from: string
}

const CONNECT_WITHIN_MS = 10_000
const ANSWER_WITHIN_MS = 30_000

/** Hands mails to an SMTP server, one connection each: links are rare, and an idle connection is one more to look after. */
export function createSmtpMailer(settings: SmtpSettings, password: () => Promise<string | undefined>): Mailer {
  const { host, port, security, user, from } = settings
  return {
    isSending: true,
    async send({ to, subject, text }) {
      const pass = user === null ? undefined : await password()
      if (user !== null && pass === undefined)
        throw new Error('the SMTP password is not set (`rookery secret set smtp`)')
      const transport = createTransport({
        host,
        port,
        secure: security === 'tls',
        requireTLS: security === 'starttls',
        ignoreTLS: security === 'none',
        ...(user === null || pass === undefined ? {} : { auth: { user, pass } }),
        connectionTimeout: CONNECT_WITHIN_MS,
        greetingTimeout: CONNECT_WITHIN_MS,
        socketTimeout: ANSWER_WITHIN_MS,
        disableFileAccess: true,
        disableUrlAccess: true,
      })
      try {
        // As an object: an address with a comma in it would otherwise be two.
        await transport.sendMail({ from, to: { name: '', address: to }, subject, text })
      } catch (error) {
        throw withoutContent(error)
      } finally {
        transport.close()
      }
    },
  }
}

/** What the server said may repeat the recipient, and what the library says the command it was at. */
function withoutContent(error: unknown): Error {
  const { code, responseCode } = Object(error)
  return new Error(`the mail server refused or did not answer (${[code, responseCode].filter(Boolean).join(' ')})`)
}
