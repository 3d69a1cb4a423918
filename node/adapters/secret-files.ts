import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  createPrivateDirectory,
  DataDirectoryError,
  readIfThere,
  refuseOpenModes,
  writeNewFile,
} from './data-directory.ts'

/** What an operator was given by others, for this node to prove itself with. */
export const SECRET_NAMES = ['oauth-google', 'oauth-github', 'smtp'] as const
export type SecretName = (typeof SECRET_NAMES)[number]

/** A client secret or password is a line of text; what is longer was not meant to be stored here. */
export const SECRET_BYTES_MAX = 1024

const DIRECTORY = 'secrets'

/** Their paths within the data directory. */
export const SECRET_FILES: readonly string[] = SECRET_NAMES.map((name) => join(DIRECTORY, name))

/** The secret, or undefined when none is set. @throws DataDirectoryError when other users can read it */
export async function readSecret(dataDir: string, name: SecretName): Promise<string | undefined> {
  const path = join(dataDir, DIRECTORY, name)
  const content = await readIfThere(path)
  if (content === undefined) return undefined
  await refuseOpenModes(path)
  const text = content.toString('utf8').trim()
  return text === '' ? undefined : text
}

/** Replaces what was set before, at once or not at all. */
export async function writeSecret(dataDir: string, name: SecretName, text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text)
  if (bytes.byteLength > SECRET_BYTES_MAX)
    throw new DataDirectoryError(`A secret has at most ${SECRET_BYTES_MAX} bytes; this has ${bytes.byteLength}.`)
  const directory = join(dataDir, DIRECTORY)
  await createPrivateDirectory(directory)
  await refuseOpenModes(directory)
  const temporary = join(directory, `${name}.${crypto.randomUUID()}`)
  try {
    await writeNewFile(temporary, bytes)
    await rename(temporary, join(directory, name))
  } finally {
    await rm(temporary, { force: true })
  }
}

/** False when there was none. */
export async function removeSecret(dataDir: string, name: SecretName): Promise<boolean> {
  const wasSet = (await readSecret(dataDir, name)) !== undefined
  await rm(join(dataDir, DIRECTORY, name), { force: true })
  return wasSet
}
