import { constants } from 'node:fs'
import { open } from 'node:fs/promises'

/** Larger files of these kinds are not written by people. */
const FILE_BYTES_MAX = 1024 * 1024

export type TextFile = { readonly text: string; readonly changedAtMs: number; readonly isExecutable: boolean }

/**
 * A regular file as text. Undefined when there is none, when it is a link (it may lead out of the project), something
 * else than a file (opening a FIFO would wait for ever), too large, or not to be read.
 */
export async function readTextFile(path: string, bytesMax = FILE_BYTES_MAX): Promise<TextFile | undefined> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(() => undefined)
  if (file === undefined) return undefined
  try {
    const { size, mtimeMs, mode, isFile } = await statOf(file)
    if (!isFile || size > bytesMax) return undefined
    return { text: await file.readFile('utf8'), changedAtMs: mtimeMs, isExecutable: (mode & 0o111) !== 0 }
  } catch {
    return undefined // it went away or cannot be read: as good as not there
  } finally {
    await file.close()
  }
}

async function statOf(file: Awaited<ReturnType<typeof open>>) {
  const found = await file.stat()
  return { size: found.size, mtimeMs: found.mtimeMs, mode: found.mode, isFile: found.isFile() }
}
