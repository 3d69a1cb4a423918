import { link, mkdir, readFile, rm, rmdir, unlink, writeFile } from 'node:fs/promises'

export class ProcessLockError extends Error {
  override readonly name = 'ProcessLockError'
}

/**
 * Makes `path` a lock of this process: a file with its id and start time, so that a dead holder's lock, also one whose
 * id has gone to another process since, is taken over. Resolves with the release.
 * @throws ProcessLockError while another process, or this one, holds it
 */
export async function lockProcess(path: string): Promise<() => Promise<void>> {
  const mine = await describeProcess(process.pid)
  const holder = await readIfThere(path)
  if (holder !== undefined && (await isRunning(holder))) throw inUse(path, holder)
  if (holder !== undefined) await removeStale(path, holder)
  const draft = `${path}.${process.pid}.${drafts++}`
  try {
    await writeFile(draft, mine, { mode: 0o600 })
    await link(draft, path) // never there without its content, and only if nobody was faster
  } catch (cause) {
    throw isCode(cause, 'EEXIST') ? inUse(path, 'that was faster', cause) : cause
  } finally {
    await rm(draft, { force: true })
  }
  return async () => await unlink(path)
}

let drafts = 0

/** Two processes that find one stale lock must not both remove it: the second would remove the first one's new lock. */
async function removeStale(path: string, seen: string): Promise<void> {
  const guard = `${path}.takeover`
  try {
    await mkdir(guard)
  } catch (cause) {
    if (!isCode(cause, 'EEXIST')) throw cause
    throw new ProcessLockError(`Another process is taking over ${path}; if none is running, remove ${guard}.`, {
      cause,
    })
  }
  try {
    if ((await readIfThere(path)) === seen) await unlink(path)
  } finally {
    await rmdir(guard)
  }
}

const inUse = (path: string, holder: string, cause?: unknown): ProcessLockError =>
  new ProcessLockError(`${path} is held by process ${holder.split(' ', 1)[0]}. Two must not run on one directory.`, {
    cause,
  })

async function isRunning(holder: string): Promise<boolean> {
  const pid = Number(holder.split(' ', 1)[0])
  return Number.isInteger(pid) && pid > 0 && (await isProcessThere(pid)) && (await describeProcess(pid)) === holder
}

/** One that has ended and waits for its parent to ask how is gone. */
export const isProcessThere = async (pid: number): Promise<boolean> => exists(pid) && (await statOf(pid))?.[0] !== 'Z'

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return isCode(error, 'EPERM') // it runs, under another user
  }
}

/** The start time (field 22 of the stat file) tells apart processes that have had the same id; unknown outside Linux. */
async function describeProcess(pid: number): Promise<string> {
  return `${pid} ${(await statOf(pid))?.[19] ?? 'unknown'}`
}

/** The fields of the stat file from the state (field 3) on; undefined outside Linux, and once the process is gone. */
async function statOf(pid: number): Promise<string[] | undefined> {
  const stat = await readIfThere(`/proc/${pid}/stat`)
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    // ESRCH: the process of a stat file has ended between its opening and its reading.
    if (isCode(error, 'ENOENT') || isCode(error, 'ESRCH')) return undefined
    throw error
  }
}

const isCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code
