import type { ChunkType, ContextChunk } from '../../../crdt/context-chunk.ts'
import type { Project } from '../../../crdt/project.ts'
import type { TokenCounter } from '../../ports/token-counter.ts'
import type { TokenUsage } from './context-service.ts'

const SEPARATOR = '\n\n---\n\n'
/** Counting takes a second for some 30 MB: whatever the project allows, more is not compiled. */
const CHARS_MAX = 4 * 1024 * 1024
/** With less room than this nothing more is looked for. */
const ROOM_MIN = 16

const HEADINGS: Readonly<Record<ChunkType, string>> = {
  task_completion: 'Task Completion',
  context_update: 'Context Update',
  file_change: 'File Change',
  decision: 'Decision',
  summary: 'Summary',
  broadcast: 'Broadcast',
}

export const joinSections = (sections: readonly string[]): string => sections.join(SEPARATOR)

/** A chunk as Markdown. */
export function sectionOf({ type, files, content }: ContextChunk): string {
  const about = files.length === 0 ? '' : ` (${files.join(', ')})`
  return `# ${HEADINGS[type]}${about}\n${content}`
}

/**
 * The brief, then the chunks in the order given, as far as the project's limit of tokens allows: of the brief what is too
 * long is cut, a chunk that does not fit is left out and a shorter one may follow.
 */
export async function compile(
  project: Project,
  chunks: readonly ContextChunk[],
  tokens: TokenCounter,
): Promise<{ readonly compiled: string; readonly usage: TokenUsage }> {
  const max = project.settings.maxContextTokens
  const between = await tokens.count(SEPARATOR)
  const parts: string[] = []
  let total = 0
  let chars = 0
  const room = (): number => max - total - (parts.length > 0 ? between : 0)
  const add = (part: string, size: number): void => {
    total = max - room() + size
    chars += part.length
    parts.push(part)
  }
  for (const section of briefOf(project)) {
    const fitting = await cut(section, room(), tokens)
    if (fitting) add(fitting.text, fitting.size)
  }
  for (const chunk of chunks) {
    if (room() < ROOM_MIN || chars >= CHARS_MAX) break
    const section = sectionOf(chunk)
    const size = await tokens.count(section)
    if (size <= room()) add(section, size)
  }
  return { compiled: joinSections(parts), usage: { total, max, percent: Math.round((1000 * total) / max) / 10 } }
}

/** The texts of a project's brief that say something, as Markdown. */
export function briefOf(project: Project): string[] {
  const fields: readonly (readonly [string, string])[] = [
    ['Project Summary', project.summary],
    ['Architecture', project.architecture],
    ['Conventions', project.conventions],
    ['Current Focus', project.currentFocus],
    ['Recent Changes', project.recentChanges],
  ]
  return fields.flatMap(([heading, text]) => (text.trim() === '' ? [] : [`# ${heading}\n${text}`]))
}

/** As much of the text as fits; undefined when that is nothing worth having. */
async function cut(
  text: string,
  room: number,
  tokens: TokenCounter,
): Promise<{ readonly text: string; readonly size: number } | undefined> {
  let part = text
  for (;;) {
    if (room < ROOM_MIN) return undefined
    const size = await tokens.count(part)
    if (size <= room) return { text: part, size }
    // A little less than the share that should fit: the tokens of a text are not all of one length.
    part = `${part.slice(0, Math.floor(part.length * Math.min(0.9, (0.95 * room) / size)))}…`
  }
}
