import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  linkSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import type { Stats } from 'node:fs'
import { lstat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { foldsCase } from '../../../node/adapters/case-folding.ts'

let folder: string
beforeEach(() => (folder = realpathSync(mkdtempSync(join(tmpdir(), 'case-')))))
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** The same files as a file system that does not tell upper from lower case would show them. */
const folding = async (path: string): Promise<Stats> => {
  const name = readdirSync(dirname(path)).find((each) => each.toLowerCase() === basename(path).toLowerCase())
  return await lstat(join(dirname(path), name ?? basename(path)))
}

/** What this machine's own file system does. */
function isFoldedHere(): boolean {
  writeFileSync(join(folder, 'probe'), '')
  try {
    lstatSync(join(folder, 'PROBE'))
    return true
  } catch {
    return false
  } finally {
    rmSync(join(folder, 'probe'))
  }
}

test('[L2.9] tells a folder that folds case from one that does not, by what lies in it', async () => {
  const isFolded = isFoldedHere()
  mkdirSync(join(folder, '.git'))
  writeFileSync(join(folder, 'README'), '')
  expect([await foldsCase(folder), await foldsCase(folder, folding)]).toEqual([isFolded, true])
})

test('[L2.9] judges an empty folder, and one without letters, by its own name', async () => {
  expect(await foldsCase(folder, folding)).toBe(true)
  writeFileSync(join(folder, '1234'), '')
  expect([await foldsCase(folder), await foldsCase(folder, folding)]).toEqual([isFoldedHere(), true])
})

test('two spellings that are two links to one file, or one that leads to the other, prove nothing', async () => {
  if (isFoldedHere()) return
  writeFileSync(join(folder, 'a'), '')
  linkSync(join(folder, 'a'), join(folder, 'A'))
  expect(await foldsCase(folder)).toBe(false)
  mkdirSync(join(folder, 'd'))
  symlinkSync('d', join(folder, 'D'))
  expect(await foldsCase(folder)).toBe(false)
})

test('writes nothing, and has an answer for what is not there', async () => {
  const before = readdirSync(folder)
  await foldsCase(folder)
  expect(readdirSync(folder)).toEqual(before)
  expect(await foldsCase(join(folder, 'Nowhere'))).toBe(false)
})
