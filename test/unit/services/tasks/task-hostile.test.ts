import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type * as Y from 'yjs'
import { InstanceId, projectDoc } from '../../../../crdt/ids.ts'
import { completeTask, putClaim, taskClaims, taskCompletions } from '../../../../crdt/task-document.ts'
import type { ClaimedRecord, Completion } from '../../../../crdt/task-record.ts'
import { TaskInput, type Task } from '../../../../crdt/task.ts'
import { ClaimLab, codeOf, passing, PROJECT, valueOf, type LabNode } from '../../../support/claim-lab.ts'
import { settle } from '../../../support/clock.ts'

/** Above every token that voters have granted. */
const ANY_TOKEN = Number.MAX_SAFE_INTEGER

let lab: ClaimLab
let holder: LabNode
let hostile: LabNode
let task: Task

beforeEach(async () => {
  lab = await ClaimLab.create({ nodes: 3, voters: 1 })
  ;[, holder, hostile] = lab.nodes as [LabNode, LabNode, LabNode]
  const input = TaskInput.parse({ title: 'work' })
  const { id } = valueOf(await passing(lab, holder.tasks.create(holder.actor('maker'), PROJECT, input)))
  task = valueOf(await passing(lab, holder.tasks.claim(holder.actor('mine'), id, 'agent')))
  await lab.sync()
})
afterEach(() => lab.close())

const write = async (change: (state: Y.Doc) => void): Promise<void> => {
  await hostile.documents.write(projectDoc(PROJECT), undefined, change)
  await settle()
}

const shown = (): Promise<Task[]> => Promise.all(lab.nodes.map(async ({ tasks }) => valueOf(await tasks.get(task.id))))

const claims = async () => (await shown()).map(({ claim }) => claim)
const claimed = () => lab.nodes.map(() => task.claim)

/** What the holder has said of its claim, as everybody can read it. */
const theirs = (): Promise<ClaimedRecord> =>
  hostile.documents.read(
    projectDoc(PROJECT),
    (state) => taskClaims(state, holder.peer).toArray().at(-1) as ClaimedRecord,
  )

const end = {
  token: ANY_TOKEN,
  lease: 'e'.repeat(32),
  instance: InstanceId.parse('nobody'),
  at: new Date(0).toISOString(),
}
const forged = (change: Partial<Completion> = {}): Completion => ({
  ...end,
  summary: 'forged',
  files_modified: [],
  ...change,
})

describe('a hostile member', () => {
  it('[M13] [L2.6] cannot end the claim of another with a token that nobody granted', async () => {
    await write((state) => putClaim(state, hostile.peer, { ...end, task: task.id, state: 'released', reason: '' }))
    expect(await claims()).toEqual(claimed())
    await write((state) => completeTask(state, hostile.peer, task.id, forged()))
    expect(await claims()).toEqual(claimed())
  })

  it('[M13] cannot end the claim of another with what proves that it was granted', async () => {
    const { certificate, token, lease } = await theirs()
    const proof = { certificate, token, lease }
    await write((state) =>
      putClaim(state, hostile.peer, { ...end, ...proof, task: task.id, state: 'released', reason: '' }),
    )
    await write((state) => completeTask(state, hostile.peer, task.id, forged(proof)))
    expect(await claims()).toEqual(claimed())
  })

  it('[M13] cannot say in the name of another that its claim has ended', async () => {
    const { certificate: _, state: __, tokenId: ___, ...claim } = await theirs()
    await write((state) => taskClaims(state, holder.peer).push([{ ...claim, state: 'released', reason: 'forged' }]))
    expect(await claims()).toEqual(claimed())
    await write((state) => taskCompletions(state).set(`${task.id}/${holder.peer}`, forged(claim)))
    expect(await claims()).toEqual(claimed())
  })

  it('[M13] cannot make the claim of another its own', async () => {
    const claim = await theirs()
    await write((state) => taskClaims(state, holder.peer).push([{ ...claim, tokenId: 'stolen' }]))
    expect(await claims()).toEqual(claimed())
    const stolen = hostile.tasks.complete(hostile.actor('stolen'), task.id, { summary: '', filesModified: [] })
    expect(codeOf(await passing(lab, stolen))).toBe('task_not_claimed_by_caller')
  })

  it('[L2.6] does not stand before the one who completes, whatever token it names', async () => {
    await write((state) => completeTask(state, hostile.peer, task.id, forged()))
    const input = { summary: 'done', filesModified: [] }
    const done = await passing(lab, holder.tasks.complete(holder.actor('mine'), task.id, input))
    expect(codeOf(done)).toBe('ok')
    await lab.sync()
    expect((await shown()).map(({ completion }) => completion?.summary)).toEqual(['done', 'done', 'done'])
  })

  it('does not keep a claim out of the document by taking it out', async () => {
    await write((state) => taskClaims(state, holder.peer).delete(0, taskClaims(state, holder.peer).length))
    await lab.pass(5000)
    await lab.sync()
    expect(await claims()).toEqual(claimed())
    const input = { summary: 'done', filesModified: [] }
    expect(codeOf(await passing(lab, holder.tasks.complete(holder.actor('mine'), task.id, input)))).toBe('ok')
  })
})
