import { z } from 'zod'
import { can, type Ability, type Actor } from '../../../crdt/actor.ts'
import { domainError } from '../../../crdt/errors.ts'
import { ProjectId, type PeerId } from '../../../crdt/ids.ts'
import { err, type Result } from '../../../crdt/result.ts'
import {
  FullSkill,
  Skill,
  SKILL_KINDS,
  SKILL_PATH_CHARS_MAX,
  SKILL_SCOPES,
  SKILL_TAG_CHARS_MAX,
  SkillChange,
} from '../../../crdt/skill.ts'
import type { SkillServiceDeps, SkillAccess } from './skill-deps.ts'
import type { SkillIndex } from './skill-index.ts'
import { SkillWork } from './skill-work.ts'

/** Of one answer between nodes; `fitting` sees to it that they do fit. */
export const SKILLS_PER_PAGE_MAX = 100
/** Of one request; each is a file that is written and synced. */
export const SKILL_UPDATES_MAX = 100
export const SKILL_SEARCH_CHARS_MAX = 200

const path = z.string().min(1).max(SKILL_PATH_CHARS_MAX)
const whole = z.int().min(0)

const ListRequest = z.strictObject({
  filter: z.strictObject({
    search: z.string().max(SKILL_SEARCH_CHARS_MAX).exactOptional(),
    enabled: z.boolean().exactOptional(),
    kind: z.enum(SKILL_KINDS).exactOptional(),
    scope: z.enum(SKILL_SCOPES).exactOptional(),
    projectId: ProjectId.exactOptional(),
    tag: z.string().max(SKILL_TAG_CHARS_MAX).exactOptional(),
  }),
  page: z.int().min(1),
  perPage: z.int().min(1).max(SKILLS_PER_PAGE_MAX),
})
const ByPath = z.strictObject({ path })
const SaveRequest = z.strictObject({ path, change: SkillChange })
const BulkRequest = z.strictObject({
  updates: z
    .array(
      z.strictObject({
        path,
        enabled: SkillChange.shape.enabled,
        priority: SkillChange.shape.priority,
      }),
    )
    .max(SKILL_UPDATES_MAX),
})

export const ListReply = z.object({ items: z.array(Skill), total: whole, page: whole, perPage: whole })
export const GetReply = FullSkill
export const ToggleReply = z.object({ path, enabled: z.boolean() })
export const BulkReply = z.object({
  updated: z.array(path),
  failed: z.array(z.object({ path, code: z.string(), message: z.string() })),
})
export const RemoveReply = z.object({ keptAt: z.string() })

const ABILITY: Readonly<Record<SkillAccess, Ability>> = { read: 'skill:read', write: 'skill:write' }

/** Serves `skill.*`. The capability of the caller and the audit of what is let through are the rpc's business. */
export function serveSkills(deps: SkillServiceDeps, index: SkillIndex): void {
  const { rpc, refusal, audit } = deps
  const work = new SkillWork(deps, index)
  const serve = <I extends z.ZodType, O>(
    [name, access]: readonly [name: string, access: SkillAccess],
    input: I,
    run: (input: z.infer<I>) => Promise<Result<O>>,
  ): void =>
    rpc.serve({
      name,
      input,
      run: async (actor: Actor, parsed, from: PeerId) => {
        const message = refusal({ access, actor, from })
        const refused = !can(actor, ABILITY[access])
          ? domainError('forbidden')
          : message === undefined
            ? undefined
            : domainError('machine_refused', { message })
        if (!refused) return await run(parsed)
        await audit.record({ action: name, actor, from, outcome: 'denied' })
        return err(refused)
      },
    })
  serve(['skill.list', 'read'], ListRequest, (input) => work.list(input))
  serve(['skill.get', 'read'], ByPath, (input) => work.get(input))
  serve(['skill.save', 'write'], SaveRequest, (input) => work.save(input))
  serve(['skill.change', 'write'], SaveRequest, (input) => work.change(input))
  serve(['skill.toggle', 'write'], ByPath, (input) => work.toggle(input))
  serve(['skill.bulk', 'write'], BulkRequest, (input) => work.bulk(input))
  serve(['skill.remove', 'write'], ByPath, (input) => work.remove(input))
}
