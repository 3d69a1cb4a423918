import { constants } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { SessionUsage } from '../../../crdt/session.ts'
import { createLineSplitter, type LineSplitter } from './line-splitter.ts'

const READ_BYTES = 256 * 1024
/** Of all files of one session; with more, its usage is not known. */
const TRANSCRIPT_BYTES_MAX = 512 * 1024 * 1024
const FILES_MAX = 256
/** The lines of one answer follow each other closely, also where answers of several agents are interleaved. */
const ANSWERS_HELD_MAX = 1000

const count = z.int().min(0)

/** One answer of the model; repeated, with the same figures or later ones, for each part of it. */
const Answer = z.object({
  type: z.literal('assistant'),
  message: z.object({
    id: z.string().min(1).max(256),
    usage: z.object({
      input_tokens: count,
      output_tokens: count,
      cache_creation_input_tokens: count.nullish(),
      cache_read_input_tokens: count.nullish(),
    }),
  }),
})

type Counts = { readonly input: number; readonly output: number }
type File = { readonly path: string; readonly splitter: LineSplitter; offset: number }

export type Transcript = {
  /** Reads what is new. Null: there is none (yet), or it cannot be read to its end. Never rejects. */
  check(): Promise<SessionUsage | null>
}

/**
 * What Claude Code notes of a session with the given id below `~/.claude/projects`, that of the agents it started itself
 * included. It notes no costs. Whoever types `/clear` starts another conversation, under an id that nobody tells us.
 */
export function createClaudeTranscript(home: string, sessionId: string): Transcript {
  const files = new Map<string, File>()
  const answers = new Map<string, Counts>()
  const total = { input: 0, output: 0 }
  let folder: string | undefined
  let bytesRead = 0
  let checking: Promise<SessionUsage | null> | undefined

  const takeLine = (bytes: Uint8Array): void => {
    const message = answerIn(bytes)
    if (!message) return
    const { id, usage } = message
    const input = usage.input_tokens + (usage.cache_creation_input_tokens ?? 0) + (usage.cache_read_input_tokens ?? 0)
    const counts = { input, output: usage.output_tokens }
    const before = answers.get(id) ?? { input: 0, output: 0 }
    total.input += counts.input - before.input
    total.output += counts.output - before.output
    answers.delete(id)
    answers.set(id, counts)
    for (const [oldest] of answers) if (answers.size > ANSWERS_HELD_MAX) answers.delete(oldest)
  }
  const look = async (): Promise<SessionUsage | null> => {
    folder ??= await folderOf(home, sessionId)
    if (folder === undefined) return null
    for (const path of await transcriptsIn(folder, sessionId)) {
      const file = files.get(path) ?? { path, splitter: createLineSplitter(), offset: 0 }
      files.set(path, file)
      bytesRead += await readOn(file, TRANSCRIPT_BYTES_MAX - bytesRead, takeLine)
    }
    const isWhole = bytesRead < TRANSCRIPT_BYTES_MAX && files.size < FILES_MAX && total.input + total.output > 0
    const usage = { inputTokens: total.input, outputTokens: total.output, costUsd: null }
    return (isWhole && SessionUsage.safeParse(usage).data) || null
  }
  return {
    check() {
      checking ??= look()
        // No permission, a folder that is a file: it is the agent's own business, and then we know nothing.
        .catch(() => null)
        .finally(() => (checking = undefined))
      return checking
    },
  }
}

/** The agent's folder for the project: the one in which the session's file is. */
async function folderOf(home: string, sessionId: string): Promise<string | undefined> {
  const projects = join(home, '.claude', 'projects')
  for (const entry of await readdir(projects, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue
    const names = await readdir(join(projects, entry.name))
    if (names.includes(`${sessionId}.jsonl`)) return join(projects, entry.name)
  }
  return undefined
}

async function transcriptsIn(folder: string, sessionId: string): Promise<string[]> {
  const ofSubagents = await readdir(join(folder, sessionId, 'subagents'), { recursive: true }).catch(() => [])
  const paths = ofSubagents
    .filter((name) => name.endsWith('.jsonl'))
    .map((name) => join(folder, sessionId, 'subagents', name))
  return [join(folder, `${sessionId}.jsonl`), ...paths].slice(0, FILES_MAX)
}

/** Whatever else could be put there (a link, a pipe) is not read. */
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

async function readOn(file: File, bytesMax: number, takeLine: (bytes: Uint8Array) => void): Promise<number> {
  const handle = await open(file.path, FLAGS)
  try {
    if (!(await handle.stat()).isFile()) return 0
    const start = file.offset
    const buffer = Buffer.alloc(READ_BYTES)
    while (file.offset - start < bytesMax) {
      const { bytesRead } = await handle.read(buffer, 0, READ_BYTES, file.offset)
      if (bytesRead === 0) break
      file.offset += bytesRead
      for (const { bytes, isWhole } of file.splitter.take(buffer.subarray(0, bytesRead))) if (isWhole) takeLine(bytes)
    }
    return file.offset - start
  } finally {
    await handle.close()
  }
}

/** What a line says of one answer of the model, whatever the line is. */
export function answerIn(line: Uint8Array): z.infer<typeof Answer>['message'] | undefined {
  try {
    return Answer.safeParse(JSON.parse(new TextDecoder().decode(line))).data?.message
  } catch {
    return undefined // not a record of its own
  }
}
