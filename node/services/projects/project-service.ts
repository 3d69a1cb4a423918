import { z } from 'zod'
import { can, type Actor } from '../../../crdt/actor.ts'
import { domainError, invalidField, type DomainError } from '../../../crdt/errors.ts'
import { meshDoc, projectDoc, ProjectId, type PeerId } from '../../../crdt/ids.ts'
import {
  addProjectEntry,
  folderKey,
  readProjectIndex,
  removeProjectEntry,
  repositoryKey,
} from '../../../crdt/mesh-document.ts'
import { paginate, type Page, type PageRequest } from '../../../crdt/page.ts'
import {
  PROJECT_NAME_CHARS_MAX,
  ProjectFieldChanges,
  ProjectFields,
  ProjectPath,
  writeProjectFields,
  writeProjectPath,
} from '../../../crdt/project-document.ts'
import type { Project, ProjectSettings, RepositoryIdentity } from '../../../crdt/project.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import { uuidFromRandom } from '../../../crdt/uuid.ts'
import type { Clock } from '../../ports/clock.ts'
import type { MachineProbe } from '../../ports/machine-probe.ts'
import type { Random } from '../../ports/random.ts'
import type { Documents } from '../feeds/documents.ts'
import type { EventHub } from '../event-hub.ts'
import type { MachineService } from '../machines/machine-service.ts'
import { watchProjects, type ProjectDirectory, type ProjectDirectoryDeps } from './project-directory.ts'
import type { Rpc } from '../rpc/rpc.ts'
import { written } from '../written.ts'

export type ProjectInput = {
  readonly name?: string
  readonly projectPath: string
  readonly summary?: string
  readonly architecture?: string
  readonly conventions?: string
  readonly settings?: Partial<ProjectSettings>
}

export type ProjectChange = {
  readonly name?: string
  readonly summary?: string
  readonly architecture?: string
  readonly conventions?: string
  readonly currentFocus?: string
  readonly recentChanges?: string
  readonly settings?: Partial<ProjectSettings>
}

export type ProjectService = {
  /** Projects that lie on this machine. */
  list(machineId: string, page: PageRequest): Promise<Result<Page<Project>>>
  /** Every project of the mesh. */
  all(): Promise<readonly Project[]>
  /**
   * Adds a folder of a machine. The machine itself looks at the folder; one repository added from two machines is one
   * project with two paths.
   */
  create(actor: Actor, machineId: string, input: ProjectInput): Promise<Result<Project>>
  get(id: string): Promise<Result<Project>>
  update(actor: Actor, id: string, change: ProjectChange): Promise<Result<Project>>
  remove(actor: Actor, id: string): Promise<Result<null>>
}

export type ProjectServiceDeps = {
  readonly documents: Documents
  readonly machines: Pick<MachineService, 'nodeOf'>
  readonly rpc: Rpc
  readonly probe: Pick<MachineProbe, 'inspectFolder'>
  readonly events: EventHub
  readonly clock: Clock
  readonly random: Random
  readonly isWorkedIn?: ProjectDirectoryDeps['isWorkedIn']
}

export type Projects = ProjectService & {
  /** The one id of a project, whatever alias it is asked by; undefined when there is no such project. */
  resolve(id: string): { readonly id: ProjectId; readonly aliases: readonly ProjectId[] } | undefined
  stop(): void
}

/** Follows every project of the mesh and looks at folders of this machine for others. */
export async function createProjectService(deps: ProjectServiceDeps): Promise<Projects> {
  serveInspection(deps)
  const directory = await watchProjects(deps)
  const context: Context = { deps, directory, adding: new Set() }
  return {
    list: (machineId, page) => list(context, machineId, page),
    all: () => directory.all(),
    create: (actor, machineId, input) => create(context, actor, { machineId, input }),
    get: async (id) => found(await directory.find(id)),
    update: (actor, id, change) => update(context, actor, { id, change }),
    remove: (actor, id) => remove(context, actor, id),
    resolve: (id) => directory.resolve(id),
    stop: () => directory.stop(),
  }
}

type Context = {
  readonly deps: ProjectServiceDeps
  readonly directory: ProjectDirectory
  /** Places being added right now: the same one twice at once must not succeed twice. */
  readonly adding: Set<string>
}

const Inspected = z.object({
  exists: z.boolean(),
  isDirectory: z.boolean(),
  realPath: z.string().nullable(),
  repository: ProjectFields.shape.repository.nullable(),
  /** A node of an earlier release does not say. */
  foldsCase: z.boolean().default(false),
})

function serveInspection({ rpc, probe }: ProjectServiceDeps): void {
  rpc.serve({
    name: 'project.inspect',
    input: z.strictObject({ path: ProjectPath }),
    run: async (actor, { path }) => {
      if (!can(actor, 'project:write')) return err(domainError('forbidden'))
      const { exists, isDirectory, realPath, repository, foldsCase } = await probe.inspectFolder(path)
      return ok({ exists, isDirectory, realPath, repository, foldsCase })
    },
  })
}

const found = (project: Project | undefined): Result<Project> =>
  project ? ok(project) : err(domainError('project_not_found'))

async function list(
  { deps, directory }: Context,
  machineId: string,
  page: PageRequest,
): Promise<Result<Page<Project>>> {
  const node = await deps.machines.nodeOf(machineId)
  // One without a node has none.
  if (!node.ok) return node.error.code === 'machine_not_found' ? node : ok(paginate([], page))
  const { peer } = node.value
  return ok(
    paginate(
      (await directory.all()).filter(({ paths }) => paths[peer] !== undefined),
      page,
    ),
  )
}

async function create(
  context: Context,
  actor: Actor,
  { machineId, input }: { machineId: string; input: ProjectInput },
): Promise<Result<Project>> {
  const { machines } = context.deps
  if (!can(actor, 'project:write')) return err(domainError('forbidden'))
  const fields = checkFields({ ...input, name: input.name ?? folderName(input.projectPath) })
  if (!fields.ok) return fields
  const node = await machines.nodeOf(machineId)
  if (!node.ok) return node
  const folder = await inspect(context, actor, { peer: node.value.peer, path: input.projectPath })
  if (!folder.ok) return folder
  const place = { peer: node.value.peer, ...folder.value }
  const neighbour = (await context.directory.all()).find(({ paths }) => paths[place.peer] === place.path)
  if (neighbour) return err(exists(neighbour.name))
  const adding = `${place.peer} ${place.path}`
  if (context.adding.has(adding)) return err(exists(fields.value.name ?? place.path))
  context.adding.add(adding)
  try {
    return await addProject(context, actor, { place, fields: fields.value })
  } finally {
    context.adding.delete(adding)
  }
}

/** Where a project lies, as the machine itself says. */
type Place = {
  readonly peer: PeerId
  readonly path: string
  readonly repository: RepositoryIdentity | null
  /** Its file system does not tell upper from lower case. */
  readonly foldsCase: boolean
}

async function inspect(
  { deps }: Context,
  actor: Actor,
  { peer, path }: { peer: PeerId; path: string },
): Promise<Result<Omit<Place, 'peer'>>> {
  const checked = ProjectPath.safeParse(path)
  if (!checked.success) return err(invalidField('project_path', 'The project path must be an absolute path.'))
  const answer = await deps.rpc.call(peer, 'project.inspect', { actor, input: { path }, reply: Inspected })
  if (!answer.ok) return answer
  const { exists, isDirectory, realPath, repository, foldsCase } = answer.value
  if (!exists) return err(invalidField('project_path', `There is no folder ${path} on this machine.`))
  if (!isDirectory) return err(invalidField('project_path', `${path} is not a folder.`))
  const real = ProjectPath.safeParse(realPath ?? path)
  return real.success
    ? ok({ path: real.data, repository, foldsCase })
    : err(invalidField('project_path', 'The folder lies at a path that is too long.'))
}

/** Adds the place to the project of its repository, or makes a project. */
async function addProject(
  { deps, directory }: Context,
  actor: Actor,
  { place, fields }: { place: Place; fields: ProjectFieldChanges },
): Promise<Result<Project>> {
  const { documents, clock, random } = deps
  const { peer, path, repository } = place
  const folding = place.foldsCase ? { 'settings.caseFold': true } : {}
  const key = repository ? repositoryKey(repository) : folderKey(peer, path)
  const id = ProjectId.parse(uuidFromRandom(random.bytes(16)))
  const createdAt = new Date(clock.wallMs()).toISOString()
  const entry = { name: fields.name ?? folderName(path), key, createdAt, createdBy: actor.id }
  const known = directory.byKey(key)
  if (known?.paths.has(peer)) return err(exists(known.name))
  // The index comes last, so that it never names a project whose content is not there.
  if (!known) {
    const filled = await written(
      documents.write(projectDoc(id), actor, (state) => {
        writeProjectFields(state, { ...fields, ...folding, ...(repository ? { repository } : {}) })
        writeProjectPath(state, peer, path)
      }),
    )
    if (!filled.ok) return filled
  }
  const indexed = await written(
    documents.write(meshDoc, actor, (state) => {
      const twin = readProjectIndex(state).byKey(key)
      if (!twin) addProjectEntry(state, id, entry)
      return twin?.id ?? id
    }),
  )
  if (!indexed.ok) return indexed
  const { value: projectId } = indexed.value
  if (projectId !== id) {
    const joined = await written(
      documents.write(projectDoc(projectId), actor, (state) => {
        writeProjectPath(state, peer, path)
        writeProjectFields(state, folding)
      }),
    )
    if (!joined.ok) return joined
  }
  await directory.refresh()
  return found(await directory.find(projectId))
}

async function update(
  { deps, directory }: Context,
  actor: Actor,
  { id, change }: { id: string; change: ProjectChange },
): Promise<Result<Project>> {
  if (!can(actor, 'project:write')) return err(domainError('forbidden'))
  const fields = checkFields(change)
  if (!fields.ok) return fields
  const project = directory.resolve(id)
  if (!project) return err(domainError('project_not_found'))
  const wrote = await written(
    deps.documents.write(projectDoc(project.id), actor, (state) => writeProjectFields(state, fields.value)),
  )
  if (!wrote.ok) return wrote
  await directory.refresh()
  return found(await directory.find(project.id))
}

/** The folders stay; the project's tasks and brief are no longer shown anywhere. */
async function remove({ deps, directory }: Context, actor: Actor, id: string): Promise<Result<null>> {
  if (!can(actor, 'project:write')) return err(domainError('forbidden'))
  const at = new Date(deps.clock.wallMs()).toISOString()
  const removed = await written(
    deps.documents.write(meshDoc, actor, (state) => {
      const project = readProjectIndex(state).resolve(id)
      if (project) removeProjectEntry(state, project, at)
      return project !== undefined
    }),
  )
  if (!removed.ok) return removed
  await directory.refresh()
  return removed.value.value ? ok(null) : err(domainError('project_not_found'))
}

const exists = (name: string): DomainError =>
  domainError('project_exists', { message: `The project “${name}” already lies on this machine.` })

function folderName(path: string): string {
  return (
    path
      .split(/[\\/]/)
      .findLast((part) => part !== '')
      ?.slice(0, PROJECT_NAME_CHARS_MAX) ?? 'project'
  )
}

/** The given fields in the form the document keeps, or every one that is wrong. */
function checkFields(change: ProjectChange): Result<ProjectFieldChanges> {
  const { name, summary, architecture, conventions, currentFocus, recentChanges, settings } = change
  const given = {
    name,
    summary,
    architecture,
    conventions,
    currentFocus,
    recentChanges,
    'settings.maxContextTokens': settings?.maxContextTokens,
    'settings.taskTimeoutMinutes': settings?.taskTimeoutMinutes,
    'settings.lockPolicy': settings?.lockPolicy,
    'settings.caseFold': settings?.caseFold,
  }
  const checked = ProjectFieldChanges.safeParse(given)
  if (checked.success) return ok(checked.data)
  const fields: Record<string, readonly string[]> = {}
  for (const { path, message } of checked.error.issues) {
    const field = WIRE_NAMES[String(path[0])] ?? String(path[0])
    fields[field] = [...(fields[field] ?? []), message]
  }
  return err(domainError('invalid_input', { details: { fields } }))
}

/** Fields by the names the documents use. */
const WIRE_NAMES: Readonly<Record<string, string>> = { currentFocus: 'current_focus', recentChanges: 'recent_changes' }
