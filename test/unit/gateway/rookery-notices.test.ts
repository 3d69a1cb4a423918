import { expect, it } from 'vitest'
import { InstanceId, ProjectId } from '../../../crdt/ids.ts'
import type { LockNotice } from '../../../crdt/lock.ts'
import { translate } from '../../../gateway/dialects/claudenest/events.ts'
import { WireNotice, wireNotice } from '../../../gateway/dialects/rookery/notices.ts'
import { identity } from '../../support/identity.ts'

const notice: LockNotice = {
  id: 'a'.repeat(32),
  projectId: ProjectId.parse('00000000-0000-7000-8000-000000000000'),
  why: 'yield',
  paths: ['src/*.ts'],
  instanceId: InstanceId.parse('one'),
  node: identity(1).peer,
  lockedAt: '2026-01-01T00:00:00.000Z',
  endedAt: '2026-01-01T00:05:00.000Z',
  conflict: {
    leaseId: 'b'.repeat(32),
    path: 'src/a.ts',
    instanceId: InstanceId.parse('two'),
    node: identity(2).peer,
    since: '2026-01-01T00:01:00.000Z',
    guarantee: 'certified',
  },
}

it('[P5] tells with whom a lost lock conflicts, since when, and what to do', () => {
  const wire = {
    id: notice.id,
    project_id: notice.projectId,
    why: 'yield',
    paths: ['src/*.ts'],
    instance_id: 'one',
    locked_at: notice.lockedAt,
    ended_at: notice.endedAt,
    conflict: {
      path: 'src/a.ts',
      instance_id: 'two',
      since: '2026-01-01T00:01:00.000Z',
      guarantee: 'certified',
    },
    advice: 'Your work is kept; coordinate with two before you push.',
  }
  expect(WireNotice.parse(wireNotice(notice))).toEqual(wire)
  const restarted = { ...notice, why: 'owner-restart', conflict: null } as const
  expect(WireNotice.parse(wireNotice(restarted))).toEqual({
    ...wire,
    why: 'owner-restart',
    conflict: null,
    advice: 'Your work is kept; lock the path again before you go on.',
  })
})

it('[P5] tells the subscribers of the project of a conflict, beside the documented file events', () => {
  expect(translate({ type: 'file.conflict', projectId: notice.projectId, notice }, 0)).toEqual({
    topics: [`project.${notice.projectId}`],
    ability: 'lock:read',
    name: 'file:conflict',
    data: {
      path: 'src/*.ts',
      paths: ['src/*.ts'],
      lostBy: 'one',
      lockedBy: 'two',
      lockedPath: 'src/a.ts',
      since: '2026-01-01T00:01:00.000Z',
      guarantee: 'certified',
      noticeId: notice.id,
    },
  })
})
