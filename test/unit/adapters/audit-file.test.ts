import { createHash } from 'node:crypto'
import { appendFile, mkdir, mkdtemp, readFile, readdir, rm, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openAuditFile } from '../../../node/adapters/audit-file.ts'
import type { AuditEntry } from '../../../node/ports/audit.ts'
import { identity } from '../../support/identity.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rookery-audit-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

const { peer } = identity(1)
const entry = (action: string): AuditEntry => ({
  action,
  actor: { kind: 'user', id: 'u1', tokenId: 't1', abilities: ['*'], gateway: peer },
  from: peer,
  outcome: 'allowed',
})

async function chain(path: string): Promise<{ action: string; prev: string; line: string }[]> {
  const lines = (await readFile(path, 'utf8')).trimEnd().split('\n')
  return lines.map((line) => ({ ...JSON.parse(line), line }))
}

const hashOf = (line: string): string => createHash('sha256').update(`${line}\n`).digest('hex')

it('leaves out a line that a crash has cut off, so that the chain holds', async () => {
  const path = join(directory, 'audit.log')
  const first = await openAuditFile(path)
  await first.record(entry('one'))
  await first.close()
  await appendFile(path, '{"at":"2026-')
  const second = await openAuditFile(path)
  await second.record(entry('two'))
  await second.close()
  const [one, two, ...more] = await chain(path)
  expect([two?.action, two?.prev, more]).toEqual(['two', hashOf(one!.line), []])
})

it('goes on when there is room again after it could not begin a new file, and loses none of the old', async () => {
  const path = join(directory, 'audit.log')
  const audit = await openAuditFile(path, 1)
  await audit.record(entry('one'))
  await mkdir(`${path}.new`)
  for (let i = 0; i < 5; i++) await expect(audit.record(entry('refused'))).rejects.toThrow('EISDIR')
  await rmdir(`${path}.new`)
  await audit.record(entry('two'))
  await audit.close()
  const [[one], [two]] = [await chain(`${path}.1`), await chain(path)]
  expect([one?.action, two?.action, two?.prev]).toEqual(['one', 'two', hashOf(one!.line)])
  expect((await readdir(directory)).toSorted()).toEqual(['audit.log', 'audit.log.1'])
})

it('chains every line to the one before it, across restarts', async () => {
  const path = join(directory, 'audit.log')
  const first = await openAuditFile(path)
  await Promise.all([first.record(entry('session.create')), first.record(entry('session.input'))])
  await first.close()
  const second = await openAuditFile(path)
  await second.record(entry('session.remove'))
  await second.close()
  const lines = await chain(path)
  expect(lines.map(({ action }) => action)).toEqual(['session.create', 'session.input', 'session.remove'])
  lines.forEach(({ prev }, i) => {
    const before = lines[i - 1]
    expect(prev).toBe(before ? hashOf(before.line) : '0'.repeat(64))
  })
})

it('keeps a bounded number of bounded files', async () => {
  const path = join(directory, 'audit.log')
  const audit = await openAuditFile(path, 1000)
  for (let i = 0; i < 60; i++) await audit.record(entry(`action ${i}`))
  await audit.close()
  expect((await readdir(directory)).toSorted()).toEqual([
    'audit.log',
    'audit.log.1',
    'audit.log.2',
    'audit.log.3',
    'audit.log.4',
  ])
  const [current] = await chain(path)
  expect(current?.prev).toBe(
    createHash('sha256')
      .update(`${(await chain(`${path}.1`)).at(-1)?.line}\n`)
      .digest('hex'),
  )
})

it('refuses when the entry cannot be written, and goes on with the next', async () => {
  await expect(openAuditFile(join(directory, 'missing', 'audit.log'))).rejects.toThrow('ENOENT')
})
