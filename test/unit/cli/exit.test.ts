import { expect, it } from 'vitest'
import { domainError } from '../../../crdt/errors.ts'
import { failureOf } from '../../../node/cli/exit.ts'

it('names who holds and until when, under the field names of the API', () => {
  const holder = { instanceId: 'one', reason: 'refactoring', expiresAt: '2026-01-01T00:00:00.000Z' }
  const failure = failureOf(domainError('lock_held', { details: { holder } }))
  expect([failure.exitCode, failure.message, failure.details]).toEqual([
    4,
    'Another instance holds a lock on this path. (held by one until 2026-01-01T00:00:00.000Z; reason: refactoring)',
    {
      holder: {
        instance_id: 'one',
        reason: 'refactoring',
        expires_at: '2026-01-01T00:00:00.000Z',
        guarantee: 'certified',
      },
    },
  ])
  const unsure = { ...holder, guarantee: 'provisional' } as const
  expect(failureOf(domainError('lock_held', { details: { holder: unsure } })).message).toContain(
    'provisional: no quorum',
  )
})

it('names the voters that are missing, under the field names of the API', () => {
  const failure = failureOf(
    domainError('quorum_unreachable', { details: { missingVoters: ['alpha'], retryAfterMs: 5 } }),
  )
  expect(failure.details).toEqual({ missing_voters: ['alpha'], retry_after_ms: 5 })
})

it('says what is wrong with a field once, also where the message says it already', () => {
  const details = { fields: { minutes: ['Too small'] } }
  expect(failureOf(domainError('invalid_input', { details })).message).toBe(
    'The given data was invalid. (minutes Too small)',
  )
  const message = 'The given data was invalid. minutes: Too small'
  expect(failureOf(domainError('invalid_input', { message, details })).message).toBe(message)
})
