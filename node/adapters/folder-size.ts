import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** Bytes of the files in a folder and all below it; 0 when it is not there. Links are not followed. */
export async function folderSize(path: string): Promise<number> {
  try {
    const entries = await readdir(path, { withFileTypes: true })
    let sum = 0
    for (const entry of entries)
      sum += entry.isDirectory() ? await folderSize(join(path, entry.name)) : await fileSize(join(path, entry.name))
    return sum
  } catch (error) {
    if (isGone(error)) return 0
    throw error
  }
}

/** 0 when it is not there (any more). */
export async function fileSize(path: string): Promise<number> {
  try {
    const facts = await lstat(path)
    return facts.isFile() ? facts.size : 0
  } catch (error) {
    if (isGone(error)) return 0
    throw error
  }
}

const isGone = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')
