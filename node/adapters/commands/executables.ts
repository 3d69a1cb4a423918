import { constants } from 'node:fs'
import { open, opendir } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { FoundCommand } from '../../ports/command-finder.ts'
import { ANY_WORDS, isName } from './entry.ts'

/** A folder with more files than this is no folder of scripts. */
const FILES_MAX = 500
/** Of larger programs the beginning, the size and the time of change stand for the content. */
const HASHED_BYTES_MAX = 256 * 1024

/** Programs of `scripts/` or `bin/`: executable regular files that the system can start by themselves. */
export async function executablesIn(
  folder: string,
  { directory, signal }: { directory: string; signal?: AbortSignal },
): Promise<FoundCommand[]> {
  const found: FoundCommand[] = []
  const entries = await opendir(join(folder, directory)).catch(() => undefined)
  if (entries === undefined) return found
  let seen = 0
  for await (const entry of entries) {
    if (signal?.aborted || ++seen > FILES_MAX) break
    if (!entry.isFile() || !isName(entry.name) || entry.name.startsWith('.')) continue
    const path = join(folder, directory, entry.name)
    const program = await lookAt(path)
    if (program)
      found.push({ ...program, type: 'script', words: [path], source: path, folder, arguments: ANY_WORDS, options: [] })
  }
  return found.toSorted((a, b) => a.source.localeCompare(b.source))
}

async function lookAt(
  path: string,
): Promise<Pick<FoundCommand, 'description' | 'meaning' | 'changedAtMs'> | undefined> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(() => undefined)
  if (file === undefined) return undefined
  try {
    const stat = await file.stat()
    if (!stat.isFile() || (stat.mode & 0o111) === 0) return undefined
    const { buffer, bytesRead } = await file.read(Buffer.alloc(Math.min(stat.size, HASHED_BYTES_MAX)), 0)
    const bytes = buffer.subarray(0, bytesRead)
    if (!isProgram(bytes)) return undefined
    const rest = stat.size > HASHED_BYTES_MAX ? `${stat.size} ${stat.mtimeMs}` : ''
    const meaning = createHash('sha256').update(bytes).update(rest).digest('hex')
    return { description: commentOf(bytes), meaning, changedAtMs: stat.mtimeMs }
  } catch {
    return undefined // it went away: as good as not there
  } finally {
    await file.close()
  }
}

/** `#!`, ELF or Mach-O; anything else the system refuses to start. */
function isProgram(bytes: Buffer): boolean {
  const magic = bytes.subarray(0, 4).toString('latin1')
  return (
    magic.startsWith('#!') ||
    magic === '\u007fELF' ||
    ['cffaedfe', 'cafebabe'].includes(bytes.subarray(0, 4).toString('hex'))
  )
}

/** The first comment below the `#!` line. */
function commentOf(bytes: Buffer): string {
  if (bytes[0] !== 0x23) return ''
  const [, ...lines] = bytes.subarray(0, 2048).toString('utf8').split('\n')
  const first = lines.find((line) => !/^\s*(?:#\s*)?$/.test(line)) ?? ''
  return /^\s*(?:#+|\/\/+)\s*(\S.*)$/.exec(first)?.[1]?.trim() ?? ''
}
