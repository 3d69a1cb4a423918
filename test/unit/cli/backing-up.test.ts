import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { createReadStream } from 'node:fs'
import { createServer } from 'node:http'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { decodeBackup, encodeBackup, type BackupRecord } from '../../../node/adapters/backup-records.ts'
import { openDataDirectory } from '../../../node/adapters/data-directory.ts'
import { openLevelStore } from '../../../node/adapters/level-store.ts'
import { seal, unseal } from '../../../node/adapters/sealed-stream.ts'
import { backUp } from '../../../node/cli/backing-up.ts'
import { CommandFailure } from '../../../node/cli/exit.ts'
import { identityOf } from '../../../node/cli/identity.ts'
import { foundMesh, storeDir } from '../../../node/cli/mesh-files.ts'
import { nextBoot } from '../../../node/cli/remembered.ts'
import { restoreBackup } from '../../../node/cli/restoring.ts'
import { createRecordedLog } from '../../support/log.ts'

let root: string
let dataDir: string
let file: string

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'rookery-backing-up-'))
  onTestFinished(() => rm(root, { recursive: true }))
  dataDir = join(root, 'data')
  file = join(root, 'file')
})

async function found(): Promise<void> {
  const data = await openDataDirectory(dataDir)
  await foundMesh(data, identityOf(data), { name: 'alpha', log: createRecordedLog() })
}

const passphrase = async (): Promise<string> => 'correct horse'

/** Ctrl-C as soon as the work has begun: deriving the key takes longer. */
async function passphraseThenCtrlC(): Promise<string> {
  setImmediate(() => process.emit('SIGINT'))
  return await passphrase()
}

const failureOf = async (work: Promise<unknown>): Promise<CommandFailure> => {
  const failure = await work.catch((error: unknown) => error)
  if (!(failure instanceof CommandFailure)) throw new Error('the command did not fail as it should', { cause: failure })
  return failure
}

it('leaves nothing of a backup or a restoration that is given up by Ctrl-C', async () => {
  await found()
  expect((await failureOf(backUp(file, { dataDir }, passphraseThenCtrlC))).code).toBe('cancelled')
  expect(await readdir(root)).toEqual(['data'])
  await backUp(file, { dataDir }, passphrase)
  expect(
    (await failureOf(restoreBackup(file, join(root, 'other'), { askPassphrase: passphraseThenCtrlC, isAlone: true })))
      .code,
  ).toBe('cancelled')
  expect((await readdir(root)).toSorted()).toEqual(['data', 'file'])
  expect(process.listenerCount('SIGHUP')).toBe(0)
})

it('gives up by Ctrl-C also while the node says nothing', async () => {
  await mkdir(dataDir)
  const silent = createServer().listen(join(dataDir, 'control.sock'))
  onTestFinished(() => void silent.close())
  silent.on('upgrade', (_request, socket) => {
    onTestFinished(() => void socket.destroy())
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: rookery-backup\r\n\r\n')
  })
  await once(silent, 'listening')
  expect((await failureOf(backUp(file, { dataDir }, passphraseThenCtrlC))).code).toBe('cancelled')
  expect(await readdir(root)).toEqual(['data'])
})

it('says that there is no node in a directory, and makes none there', async () => {
  await mkdir(dataDir, { mode: 0o700 })
  expect((await failureOf(backUp(file, { dataDir }, passphrase))).code).toBe('no_node')
  expect(await readdir(dataDir)).toEqual([])
})

it('fails where no file can be made, before anybody is asked for a passphrase if that is known by then', async () => {
  await found()
  const asked = async (): Promise<string> => {
    throw new Error('asked')
  }
  expect((await failureOf(backUp(join(root, 'nowhere', 'file'), { dataDir }, asked))).code).toBe('no_folder')
  await expect(backUp('/proc/rookery.backup', { dataDir }, passphrase)).rejects.toThrow('ENOENT')
})

it('[L2.11] restores a backup that knows nobody to ask only on the word that nobody has joined since', async () => {
  await found()
  await backUp(file, { dataDir }, passphrase)
  const target = join(root, 'target')
  expect((await failureOf(restoreBackup(file, target, { askPassphrase: passphrase, isAlone: false }))).code).toBe(
    'nobody_to_ask',
  )
  expect((await readdir(root)).toSorted()).toEqual(['data', 'file'])
  expect((await restoreBackup(file, target, { askPassphrase: passphrase, isAlone: true })).others).toEqual([])
})

it('[L2.11] restores nothing by a clock by which two restorations would count their starts from the same number', async () => {
  await found()
  await backUp(file, { dataDir }, passphrase)
  const from = { askPassphrase: passphrase, isAlone: true }
  vi.useFakeTimers({ toFake: ['Date'], now: 0 })
  onTestFinished(() => void vi.useRealTimers())
  const { code, message } = await failureOf(restoreBackup(file, join(root, 'target'), from))
  expect([code, message]).toEqual(['wrong_clock', expect.stringContaining('1970-01-01')])
  expect((await readdir(root)).toSorted()).toEqual(['data', 'file'])
  const bootAfter = async (at: string): Promise<number> => {
    vi.setSystemTime(at)
    const { mesh } = await restoreBackup(file, join(root, at), from)
    const store = await openLevelStore(storeDir(join(root, at, 'meshes', mesh)))
    const boot = await nextBoot(store)
    await store.close()
    return boot
  }
  expect(await bootAfter('2026-12-01')).toBeLessThan(await bootAfter('2026-12-02'))
})

it('says what is wrong with a file or directory that cannot be restored from or into', async () => {
  await mkdir(dataDir)
  const messageOf = async (from: string, into: string): Promise<string> =>
    (await failureOf(restoreBackup(from, into, { askPassphrase: passphrase, isAlone: true }))).message
  expect(await messageOf(dataDir, join(root, 'target'))).toBe(`${dataDir} is a folder, not a backup.`)
  expect(await messageOf(file, join(root, 'target'))).toBe(`There is no file ${file}.`)
  await writeFile(file, '')
  expect(await messageOf(file, file)).toContain(`${file} is not a directory`)
  expect((await readdir(root)).toSorted()).toEqual(['data', 'file'])
})

describe('a backup that somebody else has made up', () => {
  /** The same backup, with other records. */
  async function rewritten(change: (record: BackupRecord) => BackupRecord[]): Promise<void> {
    await found()
    await backUp(file, { dataDir }, passphrase)
    const records: BackupRecord[] = []
    for await (const record of decodeBackup(unseal(await passphrase(), createReadStream(file)))) records.push(record)
    const content = Readable.from(records.flatMap(change))
    const parts: Uint8Array[] = []
    for await (const part of seal(await passphrase(), encodeBackup(content))) parts.push(part)
    await writeFile(file, Buffer.concat(parts))
  }

  const nameOf = ({ name }: BackupRecord): string => Buffer.from(name).toString()
  const replaced =
    (wanted: string, content: string) =>
    (record: BackupRecord): BackupRecord[] =>
      nameOf(record) === wanted ? [{ ...record, content: Buffer.from(content) }] : [record]
  const without =
    (wanted: string) =>
    (record: BackupRecord): BackupRecord[] =>
      nameOf(record) === wanted ? [] : [record]

  it.each([
    ['a head that is no JSON', replaced('', '{'), 'does not understand'],
    ['a key that is none', replaced('keys/node.key', 'short'), 'lacks a key'],
    ['no key for what is sealed', without('keys/box.key'), 'lacks a key'],
  ])('is refused with %s, and nothing is left of it', async (_, change, message) => {
    await rewritten(change)
    const failure = await failureOf(
      restoreBackup(file, join(root, 'target'), { askPassphrase: passphrase, isAlone: true }),
    )
    expect([failure.code, failure.message]).toEqual(['backup_unusable', expect.stringContaining(message)])
    expect((await readdir(root)).toSorted()).toEqual(['data', 'file'])
  })
})
