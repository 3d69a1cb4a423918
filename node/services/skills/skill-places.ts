import { ProjectId } from '../../../crdt/ids.ts'
import { isSkillName, SKILL_PATH_CHARS_MAX } from '../../../crdt/skill.ts'
import type { SkillPlace, SkillSpot } from '../../ports/skill-files.ts'

/** Names without a folder mean this place. */
const USUAL = '.claude/skills'

/** Claude Code and whoever reads its folders; Codex, Gemini CLI and opencode read `.agents`, too. */
const SHARED: readonly SkillPlace[] = [
  { folder: USUAL, kind: 'skill', depth: 1 },
  { folder: '.claude/commands', kind: 'command', depth: 8 },
  { folder: '.agents/skills', kind: 'skill', depth: 4 },
  { folder: '.codex/skills', kind: 'skill', depth: 4 },
  { folder: '.gemini/skills', kind: 'skill', depth: 1 },
]

export const USER_PLACES: readonly SkillPlace[] = [
  ...SHARED,
  { folder: '.codex/prompts', kind: 'command', depth: 1 },
  { folder: '.config/opencode/skills', kind: 'skill', depth: 4 },
  { folder: '.config/opencode/commands', kind: 'command', depth: 8 },
]

export const PROJECT_PLACES: readonly SkillPlace[] = [
  ...SHARED,
  { folder: '.opencode/skills', kind: 'skill', depth: 4 },
  { folder: '.opencode/commands', kind: 'command', depth: 8 },
]

/** Where a path points, whether or not anything is there. */
export type SkillAddress = { readonly projectId: ProjectId | null; readonly place: SkillPlace; readonly name: string }

/**
 * Reads the path of a skill: `debugging`, `.codex/prompts/review`, `<project id>/deploy`,
 * `<project id>/.claude/commands/git/commit`; also with `~/` before it and `/SKILL.md` or `.md` after it. Undefined when it
 * can be no skill's path: it climbs, has empty or hidden parts, or lies deeper than agents look.
 */
export function parseSkillPath(path: string): SkillAddress | undefined {
  if (path.length > SKILL_PATH_CHARS_MAX) return undefined
  const parts = path.replace(/^~\//, '').split('/')
  const project = ProjectId.safeParse(parts[0])
  const projectId = project.success && parts.length > 1 ? project.data : null
  const rest = projectId === null ? parts : parts.slice(1)
  const places = projectId === null ? USER_PLACES : PROJECT_PLACES
  const place = places.find(({ folder }) => rest.join('/').startsWith(`${folder}/`)) ?? places[0]
  if (place === undefined) return undefined
  const depth = place.folder.split('/').length
  const isShort = !rest.join('/').startsWith(`${place.folder}/`)
  const names = bare(isShort ? rest : rest.slice(depth), place)
  return names.length >= 1 && names.length <= place.depth && names.every(isSkillName)
    ? { projectId, place, name: names.join('/') }
    : undefined
}

/** The path of a skill, in its shortest form. */
export function skillPathOf({ home, place, name }: Pick<SkillSpot, 'home' | 'place' | 'name'>): string {
  const inHome = place.folder === USUAL ? name : `${place.folder}/${name}`
  return home.projectId === null ? inHome : `${home.projectId}/${inHome}`
}

/** Without what only the file is called. */
function bare(names: readonly string[], { kind }: SkillPlace): readonly string[] {
  const last = (names.at(-1) ?? '').replace(/\.disabled$/, '')
  if (kind === 'skill') return last === 'SKILL.md' && names.length > 1 ? names.slice(0, -1) : names
  return last.endsWith('.md') ? [...names.slice(0, -1), last.slice(0, -'.md'.length)] : names
}
