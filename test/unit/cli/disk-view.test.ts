import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openDataDirectory, type DataDirectory } from '../../../node/adapters/data-directory.ts'
import { folderSize } from '../../../node/adapters/folder-size.ts'
import { diskView } from '../../../node/cli/disk-view.ts'

const MESH = 'ab'.repeat(32)

let data: DataDirectory
beforeEach(async () => {
  data = await openDataDirectory(await mkdtemp(join(tmpdir(), 'rk-disk-')))
})
afterEach(() => rm(data.path, { recursive: true, force: true }))

async function put(path: string, bytes: number): Promise<void> {
  const file = join(data.path, path)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, Buffer.alloc(bytes))
}

it('counts every file of the data directory in exactly one place', async () => {
  const keys = await folderSize(join(data.path, 'keys'))
  await put(`meshes/${MESH}/store/000005.ldb`, 1)
  await put(`meshes/${MESH}/leases/journal`, 2)
  await put(`meshes/${MESH}/context/chunks.db`, 4)
  await put(`meshes/${MESH}/left-over`, 8)
  await put(`meshes/${'cd'.repeat(32)}/store/000001.ldb`, 16)
  await put('sessions/s1/log', 32)
  await put('executions/e1/log', 64)
  await put('executions/e2/log', 128)
  await put('audit.log', 256)
  await put('audit.log.1', 512)
  await put('mcp/servers.json', 1024)
  await put('a movie of somebody.mkv', 4096)
  expect(await diskView(data, MESH)).toEqual({
    storeBytes: 1,
    voterJournalBytes: 2,
    contextIndexBytes: 4,
    sessions: [{ id: 's1', bytes: 32 }],
    executions: [
      { id: 'e2', bytes: 128 },
      { id: 'e1', bytes: 64 },
    ],
    auditBytes: 768,
    otherBytes: 8 + 16 + 1024 + 4096 + keys,
    other: [
      { path: 'a movie of somebody.mkv', bytes: 4096 },
      { path: 'mcp', bytes: 1024 },
      { path: 'keys', bytes: keys },
      { path: `meshes/${'cd'.repeat(32)}`, bytes: 16 },
      { path: `meshes/${MESH}/left-over`, bytes: 8 },
    ],
    totalBytes: await folderSize(data.path),
  })
})

it('is small where nothing has happened yet, and names no more than the ten largest of what is not ours', async () => {
  for (let n = 1; n <= 12; n++) await put(`file-${n}`, n * 100)
  const { other, totalBytes } = await diskView(data, MESH)
  expect(other.map(({ path }) => path)).toEqual([12, 11, 10, 9, 8, 7, 6, 5, 4, 3].map((n) => `file-${n}`))
  expect(totalBytes).toBe(await folderSize(data.path))
})
