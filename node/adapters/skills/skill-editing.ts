import { domainError, invalidField } from '../../../crdt/errors.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import type { SkillChange } from '../../../crdt/skill.ts'
import type { SkillSpot } from '../../ports/skill-files.ts'
import {
  changeFrontMatter,
  joinMarkdown,
  parseFrontMatter,
  splitMarkdown,
  type FieldChange,
  type Pieces,
} from './front-matter.ts'
import { lastOf, mapOf, PRIORITY, textOf, TITLE } from './skill-head.ts'

const NOTHING: Pieces = { open: '', yaml: '', close: '', body: '' }
const AROUND = { open: '---\n', close: '---\n\n' } as const

/**
 * The text of a skill after a change; `before` is undefined where there is none yet. What the change does not speak of stays
 * as it is written.
 * @errors skill_conflict (the front matter cannot be changed), invalid_input
 */
export function editSkill(before: string | undefined, change: SkillChange, spot: SkillSpot): Result<string> {
  const pieces = piecesAfter(before, change.content)
  if (!pieces) return err(brokenFrontMatter('The front matter has no end (a line ---).'))
  const read = parseFrontMatter(pieces.yaml)
  if (!read.ok && bringsFrontMatter(change.content)) return err(invalidField('content', read.problem))
  const changes = fieldChanges(read.ok ? read.fields : {}, change, { spot, isNew: before === undefined })
  if (changes.length === 0) return ok(standing(pieces))
  if (!read.ok) return err(brokenFrontMatter(read.problem))
  const changed = changeFrontMatter(pieces.yaml, changes)
  if (changed.yaml === undefined) return err(brokenFrontMatter(changed.ok ? '' : changed.problem))
  return ok(standing({ ...pieces, yaml: changed.yaml }))
}

const brokenFrontMatter = (problem: string) =>
  domainError('skill_conflict', {
    message: `${problem} Mend the file, or send all of it, front matter included, as content.`,
  })

const bringsFrontMatter = (content: string | undefined): boolean =>
  content !== undefined && (splitMarkdown(content)?.open ?? '') !== ''

/** A content that brings front matter is the whole file. */
function piecesAfter(before: string | undefined, content: string | undefined): Pieces | null {
  if (content !== undefined && bringsFrontMatter(content)) return splitMarkdown(content)
  const there = before === undefined ? NOTHING : splitMarkdown(before)
  return there && content !== undefined ? { ...there, body: content } : there
}

/** Written so that it is read in the same pieces: what looks like front matter, and is none, gets an empty one before it. */
function standing(pieces: Pieces): string {
  const isMissing = pieces.open === '' && pieces.yaml !== ''
  const text = joinMarkdown(isMissing ? { ...pieces, ...AROUND } : pieces)
  return splitMarkdown(text)?.body === pieces.body ? text : joinMarkdown({ ...pieces, ...AROUND })
}

type Around = { readonly spot: SkillSpot; readonly isNew: boolean }

function fieldChanges(
  fields: Readonly<Record<string, unknown>>,
  { name, description, priority, metadata = {} }: SkillChange,
  { spot, isNew }: Around,
): FieldChange[] {
  const changes: FieldChange[] = []
  const folder = lastOf(spot.name)
  const written = textOf(fields['name'])
  // Agents want a skill to be called as its folder; what people call it stands beside that.
  if (isNew && spot.place.kind === 'skill' && written === undefined) changes.push([['name'], folder])
  if (description !== undefined) changes.push([['description'], description === '' ? undefined : description])
  if (name !== undefined && name !== (textOf(mapOf(fields['metadata'])[TITLE]) ?? written ?? folder))
    changes.push([['metadata', TITLE], name === (written ?? folder) ? undefined : name])
  for (const [key, value] of Object.entries(metadata)) changes.push([['metadata', key], value ?? undefined])
  if (priority !== undefined) changes.push([['metadata', PRIORITY], priority])
  return changes
}
