import { afterEach, describe, expect, it } from 'vitest'
import { TaskInput, type Task } from '../../../../crdt/task.ts'
import { ClaimLab, codeOf, passing, PROJECT, valueOf, type LabNode } from '../../../support/claim-lab.ts'
import { settle } from '../../../support/clock.ts'

let lab: ClaimLab
afterEach(() => lab.close())

const claim = (node: LabNode, task: Task, instance: string) =>
  passing(lab, node.tasks.claim(node.actor(`token of ${instance}`), task.id, instance))
const complete = (node: LabNode, task: Task, instance: string) =>
  passing(lab, node.tasks.complete(node.actor(`token of ${instance}`), task.id, { summary: 'done', filesModified: [] }))
const shown = async (node: LabNode, task: Task): Promise<Task> => valueOf(await node.tasks.get(task.id))
const types = (node: LabNode): string[] => node.told.map(({ type }) => type)

/** The first node votes; the second has claimed a task. */
async function claimed(): Promise<{ voter: LabNode; holder: LabNode; task: Task }> {
  lab = await ClaimLab.create({ nodes: 2, voters: 1 })
  const [voter, holder] = [lab.nodes[0]!, lab.nodes[1]!]
  const input = TaskInput.parse({ title: 'Implement authentication' })
  const task = valueOf(await passing(lab, voter.tasks.create(voter.actor('maker'), PROJECT, input)))
  await settle()
  const mine = valueOf(await claim(holder, task, 'agent'))
  await settle()
  return { voter, holder, task: mine }
}

async function restart(): Promise<LabNode> {
  const again = await lab.restart(1)
  await lab.pass(5000)
  return again
}

describe('[L2.11] a claim whose node restarts', () => {
  it('goes on under the same token, is nobody else’s, and can be completed', async () => {
    const { voter, task } = await claimed()
    const again = await restart()
    expect([await shown(again, task), await shown(voter, task)]).toEqual([task, task])
    expect(types(voter)).toEqual(['task.created', 'task.claimed'])
    expect(codeOf(await claim(voter, task, 'other'))).toBe('task_claimed')
    await lab.pass(180_000)
    expect(codeOf(await claim(again, task, 'agent'))).toBe('ok')
    expect(await shown(voter, task)).toEqual(task)
    expect(codeOf(await complete(again, task, 'agent'))).toBe('ok')
    await settle()
    expect([(await shown(voter, task)).status, again.leases.held()]).toEqual(['completed', []])
  })

  it('is its holder’s as soon as it is known to be: whoever asks before waits', async () => {
    const { task } = await claimed()
    const again = await lab.restart(1)
    expect(valueOf(await claim(again, task, 'agent'))).toEqual(task)
    const once = await lab.restart(1)
    expect(codeOf(await complete(once, task, 'agent'))).toBe('ok')
  })

  it('goes on restart after restart, also through one that came before the voters had answered', async () => {
    const { voter, task } = await claimed()
    lab.disconnect(voter)
    await lab.restart(1)
    await lab.pass(3000)
    await lab.restart(1)
    await lab.reconnect(voter)
    await lab.pass(5000)
    const again = await restart()
    expect([await shown(again, task), await shown(voter, task)]).toEqual([task, task])
  })

  it('lasts no longer than it was to last', async () => {
    const { voter, task } = await claimed()
    await lab.pass(50 * 60_000)
    const again = await restart()
    expect((await shown(again, task)).claim).toEqual(task.claim)
    await lab.pass(11 * 60_000)
    expect([(await shown(again, task)).claim, (await shown(voter, task)).claim]).toEqual([null, null])
  })

  it('is lost, and everybody told, when another was granted it meanwhile', async () => {
    const { voter, holder, task } = await claimed()
    await lab.crash(holder)
    await lab.pass(90_000)
    const theirs = valueOf(await claim(voter, task, 'other'))
    expect(theirs.claim?.fencingToken).toBeGreaterThan(task.claim!.fencingToken)
    const again = await restart()
    await lab.pass(10_000)
    expect([await shown(again, task), await shown(voter, task)]).toEqual([theirs, theirs])
    expect([again.leases.held(), codeOf(await complete(again, task, 'agent'))]).toEqual([
      [],
      'task_not_claimed_by_caller',
    ])
  })

  it('goes back to the board, with a reason, when the voters cannot be reached for long', async () => {
    const { voter, task } = await claimed()
    lab.disconnect(voter)
    const again = await lab.restart(1)
    await lab.pass(30_000)
    expect((await shown(again, task)).claim).toBeNull()
    await lab.reconnect(voter)
    await settle()
    expect(voter.told.at(-1)).toMatchObject({
      type: 'task.released',
      reason: 'The node that held it was restarted.',
    })
  })

  it('goes back to the board at once when its agent or its time has ended', async () => {
    const { voter, task } = await claimed()
    lab.ended.add('agent')
    const again = await restart()
    expect(voter.told.at(-1)).toMatchObject({ type: 'task.released', reason: 'The agent has ended.' })
    expect(codeOf(await claim(voter, task, 'other'))).toBe('ok')
    const mine = valueOf(await claim(voter, task, 'other'))
    expect([mine.claim?.instanceId, again.leases.held()]).toEqual(['other', []])
  })
})
