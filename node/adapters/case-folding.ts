import type { Stats } from 'node:fs'
import { lstat, opendir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/** The first entries of a folder nearly always have one with a letter in its name. */
const ENTRIES_LOOKED_AT = 64

type Look = (path: string) => Promise<Pick<Stats, 'dev' | 'ino' | 'nlink' | 'isDirectory'>>

/**
 * Whether the file system of a folder takes `A` and `a` for one name: looks for an entry under another spelling of its
 * name. Writes nothing. A folder without usable entries is judged by its own name in its parent.
 */
export async function foldsCase(folder: string, look: Look = lstat): Promise<boolean> {
  for (const path of [...(await entriesOf(folder)), folder]) {
    const verdict = await isFoundRespelled(path, look)
    if (verdict !== undefined) return verdict
  }
  return false
}

async function entriesOf(folder: string): Promise<string[]> {
  const names: string[] = []
  try {
    for await (const { name } of await opendir(folder)) {
      names.push(join(folder, name))
      if (names.length >= ENTRIES_LOOKED_AT) break
    }
  } catch {
    // Not readable for us: the folder's own name must do.
  }
  return names
}

/** Undefined when the name has no case, or when two names of one file could be two links to it. */
async function isFoundRespelled(path: string, look: Look): Promise<boolean | undefined> {
  const name = basename(path)
  const other = respell(name)
  if (other === name) return undefined
  try {
    const here = await look(path)
    if (!here.isDirectory() && here.nlink !== 1) return undefined
    const there = await look(join(dirname(path), other)).catch(() => undefined)
    return there !== undefined && there.dev === here.dev && there.ino === here.ino
  } catch {
    return undefined // gone meanwhile
  }
}

/** Only letters of ASCII: every file system that folds case folds these. */
const respell = (name: string): string =>
  name.replace(/[a-zA-Z]/g, (letter) => (letter < 'a' ? letter.toLowerCase() : letter.toUpperCase()))
