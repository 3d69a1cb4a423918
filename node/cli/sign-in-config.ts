import { z } from 'zod'
import { isLoopbackHost } from '../adapters/loopback.ts'

const CLEAR = 'must be https, or http on this machine: passwords and codes would cross the network in the clear'

/** An address that secrets may be sent to. */
const SafeUrl = z.url({ protocol: /^https?$/ }).refine((text) => {
  const { protocol, hostname } = new URL(text)
  return protocol === 'https:' || isLoopbackHost(hostname)
}, CLEAR)

/** A base that paths are put behind. */
const BaseUrl = SafeUrl.refine((text) => !/[?#]/.test(text), 'must have no query and no fragment').transform((text) =>
  text.replace(/\/+$/, ''),
)

const LinkTemplate = SafeUrl.refine((text) => text.includes('{token}'), 'must have {token} where the token goes')

export const PublicUrl = BaseUrl.refine((text) => new URL(text).pathname === '/', 'must have no path')
  .exactOptional()
  .describe('Where people reach this gateway; default: the address it listens on. Mails and providers lead there.')

const Smtp = z
  .strictObject({
    host: z.string().min(1).max(255),
    port: z.int().min(1).max(65535).default(587),
    security: z
      .enum(['tls', 'starttls', 'none'])
      .default('starttls')
      .describe('TLS at once (port 465), by STARTTLS and never without, or none, on this machine only.'),
    user: z.string().min(1).max(255).exactOptional().describe('Its password: `rookery secret set smtp`.'),
    from: z.string().min(3).max(320).describe('Sender of the mails.'),
  })
  .refine(({ security, host }) => security !== 'none' || isLoopbackHost(host), {
    path: ['security'],
    message: 'none is for a mail server on this machine: links would cross the network in the clear',
  })

export const Mail = z
  .strictObject({
    smtp: Smtp.exactOptional(),
    links: z
      .strictObject({
        signIn: LinkTemplate.exactOptional(),
        reset: LinkTemplate.exactOptional(),
      })
      .prefault({})
      .describe('Where links in mails lead instead of to our page, with {token} and {email} filled in.'),
  })
  .prefault({})

const clientId = z.string().min(1).max(255)
const redirectUrl = SafeUrl.exactOptional().describe('Registered with the provider; default: our page.')

export const OAuth = z
  .strictObject({
    google: z
      .strictObject({ clientId, redirectUrl, issuer: SafeUrl.default('https://accounts.google.com') })
      .exactOptional()
      .describe('Its client secret: `rookery secret set oauth-google`.'),
    github: z
      .strictObject({
        clientId,
        redirectUrl,
        authorizeUrl: SafeUrl.default('https://github.com/login/oauth/authorize'),
        tokenUrl: SafeUrl.default('https://github.com/login/oauth/access_token'),
        apiUrl: BaseUrl.default('https://api.github.com'),
      })
      .exactOptional()
      .describe('Its client secret: `rookery secret set oauth-github`.'),
  })
  .prefault({})
