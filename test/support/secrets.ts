import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'

/** What must not be found: by name, as text or as raw bytes. */
export type Secrets = Map<string, string | Uint8Array>

/** Names of the secrets that occur in a text or in bytes, in any of the spellings a program would write them in. */
export function secretsIn(haystack: Uint8Array, secrets: Secrets): string[] {
  const bytes = Buffer.from(haystack.buffer, haystack.byteOffset, haystack.byteLength)
  return [...secrets].flatMap(([name, secret]) =>
    spellings(secret).some((needle) => bytes.includes(needle)) ? [name] : [],
  )
}

function spellings(secret: string | Uint8Array): Buffer[] {
  const raw = Buffer.from(secret)
  const texts = [raw.toString('hex'), raw.toString('base64').replace(/=+$/, ''), raw.toString('base64url')]
  return [raw, ...texts.map((text) => Buffer.from(text))]
}

/** Every file below a directory but those in one folder, as path and content. */
export async function* filesBelow(directory: string, except?: string): AsyncGenerator<[path: string, bytes: Buffer]> {
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (!entry.isFile() || (except !== undefined && path.startsWith(`${except}/`))) continue
    yield [path, await readFile(path)]
  }
}

/** Every key and value of a store that no process has open: its files are compressed. */
export async function* storedIn(directory: string): AsyncGenerator<Uint8Array> {
  const db = new Level<Uint8Array, Uint8Array>(directory, { keyEncoding: 'view', valueEncoding: 'view' })
  try {
    for await (const [key, value] of db.iterator()) {
      yield key
      yield value
    }
  } finally {
    await db.close()
  }
}
