import { expect, it } from 'vitest'
import type { InstanceId, TaskId } from '../../../../crdt/ids.ts'
import type { ClaimedRecord } from '../../../../crdt/task-record.ts'
import { createTaskUpholding } from '../../../../node/services/tasks/task-upholding.ts'
import { PROJECT } from '../../../support/claim-lab.ts'

const recordOf = (lease: string): ClaimedRecord => ({
  state: 'claimed',
  task: `task of ${lease}` as TaskId,
  token: 1,
  lease,
  instance: 'agent' as InstanceId,
  tokenId: 'token',
  at: '2026-01-01T00:00:00.000Z',
  certificate: new Uint8Array(),
})

it('keeps nothing of claims that have ended, also where nobody else ever writes to the project', () => {
  const asked: string[] = []
  const find = (lease: string): undefined => void asked.push(lease)
  const deps = { leases: { find } } as unknown as Parameters<typeof createTaskUpholding>[0]
  const upholding = createTaskUpholding(deps)
  for (const lease of ['one', 'two', 'three']) upholding.hold(PROJECT, recordOf(lease))
  // What is kept is asked about again each time.
  expect(asked).toEqual(['one', 'two'])
})
