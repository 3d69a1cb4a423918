import { afterEach, describe, expect, it } from 'vitest'
import { projectDoc } from '../../../../crdt/ids.ts'
import { putClaim } from '../../../../crdt/task-document.ts'
import type { ClaimedRecord } from '../../../../crdt/task-record.ts'
import { certificateBytes } from '../../../../node/services/claims/claim-certificate.ts'
import { TaskInput } from '../../../../crdt/task.ts'
import type { Task } from '../../../../crdt/task.ts'
import { openPendingCompletions } from '../../../../node/services/context/pending-completions.ts'
import { ClaimLab, codeOf, passing, PROJECT, valueOf, type LabNode } from '../../../support/claim-lab.ts'
import { settle } from '../../../support/clock.ts'

let lab: ClaimLab
afterEach(() => lab.close())

const input = (fields: object = {}): TaskInput => TaskInput.parse({ title: 'Implement authentication', ...fields })
const PAGE = { page: 1, perPage: 20 }

async function create(node: LabNode, fields: object = {}): Promise<Task> {
  const task = valueOf(await passing(lab, node.tasks.create(node.actor('maker'), PROJECT, input(fields))))
  await settle()
  return task
}

const claim = (node: LabNode, task: Task, instance: string, token = `token of ${instance}`) =>
  passing(lab, node.tasks.claim(node.actor(token), task.id, instance))

const complete = (node: LabNode, task: Task, token: string) =>
  passing(lab, node.tasks.complete(node.actor(token), task.id, { summary: 'done', filesModified: ['a.ts'] }))

const release = (node: LabNode, task: Task, token: string, reason = 'blocked') =>
  passing(lab, node.tasks.release(node.actor(token), task.id, { reason }))

const types = (node: LabNode): string[] => node.told.map(({ type }) => type)

describe('creating', () => {
  it('shows the same task on every node, once, and tells of it once', async () => {
    lab = await ClaimLab.create()
    const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
    const task = await create(a, { priority: 'high', files: ['auth.ts'], estimated_tokens: 2000 })
    expect(task).toEqual({
      id: task.id,
      projectId: PROJECT,
      title: 'Implement authentication',
      description: '',
      priority: 'high',
      status: 'pending',
      files: ['auth.ts'],
      dependencies: [],
      estimatedTokens: 2000,
      createdAt: new Date(lab.clock.wallMs()).toISOString(),
      createdBy: 'user of maker',
      isBlocked: false,
      claim: null,
      completion: null,
    })
    expect(valueOf(await b.tasks.get(task.id))).toEqual(task)
    expect([a.told, b.told]).toEqual([
      [{ type: 'task.created', projectId: PROJECT, task }],
      [{ type: 'task.created', projectId: PROJECT, task }],
    ])
  })

  it('[D7] leaves nothing behind when the disk refuses', async () => {
    lab = await ClaimLab.create({ nodes: 1 })
    const [a] = [lab.nodes[0]!]
    a.store.failWith(new Error('ENOSPC'))
    expect(codeOf(await a.tasks.create(a.actor('t'), PROJECT, input()))).toBe('storage_failed')
    a.store.failWith(undefined)
    expect(valueOf(await a.tasks.list(PROJECT, {}, PAGE)).total).toBe(0)
    const task = await create(a)
    expect(valueOf(await a.tasks.list(PROJECT, {}, PAGE)).items).toEqual([task])
  })

  it('refuses dependencies that do not exist, circles, unknown projects and what is too large', async () => {
    lab = await ClaimLab.create({ nodes: 1 })
    const [a] = [lab.nodes[0]!]
    const first = await create(a)
    const second = await create(a, { dependencies: [first.id] })
    const unknown = await a.tasks.create(a.actor('t'), PROJECT, input({ dependencies: ['nobody'] }))
    const circle = await a.tasks.update(a.actor('t'), first.id, { dependencies: [second.id] })
    const itself = await a.tasks.update(a.actor('t'), first.id, { dependencies: [first.id] })
    for (const refused of [unknown, circle, itself]) {
      expect(codeOf(refused)).toBe('invalid_input')
      expect(Object.keys((!refused.ok && refused.error.details?.fields) || {})).toEqual(['dependencies'])
    }
    const elsewhere = '00000000-0000-4000-8000-00000000ffff'
    expect(codeOf(await a.tasks.create(a.actor('t'), elsewhere, input()))).toBe('project_not_found')
    const large = input({ files: Array.from({ length: 500 }, (_, i) => `${i}`.padEnd(1000, 'x')) })
    expect(codeOf(await a.tasks.create(a.actor('t'), PROJECT, large))).toBe('too_large')
  })
})

describe('changing', () => {
  it('[D10] keeps both of two concurrent edits of different fields', async () => {
    lab = await ClaimLab.create()
    const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
    const task = await create(a)
    lab.disconnect(b)
    valueOf(await a.tasks.update(a.actor('t'), task.id, { title: 'Other title' }))
    valueOf(await b.tasks.update(b.actor('t'), task.id, { priority: 'critical' }))
    await lab.reconnect(b)
    const both = { ...task, title: 'Other title', priority: 'critical' }
    expect([valueOf(await a.tasks.get(task.id)), valueOf(await b.tasks.get(task.id))]).toEqual([both, both])
  })

  it('deletes for good, also against a concurrent edit, and gives the lease of a claim back', async () => {
    lab = await ClaimLab.create()
    const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
    const task = await create(a)
    valueOf(await claim(a, task, 'one'))
    lab.disconnect(b)
    valueOf(await b.tasks.update(b.actor('t'), task.id, { title: 'Still here?' }))
    valueOf(await a.tasks.remove(a.actor('t'), task.id))
    await lab.reconnect(b)
    expect([codeOf(await a.tasks.get(task.id)), codeOf(await b.tasks.get(task.id))]).toEqual([
      'task_not_found',
      'task_not_found',
    ])
    expect(a.leases.held()).toEqual([])
    expect(b.told.at(-1)).toEqual({ type: 'task.deleted', projectId: PROJECT, taskId: task.id })
  })

  it('has no tasks where it has no project', async () => {
    lab = await ClaimLab.create({ nodes: 1 })
    const [a] = [lab.nodes[0]!]
    const task = await create(a)
    lab.projects[0]!.isDeleted = true
    expect(codeOf(await a.tasks.get(task.id))).toBe('task_not_found')
  })
})

describe('claiming', () => {
  it('[I1] has one winner among callers of all nodes, and all nodes agree who', async () => {
    lab = await ClaimLab.create({ nodes: 3, voters: 3 })
    const task = await create(lab.nodes[0]!)
    const callers = lab.nodes.flatMap((node, n) => [1, 2, 3].map((i) => ({ node, instance: `agent-${n}-${i}` })))
    const results = await passing(
      lab,
      Promise.all(
        callers.map(({ node, instance }) => node.tasks.claim(node.actor(`t ${instance}`), task.id, instance)),
      ),
    )
    const winners = results.flatMap((result) => (result.ok ? [result.value.claim?.instanceId] : []))
    expect(winners).toHaveLength(1)
    expect(new Set(results.filter(({ ok }) => !ok).map(codeOf))).toEqual(new Set(['task_claimed']))
    await lab.sync()
    for (const node of lab.nodes) {
      const shown = valueOf(await node.tasks.get(task.id))
      expect([shown.status, shown.claim?.instanceId]).toEqual(['in_progress', winners[0]])
      expect(types(node)).toEqual(['task.created', 'task.claimed'])
    }
  })

  it('[I1] has one winner among two tokens that use one instance id on one node', async () => {
    lab = await ClaimLab.create({ nodes: 1 })
    const [a] = [lab.nodes[0]!]
    const task = await create(a)
    const both = await passing(
      lab,
      Promise.all(['t1', 't2'].map((token) => a.tasks.claim(a.actor(token), task.id, 'agent'))),
    )
    expect(both.map(codeOf).toSorted()).toEqual(['ok', 'task_claimed'])
  })

  it('answers the same instance and token again with what it holds', async () => {
    lab = await ClaimLab.create()
    const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
    const task = await create(a)
    const [first, second] = await passing(
      lab,
      Promise.all([1, 2].map(() => a.tasks.claim(a.actor('t'), task.id, 'agent'))),
    )
    expect(second).toEqual(first)
    expect(await claim(b, task, 'agent', 't')).toEqual(first)
    expect(a.leases.held()).toHaveLength(1)
  })

  it('does not take from a holder that asks again what its voters have not confirmed for a while', async () => {
    lab = await ClaimLab.create()
    const [voter, a] = [lab.nodes[0]!, lab.nodes[1]!]
    const task = await create(a)
    const held = valueOf(await claim(a, task, 'agent')).claim
    lab.disconnect(voter)
    while (a.leases.isValid(held!.leaseId)) await lab.pass(1000)
    // It is shown for a moment still.
    expect(valueOf(await a.tasks.get(task.id)).claim).toEqual(held)
    expect(codeOf(await claim(a, task, 'agent'))).toBe('quorum_unreachable')
    await lab.reconnect(voter)
    await lab.pass(10_000)
    expect(valueOf(await a.tasks.get(task.id)).claim).toEqual(held)
    expect(valueOf(await release(a, task, 'token of agent')).status).toBe('pending')
    expect(codeOf(await claim(voter, task, 'other'))).toBe('ok')
  })

  it('names the holder, and says no to a name that another token uses', async () => {
    lab = await ClaimLab.create()
    const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
    const task = await create(a)
    const other = await create(a)
    const mine = valueOf(await claim(a, task, 'agent', 't1'))
    const refused = await claim(b, task, 'late', 't2')
    const expiresAt = new Date(Date.parse(mine.claim!.claimedAt) + 3_600_000).toISOString()
    expect(!refused.ok && [refused.error.code, refused.error.details?.holder]).toEqual([
      'task_claimed',
      { instanceId: 'agent', expiresAt },
    ])
    expect(codeOf(await claim(b, other, 'agent', 't2'))).toBe('forbidden')
    expect(codeOf(await claim(b, other, 'agent', 't1'))).toBe('ok')
  })

  it('takes the word of the voters, not of the board, and names the holder as they know it', async () => {
    lab = await ClaimLab.create({ nodes: 3, voters: 3 })
    const [a, b, c] = [lab.nodes[0]!, lab.nodes[1]!, lab.nodes[2]!]
    const task = await create(a)
    lab.deaf.add(c.peer)
    valueOf(await claim(b, task, 'agent'))
    expect(valueOf(await c.tasks.get(task.id)).claim).toBeNull()
    const refused = await claim(c, task, 'late')
    expect(!refused.ok && [refused.error.code, refused.error.details?.holder?.instanceId]).toEqual([
      'task_claimed',
      'agent',
    ])
  })

  it('refuses without a quorum within seconds, and names who is missing', async () => {
    lab = await ClaimLab.create({ nodes: 3, voters: 3 })
    const [a, b, c] = [lab.nodes[0]!, lab.nodes[1]!, lab.nodes[2]!]
    const task = await create(a)
    lab.disconnect(b)
    lab.disconnect(c)
    const before = lab.clock.monoMs()
    const refused = await claim(a, task, 'agent')
    expect(lab.clock.monoMs() - before).toBeLessThan(4000)
    expect(!refused.ok && [refused.error.code, refused.error.details?.missingVoters?.toSorted()]).toEqual([
      'quorum_unreachable',
      ['node 1', 'node 2'],
    ])
  })

  it('refuses what is blocked until what it waits for is completed or deleted', async () => {
    lab = await ClaimLab.create({ nodes: 1 })
    const [a] = [lab.nodes[0]!]
    const first = await create(a)
    const second = await create(a)
    const third = await create(a, { dependencies: [first.id, second.id] })
    expect(codeOf(await claim(a, third, 'x'))).toBe('task_blocked')
    valueOf(await claim(a, first, 'x'))
    valueOf(await complete(a, first, 'token of x'))
    expect(codeOf(await claim(a, third, 'x'))).toBe('task_blocked')
    valueOf(await a.tasks.remove(a.actor('t'), second.id))
    expect(codeOf(await claim(a, third, 'x'))).toBe('ok')
  })

  it('[D7] gives the lease back when the claim cannot be written', async () => {
    lab = await ClaimLab.create({ nodes: 1 })
    const [a] = [lab.nodes[0]!]
    const task = await create(a)
    a.store.failWith(new Error('ENOSPC'))
    expect(codeOf(await claim(a, task, 'x'))).toBe('storage_failed')
    a.store.failWith(undefined)
    expect(a.leases.held()).toEqual([])
    expect(valueOf(await a.tasks.get(task.id)).status).toBe('pending')
    expect(codeOf(await claim(a, task, 'y'))).toBe('ok')
  })
})

describe('claiming the next', () => {
  it('takes the most urgent, then the oldest, never a blocked one, and says null at the end', async () => {
    lab = await ClaimLab.create({ nodes: 1 })
    const [a] = [lab.nodes[0]!]
    const made: Task[] = []
    for (const priority of ['low', 'critical', 'medium', 'high', 'critical']) {
      await lab.clock.advance(1000)
      made.push(await create(a, { title: `${priority} ${made.length}`, priority }))
    }
    await create(a, { title: 'blocked', priority: 'critical', dependencies: [made[0]!.id] })
    expect(valueOf(await a.tasks.next(PROJECT))?.title).toBe('critical 1')
    const taken: (string | undefined)[] = []
    for (let i = 0; i < 6; i++) {
      const task = valueOf(await passing(lab, a.tasks.claimNext(a.actor('t'), PROJECT, 'x')))
      taken.push(task?.title)
    }
    expect(taken).toEqual(['critical 1', 'critical 4', 'high 3', 'medium 2', 'low 0', undefined])
    expect(valueOf(await a.tasks.next(PROJECT))).toBeNull()
  })

  it('[I1] gives every one of many callers another task', async () => {
    lab = await ClaimLab.create({ nodes: 3, voters: 3 })
    for (let i = 0; i < 9; i++) await create(lab.nodes[0]!, { title: `task ${i}` })
    const results = await passing(
      lab,
      Promise.all(
        lab.nodes.flatMap((node, n) =>
          [1, 2, 3].map((i) => node.tasks.claimNext(node.actor(`t${n}${i}`), PROJECT, `agent ${n} ${i}`)),
        ),
      ),
    )
    expect(new Set(results.map((result) => valueOf(result)?.id)).size).toBe(9)
  })
})

describe('ending a claim', () => {
  it('completes once, for the token that claimed, and tells everybody', async () => {
    lab = await ClaimLab.create()
    const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
    const task = await create(a)
    valueOf(await claim(a, task, 'agent', 't1'))
    expect(codeOf(await complete(a, task, 't2'))).toBe('task_not_claimed_by_caller')
    const done = valueOf(await complete(a, task, 't1'))
    const completedAt = new Date(lab.clock.wallMs()).toISOString()
    const completion = { summary: 'done', filesModified: ['a.ts'], completedAt, instanceId: 'agent' }
    expect(done).toEqual({ ...task, status: 'completed', completion })
    await settle()
    expect(valueOf(await b.tasks.get(task.id))).toEqual(done)
    expect(types(b)).toEqual(['task.created', 'task.claimed', 'task.completed'])
    expect(a.leases.held()).toEqual([])
    expect(codeOf(await complete(a, task, 't1'))).toBe('task_closed')
    expect(codeOf(await claim(b, task, 'late'))).toBe('task_closed')
  })

  it('keeps in mind what is to be added to the context, whoever says again that the task is done', async () => {
    lab = await ClaimLab.create()
    const a = lab.nodes[0]!
    const task = await create(a)
    valueOf(await claim(a, task, 'agent'))
    valueOf(await complete(a, task, 'token of agent'))
    expect(codeOf(await complete(a, task, 'token of agent'))).toBe('task_closed')
    const pending = { task: task.id, project: PROJECT, instance: 'agent' }
    expect((await openPendingCompletions(a)).all()).toEqual([pending])
  })

  it('lets somebody else in with the fencing token and the ability, and only with both', async () => {
    lab = await ClaimLab.create({ nodes: 1 })
    const [a] = [lab.nodes[0]!]
    const task = await create(a)
    const { fencingToken } = valueOf(await claim(a, task, 'agent', 't1')).claim!
    const by = (abilities: string[], proof: { fencingToken?: number; instanceId?: string }) =>
      passing(lab, a.tasks.release(a.actor('t2', abilities), task.id, { reason: '', ...proof }))
    const no = 'task_not_claimed_by_caller'
    expect(codeOf(await by([], { fencingToken }))).toBe(no)
    expect(codeOf(await by(['task:claim'], { fencingToken: fencingToken - 1 }))).toBe(no)
    expect(codeOf(await by(['task:claim'], { instanceId: 'agent' }))).toBe(no)
    expect(codeOf(await by(['task:claim'], { fencingToken, instanceId: 'other' }))).toBe(no)
    expect(codeOf(await by(['task:claim'], { fencingToken, instanceId: 'agent' }))).toBe('ok')
  })

  it('[A-C1] works through another gateway than the one that claimed, and can be read there at once', async () => {
    lab = await ClaimLab.create()
    const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
    const task = await create(a)
    valueOf(await claim(a, task, 'agent', 't1'))
    await settle()
    const free = valueOf(await release(b, task, 't1', 'needs a decision'))
    expect(free).toEqual(task)
    expect(valueOf(await b.tasks.get(task.id))).toEqual(task)
    const again = valueOf(await claim(b, task, 'agent', 't1'))
    await settle()
    valueOf(await complete(a, task, 't1'))
    expect(valueOf(await a.tasks.get(task.id)).status).toBe('completed')
    for (const node of [a, b]) {
      expect(types(node)).toEqual(['task.created', 'task.claimed', 'task.released', 'task.claimed', 'task.completed'])
      expect(node.told[2]).toEqual({
        type: 'task.released',
        projectId: PROJECT,
        task,
        reason: 'needs a decision',
      })
    }
    expect(again.claim?.node).toBe(b.peer)
  })

  it('[L2.6] applies nothing once the lease has been lost', async () => {
    lab = await ClaimLab.create({ nodes: 3, voters: 3 })
    const [a, b, c] = [lab.nodes[0]!, lab.nodes[1]!, lab.nodes[2]!]
    const task = await create(a)
    valueOf(await claim(c, task, 'slow', 't1'))
    lab.disconnect(c)
    lab.clock.suspend(120_000) // the holder's host slept; nobody has renewed
    expect(codeOf(await complete(c, task, 't1'))).toBe('superseded')
    await lab.pass(70_000)
    expect(valueOf(await a.tasks.get(task.id)).status).toBe('pending')
    valueOf(await claim(b, task, 'fast', 't2'))
    await lab.reconnect(c)
    const shown = await Promise.all(lab.nodes.map(async (node) => valueOf(await node.tasks.get(task.id))))
    expect(shown.map(({ claim }) => claim?.instanceId)).toEqual(['fast', 'fast', 'fast'])
  })

  it('[L2.6] does not come back to whoever gave it back while its lease was unsure', async () => {
    lab = await ClaimLab.create()
    const [voter, holder] = [lab.nodes[0]!, lab.nodes[1]!]
    const [given, kept] = [await create(holder), await create(holder)]
    valueOf(await claim(holder, given, 'agent', 't1'))
    valueOf(await claim(holder, kept, 'agent', 't1'))
    await lab.pass(5000)
    await lab.split([voter], [holder])
    await lab.pass(58_000)
    holder.leases.settled = async () => undefined // as if it had become unsure after the wait
    expect(codeOf(await release(holder, given, 't1'))).toBe('superseded')
    await lab.heal()
    await lab.pass(5000)
    const shown = await Promise.all([given, kept].map(async ({ id }) => valueOf(await voter.tasks.get(id)).claim))
    expect(shown.map((one) => one?.instanceId)).toEqual([undefined, 'agent'])
    const again = await lab.restart(1)
    await lab.pass(5000)
    expect(valueOf(await again.tasks.get(given.id)).claim).toBeNull()
  })

  it('says how long a claim of an unreachable node is still shown', async () => {
    lab = await ClaimLab.create({ nodes: 3, voters: 3 })
    const [a, , c] = lab.nodes as [LabNode, LabNode, LabNode]
    const task = await create(a)
    valueOf(await claim(c, task, 'agent', 't1'))
    await lab.pass(10_000)
    lab.disconnect(c)
    const refused = await release(a, task, 't1')
    expect(!refused.ok && [refused.error.code, refused.error.details]).toEqual([
      'machine_offline',
      { retryAfterMs: 60_000 },
    ])
  })
})

describe('what the board shows', () => {
  it('[L2.10] returns the task of a silent node to everybody within one lease, and tells so once', async () => {
    lab = await ClaimLab.create({ nodes: 3, voters: 3 })
    const [a, b, c] = [lab.nodes[0]!, lab.nodes[1]!, lab.nodes[2]!]
    const task = await create(a)
    valueOf(await claim(c, task, 'agent'))
    await lab.pass(90_000)
    expect(valueOf(await a.tasks.get(task.id)).status).toBe('in_progress')
    lab.disconnect(c)
    await lab.pass(50_000)
    expect(valueOf(await a.tasks.get(task.id)).status).toBe('in_progress')
    await lab.pass(15_000)
    for (const node of [a, b]) {
      expect(valueOf(await node.tasks.get(task.id))).toEqual(task)
      expect(node.told.at(-1)).toEqual({ type: 'task.released', projectId: PROJECT, task, reason: 'expired' })
      expect(types(node)).toEqual(['task.created', 'task.claimed', 'task.released'])
    }
    expect(codeOf(await claim(b, task, 'next'))).toBe('ok')
  })

  it('[L2.9] ends a claim at the time the project gives for a task', async () => {
    lab = await ClaimLab.create()
    const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
    const task = await create(a)
    valueOf(await claim(a, task, 'agent'))
    await lab.pass(3_595_000)
    expect(valueOf(await b.tasks.get(task.id)).status).toBe('in_progress')
    await lab.pass(10_000)
    expect([valueOf(await a.tasks.get(task.id)), valueOf(await b.tasks.get(task.id))]).toEqual([task, task])
    expect(b.told.at(-1)).toEqual({ type: 'task.released', projectId: PROJECT, task, reason: 'expired' })
  })

  it('[D10] sees a completion before the task can be claimed again, however late it arrives', async () => {
    lab = await ClaimLab.create({ nodes: 3, voters: 3 })
    const [a, b, c] = [lab.nodes[0]!, lab.nodes[1]!, lab.nodes[2]!]
    const task = await create(a)
    lab.deaf.add(b.peer)
    valueOf(await claim(c, task, 'agent', 't1'))
    valueOf(await complete(c, task, 't1'))
    expect(valueOf(await b.tasks.get(task.id)).status).toBe('pending')
    expect(codeOf(await claim(b, task, 'early'))).toBe('machine_offline') // it knows that something is missing
    const late = b.tasks.claim(b.actor('t2'), task.id, 'late')
    lab.deaf.clear()
    await lab.sync()
    expect(codeOf(await passing(lab, late))).toBe('task_closed')
    expect(b.leases.held()).toEqual([])
    expect(valueOf(await a.tasks.get(task.id)).completion?.instanceId).toBe('agent')
  })

  it('[M13] ignores a claim under another node’s name, and one whose certificate is for something else', async () => {
    lab = await ClaimLab.create()
    const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
    const [task, other] = [await create(a), await create(a)]
    const mine = valueOf(await claim(b, task, 'agent')).claim!
    const { certificate } = b.leases.find(mine.leaseId)!
    const forge = (author: LabNode, change: Partial<ClaimedRecord>) =>
      b.documents.write(projectDoc(PROJECT), undefined, (state) =>
        putClaim(state, author.peer, {
          state: 'claimed',
          task: other.id,
          token: mine.fencingToken,
          lease: mine.leaseId,
          instance: mine.instanceId,
          tokenId: mine.tokenId,
          at: mine.claimedAt,
          certificate: certificateBytes(certificate),
          ...change,
        }),
      )
    await forge(b, {})
    await forge(a, { task: other.id })
    await forge(a, { task: task.id })
    await settle()
    for (const node of [a, b]) {
      expect(valueOf(await node.tasks.get(other.id)).claim).toBeNull()
      expect(valueOf(await node.tasks.get(task.id)).claim).toEqual(mine)
    }
    await forge(b, { task: task.id, token: mine.fencingToken + 1 })
    await settle()
    expect(valueOf(await a.tasks.get(task.id)).claim).toBeNull()
  })
})
