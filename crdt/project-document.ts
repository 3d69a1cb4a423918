import type * as Y from 'yjs'
import { z } from 'zod'
import { PeerId, type ProjectId } from './ids.ts'
import type { ProjectEntry } from './mesh-document.ts'
import { DEFAULT_PROJECT_SETTINGS, LOCK_POLICIES, type Project } from './project.ts'

/*
 * The part of `project/<id>` that says what the project is: two flat maps. `project` has one key per field, so that
 * changes of different fields never overwrite each other; `paths` has one key per machine.
 */
const FIELDS = 'project'
const PATHS = 'paths'

export const PROJECT_NAME_CHARS_MAX = 200
/** Five such texts in three-byte characters still fit one envelope. */
export const BRIEF_CHARS_MAX = 15_000
export const PROJECT_PATH_CHARS_MAX = 4096
/** Machines whose paths are read; a mesh has fewer members. */
const PATHS_READ_MAX = 1000

const Brief = z.string().max(BRIEF_CHARS_MAX)

/** Every field of the map, by its key, with what is valid for it. */
export const ProjectFields = z.strictObject({
  name: z.string().trim().min(1).max(PROJECT_NAME_CHARS_MAX),
  summary: Brief,
  architecture: Brief,
  conventions: Brief,
  currentFocus: Brief,
  recentChanges: Brief,
  'settings.maxContextTokens': z.int().min(256).max(10_000_000),
  'settings.taskTimeoutMinutes': z
    .int()
    .min(1)
    .max(7 * 24 * 60),
  'settings.lockPolicy': z.enum(LOCK_POLICIES),
  'settings.caseFold': z.boolean(),
  repository: z.strictObject({
    rootCommit: z.string().regex(/^[0-9a-f]{40,64}$/),
    remote: z.string().max(2048).nullable(),
  }),
})

/** Some of the fields: what a change sets. */
export const ProjectFieldChanges = ProjectFields.partial()
export type ProjectFieldChanges = z.infer<typeof ProjectFieldChanges>

/** An absolute path on its machine, as that machine resolved it. */
export const ProjectPath = z
  .string()
  .min(1)
  .max(PROJECT_PATH_CHARS_MAX)
  .refine((path) => /^(?:\/|[A-Za-z]:[\\/])/.test(path) && !path.includes('\0'), 'must be an absolute path')

/** Writes the given fields and no others. @throws when one is not valid: callers have checked their input */
export function writeProjectFields(state: Y.Doc, fields: ProjectFieldChanges): void {
  const map = state.getMap(FIELDS)
  for (const [key, value] of Object.entries(ProjectFieldChanges.parse(fields)))
    if (value !== undefined && JSON.stringify(map.get(key)) !== JSON.stringify(value)) map.set(key, value)
}

export function writeProjectPath(state: Y.Doc, peer: PeerId, path: string): void {
  state.getMap(PATHS).set(peer, ProjectPath.parse(path))
}

/** What a project's document says of it; what is not valid is not there. */
export const ProjectContent = z.object({
  fields: ProjectFieldChanges,
  /** Where the project lies, by machine. */
  paths: z.array(z.tuple([PeerId, ProjectPath])),
})
export type ProjectContent = z.infer<typeof ProjectContent>

export function readProjectContent(state: Y.Doc): ProjectContent {
  const fields: Record<string, unknown> = {}
  for (const [key, schema] of Object.entries(ProjectFields.shape)) {
    const parsed = schema.safeParse(state.getMap(FIELDS).get(key))
    if (parsed.success) fields[key] = parsed.data
  }
  const paths: ProjectContent['paths'] = []
  for (const [key, value] of state.getMap(PATHS)) {
    const peer = PeerId.safeParse(key)
    const path = ProjectPath.safeParse(value)
    if (peer.success && path.success) paths.push([peer.data, path.data])
    if (paths.length >= PATHS_READ_MAX) break
  }
  return { fields: ProjectFieldChanges.parse(fields), paths }
}

/** The project as every surface reads it; each field that is missing has its default. */
export function projectView(
  { fields, paths }: ProjectContent,
  { id, name, createdAt, createdBy }: ProjectEntry & { id: ProjectId },
): Project {
  const { maxContextTokens, taskTimeoutMinutes, lockPolicy, caseFold } = DEFAULT_PROJECT_SETTINGS
  return {
    id,
    name: fields.name ?? name,
    summary: fields.summary ?? '',
    architecture: fields.architecture ?? '',
    conventions: fields.conventions ?? '',
    currentFocus: fields.currentFocus ?? '',
    recentChanges: fields.recentChanges ?? '',
    settings: {
      maxContextTokens: fields['settings.maxContextTokens'] ?? maxContextTokens,
      taskTimeoutMinutes: fields['settings.taskTimeoutMinutes'] ?? taskTimeoutMinutes,
      lockPolicy: fields['settings.lockPolicy'] ?? lockPolicy,
      caseFold: fields['settings.caseFold'] ?? caseFold,
    },
    repository: fields.repository ?? null,
    paths: Object.fromEntries(paths),
    createdAt,
    createdBy,
  }
}
