import { constants, type Dirent, type Stats } from 'node:fs'
import { lstat, open, opendir, realpath, type FileHandle } from 'node:fs/promises'
import { platform } from 'node:os'
import { join } from 'node:path'

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK } = constants

/** Below a descriptor names mean what they meant when it was opened, whatever is moved or linked meanwhile. */
const HAS_DESCRIPTOR_PATHS = platform() === 'linux'

/** Entries of one folder that are looked at: nobody has more skills, and the list has to end. */
const ENTRIES_MAX = 50_000

/**
 * A folder that is held open. On Linux everything in it is reached through the descriptor, so that a link put in its way
 * leads nowhere; elsewhere the path is checked and then used, which is two steps.
 */
export class HeldFolder {
  /** Where it was when it was opened; to be shown, not to be used. */
  readonly path: string
  readonly #handle: FileHandle

  private constructor(path: string, handle: FileHandle) {
    this.path = path
    this.#handle = handle
  }

  /** Opens a folder by its path, links in it followed: the owner of this machine has chosen it. */
  static async openTrusted(path: string): Promise<HeldFolder | undefined> {
    return await orAbsent(async () => {
      const real = await realpath(path)
      return new HeldFolder(real, await open(real, O_RDONLY | O_DIRECTORY | O_NOFOLLOW))
    })
  }

  /** A folder directly in this one; undefined when there is none, or a link. */
  async folder(name: string): Promise<HeldFolder | undefined> {
    return await orAbsent(async () => {
      const handle = await open(this.at(name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
      return new HeldFolder(join(this.path, name), handle)
    })
  }

  /** A regular file directly in this folder, to be read; undefined when there is none. A pipe or device is not waited for. */
  async file(name: string): Promise<{ handle: FileHandle; stats: Stats } | undefined> {
    // Some devices notice that they are opened.
    if (!(await orAbsent(() => lstat(this.at(name))))?.isFile()) return undefined
    const handle = await orAbsent(() => open(this.at(name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK))
    if (!handle) return undefined
    const stats = await handle.stat()
    if (stats.isFile()) return { handle, stats }
    await handle.close()
    return undefined
  }

  /** Names directly in this folder with what they are, links as links. */
  async *entries(): AsyncGenerator<Dirent> {
    let count = 0
    for await (const entry of await opendir(this.at('.'))) if (++count <= ENTRIES_MAX) yield entry
  }

  /** A path for one system call on a name directly in this folder. */
  at(name: string): string {
    return join(HAS_DESCRIPTOR_PATHS ? `/proc/self/fd/${this.#handle.fd}` : this.path, name)
  }

  /** Makes durable which names are in it. */
  async sync(): Promise<void> {
    await this.#handle.sync()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close()
  }
}

/** As good as not there: nothing that we could use is behind such a name. */
const IS_ABSENT = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES', 'EPERM', 'ENAMETOOLONG', 'ENXIO', 'ENODEV'])

export async function orAbsent<T>(look: () => Promise<T>): Promise<T | undefined> {
  try {
    return await look()
  } catch (error) {
    if (IS_ABSENT.has(codeOf(error))) return undefined
    throw error
  }
}

export const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : '')
