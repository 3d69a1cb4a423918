import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** A store has hundreds of files; whoever has more than this gets a figure that is too low rather than a slow answer. */
const FILES_MAX = 10_000

/** Bytes of a file, or of all files below a directory; 0 for what is not there. */
export async function bytesOf(path: string): Promise<number> {
  let sum = 0
  let files = 0
  const pending = [path]
  for (let next = pending.pop(); next !== undefined && files < FILES_MAX; next = pending.pop()) {
    files++
    // What a store deletes meanwhile is not there any more.
    const facts = await stat(next).catch(() => undefined)
    if (facts?.isFile()) sum += facts.size
    if (facts?.isDirectory()) for (const name of await readdir(next).catch(() => [])) pending.push(join(next, name))
  }
  return sum
}
