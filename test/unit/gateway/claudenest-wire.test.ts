import { expect, it } from 'vitest'
import { InstanceId, ProjectId } from '../../../crdt/ids.ts'
import { wireLock } from '../../../gateway/dialects/claudenest/wire.ts'
import { identity } from '../../support/identity.ts'

it('never says that a lock has more time left than it was given', () => {
  const lock = {
    projectId: ProjectId.parse('00000000-0000-7000-8000-000000000000'),
    path: 'src/a.ts',
    pattern: null,
    instanceId: InstanceId.parse('one'),
    reason: null,
    lockedAt: '2026-01-01T00:00:00.500Z',
    expiresAt: '2026-01-01T00:30:00.500Z',
    node: identity(1).peer,
    tokenId: 't',
    guarantee: 'certified' as const,
    missingVoters: [],
    leaseId: 'l',
    fencingToken: 1,
  }
  const left = (now: string): number => wireLock(lock, Date.parse(now)).remaining_seconds
  // The first two are the request's own arrival and another machine's clock that is a minute behind.
  expect([
    left('2026-01-01T00:00:00.499Z'),
    left('2025-12-31T23:59:00.500Z'),
    left('2026-01-01T00:29:59.600Z'),
    left('2026-01-01T00:31:00.000Z'),
  ]).toEqual([1800, 1800, 1, 0])
})
