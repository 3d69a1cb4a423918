import { open, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { addAbortSignal } from 'node:stream'
import { decodeBackup, encodeBackup, type BackupRecord } from '../adapters/backup-records.ts'
import { openDataDirectory } from '../adapters/data-directory.ts'
import { StoreUnusableError } from '../adapters/level-db.ts'
import { openLevelStore } from '../adapters/level-store.ts'
import { createSigner } from '../adapters/node-crypto.ts'
import { seal, SealedStreamError } from '../adapters/sealed-stream.ts'
import { syncFolder } from '../adapters/sync-folder.ts'
import { backupOf } from './backup-source.ts'
import { attach, type CommonOptions } from './command.ts'
import { hasHungUp } from './hung-up.ts'
import { CommandFailure, EXIT } from './exit.ts'
import { interruptible } from './interruptible.ts'
import { storeDir } from './mesh-files.ts'
import { isDiskFull } from './system-failure.ts'

/** How often a person is told how far it is. */
const TELL_EVERY_BYTES = 16 * 1024 * 1024

type Written = { readonly bytes: number; readonly rows: number }

/**
 * Writes a backup of the node, from the running one or, when none runs, from its data directory. The file gets its name
 * when it is whole and on disk, and nothing is left of it otherwise, after Ctrl-C neither; memory is bounded whatever its
 * size.
 * @throws CommandFailure when the file exists or cannot be written, or the node has no mesh yet
 */
export async function backUp(
  file: string,
  options: CommonOptions,
  askPassphrase: () => Promise<string>,
): Promise<Written> {
  await checkPlace(file)
  try {
    const source = await openSource(options)
    try {
      const passphrase = await askPassphrase()
      return await interruptible((signal) => writeBackup(file, { source, passphrase, signal }))
    } finally {
      await source.close()
    }
  } catch (error) {
    throw explain(error, file)
  }
}

/** Before anybody types a passphrase for nothing. */
async function checkPlace(file: string): Promise<void> {
  if (await exists(file)) throw new CommandFailure(`${file} exists already.`, EXIT.refused, { code: 'file_exists' })
  if (!(await exists(dirname(file))))
    throw new CommandFailure(`There is no folder ${dirname(file)}: make it first.`, EXIT.refused, { code: 'no_folder' })
}

async function writeBackup(
  file: string,
  { source, passphrase, signal }: { source: Source; passphrase: string; signal: AbortSignal },
): Promise<Written> {
  const partial = `${file}.partial-${crypto.randomUUID()}`
  const count = { rows: 0 }
  try {
    const records = counted(source.records(signal), count, signal)
    const bytes = await writeFile(partial, seal(passphrase, encodeBackup(records)))
    signal.throwIfAborted()
    await rename(partial, file)
    await syncFolder(dirname(file))
    return { bytes, ...count }
  } finally {
    await rm(partial, { force: true })
  }
}

type Source = {
  /** Ends early, with an error, once `signal` is aborted: a node may say nothing for a long time. */
  records(signal: AbortSignal): AsyncIterable<BackupRecord>
  close(): Promise<void>
}

async function openSource(options: CommonOptions): Promise<Source> {
  try {
    const socket = await attach(options, '/backup')
    // While the passphrase is typed nobody reads; whoever reads after it gets the error.
    socket.on('error', () => undefined)
    return {
      records: (signal) => decodeBackup(addAbortSignal(signal, socket)),
      close: async () => void socket.destroy(),
    }
  } catch (error) {
    if (!(error instanceof CommandFailure) || error.exitCode !== EXIT.notRunning) throw error
    return await openStopped(resolve(options.dataDir))
  }
}

async function openStopped(dataDir: string): Promise<Source> {
  // Opening a directory makes what it lacks: this one must be there.
  if (!(await exists(join(dataDir, 'keys')))) throw noMesh(dataDir)
  const data = await openDataDirectory(dataDir)
  const mesh = await data.currentMesh()
  if (mesh === undefined) throw noMesh(dataDir)
  const store = await openLevelStore(storeDir(data.meshDir(mesh)))
  const { peer } = createSigner(data.nodeSeed)
  return { records: () => backupOf({ data, mesh, peer, store }), close: () => store.close() }
}

const noMesh = (dataDir: string): CommandFailure =>
  new CommandFailure(`There is no node in ${dataDir}: name its directory with --data-dir.`, EXIT.refused, {
    code: 'no_node',
  })

function explain(error: unknown, file: string): unknown {
  if (error instanceof SealedStreamError || hasHungUp(error))
    return new CommandFailure('The node ended before the backup did; no file was written.', EXIT.refused)
  if (isDiskFull(error))
    return new CommandFailure(
      `There is no room for the backup in ${dirname(file)}; no file was written.`,
      EXIT.refused,
      { code: 'disk_full' },
    )
  return error instanceof StoreUnusableError ? new CommandFailure(error.message, EXIT.refused) : error
}

async function* counted(
  records: AsyncIterable<BackupRecord>,
  count: { rows: number },
  signal: AbortSignal,
): AsyncGenerator<BackupRecord> {
  for await (const record of records) {
    signal.throwIfAborted()
    if (record.kind === 'row') count.rows++
    yield record
  }
}

/** Resolves with its size when the file is on disk. */
async function writeFile(path: string, content: AsyncIterable<Uint8Array>): Promise<number> {
  const file = await open(path, 'wx', 0o600)
  let bytes = 0
  let told = 0
  try {
    for await (const chunk of content) {
      await file.writeFile(chunk)
      bytes += chunk.byteLength
      if (process.stderr.isTTY && bytes - told >= TELL_EVERY_BYTES) {
        told = bytes
        process.stderr.write(`\r${(bytes / 1e6).toFixed(0)} MB`)
      }
    }
    await file.sync()
  } finally {
    await file.close()
    if (told > 0) process.stderr.write('\r\x1b[K')
  }
  return bytes
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )
