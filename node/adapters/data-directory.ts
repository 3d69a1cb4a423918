import { chmod, link, mkdir, open, readFile, readdir, rename, rm, stat, unlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { MeshId } from '../../crdt/ids.ts'
import { syncFolder } from './sync-folder.ts'

/** Something about the data directory that a person has to mend; the message says how. */
export class DataDirectoryError extends Error {
  override readonly name = 'DataDirectoryError'
}

/** Of either key. */
export const SEED_BYTES = 32

const MESHES = 'meshes'
/** Names the folder of the current mesh, or says that the node has left it. */
const POINTER = 'mesh'
const LEFT = 'left'

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
  /**
   * The mesh this node belongs to, as a folder name under `meshes/`; undefined before the first start, and after leaving.
   * Without a readable pointer it is the one that is there.
   * @throws DataDirectoryError when it is not there, or when it could be any of several
   */
  currentMesh(): Promise<string | undefined>
  /** Atomically makes another mesh the current one. */
  setCurrentMesh(name: string): Promise<void>
  /** After leaving a mesh: no mesh is the current one, the keys go, and the next `openDataDirectory` makes new ones. */
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
  for (const name of [MESHES, 'sessions', 'bridged']) await createPrivateDirectory(join(path, name))
  const pointer = join(path, POINTER)
  return {
    path,
    nodeSeed: await readOrCreateKey(path, 'node.key'),
    boxSecret: await readOrCreateKey(path, 'box.key'),
    controlSocket: join(path, 'control.sock'),
    sessionsDir: join(path, 'sessions'),
    bridgedDir: join(path, 'bridged'),
    auditFile: join(path, 'audit.log'),
    meshDir: (name) => join(path, MESHES, name),
    currentMesh: () => findMesh(path),
    setCurrentMesh: (name) => writeDurably(pointer, `${name}\n`),
    async forgetMeshAndKeys() {
      // The pointer first: a crash in between leaves an empty directory with its old key, which is merely of no use.
      await writeDurably(pointer, `${LEFT}\n`)
      for (const name of ['node.key', 'box.key']) await rm(join(keys, name), { force: true })
    },
    async sweepMeshes() {
      const current = await findMesh(path)
      if (current === undefined) return
      for (const name of await readdir(join(path, MESHES)))
        if (name !== current) await rm(join(path, MESHES, name), { recursive: true, force: true })
    },
  }
}

/**
 * A pointer that a crash or a bad disk has left unreadable must not lead to a new mesh: this one would be swept away for it.
 */
async function findMesh(path: string): Promise<string | undefined> {
  const [pointer, meshes] = [join(path, POINTER), join(path, MESHES)]
  const named = (await readIfThere(pointer))?.toString('utf8').trim()
  if (named === LEFT) return undefined
  const present = (await readdir(meshes)).filter((name) => MeshId.safeParse(name).success)
  if (named !== undefined && present.includes(named)) return named
  if (MeshId.safeParse(named).success)
    throw new DataDirectoryError(
      `${pointer} names the mesh ${named}, which is not in ${meshes}: the directory is damaged, or was copied in part. Restore a backup into an empty --data-dir (\`rookery restore\`), or join the mesh again with a new one.`,
    )
  if (present.length > 1)
    throw new DataDirectoryError(
      `${pointer} does not say which of the meshes in ${meshes} this node belongs to: write the name of that folder into it.`,
    )
  return present[0]
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

async function readOrCreateKey(dataDir: string, name: string): Promise<Uint8Array> {
  const path = join(dataDir, 'keys', name)
  let existing = await readIfThere(path)
  if (existing === undefined) {
    // Keys come before the mesh, so that a process that makes both right now has made them by then.
    const hasMesh = (await findMesh(dataDir)) !== undefined
    existing = await readIfThere(path)
    if (existing === undefined && hasMesh) throw new DataDirectoryError(`${path} is missing. ${WITHOUT_KEY}`)
  }
  if (existing === undefined) return await createKey(path)
  await refuseOpenModes(path)
  if (existing.byteLength !== SEED_BYTES)
    throw new DataDirectoryError(
      `${path} has ${existing.byteLength} bytes instead of ${SEED_BYTES}: it is damaged. ${WITHOUT_KEY}`,
    )
  return new Uint8Array(existing)
}

const WITHOUT_KEY =
  'Restore it from a backup; without it this node cannot prove who it is and has to join again from an empty data directory.'

/** Two processes starting at once agree on one key: the link fails for the second, who reads the first one's. */
async function createKey(path: string): Promise<Uint8Array> {
  const temporary = `${path}.${crypto.randomUUID()}`
  try {
    await writeSynced(temporary, crypto.getRandomValues(new Uint8Array(SEED_BYTES)))
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
