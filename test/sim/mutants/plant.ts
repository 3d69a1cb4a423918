import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Mutant } from './mutant.ts'

export const ROOT = new URL('../../../', import.meta.url)

/** The text of the file with the guard taken out. @throws when the guard is not there exactly once */
export function mutated({ name, file, from, to }: Mutant): string {
  const [before, after, ...more] = readFileSync(new URL(file, ROOT), 'utf8').split(from)
  if (before === undefined || after === undefined || more.length > 0 || from === '')
    throw new Error(`mutant ${name}: what it replaces has to be in ${file} exactly once`)
  return `${before}${to}${after}`
}

/** From now on this process loads the file without the guard. Answers whether it did. */
export function plant(mutant: Mutant): () => boolean {
  const url = pathToFileURL(fileURLToPath(new URL(mutant.file, ROOT))).href
  let isLoaded = false
  registerHooks({
    load(wanted, context, nextLoad) {
      const loaded = nextLoad(wanted, context)
      if (wanted !== url) return loaded
      isLoaded = true
      return { ...loaded, source: mutated(mutant) }
    },
  })
  return () => isLoaded
}
