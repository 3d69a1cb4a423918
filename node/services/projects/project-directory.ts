import type * as Y from 'yjs'
import { meshDoc, projectDoc, projectOfDoc, type DocId, type PeerId, type ProjectId } from '../../../crdt/ids.ts'
import { readProjectIndex, type IndexedProject, type ProjectIndex } from '../../../crdt/mesh-document.ts'
import { ProjectContent, projectView, readProjectContent } from '../../../crdt/project-document.ts'
import type { Project } from '../../../crdt/project.ts'
import type { Cancel } from '../../ports/clock.ts'
import type { Documents } from '../feeds/documents.ts'
import type { EventHub } from '../event-hub.ts'

export type ProjectDirectoryDeps = {
  readonly documents: Documents
  readonly events: EventHub
  /** Whether somebody works on this machine in a project that lies there: it stays in memory. */
  readonly isWorkedIn?: ((paths: ReadonlyMap<PeerId, string>) => boolean) | undefined
}

/** Every project of the mesh as this node knows it. Tells of changes as `project.*`. */
export type ProjectDirectory = {
  /** Oldest first. */
  all(): Promise<readonly Project[]>
  /** By id or alias. */
  find(id: string): Promise<Project | undefined>
  resolve(id: string): IndexedProject | undefined
  /** The project with this key, and where it lies, all aliases included. */
  byKey(key: string): { readonly name: string; readonly paths: ReadonlyMap<PeerId, string> } | undefined
  /** Catches up after a write of our own; resolves when its events have been told. */
  refresh(): Promise<void>
  stop(): void
}

export async function watchProjects(deps: ProjectDirectoryDeps): Promise<ProjectDirectory> {
  const directory = new Directory(deps)
  await directory.start()
  return directory
}

class Directory implements ProjectDirectory {
  readonly #deps: ProjectDirectoryDeps
  #index: ProjectIndex = { projects: new Map(), resolve: () => undefined, byKey: () => undefined }
  /** Of all projects, whether their tasks are in memory or not. */
  readonly #contents = new Map<ProjectId, ProjectContent>()
  /** What subscribers were last told, to tell of each change once. */
  readonly #told = new Map<ProjectId, Project>()
  /** Projects that were there when we started and are still being looked at: they are no news. */
  readonly #old = new Set<ProjectId>()
  #caughtUp: Promise<void> = Promise.resolve()
  #close: Cancel = () => undefined
  #isStarted = false
  #isStopped = false

  constructor(deps: ProjectDirectoryDeps) {
    this.#deps = deps
  }

  async start(): Promise<void> {
    const { documents } = this.#deps
    this.#close = await documents.open(meshDoc, (_, state) => this.#takeIndex(state))
    const { caughtUp } = await documents.follow<ProjectContent>({
      kind: 'project',
      part: 'project',
      summary: ProjectContent,
      loaded: (doc, state) => this.#look(doc, readProjectContent(state)),
      changed: ({ doc }, state) => this.#look(doc, readProjectContent(state)),
      isNeeded: (doc) => this.#isWorkedIn(doc),
      summarize: (_doc, state) => readProjectContent(state),
      away: (doc, content) => this.#look(doc, content),
    })
    this.#caughtUp = caughtUp
    const stored = new Set(documents.list())
    documents.readOpen(meshDoc, (state) => (this.#index = readProjectIndex(state)))
    for (const { id } of this.#index.projects.values())
      if (!this.#contents.has(id) && stored.has(projectDoc(id))) this.#old.add(id)
    await this.#fetch()
    this.#tell()
    this.#isStarted = true
  }

  async all(): Promise<readonly Project[]> {
    await this.#caughtUp
    await this.#fetch()
    return [...this.#index.projects.values()]
      .flatMap((project) => this.#view(project) ?? [])
      .sort((a, b) => (a.createdAt === b.createdAt ? (a.id < b.id ? -1 : 1) : a.createdAt < b.createdAt ? -1 : 1))
  }

  async find(id: string): Promise<Project | undefined> {
    const project = this.#index.resolve(id)
    if (!project) return undefined
    for (const each of idsOf(project)) await this.#load(each)
    return this.#view(project)
  }

  resolve(id: string): IndexedProject | undefined {
    return this.#index.resolve(id)
  }

  byKey(key: string): { readonly name: string; readonly paths: ReadonlyMap<PeerId, string> } | undefined {
    const project = this.#index.byKey(key)
    return project && { name: this.#view(project)?.name ?? project.name, paths: this.#paths(project) }
  }

  async refresh(): Promise<void> {
    this.#deps.documents.readOpen(meshDoc, (state) => (this.#index = readProjectIndex(state)))
    await this.#fetch()
    this.#tell()
  }

  stop(): void {
    this.#isStopped = true
    this.#close()
  }

  #takeIndex(state: Y.Doc): void {
    this.#index = readProjectIndex(state)
    this.#tell()
    // What cannot be read is an error for whoever asks for it.
    this.#fetch().catch(() => undefined)
  }

  /** Looks at projects that were never looked at, but for those that are about to be. */
  async #fetch(): Promise<void> {
    for (const id of [...this.#index.projects.values()].flatMap(idsOf)) if (!this.#old.has(id)) await this.#load(id)
  }

  async #load(id: ProjectId): Promise<void> {
    if (!this.#contents.has(id)) await this.#deps.documents.read(projectDoc(id), () => undefined)
  }

  #look(doc: DocId, content: ProjectContent): void {
    const id = projectOfDoc(doc)
    if (id === undefined || isSame(this.#contents.get(id), content)) return
    this.#contents.set(id, content)
    const project = this.#index.resolve(id)
    if (project) this.#tellOf(project)
  }

  #isWorkedIn(doc: DocId): boolean {
    const id = projectOfDoc(doc)
    const content = id && this.#contents.get(id)
    return content !== undefined && this.#deps.isWorkedIn?.(new Map(content.paths)) === true
  }

  #view(indexed: IndexedProject): Project | undefined {
    const content = this.#contents.get(indexed.id)
    return content && { ...projectView(content, indexed), paths: Object.fromEntries(this.#paths(indexed)) }
  }

  /** A machine that added the repository under an alias has the project all the same. */
  #paths(indexed: IndexedProject): ReadonlyMap<PeerId, string> {
    return new Map(
      idsOf(indexed)
        .toReversed()
        .flatMap((id) => this.#contents.get(id)?.paths ?? []),
    )
  }

  #tell(): void {
    for (const projectId of this.#told.keys()) {
      if (this.#index.projects.has(projectId)) continue
      this.#told.delete(projectId)
      this.#publish('project.deleted', projectId)
    }
    for (const indexed of this.#index.projects.values()) this.#tellOf(indexed)
  }

  #tellOf(indexed: IndexedProject): void {
    const view = this.#view(indexed)
    const before = this.#told.get(indexed.id)
    if (!view || isSame(before, view)) return // or told when it has been looked at
    this.#told.set(indexed.id, view)
    if (!this.#old.delete(indexed.id)) this.#publish(before ? 'project.updated' : 'project.created', indexed.id)
  }

  /** What was there when we started is no news. */
  #publish(type: 'project.created' | 'project.updated' | 'project.deleted', projectId: ProjectId): void {
    if (this.#isStarted && !this.#isStopped) this.#deps.events.publish({ type, projectId })
  }
}

const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)

const idsOf = (project: IndexedProject): ProjectId[] => [project.id, ...project.aliases]
