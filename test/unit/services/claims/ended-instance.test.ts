import { afterEach, expect, it } from 'vitest'
import { SessionId } from '../../../../crdt/ids.ts'
import { machineIdOf } from '../../../../crdt/machine-id.ts'
import type { Session } from '../../../../crdt/session.ts'
import { TaskInput, type Task } from '../../../../crdt/task.ts'
import { ClaimLab, codeOf, passing, PROJECT, valueOf, type LabNode } from '../../../support/claim-lab.ts'
import { settle } from '../../../support/clock.ts'

let lab: ClaimLab
afterEach(() => lab.close())

const sessionId = (n: number): SessionId => SessionId.parse(`00000000-0000-4000-8000-00000000000${n}`)

/** A session of the node is over, and everybody is told. */
async function end(on: LabNode, id: SessionId): Promise<void> {
  const session: Session = {
    id,
    machineId: machineIdOf(on.peer),
    node: on.peer,
    mode: 'interactive',
    agent: 'claude',
    projectPath: '/work',
    status: 'terminated',
    ptySize: { cols: 80, rows: 24 },
    createdAt: '2026-11-28T12:00:00.000Z',
    startedAt: '2026-11-28T12:00:00.000Z',
    endedAt: '2026-11-28T12:10:00.000Z',
    exitCode: null,
    createdBy: 'user',
    problem: null,
    usage: null,
  }
  for (const { events } of lab.nodes) events.publish({ type: 'session.ended', sessionId: id, session })
  await lab.pass(100)
  await settle()
}

async function claimedTask(node: LabNode, instance: string): Promise<Task> {
  const input = TaskInput.parse({ title: `For ${instance}` })
  const task = valueOf(await passing(lab, node.tasks.create(node.actor('maker'), PROJECT, input)))
  await settle()
  return valueOf(await passing(lab, node.tasks.claim(node.actor(`token of ${instance}`), task.id, instance)))
}

const lock = (node: LabNode, path: string, instance: string) =>
  passing(lab, node.locks.acquire(node.actor(`token of ${instance}`), PROJECT, { path, instanceId: instance }))

const paths = async (node: LabNode): Promise<string[]> =>
  valueOf(await node.locks.list(PROJECT)).map(({ path }) => path)

it('gives back what a session held, whoever’s token took it, as soon as it has ended', async () => {
  lab = await ClaimLab.create({ nodes: 2, voters: 1 })
  const [voter, holder] = [lab.nodes[0]!, lab.nodes[1]!]
  const task = await claimedTask(holder, sessionId(1))
  expect(codeOf(await lock(holder, 'src/a.ts', sessionId(1)))).toBe('ok')
  expect(codeOf(await lock(holder, 'src/b.ts', sessionId(1)))).toBe('ok')
  await end(holder, sessionId(1))
  expect([valueOf(await voter.tasks.get(task.id)).status, await paths(voter), holder.leases.held()]).toEqual([
    'pending',
    [],
    [],
  ])
  expect(voter.told).toContainEqual(expect.objectContaining({ type: 'task.released', reason: 'The agent has ended.' }))
  expect(codeOf(await passing(lab, voter.tasks.claim(voter.actor('other'), task.id, 'other')))).toBe('ok')
})

it('leaves what others hold, and what was completed', async () => {
  lab = await ClaimLab.create({ nodes: 2, voters: 1 })
  const [voter, holder] = [lab.nodes[0]!, lab.nodes[1]!]
  const [mine, done, elsewhere] = [
    await claimedTask(holder, 'somebody'),
    await claimedTask(holder, sessionId(1)),
    await claimedTask(voter, sessionId(1)),
  ]
  expect(codeOf(await lock(holder, 'src/a.ts', 'somebody'))).toBe('ok')
  const completed = { summary: 'done', filesModified: [] }
  valueOf(await passing(lab, holder.tasks.complete(holder.actor(`token of ${sessionId(1)}`), done.id, completed)))
  await end(holder, sessionId(1))
  const status = async ({ id }: Task) => valueOf(await holder.tasks.get(id)).status
  expect([await status(mine), await status(done), await status(elsewhere), await paths(voter)]).toEqual([
    'in_progress',
    'completed',
    'in_progress',
    ['src/a.ts'],
  ])
})

it('gives back a lock that no quorum has confirmed, too', async () => {
  lab = await ClaimLab.create({ nodes: 2, voters: 1 })
  const [voter, holder] = [lab.nodes[0]!, lab.nodes[1]!]
  lab.disconnect(voter)
  expect(valueOf(await lock(holder, 'src/a.ts', sessionId(1))).guarantee).toBe('provisional')
  await end(holder, sessionId(1))
  expect([await paths(holder), valueOf(await holder.locks.notices(PROJECT))]).toEqual([[], []])
})

it('leaves nothing with an agent that has ended while the voters were asked for it', async () => {
  lab = await ClaimLab.create({ nodes: 2, voters: 1 })
  const [voter, holder] = [lab.nodes[0]!, lab.nodes[1]!]
  const input = TaskInput.parse({ title: 'For nobody' })
  const task = valueOf(await passing(lab, holder.tasks.create(holder.actor('maker'), PROJECT, input)))
  const agent = holder.actor('token of agent')
  const instanceId = sessionId(1)
  const asked = [
    holder.tasks.claim(agent, task.id, instanceId),
    holder.tasks.claimNext(agent, PROJECT, instanceId),
    holder.locks.acquire(agent, PROJECT, { path: 'src/a.ts', instanceId }),
    holder.locks.bulk(agent, PROJECT, { paths: ['src/b.ts', 'src/c.ts'], instanceId, allOrNothing: true }),
  ]
  lab.ended.add(instanceId)
  await end(holder, instanceId)
  expect((await Promise.all(asked)).map(codeOf)).toEqual(['cancelled', 'cancelled', 'cancelled', 'cancelled'])
  expect([valueOf(await voter.tasks.get(task.id)).status, await paths(voter), holder.leases.held()]).toEqual([
    'pending',
    [],
    [],
  ])
})
