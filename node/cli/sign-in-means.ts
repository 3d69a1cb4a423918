import { createHeldMails, type HeldMail } from '../adapters/held-mail.ts'
import { readSecret, type SecretName } from '../adapters/secret-files.ts'
import { systemClock } from '../adapters/system-clock.ts'
import type { IdentityProvider } from '../ports/identity-provider.ts'
import type { Log } from '../ports/log.ts'
import type { Mail } from '../ports/mailer.ts'
import type { SignInMeans } from '../services/accounts/account-context.ts'
import type { Config } from './config.ts'

export type SignInEquipment = SignInMeans & {
  /** Mails that this node could not send and holds for its owner. */
  heldMails(): readonly HeldMail[]
}

type Given = {
  readonly dataDir: string
  readonly config: Config
  readonly log: Log
  readonly http: () => string | null
}

/** What is configured for signing in without a password. Libraries are loaded only for what is. */
export async function equipSignIn({ dataDir, config, log, http }: Given): Promise<SignInEquipment> {
  const secret = (name: SecretName) => () =>
    readSecret(dataDir, name).catch((error: unknown) => {
      log.warn({ err: error }, 'a secret is not used') // what needs it counts as not set up
      return undefined
    })
  const held = createHeldMails(systemClock, showAtTerminal)
  const { smtp, links } = config.mail
  const mailer = smtp
    ? (await import('../adapters/smtp-mailer.ts')).createSmtpMailer({ user: null, ...smtp }, secret('smtp'))
    : held
  return {
    mailer,
    providers: await providersOf(config, { log, secret }),
    publicUrl: () => config.http.publicUrl ?? http(),
    linkTemplates: links,
    heldMails: () => held.held(),
  }
}

async function providersOf(
  { oauth: { google, github } }: Config,
  { log, secret }: { log: Log; secret: (name: SecretName) => () => Promise<string | undefined> },
): Promise<IdentityProvider[]> {
  if (!google && !github) return []
  const { createGitHubProvider, createOpenIdProvider } = await import('../adapters/identity-providers.ts')
  const means = { clock: systemClock, log }
  const redirectUrl = null
  return [
    ...(google ? [createOpenIdProvider({ redirectUrl, ...google }, { ...means, secret: secret('oauth-google') })] : []),
    ...(github ? [createGitHubProvider({ redirectUrl, ...github }, { ...means, secret: secret('oauth-github') })] : []),
  ]
}

/** Standard output of a service is a log, which must never have a link in it: then only `rookery user links` tells. */
function showAtTerminal({ to, subject, text }: Mail): void {
  if (!process.stdout.isTTY) return
  process.stdout.write(
    `\nNo mail server is configured; this is for ${to}:\n  ${subject}\n  ${text.replaceAll('\n', '\n  ')}\n`,
  )
}
