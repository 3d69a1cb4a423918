import { z } from 'zod'
import { SKILL_KINDS, SKILL_SCOPES, type FullSkill, type Skill } from '../../../crdt/skill.ts'
import type { SkillBulk } from '../../../node/services/skills/skill-service.ts'
import { WIRE_ERRORS } from './errors.ts'

const text = z.string()
const maybe = z.string().nullable()
const count = z.int().min(0)

export const WireSkill = z.strictObject({
  id: text,
  machine_id: text,
  path: text,
  name: text,
  display_name: text,
  description: text,
  enabled: z.boolean(),
  priority: z.int(),
  tags: z.array(text),
  version: maybe,
  kind: z.enum(SKILL_KINDS),
  scope: z.enum(SKILL_SCOPES),
  project_id: maybe,
  /** Absolute, on its machine. */
  file: text,
  size_bytes: count,
  last_modified: text,
  /** What keeps agents from reading it as it is meant; null when all is well. */
  problem: maybe,
})

export const wireSkill = (skill: Skill): z.infer<typeof WireSkill> => ({
  id: skill.id,
  machine_id: skill.machineId,
  path: skill.path,
  name: skill.name,
  display_name: skill.name,
  description: skill.description,
  enabled: skill.enabled,
  priority: skill.priority,
  tags: [...skill.tags],
  version: skill.version,
  kind: skill.kind,
  scope: skill.scope,
  project_id: skill.projectId,
  file: skill.file,
  size_bytes: skill.sizeBytes,
  last_modified: skill.lastModified,
  problem: skill.problem,
})

export const WireFullSkill = WireSkill.extend({
  /** The Markdown after the front matter. */
  content: text,
  front_matter: maybe,
  metadata: z.looseObject({ tags: z.array(text) }),
})

export const wireFullSkill = (skill: FullSkill): z.infer<typeof WireFullSkill> => ({
  ...wireSkill(skill),
  content: skill.content,
  front_matter: skill.frontMatter,
  metadata: { ...skill.metadata, tags: [...skill.tags] },
})

export const WireBulk = z.strictObject({
  updated_count: count,
  updated: z.array(text),
  failed: z.array(z.strictObject({ path: text, code: text, message: text })),
})

export const wireBulk = ({ updated, failed }: SkillBulk): z.infer<typeof WireBulk> => ({
  updated_count: updated.length,
  updated: [...updated],
  failed: failed.map(({ path, code, message }) => ({ path, code: wireCode(code), message })),
})

/** A code of a later release keeps its message. */
const wireCode = (code: string): string =>
  (Object.hasOwn(WIRE_ERRORS, code) ? WIRE_ERRORS[code as keyof typeof WIRE_ERRORS] : WIRE_ERRORS.internal).code
