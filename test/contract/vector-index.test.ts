import { mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openVectraIndex } from '../../node/adapters/vectra-index.ts'
import type { VectorIndex } from '../../node/ports/vector-index.ts'
import { createExactVectors } from '../support/exact-vectors.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rk-vectors-'))
})
afterEach(() => rm(folder, { recursive: true }))

const item = (id: string, vector: number[], group = 'one') => ({ id, group, vector: Float32Array.from(vector) })
const to = (...vector: number[]): Float32Array => Float32Array.from(vector)

describe.each<readonly [string, () => Promise<VectorIndex>]>([
  ['vectra', () => openVectraIndex(join(folder, 'index'))],
  ['exact, in memory', async () => createExactVectors()],
])('a vector index (%s)', (_, open) => {
  it('is empty at first', async () => {
    const index = await open()
    expect([index.dimensions, index.ids(), await index.nearest(to(1, 0), ['one'], 5)]).toEqual([undefined, [], []])
  })

  it('finds the nearest first, by direction and not by length', async () => {
    const index = await open()
    await index.put([item('a', [1, 0]), item('b', [10, 10]), item('c', [0, 0.1])])
    const found = await index.nearest(to(0, 5), ['one'], 2)
    expect(found.map(({ id }) => id)).toEqual(['c', 'b'])
    expect(found.map(({ similarity }) => similarity)).toEqual([expect.closeTo(1), expect.closeTo(Math.SQRT1_2)])
  })

  it('searches within groups', async () => {
    const index = await open()
    await index.put([item('a', [1, 0], 'one'), item('b', [1, 0.1], 'two'), item('c', [1, 0.2], 'three')])
    const ids = async (...groups: string[]) => (await index.nearest(to(1, 0), groups, 5)).map(({ id }) => id)
    expect([await ids('two'), await ids('one', 'three'), await ids('four'), await ids()]).toEqual([
      ['b'],
      ['a', 'c'],
      [],
      [],
    ])
  })

  it('replaces what it has, and takes out what it is told to', async () => {
    const index = await open()
    await index.put([item('a', [1, 0]), item('b', [0, 1])])
    await index.put([item('a', [0, 1], 'two')])
    expect(await index.nearest(to(0, 1), ['one', 'two'], 5)).toHaveLength(2)
    expect((await index.nearest(to(0, 1), ['two'], 5)).map(({ id }) => id)).toEqual(['a'])
    await index.remove(['a', 'unknown'])
    expect([index.ids(), (await index.nearest(to(0, 1), ['one', 'two'], 5)).map(({ id }) => id)]).toEqual([
      ['b'],
      ['b'],
    ])
  })

  it('holds vectors of one length, another one only after it has been emptied', async () => {
    const index = await open()
    await index.put([item('a', [1, 0])])
    await expect(index.put([item('b', [1, 0, 0])])).rejects.toThrow('2 numbers')
    await expect(index.nearest(to(1, 0, 0), ['one'], 5)).rejects.toThrow()
    expect([index.dimensions, index.ids()]).toEqual([2, ['a']])
    await index.clear()
    await index.put([item('b', [1, 0, 0])])
    expect([index.dimensions, index.ids()]).toEqual([3, ['b']])
  })

  it('takes no more than its capacity, and stays as it was', async () => {
    const index = await open()
    const many = Array.from({ length: index.capacity }, (_, i) => item(`v${i}`, [1, i]))
    await index.put(many)
    await expect(index.put([item('more', [1, 1])])).rejects.toThrow(String(index.capacity))
    expect(index.ids()).toHaveLength(index.capacity)
    await index.put([item('v1', [2, 1])])
  })
})

describe('vectra', () => {
  it('has everything again after a restart', async () => {
    const path = join(folder, 'index')
    await (await openVectraIndex(path)).put([item('a', [1, 0], 'two'), item('b', [0, 1])])
    const again = await openVectraIndex(path)
    expect([again.dimensions, again.ids(), (await again.nearest(to(1, 0), ['two'], 5)).map(({ id }) => id)]).toEqual([
      2,
      ['a', 'b'],
      ['a'],
    ])
  })

  it.each([
    ['cut off', (file: string) => truncate(file, 20)],
    ['something else', (file: string) => writeFile(file, '{"items":[{"id":7}]}')],
  ])('starts empty when its file is %s', async (_, damage) => {
    const path = join(folder, 'index')
    await (await openVectraIndex(path)).put([item('a', [1, 0])])
    const [file = ''] = await readdir(path)
    await damage(join(path, file))
    const again = await openVectraIndex(path)
    expect(again.ids()).toEqual([])
    await again.put([item('b', [1, 0])])
    expect((await openVectraIndex(path)).ids()).toEqual(['b'])
  })
})
