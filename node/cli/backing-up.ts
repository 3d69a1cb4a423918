import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { rename, rm, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { decodeBackup, encodeBackup, type BackupRecord } from '../adapters/backup-records.ts'
import { openDataDirectory } from '../adapters/data-directory.ts'
import { StoreUnusableError } from '../adapters/level-db.ts'
import { openLevelStore } from '../adapters/level-store.ts'
import { createSigner } from '../adapters/node-crypto.ts'
import { seal, SealedStreamError } from '../adapters/sealed-stream.ts'
import { syncFolder } from '../adapters/sync-folder.ts'
import { backupOf } from './backup-source.ts'
import { controlSocket, type CommonOptions } from './command.ts'
import { attachToNode, NodeNotRunningError } from './control-client.ts'
import { CommandFailure, EXIT } from './exit.ts'
import { storeDir } from './mesh-files.ts'

/** How often a person is told how far it is. */
const TELL_EVERY_BYTES = 16 * 1024 * 1024

type Written = { readonly bytes: number; readonly rows: number }

/**
 * Writes a backup of the node, from the running one or, when none runs, from its data directory. The file gets its name
 * when it is whole and on disk; memory is bounded whatever its size.
 * @throws CommandFailure when the file exists or the node has no mesh yet
 */
export async function backUp(
  file: string,
  options: CommonOptions,
  askPassphrase: () => Promise<string>,
): Promise<Written> {
  if (await exists(file)) throw new CommandFailure(`${file} exists already.`, EXIT.refused, { code: 'file_exists' })
  const source = await openSource(options).catch((error: unknown) => {
    throw explain(error)
  })
  const partial = `${file}.partial-${crypto.randomUUID()}`
  try {
    const passphrase = await askPassphrase()
    const count = { rows: 0 }
    const records = counted(source.records(), count)
    const bytes = await writeFile(partial, seal(passphrase, encodeBackup(records)))
    await rename(partial, file)
    await syncFolder(dirname(file))
    return { bytes, ...count }
  } catch (error) {
    throw explain(error)
  } finally {
    await rm(partial, { force: true })
    await source.close()
  }
}

type Source = { records(): AsyncIterable<BackupRecord>; close(): Promise<void> }

async function openSource(options: CommonOptions): Promise<Source> {
  try {
    const socket = await attachToNode(controlSocket(options), '/backup')
    return {
      records: () => decodeBackup(socket),
      close: async () => void socket.destroy(),
    }
  } catch (error) {
    if (!(error instanceof NodeNotRunningError)) throw error
    return await openStopped(resolve(options.dataDir))
  }
}

async function openStopped(dataDir: string): Promise<Source> {
  if (!(await exists(dataDir))) throw noMesh(dataDir)
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

function explain(error: unknown): unknown {
  if (error instanceof SealedStreamError)
    return new CommandFailure('The node ended before the backup did; no file was written.', EXIT.refused)
  return error instanceof StoreUnusableError ? new CommandFailure(error.message, EXIT.refused) : error
}

async function* counted(records: AsyncIterable<BackupRecord>, count: { rows: number }): AsyncGenerator<BackupRecord> {
  for await (const record of records) {
    if (record.kind === 'row') count.rows++
    yield record
  }
}

/** Resolves with its size when the file is on disk. */
async function writeFile(path: string, content: AsyncIterable<Uint8Array>): Promise<number> {
  const file = createWriteStream(path, { flags: 'wx', mode: 0o600, flush: true })
  const closed = once(file, 'close')
  closed.catch(() => undefined) // awaited below, unless writing has failed before
  let bytes = 0
  let told = 0
  try {
    for await (const chunk of content) {
      bytes += chunk.byteLength
      if (!file.write(chunk)) await once(file, 'drain')
      if (process.stderr.isTTY && bytes - told >= TELL_EVERY_BYTES) {
        told = bytes
        process.stderr.write(`\r${(bytes / 1e6).toFixed(0)} MB`)
      }
    }
    file.end()
    await closed
  } finally {
    file.destroy()
    if (told > 0) process.stderr.write('\r\x1b[K')
  }
  return bytes
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )
