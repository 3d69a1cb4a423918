import { z } from 'zod'
import { domainError } from '../../../crdt/errors.ts'
import { MachineId, ProjectId } from '../../../crdt/ids.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import {
  SKILL_CONTENT_BYTES_MAX,
  SKILL_KINDS,
  SKILL_PATH_CHARS_MAX,
  SKILL_SCOPES,
  SKILL_TAG_CHARS_MAX,
  SkillChange,
  type FullSkill,
} from '../../../crdt/skill.ts'
import { SKILL_SEARCH_CHARS_MAX, SKILL_UPDATES_MAX } from '../../../node/services/skills/skill-target.ts'
import { none } from '../../http/dialect.ts'
import type { Wire } from '../../http/dialect.ts'
import { route } from './deps.ts'
import { BY_NODE, pageFields, pageOf } from './inputs.ts'
import { WireBulk, wireBulk, WireFullSkill, wireFullSkill, WireSkill, wireSkill } from './wire-skills.ts'

const ofMachine = { params: z.strictObject({ machine: MachineId }), missing: 'machine_not_found' } as const
const byPath = {
  params: z.strictObject({ machine: MachineId, path: z.string() }),
  missing: 'machine_not_found',
  slashes: 'path',
  query: none.query,
} as const

const CHANGING = ['skill_not_found', 'skill_conflict', ...BY_NODE] as const
const path = z.string().trim().min(1).max(SKILL_PATH_CHARS_MAX)
const yesOrNo = z.enum(['true', 'false', '1', '0']).transform((said) => said === 'true' || said === '1')

const SkillReply = WireFullSkill.extend({ skill: WireFullSkill })
const flatSkill = (skill: FullSkill): Wire => ({ data: { ...wireFullSkill(skill), skill: wireFullSkill(skill) } })

const Update = z
  .strictObject({ path, enabled: SkillChange.shape.enabled, priority: SkillChange.shape.priority })
  .refine(({ enabled, priority }) => enabled !== undefined || priority !== undefined, 'must name enabled or priority')

const BulkBody = z
  .strictObject({
    updates: z.array(Update).max(SKILL_UPDATES_MAX).exactOptional(),
    /** The same as an update for each, in the words of known clients. */
    paths: z.array(path).max(SKILL_UPDATES_MAX).exactOptional(),
    enabled: z.boolean().exactOptional(),
  })
  .refine(({ updates, paths }) => (updates === undefined) !== (paths === undefined), {
    path: ['updates'],
    error: 'give either updates, or paths and enabled',
  })
  .refine(({ paths, enabled }) => (paths === undefined) === (enabled === undefined), {
    path: ['enabled'],
    error: 'goes with paths, and paths go with it',
  })

/** Longer than any path of a skill: nothing to ask the machine for. */
async function named<T>(path: string, run: (path: string) => Promise<Result<T>>): Promise<Result<T>> {
  return path.length <= SKILL_PATH_CHARS_MAX ? await run(path) : err(domainError('skill_not_found'))
}

export const skillRoutes = [
  route({
    doc: '10.1 List skills',
    method: 'GET',
    path: '/api/machines/:machine/skills',
    policy: { ability: 'skill:read' },
    errors: BY_NODE,
    ...ofMachine,
    query: z.object({
      search: z.string().max(SKILL_SEARCH_CHARS_MAX).exactOptional(),
      enabled: yesOrNo.exactOptional(),
      kind: z.enum(SKILL_KINDS).exactOptional(),
      scope: z.enum(SKILL_SCOPES).exactOptional(),
      project_id: ProjectId.exactOptional(),
      tag: z.string().max(SKILL_TAG_CHARS_MAX).exactOptional(),
      ...pageFields(15),
    }),
    body: none.body,
    reply: z.array(WireSkill),
    run: ({ services }, { actor, params, query }) => {
      const { page: _page, per_page: _perPage, project_id: projectId, ...rest } = query
      const filter = projectId === undefined ? rest : { ...rest, projectId }
      return services.skills.list(actor, params.machine, filter, pageOf(query))
    },
    toWire: (page) => ({ data: page.items.map(wireSkill), page }),
  }),
  route({
    doc: '10.2 Get skill',
    method: 'GET',
    path: '/api/machines/:machine/skills/:path',
    policy: { ability: 'skill:read' },
    errors: ['skill_not_found', 'too_large', ...BY_NODE],
    ...byPath,
    body: none.body,
    reply: SkillReply,
    run: ({ services }, { actor, params }) =>
      named(params.path, (path) => services.skills.get(actor, params.machine, path)),
    toWire: flatSkill,
  }),
  route({
    doc: '10.3 Create or update skill',
    method: 'POST',
    path: '/api/machines/:machine/skills',
    policy: { ability: 'skill:write' },
    errors: ['skill_conflict', ...BY_NODE],
    status: 201,
    ...ofMachine,
    query: none.query,
    body: SkillChange.extend({ path, content: z.string().max(SKILL_CONTENT_BYTES_MAX) }),
    aliases: { display_name: 'name' },
    reply: SkillReply,
    run: ({ services }, { actor, params, body }) => services.skills.save(actor, params.machine, body),
    toWire: flatSkill,
  }),
  route({
    doc: '10.4 Update skill',
    method: 'PATCH',
    path: '/api/machines/:machine/skills/:path',
    policy: { ability: 'skill:write' },
    errors: CHANGING,
    ...byPath,
    body: SkillChange,
    aliases: { display_name: 'name' },
    reply: SkillReply,
    run: ({ services }, { actor, params, body }) =>
      named(params.path, (path) => services.skills.change(actor, params.machine, path, body)),
    toWire: flatSkill,
  }),
  route({
    doc: '10.5 Toggle skill',
    method: 'POST',
    path: '/api/machines/:machine/skills/:path/toggle',
    policy: { ability: 'skill:write' },
    errors: CHANGING,
    ...byPath,
    body: none.body,
    reply: z.strictObject({ path: z.string(), enabled: z.boolean() }),
    run: ({ services }, { actor, params }) =>
      named(params.path, (path) => services.skills.toggle(actor, params.machine, path)),
    toWire: ({ path, enabled }) => ({ data: { path, enabled } }),
  }),
  route({
    doc: '10.6 Delete skill',
    method: 'DELETE',
    path: '/api/machines/:machine/skills/:path',
    policy: { ability: 'skill:write' },
    errors: CHANGING,
    ...byPath,
    body: none.body,
    reply: z.null(),
    run: async ({ services }, { actor, params }) => {
      const removed = await named(params.path, (path) => services.skills.remove(actor, params.machine, path))
      return removed.ok ? ok(null) : removed
    },
    toWire: () => ({ data: null }),
  }),
  route({
    doc: '10.7 Bulk update',
    method: 'POST',
    path: '/api/machines/:machine/skills/bulk',
    policy: { ability: 'skill:write' },
    errors: BY_NODE,
    ...ofMachine,
    query: none.query,
    body: BulkBody,
    reply: WireBulk,
    run: ({ services }, { actor, params, body }) => {
      const { updates, paths = [], enabled = true } = body
      return services.skills.bulk(actor, params.machine, updates ?? paths.map((path) => ({ path, enabled })))
    },
    toWire: (bulk) => ({ data: wireBulk(bulk) }),
  }),
]
