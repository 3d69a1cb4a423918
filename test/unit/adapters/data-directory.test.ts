import { chmod, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { DataDirectoryError, openDataDirectory, type DataDirectory } from '../../../node/adapters/data-directory.ts'

let parent: string
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'rookery-data-'))
})
afterEach(() => rm(parent, { recursive: true, force: true }))

const MESHES = ['a', 'b'].map((digit) => digit.repeat(64)) as [string, string]

async function directoryWith(meshes: readonly string[]): Promise<DataDirectory> {
  const data = await openDataDirectory(join(parent, 'data'))
  for (const mesh of meshes) await mkdir(data.meshDir(mesh))
  return data
}

it('[M1] makes keys that only this user can read, and keeps them', async () => {
  const path = join(parent, 'data')
  const first = await openDataDirectory(path)
  const again = await openDataDirectory(path)
  expect(again.nodeSeed).toEqual(first.nodeSeed)
  expect(again.boxSecret).toEqual(first.boxSecret)
  expect((await stat(path)).mode & 0o777).toBe(0o700)
  for (const name of await readdir(join(path, 'keys')))
    expect((await stat(join(path, 'keys', name))).mode & 0o777).toBe(0o600)
})

it('[M1] agrees on one key when two processes start at once', async () => {
  const path = join(parent, 'data')
  const all = await Promise.all(Array.from({ length: 8 }, () => openDataDirectory(path)))
  expect(new Set(all.map(({ nodeSeed }) => Buffer.from(nodeSeed).toString('hex'))).size).toBe(1)
})

it('[M1] refuses modes that let others read, and says which command mends them', async () => {
  const path = join(parent, 'data')
  await openDataDirectory(path)
  await chmod(path, 0o755)
  await expect(openDataDirectory(path)).rejects.toThrow(`chmod 700 '${path}'`)
  await chmod(path, 0o700)
  await chmod(join(path, 'keys', 'node.key'), 0o644)
  await expect(openDataDirectory(path)).rejects.toThrow(`chmod 600 '${join(path, 'keys', 'node.key')}'`)
})

it('refuses a damaged key instead of becoming somebody else', async () => {
  const path = join(parent, 'data')
  await openDataDirectory(path)
  await writeFile(join(path, 'keys', 'node.key'), 'short')
  await expect(openDataDirectory(path)).rejects.toThrow('5 bytes instead of 32')
})

it.each(['node.key', 'box.key'])('refuses to go on in its mesh with a new %s', async (name) => {
  const data = await directoryWith([MESHES[0]])
  await rm(join(data.path, 'keys', name))
  await expect(openDataDirectory(data.path)).rejects.toThrow(`${name} is missing. Restore it from a backup`)
  expect(await readdir(join(data.path, 'keys'))).toHaveLength(1)
})

it('says what to do when the directory cannot be made', async () => {
  await writeFile(join(parent, 'file'), '')
  await expect(openDataDirectory(join(parent, 'file', 'data'))).rejects.toThrow('--data-dir')
})

it('switches the current mesh and sweeps the others away', async () => {
  const data = await directoryWith([])
  expect(await data.currentMesh()).toBeUndefined()
  for (const name of [...MESHES, 'new-half-made']) await mkdir(data.meshDir(name))
  await data.setCurrentMesh(MESHES[1])
  await data.sweepMeshes()
  expect(await data.currentMesh()).toBe(MESHES[1])
  expect(await readdir(join(data.path, 'meshes'))).toEqual([MESHES[1]])
})

it.each(['', 'x', '../x', undefined])(
  'takes the mesh that is there when the pointer is damaged or gone, and never sweeps it away (%s)',
  async (content) => {
    const data = await directoryWith([MESHES[0]])
    if (content !== undefined) await writeFile(join(data.path, 'mesh'), content)
    expect(await data.currentMesh()).toBe(MESHES[0])
    await data.sweepMeshes()
    expect(await readdir(join(data.path, 'meshes'))).toEqual([MESHES[0]])
  },
)

it('asks which mesh is meant when the pointer is damaged and there are several', async () => {
  const data = await directoryWith(MESHES)
  await expect(data.currentMesh()).rejects.toThrow('write the name of that folder into it')
  await expect(data.sweepMeshes()).rejects.toThrow(DataDirectoryError)
  expect((await readdir(join(data.path, 'meshes'))).toSorted()).toEqual(MESHES)
})

it('takes no other mesh for the one that the pointer names', async () => {
  const data = await directoryWith([MESHES[0]])
  await data.setCurrentMesh(MESHES[1])
  await expect(data.currentMesh()).rejects.toThrow('rookery restore')
  await expect(data.sweepMeshes()).rejects.toThrow(DataDirectoryError)
  expect(await readdir(join(data.path, 'meshes'))).toEqual([MESHES[0]])
})

it('does not take up again a mesh that it has left', async () => {
  const data = await directoryWith([MESHES[0]])
  await data.setCurrentMesh(MESHES[0])
  await data.forgetMeshAndKeys()
  expect(await data.currentMesh()).toBeUndefined()
})
