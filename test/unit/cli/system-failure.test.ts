import { readdir } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { StoreUnusableError } from '../../../node/adapters/level-db.ts'
import { isDiskFull, systemFailure } from '../../../node/cli/system-failure.ts'

it('says what the system refused, and leaves bugs alone', async () => {
  const error = await readdir(import.meta.filename).catch((cause: unknown) => cause)
  expect(systemFailure(error)).toMatchObject({
    exitCode: 1,
    code: 'enotdir',
    message: `The system refused: ENOTDIR: not a directory, scandir '${import.meta.filename}'.`,
  })
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', syscall: 'write' })
  expect(systemFailure(full)).toMatchObject({ code: 'disk_full', message: expect.stringContaining('make room') })
  expect(systemFailure(new TypeError('x is undefined'))).toBeUndefined()
})

it('knows a full disk by what caused an error, too', () => {
  const cause = new Error('IO error: /a/000003.log: No space left on device')
  expect(isDiskFull(new StoreUnusableError('it cannot be opened', { cause }))).toBe(true)
  expect(isDiskFull(new StoreUnusableError('it is damaged'))).toBe(false)
})
