import {
  SKILL_LISTED_CHARS_MAX,
  SKILL_METADATA_CHARS_MAX,
  SKILL_NAME_CHARS_MAX,
  SKILL_PRIORITY,
  SKILL_TAG_CHARS_MAX,
  SKILL_TAGS_MAX,
} from '../../../crdt/skill.ts'
import type { SkillHead, SkillSpot } from '../../ports/skill-files.ts'
import { parseFrontMatter, splitMarkdown, type Fields } from './front-matter.ts'

/** Fields in `metadata` that are answered under names of their own. */
export const TITLE = 'title'
export const PRIORITY = 'priority'

/** Aliases may make more of the metadata than is written: this much crosses the mesh. */
const METADATA_CHARS_MAX = 4 * SKILL_METADATA_CHARS_MAX

export type ReadText = {
  readonly head: SkillHead
  readonly content: string
  readonly frontMatter: string | null
  readonly metadata: Fields
}

/** What a file says, of which `text` may be no more than the beginning. */
export function readMarkdown(text: string, { place, name }: Pick<SkillSpot, 'place' | 'name'>): ReadText {
  const pieces = splitMarkdown(text)
  const parsed = pieces
    ? parseFrontMatter(pieces.yaml)
    : ({ ok: false, problem: 'The front matter has no end (a line ---).' } as const)
  const fields = parsed.ok ? parsed.fields : {}
  const body = pieces?.body ?? text
  const inner = mapOf(fields['metadata'])
  const described = textOf(fields['description'])
  const metadata = { ...inner, tags: tagsOf(inner['tags'] ?? fields['tags']) }
  const version = textOf(inner['version'] ?? fields['version'])
  const problem = parsed.ok
    ? place.kind === 'skill' && described === undefined
      ? 'It has no description: some agents leave it out.'
      : null
    : parsed.problem
  return {
    head: {
      name: cut(textOf(inner[TITLE]) ?? textOf(fields['name']) ?? lastOf(name), SKILL_NAME_CHARS_MAX),
      description: cut(described ?? firstParagraph(body), SKILL_LISTED_CHARS_MAX),
      priority: priorityOf(inner[PRIORITY] ?? fields[PRIORITY]),
      tags: metadata.tags,
      version: version === undefined ? null : cut(version, SKILL_TAG_CHARS_MAX),
      problem,
    },
    content: body,
    frontMatter: pieces && pieces.open !== '' ? pieces.yaml : null,
    metadata: told(metadata, version),
  }
}

/** The same with the description in full length. */
export const fullDescription = (text: string): string | undefined => {
  const pieces = splitMarkdown(text)
  const parsed = pieces ? parseFrontMatter(pieces.yaml) : undefined
  return parsed?.ok ? textOf(parsed.fields['description']) : undefined
}

function told(metadata: Fields, version: string | undefined): Fields {
  const { [TITLE]: _title, [PRIORITY]: _priority, ...rest } = metadata
  const all = { ...rest, ...(version === undefined ? {} : { version }) }
  return JSON.stringify(all).length <= METADATA_CHARS_MAX ? all : { tags: metadata['tags'] }
}

export const lastOf = (name: string): string => name.slice(name.lastIndexOf('/') + 1)

export const mapOf = (value: unknown): Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {}

export function textOf(value: unknown): string | undefined {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  return typeof value === 'string' && value.trim() !== '' ? value.trim() : undefined
}

/** A list, or words with commas between them. */
function tagsOf(value: unknown): string[] {
  const tags = Array.isArray(value) ? value.map(textOf) : (textOf(value)?.split(',') ?? [])
  return tags.flatMap((tag) => (tag?.trim() ? [cut(tag.trim(), SKILL_TAG_CHARS_MAX)] : [])).slice(0, SKILL_TAGS_MAX)
}

function priorityOf(value: unknown): number {
  const number = Number(textOf(value) ?? 0)
  return Number.isFinite(number) ? Math.trunc(Math.min(SKILL_PRIORITY.max, Math.max(SKILL_PRIORITY.min, number))) : 0
}

/** What agents show of a skill that does not describe itself. */
function firstParagraph(body: string): string {
  const lines = body.slice(0, 4 * SKILL_LISTED_CHARS_MAX).split(/\r?\n/)
  const from = lines.findIndex((line) => line.trim() !== '' && !/^\s*(#|<!--|---|```)/.test(line))
  if (from === -1) return ''
  const rest = lines.slice(from)
  const end = rest.findIndex((line) => line.trim() === '')
  return rest
    .slice(0, end === -1 ? undefined : end)
    .map((line) => line.trim())
    .join(' ')
}

const cut = (text: string, charsMax: number): string => text.slice(0, charsMax).toWellFormed()
