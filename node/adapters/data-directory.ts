import { chmod, link, mkdir, open, readFile, readdir, rename, rm, stat, unlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { syncFolder } from './sync-folder.ts'

/** Something about the data directory that a person has to mend; the message says how. */
export class DataDirectoryError extends Error {
  override readonly name = 'DataDirectoryError'
}

const SEED_BYTES = 32

/** Where everything of one node lies. */
export type DataDirectory = {
  readonly path: string
  /** Ed25519 seed of the node's identity. */
  readonly nodeSeed: Uint8Array
  /** X25519 secret key that opens sealed secrets. */
  readonly boxSecret: Uint8Array
  readonly controlSocket: string
  readonly sessionsDir: string
  /** Of machines whose agents are connected to this gateway. */
  readonly bridgedDir: string
  readonly auditFile: string
  meshDir(name: string): string
  /** The mesh this node belongs to, as a folder name under `meshes/`, or undefined before the first start. */
  currentMesh(): Promise<string | undefined>
  /** Atomically makes another mesh the current one. */
  setCurrentMesh(name: string): Promise<void>
  /** After leaving a mesh: the pointer and the keys go, the next `openDataDirectory` makes new keys. */
  forgetMeshAndKeys(): Promise<void>
  /** Removes every mesh folder but the current one (left over by a crash, a join or a leave). */
  sweepMeshes(): Promise<void>
}

/**
 * Opens the data directory, creating it and the keys on first use.
 * @throws DataDirectoryError when it cannot be written, or when its modes let others read the keys.
 */
export async function openDataDirectory(path: string): Promise<DataDirectory> {
  await createPrivateDirectory(path)
  await refuseOpenModes(path)
  const keys = join(path, 'keys')
  await createPrivateDirectory(keys)
  await refuseOpenModes(keys)
  for (const name of ['meshes', 'sessions', 'bridged']) await createPrivateDirectory(join(path, name))
  const pointer = join(path, 'mesh')
  return {
    path,
    nodeSeed: await readOrCreateKey(join(keys, 'node.key')),
    boxSecret: await readOrCreateKey(join(keys, 'box.key')),
    controlSocket: join(path, 'control.sock'),
    sessionsDir: join(path, 'sessions'),
    bridgedDir: join(path, 'bridged'),
    auditFile: join(path, 'audit.log'),
    meshDir: (name) => join(path, 'meshes', name),
    currentMesh: async () => (await readIfThere(pointer))?.toString('utf8').trim() || undefined,
    setCurrentMesh: (name) => writeDurably(pointer, `${name}\n`),
    async forgetMeshAndKeys() {
      // The pointer first: a crash in between leaves an empty directory with its old key, which is merely of no use.
      await rm(pointer, { force: true })
      for (const name of ['node.key', 'box.key']) await rm(join(keys, name), { force: true })
    },
    async sweepMeshes() {
      const current = (await readIfThere(pointer))?.toString('utf8').trim()
      for (const name of await readdir(join(path, 'meshes')))
        if (name !== current) await rm(join(path, 'meshes', name), { recursive: true, force: true })
    },
  }
}

export async function createPrivateDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 })
    const probe = join(path, `.probe-${crypto.randomUUID()}`)
    await writeFile(probe, '', { mode: 0o600 })
    await unlink(probe)
  } catch (cause) {
    throw new DataDirectoryError(
      `The data directory ${path} cannot be written (${codeOf(cause)}). Choose another with --data-dir, or make it writable for this user.`,
      { cause },
    )
  }
}

/** Refuses instead of repairing: whoever could read the keys until now may have done so. */
export async function refuseOpenModes(path: string): Promise<void> {
  const { mode, uid } = await stat(path)
  const own = process.getuid?.()
  if (own !== undefined && uid !== own)
    throw new DataDirectoryError(`${path} belongs to another user (uid ${uid}). Use a directory of your own.`)
  if ((mode & 0o077) !== 0)
    throw new DataDirectoryError(
      `${path} has mode ${(mode & 0o777).toString(8)}, so other users can reach it. Run: chmod ${(await stat(path)).isDirectory() ? '700' : '600'} '${path}'`,
    )
}

async function readOrCreateKey(path: string): Promise<Uint8Array> {
  const existing = await readIfThere(path)
  if (existing === undefined) return await createKey(path)
  await refuseOpenModes(path)
  if (existing.byteLength !== SEED_BYTES)
    throw new DataDirectoryError(
      `${path} has ${existing.byteLength} bytes instead of ${SEED_BYTES}: it is damaged. Restore it from a backup; without it this node cannot prove who it is and has to join again from an empty data directory.`,
    )
  return new Uint8Array(existing)
}

/** Two processes starting at once agree on one key: the link fails for the second, who reads the first one's. */
async function createKey(path: string): Promise<Uint8Array> {
  const temporary = `${path}.${crypto.randomUUID()}`
  await writeSynced(temporary, crypto.getRandomValues(new Uint8Array(SEED_BYTES)))
  try {
    await link(temporary, path)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  } finally {
    await rm(temporary, { force: true })
  }
  await syncFolder(dirname(path))
  return new Uint8Array(await readFile(path))
}

async function writeDurably(path: string, content: string): Promise<void> {
  const temporary = `${path}.new`
  await writeSynced(temporary, new TextEncoder().encode(content))
  await rename(temporary, path)
  await syncFolder(dirname(path))
}

async function writeSynced(path: string, content: Uint8Array): Promise<void> {
  await rm(path, { force: true })
  await writeNewFile(path, content)
}

/** A file that only this user can read, durable but for its name in the folder. */
export async function writeNewFile(path: string, content: Uint8Array): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
  await chmod(path, 0o600)
}

export async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : String(error)
