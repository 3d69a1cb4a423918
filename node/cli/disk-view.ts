import { readdir } from 'node:fs/promises'
import { dirname, join, relative, sep } from 'node:path'
import type { DataDirectory } from '../adapters/data-directory.ts'
import { fileSize, folderSize } from '../adapters/folder-size.ts'
import { BACKUP_FILES } from './backup-source.ts'
import { contextDir, journalFile, storeDir } from './mesh-files.ts'

/** Bytes of the files in the data directory: each of them is counted in exactly one place. */
export type DiskView = {
  /** Of the store as LevelDB keeps it: compressed, and with what it has not cleared away yet. */
  readonly storeBytes: number
  readonly voterJournalBytes: number
  /** This node's own index of the context, vectors included; it can be made anew from the documents. */
  readonly contextIndexBytes: number
  /** Largest first. */
  readonly sessions: readonly SizedById[]
  /** Commands that were run. Largest first. */
  readonly executions: readonly SizedById[]
  readonly auditBytes: number
  /** Keys, settings, secrets, MCP servers, and whatever else somebody has put there. */
  readonly otherBytes: number
  /** The largest of these, as paths in the data directory. */
  readonly other: readonly { readonly path: string; readonly bytes: number }[]
  readonly totalBytes: number
}

type SizedById = { readonly id: string; readonly bytes: number }

/** Who has more than these has put them there. */
const OTHER_SHOWN_MAX = 10

export async function diskView(data: DataDirectory, mesh: string): Promise<DiskView> {
  const folder = data.meshDir(mesh)
  const [store, journal, context] = [storeDir(folder), dirname(journalFile(folder)), contextDir(folder)]
  const [sessionsDir, executionsDir] = [data.sessionsDir, join(data.path, 'executions')]
  const audit = BACKUP_FILES.filter((path) => path.startsWith('audit.log')).map((path) => join(data.path, path))
  const named = [store, journal, context, sessionsDir, executionsDir, ...audit]
  const rest = await unnamedIn(data.path, new Set(named))
  const view = {
    storeBytes: await folderSize(store),
    voterJournalBytes: await folderSize(journal),
    contextIndexBytes: await folderSize(context),
    sessions: await sizesIn(sessionsDir),
    executions: await sizesIn(executionsDir),
    auditBytes: sum(await Promise.all(audit.map(fileSize))),
    otherBytes: sum(rest.map(({ bytes }) => bytes)),
  }
  const { storeBytes, voterJournalBytes, contextIndexBytes, auditBytes, otherBytes } = view
  const ofIds = [...view.sessions, ...view.executions].map(({ bytes }) => bytes)
  return {
    ...view,
    other: rest.slice(0, OTHER_SHOWN_MAX).map(({ path, bytes }) => ({ path: relative(data.path, path), bytes })),
    totalBytes: sum([storeBytes, voterJournalBytes, contextIndexBytes, auditBytes, otherBytes, ...ofIds]),
  }
}

type Sized = { readonly path: string; readonly bytes: number }

/** Everything in a folder but what is `named`, as far up as it can be taken together. Largest first. */
async function unnamedIn(folder: string, named: ReadonlySet<string>): Promise<Sized[]> {
  const holdsNamed = (path: string): boolean => [...named].some((one) => one.startsWith(path + sep))
  const found: Sized[] = []
  for (const path of await pathsIn(folder)) {
    if (named.has(path)) continue
    if (holdsNamed(path)) found.push(...(await unnamedIn(path, named)))
    else found.push({ path, bytes: (await fileSize(path)) + (await folderSize(path)) })
  }
  return largestFirst(found)
}

const sizesIn = async (folder: string): Promise<SizedById[]> =>
  largestFirst(
    await Promise.all(
      (await pathsIn(folder)).map(async (path) => ({
        id: relative(folder, path),
        bytes: (await fileSize(path)) + (await folderSize(path)),
      })),
    ),
  )

/** What lies in a folder; nothing when it is not there (any more). */
const pathsIn = async (folder: string): Promise<string[]> =>
  (await readdir(folder).catch(() => [])).map((name) => join(folder, name))

const largestFirst = <T extends { readonly bytes: number }>(all: readonly T[]): T[] =>
  all.toSorted((a, b) => b.bytes - a.bytes)

const sum = (all: readonly number[]): number => all.reduce((total, bytes) => total + bytes, 0)
