import { expect, it } from 'vitest'
import { InstanceId, ProjectId, TaskId } from '../../../../crdt/ids.ts'
import type { Task } from '../../../../crdt/task.ts'
import { ACTIVITIES_KEPT_MAX, ActivityLog } from '../../../../node/services/activity/activity-log.ts'
import { identity } from '../../../support/identity.ts'

const projectId = ProjectId.parse('00000000-0000-4000-8000-000000000001')
const at = (second: number): string => new Date(second * 1000).toISOString()
const instance = InstanceId.parse('instance_1')

const task = (n: number, more: Partial<Task> = {}): Task => ({
  id: TaskId.parse(`00000000-0000-4000-8000-${String(n).padStart(12, '0')}`),
  projectId,
  title: `task ${n}`,
  description: '',
  priority: 'medium',
  status: 'pending',
  files: [],
  dependencies: [],
  estimatedTokens: null,
  createdAt: at(n),
  createdBy: 'ada',
  isBlocked: false,
  claim: null,
  completion: null,
  ...more,
})

const claim = {
  instanceId: instance,
  node: identity(1).peer,
  tokenId: 't',
  leaseId: 'lease',
  fencingToken: 1,
  guarantee: 'certified',
  claimedAt: at(2000),
} as const
const completion = { summary: 'done', filesModified: [], completedAt: at(3000), instanceId: instance }
const completed = (n: number): Task => task(n, { status: 'completed', completion })

it('gives the same ids to what it read and to what it was told', () => {
  const [read, told] = [new ActivityLog(), new ActivityLog()]
  read.addTask(task(1, { claim }))
  told.add({ type: 'task.created', projectId, task: task(1) }, at(9000))
  told.add({ type: 'task.claimed', projectId, task: task(1, { claim }), instanceId: instance }, at(9001))
  expect(told.latest(10)).toEqual(read.latest(10))
  expect(read.latest(10).map(({ type }) => type)).toEqual(['task_claimed', 'task_created'])
})

it('knows who gave a task back', () => {
  const log = new ActivityLog()
  log.addTask(task(1, { claim }))
  log.add({ type: 'task.released', projectId, task: task(1), reason: 'later' }, at(4000))
  expect(log.latest(1)).toMatchObject([{ type: 'task_released', instanceId: instance, details: { reason: 'later' } }])
})

it('remembers nobody of a task that is gone', () => {
  const log = new ActivityLog()
  log.addTask(task(1, { claim }))
  log.add({ type: 'task.deleted', projectId, taskId: task(1).id }, at(3000))
  log.add({ type: 'task.released', projectId, task: task(1), reason: 'late' }, at(4000))
  expect(log.latest(1)).toMatchObject([{ type: 'task_released', instanceId: null }])
})

it('counts a completed task once, however often it is met while the list is read', () => {
  const log = new ActivityLog()
  const tell = (n: number) =>
    log.add({ type: 'task.completed', projectId, task: completed(n), summary: 'done', node: null }, at(9000))
  tell(1)
  expect(log.completedBy(instance)).toBe(0)
  log.beginReading()
  for (const n of [1, 2, 1]) log.addTask(completed(n))
  tell(2)
  tell(3)
  log.endReading()
  tell(4)
  expect(log.completedBy(instance)).toBe(4)
})

it('keeps the newest, and never more than twice as many as it shows', () => {
  const log = new ActivityLog()
  for (let n = 0; n < 5 * ACTIVITIES_KEPT_MAX; n++) log.addTask(task(n))
  const kept = log.latest(Infinity)
  expect(kept.length).toBeLessThan(2 * ACTIVITIES_KEPT_MAX)
  expect(kept[0]?.createdAt).toBe(at(5 * ACTIVITIES_KEPT_MAX - 1))
  expect(kept.length).toBeGreaterThanOrEqual(ACTIVITIES_KEPT_MAX)
})
