import { writeSecret } from '../../node/adapters/secret-files.ts'
import { freePort } from '../bench/server-process.ts'
import { startGatewayLab, type GatewayLab } from './gateway-lab.ts'
import { GITHUB_CLIENT, startGitHub, type GitHubLab } from './github-stand-in.ts'
import { startMailServer, type MailServer, type ReceivedMail } from './mail-server.ts'
import { OPENID_CLIENT, startOpenIdProvider, type OpenIdLab } from './openid-provider.ts'

export type SignInLab = GatewayLab & {
  readonly google: OpenIdLab
  readonly github: GitHubLab
  readonly mail: MailServer
}

export const SMTP_PASSWORD = 'post-office-box'

/** A gateway with a mail server, an OpenID provider and GitHub's stand-in, all real but for the last. */
export async function startSignInLab(options: { readonly besides?: GatewayLab } = {}): Promise<SignInLab> {
  const port = await freePort()
  const publicUrl = `http://127.0.0.1:${port}`
  const mail = await startMailServer(SMTP_PASSWORD)
  const google = await startOpenIdProvider(`${publicUrl}/sign-in/google`)
  const github = await startGitHub(`${publicUrl}/sign-in/github`)
  const lab = await startGatewayLab(
    { port },
    {
      ...options,
      node: {
        http: { publicUrl },
        registration: 'open',
        mail: {
          smtp: { host: '127.0.0.1', port: mail.port, security: 'none', user: 'post', from: 'nest@example.org' },
        },
        oauth: {
          google: { clientId: OPENID_CLIENT.id, issuer: google.issuer },
          github: {
            clientId: GITHUB_CLIENT.id,
            authorizeUrl: `${github.url}/login/oauth/authorize`,
            tokenUrl: `${github.url}/login/oauth/access_token`,
            apiUrl: github.url,
          },
        },
      },
    },
  )
  await writeSecret(lab.dataDir, 'oauth-google', OPENID_CLIENT.secret)
  await writeSecret(lab.dataDir, 'oauth-github', GITHUB_CLIENT.secret)
  await writeSecret(lab.dataDir, 'smtp', SMTP_PASSWORD)
  return {
    ...lab,
    google,
    github,
    mail,
    async stop() {
      await lab.stop()
      await Promise.all([google.close(), github.close(), mail.close()])
    },
  }
}

/** The code in a mail's link. */
export function codeIn({ text }: Pick<ReceivedMail, 'text'>, what: 'sign-in' | 'reset'): string {
  const code = new RegExp(`#${what}=([\\w-]{43})`).exec(text)?.[1]
  if (code === undefined) throw new Error(`no ${what} link in: ${text}`)
  return code
}
