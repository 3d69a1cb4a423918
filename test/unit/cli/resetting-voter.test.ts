import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, expect, it, onTestFinished } from 'vitest'
import { openDataDirectory } from '../../../node/adapters/data-directory.ts'
import { openLeaseJournal } from '../../../node/adapters/lease-journal.ts'
import { CommandFailure } from '../../../node/cli/exit.ts'
import { identityOf } from '../../../node/cli/identity.ts'
import { foundMesh, journalFile } from '../../../node/cli/mesh-files.ts'
import { resetVoter } from '../../../node/cli/resetting-voter.ts'
import { decodeRecord, type VoterRecord } from '../../../protocols/lease/records.ts'
import { createRecordedLog } from '../../support/log.ts'

let dataDir: string
let mesh: string
let file: string

beforeEach(async () => {
  const root = await mkdtemp(join(tmpdir(), 'rookery-reset-'))
  onTestFinished(() => rm(root, { recursive: true }))
  dataDir = join(root, 'data')
  const data = await openDataDirectory(dataDir)
  await foundMesh(data, identityOf(data), { name: 'alpha', log: createRecordedLog() })
  mesh = (await data.currentMesh())!
  file = journalFile(data.meshDir(mesh))
})

const openJournal = () =>
  openLeaseJournal(file, {
    log: createRecordedLog(),
    onFailure: (cause) => {
      throw cause
    },
  })

async function records(): Promise<VoterRecord[]> {
  const journal = await openJournal()
  const all = (await journal.replay()).map(decodeRecord)
  await journal.close()
  return all
}

const failureOf = async (dir: string): Promise<CommandFailure> => {
  const failure = await resetVoter(dir).catch((error: unknown) => error)
  if (!(failure instanceof CommandFailure)) throw failure
  return failure
}

it('[L2.11] gives the voter a new incarnation, and leaves it what it knows', async () => {
  const before = await records()
  const reset = await resetVoter(dataDir)
  const after = await records()
  expect(after.slice(0, -1)).toEqual(before)
  expect(after.at(-1)).toEqual({ t: 'init', v: 1, inc: reset.incarnation })
  expect(before.some((record) => record.t === 'init' && record.inc === reset.incarnation)).toBe(false)
  expect(reset.mesh).toBe(mesh)
})

it('refuses while the node runs, and says how to stop it', async () => {
  const running = await openJournal()
  const bytes = await readFile(file)
  expect(await failureOf(dataDir)).toMatchObject({
    code: 'node_running',
    message: expect.stringContaining('rookery down'),
  })
  await running.close()
  expect(await readFile(file)).toEqual(bytes)
})

it('refuses a directory without a node, and makes nothing there', async () => {
  const empty = join(dataDir, 'nothing')
  expect(await failureOf(empty)).toMatchObject({ code: 'no_node', message: expect.stringContaining('--data-dir') })
  await expect(access(empty)).rejects.toThrow('ENOENT')
})

it('refuses a journal that is damaged', async () => {
  const bytes = await readFile(file)
  const damaged = Buffer.from(bytes)
  damaged[10] = (damaged[10] ?? 0) ^ 0xff
  await writeFile(file, Buffer.concat([damaged, bytes]))
  expect((await failureOf(dataDir)).message).toMatch(/journal/)
})
