import { createHash } from 'node:crypto'
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
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
    expect(prev).toBe(before ? createHash('sha256').update(`${before.line}\n`).digest('hex') : '0'.repeat(64))
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
