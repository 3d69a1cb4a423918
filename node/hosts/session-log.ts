import { randomUUID } from 'node:crypto'
import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { TextDecoder } from 'node:util'
import { z } from 'zod'
import type { SessionLogEntry, SessionLogType } from '../../crdt/session.ts'
import type { AgentLine } from './agents/record-stream.ts'

/** The current file is moved aside when it is this large, over the one before: 16 MB per session at most. */
const LOG_FILE_BYTES_MAX = 8 * 1024 * 1024
/** Text of one entry; what comes together is written together. */
const ENTRY_CHARS_MAX = 8 * 1024
/** Text of one entry that is a whole line: escaped it still fits an answer. */
const LINE_CHARS_MAX = 64 * 1024
const GATHER_MS = 100
/** A program that floods the terminal must not flood the disk: this much at once, then so much per second. */
const BURST_BYTES = 4 * 1024 * 1024
const BYTES_PER_SECOND = 1024 * 1024
const READ_BYTES = 256 * 1024

const CURRENT = 'log.jsonl'
const PREVIOUS = 'log.1.jsonl'

const Line = z.object({
  id: z.string(),
  type: z.enum(['input', 'output', 'error']),
  data: z.string(),
  createdAt: z.string(),
  metadata: z.record(z.string(), z.unknown()),
})

export type SessionLog = {
  append(type: SessionLogType, bytes: Uint8Array): void
  /** One entry for a line of output; several for a long one, all but the last with `continues`. */
  line(line: AgentLine): void
  /** Puts what is gathered into the file. */
  flush(): void
  close(): void
}

/**
 * The append-only record of a session: JSON lines, never a character cut in two. Output beyond the rate is left out and
 * counted in the next entry's `omittedBytes`. A full disk ends the log, not the session.
 */
export function createSessionLog(directory: string, onFailure: (error: unknown) => void): SessionLog {
  const file = createLogFile(directory, onFailure)
  const budget = createBudget()
  const decoders = new Map<SessionLogType, TextDecoder>()
  let gathered: { type: SessionLogType; text: string } | undefined
  let omittedBytes = 0
  let timer: NodeJS.Timeout | undefined

  const write = (type: SessionLogType, data: string, about: Readonly<Record<string, unknown>> = {}): void => {
    const metadata = omittedBytes > 0 ? { ...about, omittedBytes } : about
    omittedBytes = 0
    const entry = { type, data, createdAt: new Date().toISOString(), metadata }
    file.write(`${JSON.stringify({ id: randomUUID(), ...entry })}\n`)
  }
  const flush = (): void => {
    clearTimeout(timer)
    timer = undefined
    if (!gathered) return
    const { type, text } = gathered
    gathered = undefined
    for (let at = 0; at < text.length; at += ENTRY_CHARS_MAX) write(type, text.slice(at, at + ENTRY_CHARS_MAX))
  }
  const isTooMuch = (bytes: Uint8Array): boolean => {
    if (budget.take(bytes.byteLength)) return false
    omittedBytes += bytes.byteLength
    return true
  }
  const textOf = (type: SessionLogType, bytes: Uint8Array): string => {
    const decoder = decoders.get(type) ?? new TextDecoder()
    decoders.set(type, decoder)
    return decoder.decode(bytes, { stream: true })
  }
  return {
    line({ bytes, isLast, kind }) {
      if (isTooMuch(bytes)) return
      flush()
      const text = `${textOf('output', bytes)}${isLast ? '\n' : ''}`
      for (let at = 0; at < text.length; at += LINE_CHARS_MAX) {
        const continues = !isLast || at + LINE_CHARS_MAX < text.length
        write('output', text.slice(at, at + LINE_CHARS_MAX), {
          ...(kind !== null && { record: kind }),
          ...(continues && { continues }),
        })
      }
    },
    append(type, bytes) {
      if (type !== 'input' && isTooMuch(bytes)) return
      if (gathered?.type !== type) flush()
      gathered = { type, text: (gathered?.text ?? '') + textOf(type, bytes) }
      if (gathered.text.length >= ENTRY_CHARS_MAX) flush()
      else timer ??= setTimeout(flush, GATHER_MS)
    },
    flush,
    close() {
      flush()
      file.close()
    },
  }
}

/** The newest entries, oldest first; also of a session whose host is gone. A torn line is left out. */
export async function readSessionLog(
  directory: string,
  filter: { readonly limit: number; readonly bytesMax: number; readonly type?: SessionLogType },
): Promise<SessionLogEntry[]> {
  const entries: SessionLogEntry[] = []
  let bytes = 0
  for (const name of [CURRENT, PREVIOUS])
    for await (const line of linesFromEnd(join(directory, name))) {
      const entry = parseLine(line)
      if (!entry || (filter.type !== undefined && entry.type !== filter.type)) continue
      bytes += line.byteLength
      if (entries.length >= filter.limit || bytes > filter.bytesMax) return entries.toReversed()
      entries.push(entry)
    }
  return entries.toReversed()
}

function createBudget(): { take(bytes: number): boolean } {
  let left = BURST_BYTES
  let atMs = performance.now()
  return {
    take(bytes) {
      const nowMs = performance.now()
      left = Math.min(BURST_BYTES, left + ((nowMs - atMs) / 1000) * BYTES_PER_SECOND)
      atMs = nowMs
      if (left < bytes) return false
      left -= bytes
      return true
    },
  }
}

function createLogFile(directory: string, onFailure: (error: unknown) => void) {
  const path = join(directory, CURRENT)
  const openFile = (): number => openSync(path, 'a', 0o600)
  let fd: number | undefined = openFile()
  let size = fstatSync(fd).size
  const close = (): void => {
    if (fd !== undefined) closeSync(fd)
    fd = undefined
  }
  return {
    close,
    write(line: string): void {
      if (fd === undefined) return
      try {
        if (size >= LOG_FILE_BYTES_MAX) {
          close()
          renameSync(path, join(directory, PREVIOUS))
          fd = openFile()
          size = 0
        }
        size += writeSync(fd, line)
      } catch (error) {
        close()
        onFailure(error)
      }
    },
  }
}

function parseLine(line: Uint8Array): SessionLogEntry | undefined {
  try {
    return Line.safeParse(JSON.parse(new TextDecoder().decode(line))).data
  } catch {
    return undefined // the last line before a crash may be torn
  }
}

/** Lines of a file from the last to the first, in bounded memory; none when there is no such file. */
async function* linesFromEnd(path: string): AsyncGenerator<Uint8Array> {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (!file) return
  try {
    let rest = Buffer.alloc(0)
    for (let at = (await file.stat()).size; at > 0;) {
      const take = Math.min(READ_BYTES, at)
      at -= take
      const { buffer, bytesRead } = await file.read(Buffer.alloc(take), 0, take, at)
      let text = Buffer.concat([buffer.subarray(0, bytesRead), rest])
      for (let cut = text.lastIndexOf(10); cut !== -1; cut = text.lastIndexOf(10)) {
        if (cut + 1 < text.byteLength) yield text.subarray(cut + 1)
        text = text.subarray(0, cut)
      }
      rest = text
    }
    if (rest.byteLength > 0) yield rest
  } finally {
    await file.close()
  }
}
