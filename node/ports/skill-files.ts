import type { ProjectId } from '../../crdt/ids.ts'
import type { Result } from '../../crdt/result.ts'
import type { Skill, SkillChange } from '../../crdt/skill.ts'
import type { Cancel } from './clock.ts'

/** A folder in which agents look for skills, below a home directory or a project. */
export type SkillPlace = {
  readonly folder: string
  readonly kind: Skill['kind']
  /** How deep below it agents look; 1 is directly in it. */
  readonly depth: number
}

/** What places are below: the person's home directory, or a project's folder. */
export type SkillHome = {
  readonly folder: string
  /** Null for the home directory, where the person's own links to other folders are followed. */
  readonly projectId: ProjectId | null
  readonly places: readonly SkillPlace[]
}

/** One skill by where it lies. `name` is relative to the place, without `SKILL.md` or `.md`. */
export type SkillSpot = { readonly home: SkillHome; readonly place: SkillPlace; readonly name: string }

/** What the front matter says, and the first lines where it says nothing. */
export type SkillHead = Pick<Skill, 'name' | 'description' | 'priority' | 'tags' | 'version' | 'problem'>

export type SkillFile = SkillHead & {
  readonly spot: SkillSpot
  /** Absolute. */
  readonly file: string
  readonly enabled: boolean
  readonly sizeBytes: number
  readonly modifiedMs: number
  /** Changes whenever the file does. */
  readonly stamp: string
}

export type SkillText = SkillFile & {
  readonly content: string
  readonly frontMatter: string | null
  readonly metadata: Readonly<Record<string, unknown>>
}

export type SkillScan = {
  readonly skills: readonly SkillFile[]
  /** Absolute paths of the folders it looked into: what happens there may change the next scan. */
  readonly folders: readonly string[]
  /** True when there is more than a scan takes in. */
  readonly isCut: boolean
}

/**
 * Skills on the disk of this machine. Nothing outside the places is read or written, whatever lies in them: links are
 * not followed (but those that a person's own place is), pipes and devices not opened.
 */
export interface SkillFiles {
  /** Everything in the homes. A file that has not changed since the last scan is not read again. */
  scan(homes: readonly SkillHome[]): Promise<SkillScan>
  /** @errors skill_not_found, too_large */
  read(spot: SkillSpot): Promise<Result<SkillText>>
  /**
   * Changes a skill, or with `create` makes one where there is none, in one step: the file is the old or the new one at
   * any time, and what somebody else wrote meanwhile is kept and changed in turn.
   * @errors skill_not_found (without `create`), skill_conflict, invalid_input, too_large, storage_failed
   */
  write(spot: SkillSpot, change: SkillChange, options: { readonly create: boolean }): Promise<Result<SkillText>>
  /** @errors skill_not_found, skill_conflict, storage_failed */
  setEnabled(spot: SkillSpot, enabled: boolean): Promise<Result<null>>
  /** Answers where a copy is kept. @errors skill_not_found, skill_conflict, storage_failed */
  remove(spot: SkillSpot): Promise<Result<{ readonly keptAt: string }>>
  /** Follows folders; each call of `set` replaces them. */
  watch(onChange: () => void): SkillWatch
}

export type SkillWatch = {
  /** Answers how many of them cannot be followed: too many, gone, or the system lets no more be watched. */
  set(folders: readonly string[]): number
  readonly close: Cancel
}
