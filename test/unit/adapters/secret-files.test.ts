import { chmod, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { readSecret, removeSecret, SECRET_BYTES_MAX, writeSecret } from '../../../node/adapters/secret-files.ts'

let data: string
beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'rookery-secrets-'))
})
afterEach(() => rm(data, { recursive: true, force: true }))

it('keeps a secret in a file of this user alone, replaces it whole, and forgets it', async () => {
  expect(await readSecret(data, 'smtp')).toBe(undefined)
  await writeSecret(data, 'smtp', 'one')
  await writeSecret(data, 'smtp', 'another')
  expect(await readSecret(data, 'smtp')).toBe('another')
  expect(await readdir(join(data, 'secrets'))).toEqual(['smtp'])
  const modes = [join(data, 'secrets'), join(data, 'secrets', 'smtp')].map(
    async (path) => (await stat(path)).mode & 0o777,
  )
  expect(await Promise.all(modes)).toEqual([0o700, 0o600])
  expect([await removeSecret(data, 'smtp'), await removeSecret(data, 'smtp')]).toEqual([true, false])
})

it('uses none that others could read, and says how to mend it', async () => {
  await writeSecret(data, 'oauth-google', 'seen by others')
  const path = join(data, 'secrets', 'oauth-google')
  await chmod(path, 0o640)
  await expect(readSecret(data, 'oauth-google')).rejects.toThrow(`chmod 600 '${path}'`)
})

it('takes nothing that is too long', async () => {
  await expect(writeSecret(data, 'smtp', 'x'.repeat(SECRET_BYTES_MAX + 1))).rejects.toThrow('at most 1024 bytes')
  expect(await readSecret(data, 'smtp')).toBe(undefined)
})
