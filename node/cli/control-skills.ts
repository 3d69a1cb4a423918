import { z } from 'zod'
import { ok, type Result } from '../../crdt/result.ts'
import { SKILL_PATH_CHARS_MAX, SkillChange, type Skill, type SkillFilter } from '../../crdt/skill.ts'
import { SKILL_UPDATES_MAX, SKILLS_PER_PAGE_MAX } from '../services/skills/skill-target.ts'
import { findMachine } from './control-machines.ts'
import { localActor, method, type ControlContext, type ControlMethod } from './control-method.ts'

const machine = z.string().optional()
const path = z.string().min(1).max(SKILL_PATH_CHARS_MAX)

/** What the command line may ask about skills. A machine is named; this one when nothing is said. */
export const SKILL_METHODS = {
  'skill.list': method(
    z.strictObject({
      machine,
      search: z.string().optional(),
      project: z.string().optional(),
      enabled: z.boolean().optional(),
    }),
    async (context, { machine, search, project, enabled }) => {
      const target = await findMachine(context.services, machine)
      if (!target.ok) return target
      return await allPages(context, target.value, {
        ...(search === undefined ? {} : { search }),
        ...(project === undefined ? {} : { projectId: project }),
        ...(enabled === undefined ? {} : { enabled }),
      })
    },
  ),
  'skill.show': method(z.strictObject({ machine, path }), (context, input) =>
    onMachine(context, input, (id) => context.services.skills.get(actorOf(context), id, input.path)),
  ),
  'skill.save': method(
    z.strictObject({ machine, skill: SkillChange.required({ content: true }).extend({ path }) }),
    (context, input) =>
      onMachine(context, input, (id) => context.services.skills.save(actorOf(context), id, input.skill)),
  ),
  'skill.enable': method(
    z.strictObject({ machine, paths: z.array(path).min(1).max(SKILL_UPDATES_MAX), enabled: z.boolean() }),
    (context, input) =>
      onMachine(context, input, (id) => {
        const updates = input.paths.map((each) => ({ path: each, enabled: input.enabled }))
        return context.services.skills.bulk(actorOf(context), id, updates)
      }),
  ),
  'skill.remove': method(z.strictObject({ machine, path }), (context, input) =>
    onMachine(context, input, (id) => context.services.skills.remove(actorOf(context), id, input.path)),
  ),
} as const satisfies Record<string, ControlMethod>

const actorOf = ({ self }: ControlContext) => localActor(self)

async function onMachine<T>(
  { services }: ControlContext,
  input: { machine?: string | undefined },
  run: (machineId: string) => Promise<Result<T>>,
): Promise<Result<T>> {
  const target = await findMachine(services, input.machine)
  return target.ok ? await run(target.value) : target
}

/** As many answers of the machine as it takes. */
async function allPages(
  context: ControlContext,
  machineId: string,
  filter: SkillFilter,
): Promise<Result<readonly Skill[]>> {
  const skills: Skill[] = []
  for (let page = 1; ; page++) {
    const asked = { page, perPage: SKILLS_PER_PAGE_MAX }
    const got = await context.services.skills.list(actorOf(context), machineId, filter, asked)
    if (!got.ok) return got
    skills.push(...got.value.items)
    if (got.value.items.length < SKILLS_PER_PAGE_MAX) return ok(skills)
  }
}
