import { readSecret, type SecretName } from '../adapters/secret-files.ts'
import type { Config } from './config.ts'
import { bad, good, warn, type Finding } from './finding.ts'

/** Whether what is configured for signing in has its secret. */
export async function checkSignIn(dataDir: string, { mail, oauth }: Config): Promise<Finding[]> {
  const needed: readonly (readonly [SecretName, string])[] = [
    ...(oauth.google ? [['oauth-google', 'oauth.google'] as const] : []),
    ...(oauth.github ? [['oauth-github', 'oauth.github'] as const] : []),
    ...(mail.smtp?.user === undefined ? [] : [['smtp', 'mail.smtp.user'] as const]),
  ]
  return await Promise.all(needed.map(([name, setting]) => checkSecret(dataDir, name, setting)))
}

async function checkSecret(dataDir: string, name: SecretName, setting: string): Promise<Finding> {
  try {
    const isSet = (await readSecret(dataDir, name)) !== undefined
    return isSet
      ? good(setting, 'has its secret')
      : warn(setting, 'is configured, but its secret is not set', `Run \`rookery secret set ${name}\`.`)
  } catch (error) {
    return bad(setting, error instanceof Error ? error.message : String(error), 'Mend the mode of the file it names.')
  }
}
