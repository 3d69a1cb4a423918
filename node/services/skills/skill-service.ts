import type { Actor } from '../../../crdt/actor.ts'
import type { Page, PageRequest } from '../../../crdt/page.ts'
import type { Result } from '../../../crdt/result.ts'
import type { FullSkill, Skill, SkillChange, SkillFilter } from '../../../crdt/skill.ts'

export type SkillUpdate = { readonly path: string; readonly enabled?: boolean; readonly priority?: number }

export type SkillBulk = {
  /** Paths that are as they were asked to be now. */
  readonly updated: readonly string[]
  readonly failed: readonly { readonly path: string; readonly code: string; readonly message: string }[]
}

/**
 * What agents on a machine can be told to do: files, which the machine itself reads and writes. A skill goes by its path
 * (see `parseSkillPath`), its id, or the absolute path of its file. Reading needs `skill:read`, changing `skill:write`; the
 * machine's own policy has the last word.
 * @errors each: machine_not_found, machine_offline, machine_refused, forbidden, cancelled
 */
export type SkillService = {
  /** By priority, then by path. As the disk has them; of more than a thousand two seconds old at most. */
  list(actor: Actor, machineId: string, filter: SkillFilter, page: PageRequest): Promise<Result<Page<Skill>>>
  /** @errors skill_not_found, too_large */
  get(actor: Actor, machineId: string, path: string): Promise<Result<FullSkill>>
  /** Makes a skill, or changes one that is there. @errors invalid_input, skill_conflict, too_large, storage_failed */
  save(
    actor: Actor,
    machineId: string,
    input: SkillChange & { readonly path: string; readonly content: string },
  ): Promise<Result<FullSkill>>
  /** @errors skill_not_found, invalid_input, skill_conflict, too_large, storage_failed */
  change(actor: Actor, machineId: string, path: string, change: SkillChange): Promise<Result<FullSkill>>
  /** Enables what is disabled and the other way round. @errors skill_not_found, skill_conflict, storage_failed */
  toggle(actor: Actor, machineId: string, path: string): Promise<Result<Pick<Skill, 'path' | 'enabled'>>>
  /** Each for itself: what fails does not stop the rest. */
  bulk(actor: Actor, machineId: string, updates: readonly SkillUpdate[]): Promise<Result<SkillBulk>>
  /** Answers where the machine keeps a copy. @errors skill_not_found, skill_conflict, storage_failed */
  remove(actor: Actor, machineId: string, path: string): Promise<Result<{ readonly keptAt: string }>>
}
