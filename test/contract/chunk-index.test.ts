import { randomBytes } from 'node:crypto'
import { closeSync, openSync, readFileSync, statSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { MEMORY, openChunkIndex } from '../../node/adapters/sqlite-chunk-index.ts'
import { IndexDamagedError, type ChunkIndex } from '../../node/ports/chunk-index.ts'
import { describeChunkIndex, put, record, scope, segmentOf } from './chunk-index.ts'

let folder: string
let files = 0
const opened: ChunkIndex[] = []
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rk-index-'))
})
afterEach(() => {
  for (const index of opened.splice(0)) index.close()
})
afterAll(() => rm(folder, { recursive: true }))

const open = (file: string): ChunkIndex => {
  const index = openChunkIndex(file)
  opened.push(index)
  return index
}
const fresh = (): string => join(folder, `${files++}.db`)
const contents = (index: ChunkIndex): string[] =>
  index.list(scope(), { page: 1, perPage: 10 }).items.map(({ content }) => content)

describe('an index of chunks (SQLite, in a file)', () => {
  describeChunkIndex(() => open(fresh()))
})
describe('an index of chunks (SQLite, in memory)', () => {
  describeChunkIndex(() => open(MEMORY))
})

describe('SQLite', () => {
  it('has everything again after it was closed, and after it was not', () => {
    const file = fresh()
    const first = open(file)
    put(first, { 1: record('one') })
    first.close()
    const second = open(file)
    put(second, { 1: record('one'), 2: record('two') }, { position: '2' })
    // As a crash leaves it: what is in the write-ahead log counts.
    const third = open(file)
    expect([contents(third).toSorted(), [...third.segments()]]).toEqual([['one', 'two'], [[segmentOf(), '2']]])
  })

  it.each([
    ['something else', (file: string) => writeFileSync(file, randomBytes(8192))],
    ['of another format', (file: string) => patch(file, 60, [0, 0, 0, 99])],
    ['cut off', (file: string) => truncateSync(file, statSync(file).size / 2)],
    ['empty', (file: string) => truncateSync(file, 0)],
  ])('starts empty with a file that is %s', (_, damage) => {
    const file = fresh()
    const first = open(file)
    for (let i = 0; i < 5; i++) put(first, { [i]: record(`word ${i} `.repeat(500)) }, { doc: segmentOf(i) })
    first.close()
    // Nobody has closed it properly: that is what makes it suspicious.
    patch(file, 60, [0xff, 0xff, 0xff, 0xff])
    damage(file)
    const second = open(file)
    expect(second.segments().size).toBe(0)
    put(second, { 1: record('one') })
    expect(contents(second)).toEqual(['one'])
  })

  it('says so when it finds out later, and is usable again after a reset', () => {
    const file = fresh()
    const first = open(file)
    for (let i = 0; i < 200; i++) put(first, { [i]: record(`word ${i} `.repeat(200)) }, { doc: segmentOf(i) })
    first.close()
    const size = readFileSync(file).byteLength
    for (let at = 8192; at < size; at += 4096) patch(file, at, [...randomBytes(4000)])
    const second = open(file)
    const use = (): void => {
      second.search(scope(), 'word', 10)
      contents(second)
      put(second, { 900: record('another') }, { doc: segmentOf(900) })
    }
    expect(use).toThrow(IndexDamagedError)
    second.reset()
    put(second, { 1: record('one') })
    expect(contents(second)).toEqual(['one'])
  })
})

function patch(file: string, at: number, bytes: readonly number[]): void {
  const handle = openSync(file, 'r+')
  writeSync(handle, Uint8Array.from(bytes), 0, bytes.length, at)
  closeSync(handle)
}
