import { createReadStream } from 'node:fs'
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Signer } from '../../protocols/crypto.ts'
import { decodeBackup, type BackupRecord } from '../adapters/backup-records.ts'
import { readIfThere, SEED_BYTES, writeNewFile } from '../adapters/data-directory.ts'
import { StoreUnusableError } from '../adapters/level-db.ts'
import type { Row } from '../adapters/level-rows.ts'
import { createLevelStore, openLevelStore } from '../adapters/level-store.ts'
import { createNodeCrypto, createSigner } from '../adapters/node-crypto.ts'
import { createPinoLog } from '../adapters/pino-log.ts'
import { SealedStreamError, unseal } from '../adapters/sealed-stream.ts'
import { syncFolder } from '../adapters/sync-folder.ts'
import { systemClock } from '../adapters/system-clock.ts'
import { markRestored } from '../services/feeds/restoration.ts'
import { loadMembership } from '../services/membership/membership-service.ts'
import { BACKUP_FILES, BackupHead } from './backup-source.ts'
import { CommandFailure, EXIT } from './exit.ts'
import { interruptible } from './interruptible.ts'
import { storeDir } from './mesh-files.ts'
import { BOOTS_SINCE_MS, raiseBoots } from './remembered.ts'
import { isDiskFull } from './system-failure.ts'

export type Restored = BackupHead & {
  readonly rows: number
  /** Names of the other members that the backup knows: those that can say what the node wrote after it. */
  readonly others: readonly string[]
}

export type RestoreOptions = {
  readonly askPassphrase: () => Promise<string>
  /** The word of whoever restores that no other machine has joined since a backup that knows of none. */
  readonly isAlone: boolean
}

/**
 * Makes a data directory of a backup. Everything is read, checked and durable in a folder beside it before it gets its
 * name: whatever goes wrong, and after Ctrl-C, the directory is as it was, and nothing is left beside it.
 * @throws CommandFailure when the directory holds something, the clock is wrong, or the backup cannot be used
 */
export async function restoreBackup(
  file: string,
  dataDir: string,
  { askPassphrase, isAlone }: RestoreOptions,
): Promise<Restored> {
  await refuseUnlessEmpty(dataDir)
  refuseWrongClock(Date.now())
  const passphrase = await askPassphrase()
  try {
    return await interruptible((signal) => restoreInto(dataDir, { file, passphrase, isAlone, signal }))
  } catch (error) {
    throw explain(error, file, dataDir)
  }
}

async function restoreInto(
  dataDir: string,
  { file, passphrase, isAlone, signal }: { file: string; passphrase: string; isAlone: boolean; signal: AbortSignal },
): Promise<Restored> {
  const folder = join(dirname(dataDir), `.${basename(dataDir)}.restoring-${crypto.randomUUID()}`)
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const restored = await fill(folder, decodeBackup(unseal(passphrase, createReadStream(file, { signal }))))
    if (restored.others.length === 0 && !isAlone)
      throw new CommandFailure(NOBODY_TO_ASK, EXIT.refused, { code: 'nobody_to_ask' })
    signal.throwIfAborted()
    await rename(folder, dataDir)
    await syncFolder(dirname(dataDir))
    return restored
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const NOBODY_TO_ASK = `This backup was made when no other machine was in the mesh. Nothing was restored.
If none has joined since: restore with --alone.
If one has, the restored node could not ask it what it wrote after the backup, and would write other things in the same
places. Make the other machine an admin (\`rookery recovery use\`), remove the old one there, and let this one join anew.`

/** Two restorations of one backup must not count their starts from the same number: only the clock tells them apart. */
function refuseWrongClock(nowMs: number): void {
  if (nowMs >= BOOTS_SINCE_MS) return
  throw new CommandFailure(
    `The clock of this machine says ${new Date(nowMs).toISOString()}. Set it first (for instance \`timedatectl set-ntp true\`), then restore: others would not hear a node that counts from there.`,
    EXIT.refused,
    { code: 'wrong_clock' },
  )
}

async function refuseUnlessEmpty(dataDir: string): Promise<void> {
  const present = await readdir(dataDir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    if (error.code === 'ENOTDIR')
      throw new CommandFailure(`${dataDir} is not a directory: name another with --data-dir.`, EXIT.refused)
    throw error
  })
  if (present.length > 0)
    throw new CommandFailure(
      `${dataDir} is not empty. A backup is restored into a directory of its own: name one with --data-dir, or move what is there away.`,
      EXIT.refused,
      { code: 'not_empty' },
    )
}

async function fill(folder: string, records: AsyncGenerator<BackupRecord>): Promise<Restored> {
  const head = await readHead(records)
  for (const name of ['keys', 'secrets', 'meshes', 'sessions', 'bridged'])
    await mkdir(join(folder, name), { mode: 0o700 })
  const mesh = join(folder, 'meshes', head.mesh)
  await mkdir(mesh, { mode: 0o700 })
  const count = { rows: 0 }
  await createLevelStore(storeDir(mesh), rowsOf(folder, records, count))
  const signer = await checkKeys(folder, head)
  const others = await makeHarmless(storeDir(mesh), head, signer)
  await writeNewFile(join(folder, 'mesh'), Buffer.from(`${head.mesh}\n`))
  for (const path of [mesh, ...['meshes', 'keys', 'secrets'].map((name) => join(folder, name)), folder])
    await syncFolder(path)
  return { ...head, ...count, others }
}

async function readHead(records: AsyncGenerator<BackupRecord>): Promise<BackupHead> {
  const first = await records.next()
  if (first.done === true || first.value.kind !== 'head') throw new SealedStreamError('The backup is not complete.')
  const head = BackupHead.safeParse(jsonIn(first.value.content))
  if (!head.success)
    throw new SealedStreamError('The backup says of itself what this release does not understand. Upgrade Rookery.')
  return head.data
}

/** The rows; files among them are written on the way. */
async function* rowsOf(
  folder: string,
  records: AsyncGenerator<BackupRecord>,
  count: { rows: number },
): AsyncGenerator<Row> {
  for await (const { kind, name, content } of records) {
    const path = Buffer.from(name).toString('utf8')
    if (kind === 'row') {
      count.rows++
      yield { key: name, value: content }
    } else if (kind === 'file' && BACKUP_FILES.includes(path)) {
      await mkdir(dirname(join(folder, path)), { recursive: true, mode: 0o700 })
      await writeNewFile(join(folder, path), content)
    }
  }
}

function jsonIn(content: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(content).toString('utf8'))
  } catch {
    return undefined // as good as JSON that says something else
  }
}

async function checkKeys(folder: string, { peer }: BackupHead): Promise<Signer> {
  const signer = createSigner(await readKey(join(folder, 'keys', 'node.key')))
  await readKey(join(folder, 'keys', 'box.key'))
  if (signer.peer !== peer) throw new SealedStreamError('The key in the backup is of another node.')
  return signer
}

async function readKey(path: string): Promise<Uint8Array> {
  const key = await readIfThere(path)
  if (key?.byteLength !== SEED_BYTES) throw new SealedStreamError('The backup lacks a key of its node.')
  return new Uint8Array(key)
}

/**
 * What the node signed after the backup is unknown to it now. It must not use those numbers again: starts are counted
 * from above any it can have had, and documents wait until the others have said what they have. Returns who these are.
 */
async function makeHarmless(dir: string, { createdAt }: BackupHead, signer: Signer): Promise<readonly string[]> {
  const store = await openLevelStore(dir)
  try {
    const means = { store, signer, crypto: createNodeCrypto(), clock: systemClock, log: createPinoLog('error') }
    const membership = await loadMembership(means)
    if (!membership) throw new SealedStreamError('The backup has no membership log.')
    const nowMs = Date.now()
    await raiseBoots(store, nowMs)
    await markRestored(store, { nowMs, asOf: Date.parse(createdAt) })
    return [...membership.current().members.values()].flatMap(({ peer, name }) => (peer === signer.peer ? [] : [name]))
  } finally {
    await store.close()
  }
}

function explain(error: unknown, file: string, dataDir: string): unknown {
  if (isDiskFull(error))
    return new CommandFailure(
      `There is no room for the backup in ${dirname(dataDir)}. Nothing was restored.`,
      EXIT.refused,
      { code: 'disk_full' },
    )
  if (error instanceof SealedStreamError || error instanceof StoreUnusableError)
    return new CommandFailure(`${error.message} Nothing was restored.`, EXIT.refused, { code: 'backup_unusable' })
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ENOENT') return new CommandFailure(`There is no file ${file}.`, EXIT.refused)
  if (code === 'EISDIR') return new CommandFailure(`${file} is a folder, not a backup.`, EXIT.refused)
  if (code === 'EBUSY' || code === 'EXDEV')
    return new CommandFailure(
      `${dataDir} is a file system of its own: restore into a directory within it.`,
      EXIT.refused,
    )
  return error
}
