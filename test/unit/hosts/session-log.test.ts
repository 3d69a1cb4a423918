import { appendFileSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createSessionLog, readSessionLog } from '../../../node/hosts/session-log.ts'

let directory: string
beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'log-'))))
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const noFailure = (error: unknown): never => {
  throw error
}
const all = { limit: 1_000_000, bytesMax: Number.MAX_SAFE_INTEGER }
const shortOf = (entries: Awaited<ReturnType<typeof readSessionLog>>) => entries.map(({ type, data }) => [type, data])

test('keeps what was said in order, gathered, and reads the newest of it', async () => {
  const log = createSessionLog(directory, noFailure)
  log.append('output', Buffer.from('$ '))
  log.append('input', Buffer.from('l'))
  log.append('input', Buffer.from('s\n'))
  log.append('output', Buffer.from('a b\n'))
  log.append('error', Buffer.from('oops\n'))
  log.close()
  const entries = await readSessionLog(directory, all)
  expect(shortOf(entries)).toEqual([
    ['output', '$ '],
    ['input', 'ls\n'],
    ['output', 'a b\n'],
    ['error', 'oops\n'],
  ])
  expect(new Set(entries.map(({ id }) => id)).size).toBe(4)
  expect(shortOf(await readSessionLog(directory, { ...all, limit: 2 }))).toEqual([
    ['output', 'a b\n'],
    ['error', 'oops\n'],
  ])
  expect(shortOf(await readSessionLog(directory, { ...all, type: 'output', limit: 1 }))).toEqual([['output', 'a b\n']])
})

test('a character that arrives in two pieces is written whole', async () => {
  const log = createSessionLog(directory, noFailure)
  const bytes = Buffer.from('€uro')
  log.append('output', bytes.subarray(0, 2))
  log.flush()
  log.append('output', bytes.subarray(2))
  log.close()
  expect((await readSessionLog(directory, all)).map(({ data }) => data).join('')).toBe('€uro')
})

test('a flood is cut at the rate, counted, and never fills the disk', async () => {
  const log = createSessionLog(directory, noFailure)
  const chunk = Buffer.alloc(64 * 1024, 'x')
  for (let i = 0; i < 400; i++) log.append('output', chunk)
  log.append('input', Buffer.from('still here'))
  log.close()
  const entries = await readSessionLog(directory, all)
  const kept = entries.reduce((sum, { type, data }) => sum + (type === 'output' ? data.length : 0), 0)
  const omitted = entries.reduce((sum, { metadata }) => sum + Number(metadata['omittedBytes'] ?? 0), 0)
  expect(kept + omitted).toBe(400 * chunk.byteLength)
  expect(kept).toBeLessThan(8 * 1024 * 1024)
  expect(entries.at(-1)).toMatchObject({ type: 'input', data: 'still here' })
})

test('two files of limited size are kept, and reading goes across them', async () => {
  const log = createSessionLog(directory, noFailure)
  for (let i = 0; i < 3000; i++) {
    log.append('input', Buffer.from(`${i} ${'y'.repeat(8100)}`))
    log.flush()
  }
  log.close()
  for (const name of ['log.jsonl', 'log.1.jsonl'])
    expect(statSync(join(directory, name)).size).toBeLessThan(8 * 1024 * 1024 + 64 * 1024)
  const numbers = (await readSessionLog(directory, all)).map(({ data }) => Number.parseInt(data, 10))
  expect(numbers.length).toBeGreaterThan(1000)
  expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, i) => 3000 - numbers.length + i))
  expect(await readSessionLog(directory, { limit: 1000, bytesMax: 20_000 })).toHaveLength(2)
})

test('a torn last line and foreign lines are left out', async () => {
  const log = createSessionLog(directory, noFailure)
  log.append('output', Buffer.from('whole'))
  log.close()
  appendFileSync(join(directory, 'log.jsonl'), '{"not":"an entry"}\n{"id":"1","type":"outp')
  expect(shortOf(await readSessionLog(directory, all))).toEqual([['output', 'whole']])
})

test('a session without a log has no entries', async () => {
  expect(await readSessionLog(join(directory, 'nowhere'), all)).toEqual([])
})
