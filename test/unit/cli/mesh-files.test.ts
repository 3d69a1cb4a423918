import { fsyncSync, readdirSync, readlinkSync, statSync } from 'node:fs'
import { mkdtemp, open, rm, type FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished, vi } from 'vitest'
import { DataDirectoryError, openDataDirectory } from '../../../node/adapters/data-directory.ts'
import { identityOf } from '../../../node/cli/identity.ts'
import { foundMesh, settleMesh } from '../../../node/cli/mesh-files.ts'
import { createRecordedLog } from '../../support/log.ts'

/** The names in each folder that is synced from now on, in the order of syncing. */
async function syncedFolders(): Promise<readonly (readonly string[])[]> {
  const any = await open(tmpdir(), 'r')
  const handles: FileHandle = Object.getPrototypeOf(any)
  await any.close()
  const seen: (readonly string[])[] = []
  const spy = vi.spyOn(handles, 'sync').mockImplementation(async function (this: FileHandle) {
    const path = readlinkSync(`/proc/self/fd/${this.fd}`)
    const names = statSync(path).isDirectory() ? readdirSync(path) : undefined
    fsyncSync(this.fd)
    if (names) seen.push(names)
  })
  onTestFinished(() => spy.mockRestore())
  return seen
}

it('makes keys and a new mesh durable under their names before the pointer leads to it', async () => {
  const root = await mkdtemp(join(tmpdir(), 'rookery-mesh-files-'))
  onTestFinished(() => rm(root, { recursive: true }))
  const synced = await syncedFolders()
  const data = await openDataDirectory(join(root, 'data'))
  await foundMesh(data, identityOf(data), { name: 'alpha', log: createRecordedLog() })
  const mesh = (await data.currentMesh())!
  const named = (...names: string[]): number =>
    synced.findIndex((folder) => names.every((name) => folder.includes(name)))
  const inOrder = [named('node.key'), named('box.key'), named('store', 'leases'), named(mesh), named('mesh')]
  expect(inOrder).not.toContain(-1)
  expect(inOrder).toEqual(inOrder.toSorted((a, b) => a - b))
})

it('founds one mesh when two processes start at once, and refuses the other', async () => {
  const root = await mkdtemp(join(tmpdir(), 'rookery-mesh-files-'))
  onTestFinished(() => rm(root, { recursive: true }))
  const data = await openDataDirectory(join(root, 'data'))
  const start = () => settleMesh(data, identityOf(data), { name: 'alpha', log: createRecordedLog() })
  const [one, other] = await Promise.allSettled([start(), start()])
  const mesh = await data.currentMesh()
  expect([one, other]).toEqual(
    expect.arrayContaining([
      { status: 'fulfilled', value: mesh },
      { status: 'rejected', reason: expect.any(DataDirectoryError) },
    ]),
  )
  expect(readdirSync(join(data.path, 'meshes'))).toEqual([mesh])
  expect(await start()).toBe(mesh)
})
