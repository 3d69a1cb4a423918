import type * as Y from 'yjs'
import { meshDoc, projectDoc, type PeerId, type ProjectId } from '../../../crdt/ids.ts'
import { readProjectIndex, type IndexedProject, type ProjectIndex } from '../../../crdt/mesh-document.ts'
import { readProject, readProjectPaths } from '../../../crdt/project-document.ts'
import type { Project } from '../../../crdt/project.ts'
import type { Cancel } from '../../ports/clock.ts'
import type { Documents } from '../feeds/documents.ts'
import type { EventHub } from '../event-hub.ts'

export type ProjectDirectoryDeps = { readonly documents: Documents; readonly events: EventHub }

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

/** An open project document: its content is read again only after it has changed. */
type Opened = {
  readonly ready: Promise<void>
  close: Cancel
  paths: ReadonlyMap<PeerId, string>
  project: Project | undefined
}

class Directory implements ProjectDirectory {
  readonly #deps: ProjectDirectoryDeps
  #index: ProjectIndex = { projects: new Map(), resolve: () => undefined, byKey: () => undefined }
  readonly #opened = new Map<ProjectId, Opened>()
  /** What subscribers were last told, to tell of each change once. */
  readonly #told = new Map<ProjectId, string>()
  #close: Cancel = () => undefined
  #isStarted = false
  #isStopped = false

  constructor(deps: ProjectDirectoryDeps) {
    this.#deps = deps
  }

  async start(): Promise<void> {
    this.#close = await this.#deps.documents.open(meshDoc, (_, state) => {
      this.#index = readProjectIndex(state)
      void this.#follow()
    })
    await this.refresh()
    this.#isStarted = true
  }

  async all(): Promise<readonly Project[]> {
    await Promise.all([...this.#opened.values()].map(({ ready }) => ready))
    return [...this.#index.projects.values()]
      .flatMap((project) => this.#view(project) ?? [])
      .sort((a, b) => (a.createdAt === b.createdAt ? (a.id < b.id ? -1 : 1) : a.createdAt < b.createdAt ? -1 : 1))
  }

  async find(id: string): Promise<Project | undefined> {
    const project = this.#index.resolve(id)
    if (!project) return undefined
    await Promise.all(idsOf(project).flatMap((each) => this.#opened.get(each)?.ready ?? []))
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
    const { documents } = this.#deps
    documents.readOpen(meshDoc, (state) => (this.#index = readProjectIndex(state)))
    await this.#follow()
    for (const id of this.#opened.keys()) documents.readOpen(projectDoc(id), (state) => this.#look(id, state))
    this.#tell()
  }

  stop(): void {
    this.#isStopped = true
    this.#close()
    for (const { close } of this.#opened.values()) close()
  }

  /** Opens the documents of new projects and lets go of those of removed ones. */
  async #follow(): Promise<void> {
    for (const [id, { close }] of this.#opened) {
      if (this.#index.resolve(id)) continue
      close()
      this.#opened.delete(id)
    }
    const ids = [...this.#index.projects.values()].flatMap(idsOf)
    await Promise.all(ids.map((id) => this.#open(id)))
    this.#tell()
  }

  #open(id: ProjectId): Promise<void> {
    const known = this.#opened.get(id)
    if (known) return known.ready
    const { promise: ready, resolve, reject } = Promise.withResolvers<void>()
    let isWanted = true
    const opened: Opened = { ready, close: () => (isWanted = false), paths: new Map(), project: undefined }
    this.#opened.set(id, opened)
    const open = async (): Promise<void> => {
      const { documents } = this.#deps
      const close = await documents.open(projectDoc(id), (_, state) => {
        this.#look(id, state)
        this.#tell()
      })
      if (!isWanted || this.#isStopped) return close()
      opened.close = close
      documents.readOpen(projectDoc(id), (state) => this.#look(id, state))
    }
    open().then(resolve, reject)
    return ready
  }

  #look(id: ProjectId, state: Y.Doc): void {
    const opened = this.#opened.get(id)
    const entry = this.#index.resolve(id)
    if (!opened || !entry) return
    opened.project = readProject(state, { ...entry, id })
    opened.paths = readProjectPaths(state)
  }

  #view(indexed: IndexedProject): Project | undefined {
    const project = this.#opened.get(indexed.id)?.project
    return project && { ...project, paths: Object.fromEntries(this.#paths(indexed)) }
  }

  /** A machine that added the repository under an alias has the project all the same. */
  #paths(indexed: IndexedProject): ReadonlyMap<PeerId, string> {
    const maps = idsOf(indexed).map((id) => this.#opened.get(id)?.paths ?? new Map<PeerId, string>())
    return new Map(maps.toReversed().flatMap((paths) => [...paths]))
  }

  #tell(): void {
    if (this.#isStopped) return
    for (const projectId of this.#told.keys()) {
      if (this.#index.projects.has(projectId)) continue
      this.#told.delete(projectId)
      this.#publish('project.deleted', projectId)
    }
    for (const indexed of this.#index.projects.values()) {
      const view = this.#view(indexed)
      if (!view) continue // still being opened: told when it is
      const shown = JSON.stringify(view)
      const before = this.#told.get(indexed.id)
      if (before === shown) continue
      this.#told.set(indexed.id, shown)
      this.#publish(before === undefined ? 'project.created' : 'project.updated', indexed.id)
    }
  }

  /** What was there when we started is no news. */
  #publish(type: 'project.created' | 'project.updated' | 'project.deleted', projectId: ProjectId): void {
    if (this.#isStarted) this.#deps.events.publish({ type, projectId })
  }
}

const idsOf = (project: IndexedProject): ProjectId[] => [project.id, ...project.aliases]
