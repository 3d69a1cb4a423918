import { describe, expect, it } from 'vitest'
import { NotWritableError, StorageError } from '../../../node/services/feeds/documents.ts'
import { written, writtenIfMember } from '../../../node/services/written.ts'

describe('a write that is refused', () => {
  it('is an answer when the disk or the mesh refuses it, and a bug otherwise', async () => {
    expect(await written(Promise.resolve(1))).toEqual({ ok: true, value: 1 })
    expect(await written(Promise.reject(new StorageError('full')))).toMatchObject({ error: { code: 'storage_failed' } })
    const removed = new NotWritableError('This node may not write: removed.')
    expect(await written(Promise.reject(removed))).toMatchObject({
      error: { code: 'forbidden', message: removed.message },
    })
    await expect(written(Promise.reject(new TypeError('bug')))).rejects.toThrow('bug')
  })

  it('[M7] does not keep a removed node from starting', async () => {
    await writtenIfMember(Promise.reject(new NotWritableError('removed')))
    await expect(writtenIfMember(Promise.reject(new StorageError('full')))).rejects.toThrow('full')
  })
})
