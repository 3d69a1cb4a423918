import { createHash } from 'node:crypto'
import type { Stats } from 'node:fs'
import { open, rename, stat, type FileHandle } from 'node:fs/promises'
import type { Audit, AuditEntry } from '../ports/audit.ts'

/** About 50,000 entries; a person can still open it. */
const FILE_BYTES_MAX = 16 * 1024 * 1024
/** audit.log.1 … audit.log.4: the disk an audit may take is bounded. */
const OLD_FILES_MAX = 4
/** The last line is looked for in this much of the file's end. */
const TAIL_BYTES = 64 * 1024

const GENESIS = '0'.repeat(64)

/**
 * An audit log of JSON lines, each with the SHA-256 of the line before it, so that a line changed or taken out later
 * shows. Rotated by size; the chain goes on across files and restarts.
 */
export async function openAuditFile(path: string, fileBytesMax = FILE_BYTES_MAX): Promise<Audit> {
  let file: FileHandle = await open(path, 'a', 0o600)
  let size = await endOfLines(path)
  await file.truncate(size)
  let previous = (await lastLineHash(path)) ?? (await lastLineHash(`${path}.1`)) ?? GENESIS
  let queue: Promise<void> = Promise.resolve()

  const write = async (entry: AuditEntry): Promise<void> => {
    if (size >= fileBytesMax) await rotate()
    const { tokenId, ...actor } = entry.actor
    const line = `${JSON.stringify({ at: new Date().toISOString(), prev: previous, ...entry, actor: { ...actor, token_id: tokenId } })}\n`
    try {
      await file.appendFile(line)
    } catch (error) {
      // Part of it may be there.
      await file.truncate(size).catch(() => undefined)
      throw error
    }
    previous = hashOf(line)
    size += Buffer.byteLength(line)
  }
  const rotate = async (): Promise<void> => {
    // First what a full disk refuses: nothing has been moved then.
    const next = await open(`${path}.new`, 'a', 0o600)
    for (let n = OLD_FILES_MAX - 1; n >= 1; n--) await renameIfThere(`${path}.${n}`, `${path}.${n + 1}`)
    await rename(path, `${path}.1`)
    await rename(`${path}.new`, path)
    await file.close()
    file = next
    size = 0
  }
  return {
    record(entry) {
      const written = queue.then(() => write(entry))
      // The next entry is tried whatever became of this one; its caller hears of the failure.
      queue = written.catch(() => undefined)
      return written
    },
    async close() {
      await queue
      await file.close()
    },
  }
}

const hashOf = (line: string): string => createHash('sha256').update(line).digest('hex')

/** Where the last whole line ends: a crash may have cut one off, which no later line is chained to. */
async function endOfLines(path: string): Promise<number> {
  const { size, tail } = await tailOf(path)
  const end = tail.lastIndexOf(10) + 1
  return end === 0 && size > tail.byteLength ? size : size - tail.byteLength + end
}

async function lastLineHash(path: string): Promise<string | undefined> {
  const { tail } = await tailOf(path)
  const last = tail.toString('utf8').split('\n').at(-2)
  return last === undefined ? undefined : hashOf(`${last}\n`)
}

async function statIfThere(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error // a chain that began anew would say that lines are missing
  }
}

/** The last bytes of a file; none when it is not there. */
async function tailOf(path: string): Promise<{ size: number; tail: Buffer }> {
  const size = (await statIfThere(path))?.size ?? 0
  if (size === 0) return { size, tail: Buffer.alloc(0) }
  const file = await open(path, 'r')
  try {
    const length = Math.min(size, TAIL_BYTES)
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length)
    return { size, tail: buffer.subarray(0, bytesRead) }
  } finally {
    await file.close()
  }
}

async function renameIfThere(from: string, to: string): Promise<void> {
  await rename(from, to).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
}
