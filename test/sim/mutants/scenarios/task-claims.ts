import { z } from 'zod'
import { projectDoc } from '../../../../crdt/ids.ts'
import type { Task } from '../../../../crdt/task.ts'
import { taskCompletions } from '../../../../crdt/task-document.ts'
import { err } from '../../../../crdt/result.ts'
import { answerOf, codeOf, passing, PROJECT, type LabNode } from '../../../support/claim-lab.ts'
import { settle } from '../../../support/clock.ts'
import { shownOf, TaskCalls } from '../../../support/task-calls.ts'
import type { Report, Scenario } from '../scenario.ts'

export const taskClaimScenarios: readonly Scenario[] = [
  {
    id: 'task-late-write',
    says: 'What is written under a lease that was lost meanwhile does not count.',
    run: lateWrite,
  },
  { id: 'task-unsure', says: 'What is given back while its lease is unsure does not come back.', run: unsure },
  { id: 'task-waits', says: 'Whoever ends a claim that is unsure waits until it is known.', run: waits },
  { id: 'task-late-claim', says: 'A claim whose lease was lost before it was written is none.', run: lateClaim },
  { id: 'task-owners', says: 'Two instances are two owners, also under one token.', run: owners },
  { id: 'task-lapsed', says: 'A claim whose lease has lapsed is in nobody’s way.', run: lapsed },
  { id: 'task-ends', says: 'A claim ends once, on its own node, by whoever may end it.', run: ending },
  { id: 'task-next', says: 'Whoever wants the next task gets another one, or an answer.', run: next },
  { id: 'task-resuming', says: 'A claim is its holder’s as soon as its node is back.', run: resuming },
]

const ANYTHING = z.unknown()

type Three = [voter: LabNode, holder: LabNode, other: LabNode]

/** The disk takes what this node itself writes when the returned function is called; that of others at once. */
function slowOwn({ store, peer }: LabNode): () => void {
  const append = store.append.bind(store)
  const { promise, resolve } = Promise.withResolvers<void>()
  store.append = async (envelopes) => {
    if (envelopes.some(({ author }) => author === peer)) await promise
    await append(envelopes)
  }
  return resolve
}

/** The holder's lease lapses while its node waits for the disk, and another is granted the task. */
async function overtaken(calls: TaskCalls, [voter, holder, other]: Three, task: Parameters<TaskCalls['claim']>[1]) {
  await calls.lab.split([holder], [voter, other])
  await calls.lab.pass(90_000)
  await calls.claim(other, task, 'two')
}

async function lateWrite({ must }: Report): Promise<void> {
  await TaskCalls.in(3, async (calls, nodes) => {
    const [, holder, other] = nodes as Three
    const task = await calls.create(holder)
    await calls.claim(holder, task, 'one')
    const write = slowOwn(holder)
    const completed = calls.complete(holder, task, 'one')
    await settle()
    await overtaken(calls, nodes as Three, task)
    // What the other wrote arrives between the write and the answer.
    const release = holder.leases.release.bind(holder.leases)
    holder.leases.release = async (...what) => {
      await calls.lab.heal()
      await release(...what)
    }
    write()
    must('L2.6', (await completed) === 'superseded', 'a late completion is told to count')
    await calls.lab.pass(5000)
    for (const node of [holder, other]) {
      const { status, claim, completion } = await shownOf(node, task)
      must(
        'L2.6',
        status === 'in_progress' && claim?.instanceId === 'two' && completion === null,
        'a late writer ends the claim of its successor',
      )
    }
    must('L2.6', (await calls.complete(other, task, 'two')) === 'ok', 'whoever holds a task cannot complete it')
  })
  await TaskCalls.in(2, async (calls, nodes) => {
    const [voter, holder] = nodes as [LabNode, LabNode]
    const task = await calls.create(holder)
    const { claim } = await calls.claim(holder, task, 'one')
    calls.lab.disconnect(holder)
    calls.lab.clock.suspend(120_000)
    must('L2.6', (await calls.release(holder, task, 'one')) === 'superseded', 'what was lost is given back')
    await calls.lab.reconnect(holder)
    await calls.lab.pass(70_000)
    const again = await calls.claim(holder, task, 'one')
    const find = holder.leases.find.bind(holder.leases)
    const carried = (again.claim?.fencingToken ?? 0) + 5
    // As after a change of the voters: the same lease under a higher token.
    holder.leases.find = (id) => {
      const lease = find(id)
      return lease && { ...lease, fencingToken: carried }
    }
    must('L2.7', (await calls.complete(holder, task, 'one')) === 'ok', 'a lease that was carried over is lost')
    const written = await voter.documents.read(projectDoc(PROJECT), (doc) => JSON.stringify(taskCompletions(doc)))
    must(
      'L2.7',
      claim !== null && written.includes(`"token":${carried}`),
      'a completion has the token of an epoch before',
    )
  })
}

async function unsure({ must }: Report): Promise<void> {
  await TaskCalls.in(2, async (calls, nodes) => {
    const [voter, holder] = nodes as [LabNode, LabNode]
    const [given, kept] = [await calls.create(holder), await calls.create(holder)]
    for (const task of [given, kept]) await calls.claim(holder, task, 'one')
    await calls.lab.pass(5000)
    await calls.lab.split([voter], [holder])
    await calls.lab.pass(58_000)
    // As if it had become unsure after the wait.
    holder.leases.settled = async () => undefined
    await calls.release(holder, given, 'one')
    await calls.lab.heal()
    await calls.lab.pass(5000)
    must('L2.6', (await shownOf(voter, kept)).claim !== null, 'the lease has not come back when the voters are back')
    must('L2.6', (await shownOf(voter, given)).claim === null, 'held when the voters are back')
  })
}

type Means = { calls: TaskCalls; voter: LabNode; holder: LabNode; tasks: readonly Task[] }

/** Nobody has heard of the voter for so long that the leases of the holder's claims are not sure any more. */
const whileUnsure = (run: (means: Means) => Promise<void>): Promise<void> =>
  TaskCalls.in(2, async (calls, nodes) => {
    const [voter, holder] = nodes as [LabNode, LabNode]
    const tasks = [await calls.create(holder), await calls.create(holder), await calls.create(holder)]
    for (const task of tasks) await calls.claim(holder, task, 'one')
    await calls.lab.pass(5000)
    await calls.lab.split([voter], [holder])
    await calls.lab.pass(58_000)
    await run({ calls, voter, holder, tasks })
  })

const DONE = { summary: 'done', filesModified: [] }
const completing = ({ holder }: Means, { id }: Task, token = 'one', signal?: AbortSignal): (() => Promise<string>) =>
  answerOf(holder.tasks.complete(holder.actor(token), id, DONE, signal))

async function waits({ must }: Report): Promise<void> {
  await whileUnsure(async (means) => {
    const { calls, voter, holder, tasks } = means
    const [done, given, kept] = tasks as [Task, Task, Task]
    const [completed, stranger] = [completing(means, done), completing(means, kept, 'stranger')]
    must('L2.5', (await completed()) === 'waits', `a lease that may come back is told to be lost: ${await completed()}`)
    must('L2.6', (await stranger()) === 'task_not_claimed_by_caller', 'whoever has no claim waits for its lease')
    const released = answerOf(holder.tasks.release(holder.actor('one'), given.id, { reason: 'x' }))
    const gone = new AbortController()
    const called = completing(means, kept, 'one', gone.signal)
    must('L2.5', (await called()) === 'waits', 'a lease that may come back is told to be lost')
    gone.abort(new Error('whoever asked has gone away'))
    must('L2.5', (await called()) === 'cancelled', `who has gone away is waited for: ${await called()}`)
    await calls.lab.heal()
    await calls.lab.pass(5000)
    must('L2.5', (await completed()) === 'ok', `a claim that came back is lost to its holder: ${await completed()}`)
    must('L2.5', (await released()) === 'ok', 'a claim that came back cannot be given back')
    const { status, claim } = await shownOf(voter, kept)
    must('L2.5', status === 'in_progress' && claim !== null, 'what was called off has ended the claim')
  })
  await whileUnsure(async (means) => {
    const completed = completing(means, means.tasks[0]!)
    await completed()
    await means.calls.lab.pass(20_000)
    must('L2.5', (await completed()) === 'superseded', `nobody says that a lease is lost: ${await completed()}`)
  })
  await whileUnsure(async (means) => {
    const completed = completing(means, means.tasks[0]!)
    await completed()
    means.holder.tasks.stop()
    await means.holder.leases.close()
    must('L2.5', (await completed()) === 'cancelled', `a node that stops is waited for: ${await completed()}`)
  })
  await TaskCalls.in(3, async (calls, nodes) => {
    const [voter, holder, edge] = nodes as Three
    const task = await calls.create(holder)
    await calls.claim(holder, task, 'one')
    await calls.lab.pass(5000)
    await calls.lab.split([voter], [holder, edge])
    await calls.lab.pass(51_000)
    // Others show a claim for a while after its holder is not sure of it.
    const asked = completing({ calls, voter, holder: edge, tasks: [] }, task)
    must('L2.5', (await asked()) === 'waits', `through another gateway a lease is told to be lost: ${await asked()}`)
    await calls.lab.pass(10_500)
    must('L2.5', (await asked()) === 'waits', `another gateway gives up before it is known: ${await asked()}`)
    await calls.lab.heal()
    await calls.lab.pass(5000)
    must('L2.5', (await asked()) === 'ok', `a claim that came back is lost for other gateways: ${await asked()}`)
  })
}

async function lateClaim({ must }: Report): Promise<void> {
  await TaskCalls.in(3, async (calls, nodes) => {
    const [voter, holder, other] = nodes as Three
    const task = await calls.create(holder)
    const write = slowOwn(holder)
    const claimed = calls.tryClaim(holder, task, 'one')
    await settle()
    await overtaken(calls, [voter, holder, other], task)
    write()
    must('I1', (await claimed) !== 'ok', 'a claim counts that was overtaken while it was written')
    await calls.lab.heal()
    must('I1', (await shownOf(other, task)).claim?.instanceId === 'two', 'a late claim hides the one that stands')
  })
  await TaskCalls.in(2, async (calls, nodes) => {
    const [voter, holder] = nodes as [LabNode, LabNode]
    const task = await calls.create(holder)
    const { leases } = holder
    const [acquire, isValid] = [leases.acquire.bind(leases), leases.isValid.bind(leases)]
    leases.acquire = async (request) => {
      const lease = await acquire(request)
      leases.isValid = () => false
      return lease
    }
    must('I1', (await calls.tryClaim(holder, task, 'one')) === 'superseded', 'claims under a lease that is over')
    leases.isValid = isValid
    must('I1', (await shownOf(voter, task)).claim === null, 'others see a claim under a lease that is over')
    must('L2.5', leases.held().length === 0, 'a lease that no claim belongs to blocks others')
  })
}

async function owners({ must }: Report): Promise<void> {
  await TaskCalls.in(2, async (calls, nodes) => {
    const [voter, holder] = nodes as [LabNode, LabNode]
    const task = await calls.create(holder)
    const { lab } = calls
    calls.lab.deaf.add(voter.peer)
    await calls.claim(holder, task, 'one', 'shared')
    must(
      'I1',
      (await calls.tryClaim(holder, task, 'two', 'shared')) === 'task_claimed',
      'an instance has what another holds',
    )
    const more = await calls.create(holder)
    const [a, b] = ['three', 'four'].map((name) => holder.tasks.claim(holder.actor('shared'), more.id, name))
    const answers = (await passing(lab, Promise.all([a!, b!]))).map(codeOf)
    must('I1', answers.toSorted().join() === 'ok,task_claimed', `two instances of one token claim: ${answers.join()}`)
    const pairs = [
      { path: 'a', owners: ['one shared', 'two shared'] },
      { path: 'b', owners: ['one shared', 'one other'] },
    ]
    for (const { path, owners: both } of pairs) {
      const locks = both.map((owner) => {
        const [instanceId = '', token = ''] = owner.split(' ')
        return holder.locks.bulk(holder.actor(token), PROJECT, { instanceId, paths: [path], allOrNothing: true })
      })
      const taken = await passing(lab, Promise.all(locks))
      const count = taken.filter((answer) => answer.ok && answer.value.acquired.length > 0).length
      must('I1', count === 1, `${count} owners lock the same at once`)
    }
  })
}

async function lapsed({ must }: Report): Promise<void> {
  await TaskCalls.in(2, async (calls, nodes) => {
    const [, holder] = nodes as [LabNode, LabNode]
    const task = await calls.create(holder)
    const isValid = holder.leases.isValid.bind(holder.leases)
    /** Before anybody has looked again. */
    const lapse = async (claimed: Promise<{ claim: { leaseId: string } | null }>): Promise<string> => {
      const id = (await claimed).claim?.leaseId ?? ''
      holder.leases.isValid = (lease) => lease !== id && isValid(lease)
      return id
    }
    const first = await lapse(calls.claim(holder, task, 'one'))
    const again = await calls.claim(holder, task, 'one')
    const held = holder.leases.held().map(({ leaseId }) => leaseId)
    must('L2.5', again.claim !== null && again.claim.leaseId !== first, 'a claim whose lease has lapsed is held')
    must('L2.5', !held.includes(first), 'a lease that has lapsed blocks others')
    const second = await lapse(Promise.resolve(again))
    await holder.leases.release(second)
    must('L2.5', (await calls.tryClaim(holder, task, 'two')) === 'ok', 'a claim whose lease has lapsed is in the way')
    const more = await calls.create(holder)
    const third = await lapse(Promise.resolve(await shownOf(holder, task)))
    await holder.leases.release(third)
    must(
      'L2.5',
      (await calls.tryClaim(holder, more, 'two', 'x')) === 'ok',
      'a name is taken by a claim that has lapsed',
    )
  })
}

async function ending({ must }: Report): Promise<void> {
  await TaskCalls.in(3, async (calls, nodes) => {
    const [voter, holder, edge] = nodes as Three
    const task = await calls.create(holder)
    await calls.claim(holder, task, 'one')
    const no = 'task_not_claimed_by_caller'
    const files = Array.from({ length: 400 }, (_, i) => `${i}`.padEnd(1000, 'x'))
    const large = await calls.complete(holder, task, 'one', files).catch(() => 'a bug')
    must('M10', large === 'too_large', 'a completion that no envelope carries')
    const call = { actor: edge.actor('one'), input: { id: task.id, reason: 'x' }, reply: ANYTHING }
    const misled = await passing(calls.lab, edge.rpc.call(voter.peer, 'task.release', call))
    must('L2.6', codeOf(misled) === no, `a node ends the claim of another: ${codeOf(misled)}`)

    calls.lab.deaf.add(edge.peer)
    let isAnswered = false
    const asked = edge.tasks.release(edge.actor('one'), task.id, { reason: 'x' }).then((answer) => {
      isAnswered = true
      return answer
    })
    await settle()
    must('A-C1', !isAnswered, 'an answer comes before it can be read where it was asked for')
    calls.lab.deaf.clear()
    await calls.lab.sync()
    must('A-C1', codeOf(await passing(calls.lab, asked)) === 'ok', 'another gateway cannot end a claim')

    await calls.claim(holder, task, 'one')
    const both = [1, 2].map(() =>
      holder.tasks.complete(holder.actor('one'), task.id, { summary: '', filesModified: [] }),
    )
    const answers = (await passing(calls.lab, Promise.all(both))).map(codeOf)
    must('L2.6', answers.toSorted().join() === 'ok,task_closed', `a task is completed twice: ${answers.join()}`)

    const last = await calls.create(holder)
    await calls.claim(holder, last, 'one')
    calls.lab.disconnect(holder)
    must('L2.6', (await calls.release(edge, last, 'stranger')) === no, 'a stranger is told where the holder is')
    await calls.lab.pass(70_000)
    must('L2.10', (await calls.release(edge, last, 'one')) === no, 'whoever holds nothing is told to wait for it')
  })
}

async function next({ must }: Report): Promise<void> {
  await TaskCalls.in(1, async (calls, nodes) => {
    const [node] = nodes as [LabNode]
    for (let i = 0; i < 20; i++) await calls.create(node)
    let asked = 0
    const by = { instanceId: 'else', untilMs: 0 }
    const refuse = (why: 'held' | 'no_quorum') => async () => {
      asked++
      return err(why === 'held' ? { why, leaseId: 'e'.repeat(32), owner: 'w', by } : { why, missing: [] })
    }
    const want = () => passing(calls.lab, node.tasks.claimNext(node.actor('t'), PROJECT, 'one'))
    node.leases.acquire = refuse('held')
    must('L2.8', codeOf(await want()) === 'no_task_available' && asked === 16, `one call asks ${asked} times`)
    asked = 0
    node.leases.acquire = refuse('no_quorum')
    must('L2.8', codeOf(await want()) === 'quorum_unreachable' && asked === 1, 'asks again where nobody answers')
  })
}

async function resuming({ must }: Report): Promise<void> {
  await TaskCalls.in(2, async (calls, nodes) => {
    const [voter, holder] = nodes as [LabNode, LabNode]
    const task = await calls.create(holder)
    const mine = await calls.claim(holder, task, 'one')
    await calls.lab.split([voter], [holder])
    const again = await calls.lab.restart(1)
    const asked = again.tasks.claimNext(again.actor('one'), PROJECT, 'one')
    await calls.lab.heal()
    const other = await passing(calls.lab, asked)
    must('L2.11', other.ok && other.value === null, 'an instance is given its own task once more')
    must('L2.11', (await shownOf(again, task)).claim?.leaseId === mine.claim?.leaseId, 'a claim goes on as another')
    await calls.lab.split([voter], [again])
    const last = await calls.lab.restart(1)
    const released = calls.release(last, task, 'one')
    await settle()
    await calls.lab.heal()
    must('L2.11', (await released) === 'ok', 'a claim that is about to go on is lost')
  })
}
