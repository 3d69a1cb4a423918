import { createHash } from 'node:crypto'
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { readIfThere, refuseOpenModes, writeNewFile } from './data-directory.ts'

/** What others wrote is handed back to them as it was. */
const SignIn = z.object({
  v: z.literal(1),
  url: z.string(),
  redirectUrl: z.string(),
  client: z.looseObject({ client_id: z.string() }),
  tokens: z.looseObject({ access_token: z.string(), token_type: z.string() }),
})
export type SignIn = z.infer<typeof SignIn>

/** Tokens are some kilobytes at most; an answer that is larger is none. */
const FILE_CHARS_MAX = 256 * 1024

export type SignInFiles = {
  /** Undefined also where the file is damaged: whoever signs in again replaces it. @throws when others can read it */
  read(url: string): Promise<SignIn | undefined>
  write(signIn: SignIn): Promise<void>
  forget(url: string): Promise<boolean>
  keep(urls: ReadonlySet<string>): Promise<void>
}

/** A file of mode 0600 per address, in a folder of mode 0700. They are in no backup: a token that was renewed since is no good. */
export function createSignInFiles(folder: string): SignInFiles {
  const nameOf = (url: string): string => `${createHash('sha256').update(url).digest('hex')}.json`
  const pathOf = (url: string): string => join(folder, nameOf(url))
  /** Names of files that are not whole yet. */
  const unfinished = new Set<string>()
  return {
    async read(url) {
      const text = (await readIfThere(pathOf(url)))?.toString('utf8')
      if (text === undefined) return undefined
      await refuseOpenModes(pathOf(url))
      try {
        const found = SignIn.parse(JSON.parse(text))
        return found.url === url ? found : undefined
      } catch {
        return undefined
      }
    },
    async write(signIn) {
      const text = JSON.stringify(signIn)
      if (text.length > FILE_CHARS_MAX) throw new Error('The server gave tokens that are larger than any.')
      await mkdir(folder, { recursive: true, mode: 0o700 })
      const name = `${nameOf(signIn.url)}.${crypto.randomUUID()}`
      const fresh = join(folder, name)
      unfinished.add(name)
      try {
        await writeNewFile(fresh, Buffer.from(text))
        await rename(fresh, pathOf(signIn.url))
      } finally {
        await rm(fresh, { force: true })
        unfinished.delete(name)
      }
    },
    async forget(url) {
      const wasThere = (await readIfThere(pathOf(url))) !== undefined
      await rm(pathOf(url), { force: true })
      return wasThere
    },
    async keep(urls) {
      const kept = new Set([...urls].map(nameOf))
      const there = await readdir(folder).catch(() => [])
      for (const name of there)
        if (!kept.has(name) && !unfinished.has(name)) await rm(join(folder, name), { force: true })
    },
  }
}
