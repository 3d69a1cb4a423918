import { domainError, invalidField, type DomainError } from '../../../crdt/errors.ts'
import { machineIdOf } from '../../../crdt/machine-id.ts'
import { paginate, type Page, type PageRequest } from '../../../crdt/page.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import type { FullSkill, Skill, SkillChange, SkillFilter } from '../../../crdt/skill.ts'
import type { SkillSpot, SkillText } from '../../ports/skill-files.ts'
import type { SkillServiceDeps } from './skill-deps.ts'
import { fullSkillOf, knownAs, selectSkills, skillOf, spotAt } from './skill-finding.ts'
import type { SkillIndex } from './skill-index.ts'
import { parseSkillPath, skillPathOf } from './skill-places.ts'
import type { SkillBulk, SkillUpdate } from './skill-service.ts'

type Named = { readonly path: string }
type Changing = Named & { readonly change: SkillChange }

/** What this machine does with its own files. */
export class SkillWork {
  readonly #files: SkillServiceDeps['files']
  readonly #index: SkillIndex
  readonly #machineId

  constructor({ self, files }: SkillServiceDeps, index: SkillIndex) {
    this.#files = files
    this.#index = index
    this.#machineId = machineIdOf(self)
  }

  async list({ filter, ...page }: PageRequest & { filter: SkillFilter }): Promise<Result<Page<Skill>>> {
    const chosen = paginate(selectSkills(await this.#index.all(), filter), page)
    return ok({ ...chosen, items: fitting(chosen.items.map((file) => skillOf(this.#machineId, file))) })
  }

  async get({ path }: Named): Promise<Result<FullSkill>> {
    return this.#full(await this.#at(path, (spot) => this.#files.read(spot)))
  }

  async save({ path, change }: Changing): Promise<Result<FullSkill>> {
    const spot = (await knownAs(this.#index, this.#machineId, path)) ?? (await spotAt(this.#index, path))
    if (!spot) return err(await noPlace(this.#index, path))
    const written = await this.#files.write(spot, change, { create: true })
    this.#index.touch()
    return this.#full(written)
  }

  async change({ path, change }: Changing): Promise<Result<FullSkill>> {
    return this.#full(await this.#changeAt(path, (spot) => this.#files.write(spot, change, { create: false })))
  }

  async toggle({ path }: Named): Promise<Result<Pick<Skill, 'path' | 'enabled'>>> {
    return await this.#changeAt(path, async (spot) => {
      const now = await this.#files.read(spot)
      if (!now.ok) return now
      const enabled = !now.value.enabled
      const done = await this.#files.setEnabled(spot, enabled)
      return done.ok ? ok({ path: skillPathOf(spot), enabled }) : done
    })
  }

  async bulk({ updates }: { updates: readonly SkillUpdate[] }): Promise<Result<SkillBulk>> {
    const updated: string[] = []
    const failed: { path: string; code: string; message: string }[] = []
    for (const each of updates) {
      const done = await this.#update(each)
      if (done.ok) updated.push(each.path)
      else failed.push({ path: each.path, code: done.error.code, message: done.error.message })
    }
    return ok({ updated, failed })
  }

  async remove({ path }: Named): Promise<Result<{ keptAt: string }>> {
    return await this.#changeAt(path, (spot) => this.#files.remove(spot))
  }

  async #update({ path, ...change }: SkillUpdate): Promise<Result<unknown>> {
    const { enabled, priority } = change
    if (priority !== undefined || enabled === undefined) return await this.change({ path, change })
    return await this.#changeAt(path, (spot) => this.#files.setEnabled(spot, enabled))
  }

  /** Works on the skill at a path; where there is none, on the one that is known by that name. */
  async #at<T>(said: string, work: (spot: SkillSpot) => Promise<Result<T>>): Promise<Result<T>> {
    const spot = await spotAt(this.#index, said)
    const done = spot ? await work(spot) : err(domainError('skill_not_found'))
    if (done.ok || done.error.code !== 'skill_not_found') return done
    const known = await knownAs(this.#index, this.#machineId, said)
    return known ? await work(known) : done
  }

  async #changeAt<T>(said: string, work: (spot: SkillSpot) => Promise<Result<T>>): Promise<Result<T>> {
    const done = await this.#at(said, work)
    this.#index.touch()
    return done
  }

  #full(read: Result<SkillText>): Result<FullSkill> {
    return read.ok ? ok(fullSkillOf(this.#machineId, read.value)) : read
  }
}

/** Of one answer between nodes, with room to spare. */
const LIST_BYTES_MAX = 768 * 1024
const SHORTENED_CHARS = 200

/** A page of skills that all say as much as they may is told in fewer words. */
function fitting(skills: Skill[]): Skill[] {
  if (new TextEncoder().encode(JSON.stringify(skills)).length <= LIST_BYTES_MAX) return skills
  return skills.map((skill) => ({
    ...skill,
    description: skill.description.slice(0, SHORTENED_CHARS).toWellFormed(),
    tags: [],
  }))
}

/** Why nothing can be made at a path. */
async function noPlace(index: SkillIndex, path: string): Promise<DomainError> {
  const address = parseSkillPath(path)
  if (address?.projectId)
    return invalidField('path', `No project with the id ${address.projectId} lies on this machine.`)
  const places = (await index.homes())[0]?.places.map(({ folder }) => folder).join(', ')
  return invalidField(
    'path',
    `Must be a name, a folder of an agent and a name (${places}), or a project's id and one of these. Names are not hidden and no deeper than the agent looks.`,
  )
}
