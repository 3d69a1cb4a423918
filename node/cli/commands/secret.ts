import { resolve } from 'node:path'
import { InvalidArgumentError, type Command } from 'commander'
import { openDataDirectory } from '../../adapters/data-directory.ts'
import { readSecret, removeSecret, SECRET_NAMES, writeSecret, type SecretName } from '../../adapters/secret-files.ts'
import { command, group, print, table, type CommonOptions } from '../command.ts'
import { CommandFailure, EXIT } from '../exit.ts'
import { readLine } from '../read-words.ts'

/** What other services gave this node to prove itself with. */
export function secretCommand(): Command {
  const secret = group('secret', 'set client secrets and passwords that this node needs towards others')
  secret.addCommand(set())
  secret.addCommand(list())
  secret.addCommand(remove())
  return secret
}

const WHAT: Readonly<Record<SecretName, string>> = {
  'oauth-google': 'client secret for oauth.google',
  'oauth-github': 'client secret for oauth.github',
  smtp: 'password of mail.smtp.user',
}

const NAMES = SECRET_NAMES.map((name) => `${name} (${WHAT[name]})`).join(', ')

function set(): Command {
  return command('set', 'take a secret from the keyboard or standard input; in force at once')
    .argument('<name>', NAMES, parseName)
    .action(async (name: SecretName, options: CommonOptions) => {
      const { path } = await openDataDirectory(resolve(options.dataDir))
      const text = (await readLine(`The ${WHAT[name]} (not shown): `)).trim()
      if (text === '' || /\p{Cc}/u.test(text))
        throw new CommandFailure('A secret is one line that is not empty. Nothing was changed.', EXIT.usage)
      await writeSecret(path, name, text)
      print(options, { name, is_set: true }, () => [`${name} is set.`])
    })
}

function list(): Command {
  return command('list', 'say which secrets are set, never what they are').action(async (options: CommonOptions) => {
    const dataDir = resolve(options.dataDir)
    const secrets = await Promise.all(
      SECRET_NAMES.map(async (name) => ({ name, is_set: (await readSecret(dataDir, name)) !== undefined })),
    )
    print(options, secrets, () =>
      table([['NAME', 'SET', 'WHAT'], ...secrets.map((s) => [s.name, s.is_set ? 'yes' : 'no', WHAT[s.name]])]),
    )
  })
}

function remove(): Command {
  return command('remove', 'forget a secret')
    .argument('<name>', NAMES, parseName)
    .action(async (name: SecretName, options: CommonOptions) => {
      if (!(await removeSecret(resolve(options.dataDir), name)))
        throw new CommandFailure(`${name} is not set.`, EXIT.refused)
      print(options, { name, is_set: false }, () => [`${name} is removed.`])
    })
}

function parseName(text: string): SecretName {
  const name = SECRET_NAMES.find((known) => known === text)
  if (!name) throw new InvalidArgumentError(`Known: ${SECRET_NAMES.join(', ')}.`)
  return name
}
