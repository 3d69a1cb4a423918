import type * as Y from 'yjs'
import { projectDoc, type PeerId } from '../../../../crdt/ids.ts'
import { deleteTask, putClaim, taskClaims, taskCompletions } from '../../../../crdt/task-document.ts'
import type { ClaimedRecord, Completion } from '../../../../crdt/task-record.ts'
import type { Task } from '../../../../crdt/task.ts'
import { certificateBytes } from '../../../../node/services/claims/claim-certificate.ts'
import { equalBytes } from '../../../../protocols/codec.ts'
import { passing, PROJECT, type LabNode } from '../../../support/claim-lab.ts'
import { settle } from '../../../support/clock.ts'
import { shownOf, TaskCalls } from '../../../support/task-calls.ts'
import type { Report, Scenario } from '../scenario.ts'

export const taskHostileScenarios: readonly Scenario[] = [
  { id: 'task-forged', says: 'Nobody says in the name of another that it holds, or has held, a task.', run: forged },
  {
    id: 'task-taken-out',
    says: 'A claim that somebody takes out of a project is put back while it holds.',
    run: takenOut,
  },
  { id: 'task-proofs', says: 'An end proves its token where others have said something of the task.', run: proofs },
]

const DOC = projectDoc(PROJECT)
type Three = [voter: LabNode, holder: LabNode, hostile: LabNode]

const write = async ({ documents }: LabNode, change: (state: Y.Doc) => void): Promise<void> => {
  await documents.write(DOC, undefined, change)
  await settle()
}
const claimsOf = ({ documents }: LabNode, peer: PeerId): Promise<ClaimedRecord[]> =>
  documents.read(DOC, (state) => taskClaims(state, peer).toArray() as ClaimedRecord[])
const takeOut = (by: LabNode, { peer }: LabNode): Promise<void> =>
  write(by, (state) => taskClaims(state, peer).delete(0, taskClaims(state, peer).length))

async function forged({ must }: Report): Promise<void> {
  await TaskCalls.in(3, async (calls, nodes) => {
    const [voter, holder, hostile] = nodes as Three
    const task = await calls.create(holder)
    await calls.claim(holder, task, 'one')
    const [mine] = await claimsOf(hostile, holder.peer)
    await write(hostile, (state) => taskClaims(state, holder.peer).push([{ ...mine, tokenId: 'stolen' }]))
    const { claim } = await shownOf(voter, task)
    must('M13', claim?.tokenId === 'one', `a member makes the claim of another its own: ${claim?.tokenId}`)
    const end = { ...mine, summary: 'forged', files_modified: [] }
    await write(hostile, (state) => taskCompletions(state).set(`${task.id}/${holder.peer}`, end))
    must('M13', (await shownOf(voter, task)).claim !== null, 'a member completes a task in the name of its holder')
    must('M13', (await calls.complete(holder, task, 'one')) === 'ok', 'a holder cannot complete what it holds')
    must('M13', (await shownOf(voter, task)).completion?.summary === 'done', 'a forged result is shown')
  })
}

async function takenOut({ must }: Report): Promise<void> {
  await TaskCalls.in(3, async (calls, nodes) => {
    const [voter, holder, hostile] = nodes as Three
    const [kept, given, gone] = [await calls.create(holder), await calls.create(holder), await calls.create(holder)]
    for (const task of [kept, given, gone]) await calls.claim(holder, task, 'one')
    const claim = async (of: Task) => (await shownOf(voter, of)).claim?.leaseId
    const before = await claim(kept)
    const seq = (): number => holder.documents.heads(DOC).get(holder.peer)?.seq ?? 0
    const writes = seq()
    await calls.release(holder, given, 'one')
    await write(hostile, (state) => deleteTask(state, gone.id, new Date(0).toISOString()))
    await takeOut(hostile, holder)
    for (let i = 0; i < 5; i++) {
      await calls.lab.pass(100)
      await write(hostile, (state) => state.getMap('noise').set('x', i))
    }
    must('L2.6', seq() === writes + 1, 'whoever takes claims out has their holder write as often')
    await calls.lab.pass(2000)
    must('L2.6', (await claim(kept)) === before, 'whoever takes a claim out ends it')
    must('L2.6', seq() === writes + 2, 'what is put back is put back again')
    must('L2.6', (await claim(given)) === undefined, 'what was given back is held again')
    await takeOut(hostile, holder)
    const restored = holder.leases.find.bind(holder.leases)
    holder.leases.find = () => undefined
    await calls.lab.pass(2000)
    must('L2.6', (await claim(kept)) === undefined, 'a claim is put back whose lease is over')
    holder.leases.find = restored
  })
  await TaskCalls.in(3, async (calls, nodes) => {
    const [voter, holder, hostile] = nodes as Three
    const task = await calls.create(holder)
    await calls.claim(holder, task, 'one')
    const again = await calls.lab.restart(1)
    await calls.lab.pass(5000)
    await takeOut(hostile, again)
    await calls.lab.pass(2000)
    must('L2.11', (await shownOf(voter, task)).claim !== null, 'what went on after a restart is not put back')

    // Its end is on the way to the disk when the claim is found to be missing.
    const release = again.leases.release.bind(again.leases)
    const { promise: slow, resolve: goOn } = Promise.withResolvers<void>()
    again.leases.release = async (...what) => {
      await slow
      await release(...what)
    }
    const done = again.tasks.complete(again.actor('one'), task.id, { summary: 'done', filesModified: [] })
    await settle()
    await write(hostile, (state) => state.getMap('noise').set('y', 1))
    await calls.lab.pass(2000)
    goOn()
    await passing(calls.lab, done)
    await calls.lab.pass(2000)
    must('L2.6', (await claimsOf(voter, again.peer)).length === 0, 'a claim that is being ended is put back')
  })
}

async function proofs({ must }: Report): Promise<void> {
  await TaskCalls.in(3, async (calls, nodes) => {
    const [voter, first, second] = nodes as Three
    const completionOf = ({ id }: Task, { peer }: LabNode) =>
      voter.documents.read(DOC, (state) => taskCompletions(state).get(`${id}/${peer}`) as Completion)
    const [alone, handed] = [await calls.create(first), await calls.create(first)]
    await calls.claim(first, alone, 'one')
    await calls.complete(first, alone, 'one')
    must('D9', (await completionOf(alone, first)).certificate === undefined, 'each completion carries its certificate')

    await calls.claim(first, handed, 'one')
    calls.lab.disconnect(first)
    await calls.lab.pass(90_000)
    const { claim } = await calls.claim(second, handed, 'two')
    const { certificate } = second.leases.find(claim?.leaseId ?? '') ?? {}
    const find = second.leases.find.bind(second.leases)
    const carried = (claim?.fencingToken ?? 0) + 5
    // As after a change of the voters: the same lease under a higher token, and the certificate of that.
    const later = certificate && { ...certificate, grants: [...certificate.grants, ...certificate.grants] }
    second.leases.find = (id) => {
      const lease = find(id)
      return lease && later && { ...lease, fencingToken: carried, certificate: later }
    }
    await calls.complete(second, handed, 'two')
    const end = await completionOf(handed, second)
    const isProven = later !== undefined && equalBytes(end.certificate ?? new Uint8Array(), certificateBytes(later))
    must('L2.6', end.certificate !== undefined, 'an end does not prove its token where another has a claim')
    must('L2.7', isProven && end.token === carried, 'an end proves a token that it does not name')
  })
  await TaskCalls.in(2, async (calls, nodes) => {
    const [voter, holder] = nodes as [LabNode, LabNode]
    const task = await calls.create(holder)
    await calls.claim(holder, task, 'one')
    await write(holder, (state) => {
      const [record] = taskClaims(state, holder.peer).toArray() as ClaimedRecord[]
      if (record) putClaim(state, voter.peer, { ...record })
    })
    await calls.release(holder, task, 'one')
    const [released] = await claimsOf(voter, holder.peer)
    must('D9', released !== undefined && released.certificate === undefined, 'what counts for nothing asks for proofs')
  })
}
