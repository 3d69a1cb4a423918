import type { MachineId } from '../../../crdt/ids.ts'
import { skillIdOf, type FullSkill, type Skill, type SkillFilter } from '../../../crdt/skill.ts'
import type { SkillFile, SkillSpot, SkillText } from '../../ports/skill-files.ts'
import type { SkillIndex } from './skill-index.ts'
import { parseSkillPath, skillPathOf } from './skill-places.ts'

/** Where a path points, in the homes of this machine; nothing has to be there. */
export async function spotAt(index: SkillIndex, path: string): Promise<SkillSpot | undefined> {
  const address = parseSkillPath(path)
  const home = address && (await index.homes()).find(({ projectId }) => projectId === address.projectId)
  return address && home && { home, place: address.place, name: address.name }
}

/**
 * The skill that goes by something else than its path: its id, the absolute path of its file or folder, or its path with
 * letters composed in another way (as macOS does).
 */
export async function knownAs(index: SkillIndex, machineId: MachineId, said: string): Promise<SkillSpot | undefined> {
  const composed = said.normalize()
  const known = (await index.all()).find(({ spot, file }) => {
    const path = skillPathOf(spot)
    const isFile = said.startsWith('/') && (file === said || file.startsWith(`${said}/SKILL.md`))
    return isFile || path.normalize() === composed || skillIdOf(machineId, path) === said
  })
  return known?.spot
}

export function skillOf(machineId: MachineId, file: SkillFile): Skill {
  const path = skillPathOf(file.spot)
  const { projectId } = file.spot.home
  return {
    id: skillIdOf(machineId, path),
    machineId,
    path,
    kind: file.spot.place.kind,
    scope: projectId === null ? 'user' : 'project',
    projectId,
    file: file.file,
    name: file.name,
    description: file.description,
    enabled: file.enabled,
    priority: file.priority,
    tags: [...file.tags],
    version: file.version,
    sizeBytes: file.sizeBytes,
    lastModified: new Date(file.modifiedMs).toISOString(),
    problem: file.problem,
  }
}

export const fullSkillOf = (machineId: MachineId, text: SkillText): FullSkill => ({
  ...skillOf(machineId, text),
  content: text.content,
  frontMatter: text.frontMatter,
  metadata: { ...text.metadata },
})

/** Those that fit, the most important first. */
export function selectSkills(files: readonly SkillFile[], filter: SkillFilter): SkillFile[] {
  const { enabled, kind, scope, projectId, tag } = filter
  const search = filter.search?.trim().toLowerCase() ?? ''
  return files
    .filter(
      (file) =>
        (enabled === undefined || file.enabled === enabled) &&
        (kind === undefined || file.spot.place.kind === kind) &&
        (scope === undefined || (file.spot.home.projectId === null) === (scope === 'user')) &&
        (projectId === undefined || file.spot.home.projectId === projectId) &&
        (tag === undefined || file.tags.includes(tag)) &&
        (search === '' || mentions(file, search)),
    )
    .map((file) => ({ file, path: skillPathOf(file.spot) }))
    .toSorted((a, b) => b.file.priority - a.file.priority || (a.path < b.path ? -1 : 1))
    .map(({ file }) => file)
}

const mentions = (file: SkillFile, search: string): boolean =>
  [skillPathOf(file.spot), file.name, file.description, ...file.tags].some((text) =>
    text.toLowerCase().includes(search),
  )
