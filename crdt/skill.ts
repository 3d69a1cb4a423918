import { z } from 'zod'
import { v5 } from 'uuid'
import { MachineId, ProjectId } from './ids.ts'

/** Text of one skill. With all that is told about it, it fits into one answer between nodes. */
export const SKILL_CONTENT_BYTES_MAX = 512 * 1024
export const SKILL_PATH_CHARS_MAX = 1024
export const SKILL_NAME_CHARS_MAX = 128
export const SKILL_DESCRIPTION_CHARS_MAX = 4096
/** Descriptions in lists are cut to this: agents are shown no more of them either. */
export const SKILL_LISTED_CHARS_MAX = 1024
export const SKILL_PRIORITY = { min: -1_000_000, max: 1_000_000 } as const
export const SKILL_TAGS_MAX = 50
export const SKILL_TAG_CHARS_MAX = 64
/** Of the metadata of one skill, as JSON. */
export const SKILL_METADATA_CHARS_MAX = 8 * 1024
const METADATA_DEPTH_MAX = 8

/** `skill`: a folder with a `SKILL.md`; `command`: one Markdown file that agents offer as a slash command. */
export const SKILL_KINDS = ['skill', 'command'] as const
export const SKILL_SCOPES = ['user', 'project'] as const

export const SkillMetadata = z
  .record(z.string().min(1).max(SKILL_TAG_CHARS_MAX), z.unknown())
  .superRefine((value, context) => {
    // What is nested too deeply cannot even be written as JSON.
    if (depthOf(value) > METADATA_DEPTH_MAX) context.addIssue(`must not be nested deeper than ${METADATA_DEPTH_MAX}`)
    else if (JSON.stringify(value).length > SKILL_METADATA_CHARS_MAX)
      context.addIssue(`must have at most ${SKILL_METADATA_CHARS_MAX} characters as JSON`)
  })
export type SkillMetadata = z.infer<typeof SkillMetadata>

/** A skill as lists show it, and as it crosses the mesh. */
export const Skill = z.object({
  id: z.uuid(),
  machineId: MachineId,
  /** Names the skill on its machine: `debugging`, `.claude/commands/git/commit`, `<project id>/deploy`. */
  path: z.string().min(1).max(SKILL_PATH_CHARS_MAX),
  kind: z.enum(SKILL_KINDS),
  scope: z.enum(SKILL_SCOPES),
  projectId: ProjectId.nullable(),
  /** Absolute, on its machine. */
  file: z.string(),
  name: z.string(),
  description: z.string(),
  /** False while its file is set aside under another name, where no agent looks. */
  enabled: z.boolean(),
  /** Higher comes first in lists; agents do not know it. */
  priority: z.int(),
  tags: z.array(z.string()),
  version: z.string().nullable(),
  sizeBytes: z.int().min(0),
  lastModified: z.iso.datetime(),
  /** What keeps agents, or us, from reading it as it is meant; null when all is well. */
  problem: z.string().nullable(),
})
export type Skill = z.infer<typeof Skill>

export const FullSkill = Skill.extend({
  /** The Markdown after the front matter. */
  content: z.string(),
  /** The YAML before it, as it is written; null without any. */
  frontMatter: z.string().nullable(),
  metadata: z.record(z.string(), z.unknown()),
})
export type FullSkill = z.infer<typeof FullSkill>

/** What is given changes, the rest stays. In `metadata` null takes a key out. */
export const SkillChange = z.strictObject({
  name: z.string().trim().min(1).max(SKILL_NAME_CHARS_MAX).exactOptional(),
  /** May begin with front matter: then this is the whole file. */
  content: z.string().max(SKILL_CONTENT_BYTES_MAX).exactOptional(),
  description: z.string().trim().max(SKILL_DESCRIPTION_CHARS_MAX).exactOptional(),
  priority: z.int().min(SKILL_PRIORITY.min).max(SKILL_PRIORITY.max).exactOptional(),
  metadata: SkillMetadata.exactOptional(),
  enabled: z.boolean().exactOptional(),
})
export type SkillChange = z.infer<typeof SkillChange>

export type SkillFilter = {
  /** In name, path, description or tags, whatever the case. */
  readonly search?: string
  readonly enabled?: boolean
  readonly kind?: Skill['kind']
  readonly scope?: Skill['scope']
  readonly projectId?: string
  readonly tag?: string
}

const SKILL_NAMESPACE = 'b1a4a1a6-6f0b-4d7e-8d2b-0c8d8a1f5e73'

/** The id of a skill: the same on every node, and for as long as the file is not moved. */
export const skillIdOf = (machineId: MachineId, path: string): string => v5(`${machineId}/${path}`, SKILL_NAMESPACE)

/** Longer names fit into no file system, with what we put behind them. */
const NAME_BYTES_MAX = 200

/** Hidden names are nobody's skills: agents keep what is theirs there, and so do we. */
export function isSkillName(name: string): boolean {
  // oxlint-disable-next-line no-control-regex -- those are what it is about
  const isOdd = /[\\\u0000-\u001f\u007f]/.test(name) || !name.isWellFormed()
  return name !== '' && !name.startsWith('.') && !isOdd && new TextEncoder().encode(name).length <= NAME_BYTES_MAX
}

/** Stops counting one beyond what is allowed: that is enough to know. */
function depthOf(value: unknown, left = METADATA_DEPTH_MAX + 1): number {
  if (typeof value !== 'object' || value === null || left === 0) return 0
  return 1 + Math.max(0, ...Object.values(value).map((inner) => depthOf(inner, left - 1)))
}
