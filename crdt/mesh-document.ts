import type * as Y from 'yjs'
import { z } from 'zod'
import { MachineId, ProjectId, type PeerId } from './ids.ts'
import type { RepositoryIdentity } from './project.ts'

/*
 * Layout of the `mesh` document, written by members: flat maps of records that are written once. What is taken away is
 * said in a map of its own, so that a concurrent rewrite cannot bring it back.
 */
const PROJECTS = 'projects'
const REMOVED_PROJECTS = 'removed-projects'
const BRIDGED = 'bridged'
const REMOVED_BRIDGED = 'removed-bridged'

/** A mesh of people has tens; more than this is a fault or an attack, and is not read. */
const ENTRIES_READ_MAX = 10_000

const IsoTime = z.iso.datetime()

const ProjectEntry = z.object({
  /** The name at creation; the project's own document has the current one. */
  name: z.string().min(1).max(200),
  /** Two entries of one key are one project (`repositoryKey`, `folderKey`). */
  key: z.string().min(1).max(8192),
  createdAt: IsoTime,
  createdBy: z.string().min(1).max(128),
})
export type ProjectEntry = z.infer<typeof ProjectEntry>

export type IndexedProject = ProjectEntry & {
  readonly id: ProjectId
  /** Other ids of the same project, created elsewhere before this one was known there. */
  readonly aliases: readonly ProjectId[]
}

/** All projects that have not been removed. */
export type ProjectIndex = {
  /** By their one id, whatever aliases there are. */
  readonly projects: ReadonlyMap<ProjectId, IndexedProject>
  /** The project behind an id or alias. */
  resolve(id: string): IndexedProject | undefined
  byKey(key: string): IndexedProject | undefined
}

/** Reads the index; what is not valid is not there. The same on every replica with the same content. */
export function readProjectIndex(state: Y.Doc): ProjectIndex {
  const removed = state.getMap(REMOVED_PROJECTS)
  const entries = readEntries(state.getMap(PROJECTS), ProjectId, ProjectEntry).filter(([id]) => !removed.has(id))
  const byKey = new Map<string, IndexedProject & { aliases: ProjectId[] }>()
  const projects = new Map<ProjectId, IndexedProject>()
  const byId = new Map<string, IndexedProject>()
  for (const [id, entry] of entries.toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const twin = byKey.get(entry.key)
    const project = twin ?? { id, ...entry, aliases: [] }
    if (twin) twin.aliases.push(id)
    else byKey.set(entry.key, project)
    projects.set(project.id, project)
    byId.set(id, project)
  }
  return { projects, resolve: (id) => byId.get(id), byKey: (key) => byKey.get(key) }
}

export function addProjectEntry(state: Y.Doc, id: ProjectId, entry: ProjectEntry): void {
  state.getMap(PROJECTS).set(id, ProjectEntry.parse(entry))
}

/** Removes the project under all its ids: an alias must not take its place. */
export function removeProjectEntry(state: Y.Doc, project: IndexedProject, at: string): void {
  for (const id of [project.id, ...project.aliases]) state.getMap(REMOVED_PROJECTS).set(id, at)
}

/** What makes two folders on two machines one project. */
export function repositoryKey({ rootCommit, remote }: RepositoryIdentity): string {
  return `repository ${rootCommit} ${remote === null ? '' : sharedRemote(remote)}`
}

/** A folder without a repository is itself only. */
export const folderKey = (peer: PeerId, path: string): string => `folder ${peer} ${path}`

/** One address for the ways to write it (`git@host:a/b.git`, `https://user@host/a/b`); empty for a path on a disk. */
function sharedRemote(remote: string): string {
  const url = /^[a-z][a-z0-9+.-]*:\/\/(?:[^@/]*@)?([^/:]+)(?::\d+)?\/(.*)$/i.exec(remote)
  const scp = /^(?:[^@/:]+@)?([^/:]{2,}):(?!\/\/)(.*)$/.exec(remote)
  const [, host, path] = url ?? scp ?? []
  if (host === undefined || path === undefined || remote.startsWith('file:')) return ''
  const trimmed = path
    .replace(/^\/+/, '')
    .replace(/\/+$/, '')
    .replace(/\.git$/, '')
  return `${host.toLowerCase()}/${trimmed}`
}

export const BridgedRecord = z.object({
  name: z.string().min(1).max(128),
  hostname: z.string().max(512),
  platform: z.string().max(512),
  arch: z.string().max(512),
  nodeVersion: z.string().max(512),
  rookeryVersion: z.string().max(512),
  claudeVersion: z.string().max(512).nullable(),
  claudePath: z.string().max(4096).nullable(),
  agents: z.record(z.string().max(64), z.string().max(4096)),
  capabilities: z.array(z.string().max(512)).max(64),
  maxSessions: z.int().min(1).max(1000),
  createdAt: IsoTime,
})
/** A host that is registered over HTTP and has no node. */
export type BridgedRecord = z.infer<typeof BridgedRecord>

export function readBridged(state: Y.Doc): Map<MachineId, BridgedRecord> {
  const removed = state.getMap(REMOVED_BRIDGED)
  return new Map(readEntries(state.getMap(BRIDGED), MachineId, BridgedRecord).filter(([id]) => !removed.has(id)))
}

export function writeBridged(state: Y.Doc, id: MachineId, record: BridgedRecord): void {
  state.getMap(BRIDGED).set(id, BridgedRecord.parse(record))
}

export function removeBridged(state: Y.Doc, id: MachineId, at: string): void {
  state.getMap(REMOVED_BRIDGED).set(id, at)
}

function readEntries<K extends z.ZodType<string>, V extends z.ZodType>(
  map: Y.Map<unknown>,
  Key: K,
  Value: V,
): [z.infer<K>, z.infer<V>][] {
  const entries: [z.infer<K>, z.infer<V>][] = []
  for (const [name, content] of map) {
    const key = Key.safeParse(name)
    const value = Value.safeParse(content)
    if (key.success && value.success) entries.push([key.data, value.data])
    if (entries.length >= ENTRIES_READ_MAX) break
  }
  return entries
}
