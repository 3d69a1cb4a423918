import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, it } from 'vitest'
import { WIRE_ERRORS } from '../../../gateway/dialects/claudenest/errors.ts'
import { formatDuration } from '../../../gateway/dialects/claudenest/wire.ts'
import { DOCUMENTED_ERRORS } from '../../conformance/claudenest/document/errors.ts'

/** The document's own table of codes, for the parts that are served. */
const DOCUMENTED = {
  invalid_credentials: { code: 'AUTH_002', status: 401 },
  machine_not_found: { code: 'MCH_001', status: 404 },
  machine_offline: { code: 'MCH_002', status: 400 },
  wake_unsupported: { code: 'MCH_003', status: 400 },
  machine_awake: { code: 'MCH_004', status: 400 },
  session_not_found: { code: 'SES_001', status: 404 },
  session_ended: { code: 'SES_002', status: 400 },
  session_running: { code: 'SES_005', status: 409 },
  project_not_found: { code: 'PRJ_001', status: 404 },
  project_exists: { code: 'PRJ_002', status: 409 },
  task_not_found: { code: 'TSK_001', status: 404 },
  task_claimed: { code: 'TSK_002', status: 409 },
  task_not_claimed_by_caller: { code: 'TSK_003', status: 403 },
  lock_held: { code: 'LCK_001', status: 409 },
  invalid_input: { code: 'VAL_001', status: 422 },
  rate_limited: { code: 'RTE_001', status: 429 },
  internal: { code: 'SRV_001', status: 500 },
}

it('gives documented failures their documented codes', () => {
  expect(WIRE_ERRORS).toMatchObject(DOCUMENTED)
})

it('has a code of the document, or one that its README lists, for every failure', () => {
  const readme = readFileSync(resolve(import.meta.dirname, '../../../gateway/dialects/claudenest/README.md'), 'utf8')
  const [, from, to] = /`MSH_(\d+)` … `MSH_(\d+)`/.exec(readme) ?? []
  const isListed = (code: string): boolean =>
    code in DOCUMENTED_ERRORS ||
    readme.includes(`| \`${code}\``) ||
    (code.startsWith('MSH_') && Number(code.slice(4)) >= Number(from) && Number(code.slice(4)) <= Number(to))
  expect(Object.values(WIRE_ERRORS).filter(({ code }) => !isListed(code))).toEqual([])
})

it('gives no code two statuses, but for VAL_001, which also names unreadable bodies', () => {
  const statuses = new Map<string, Set<number>>()
  for (const { code, status } of Object.values(WIRE_ERRORS)) {
    statuses.set(code, (statuses.get(code) ?? new Set()).add(status))
  }
  expect([...statuses].filter(([, each]) => each.size > 1)).toEqual([['VAL_001', new Set([422, 400])]])
})

it.each([
  [0, '0s'],
  [59, '59s'],
  [60, '1m 0s'],
  [3600, '1h 0m'],
  [90_061, '25h 1m'],
])('writes %i seconds as %s', (seconds, text) => {
  expect(formatDuration(seconds)).toBe(text)
})
