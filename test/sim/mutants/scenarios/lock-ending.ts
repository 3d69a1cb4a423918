import { z } from 'zod'
import { projectDoc } from '../../../../crdt/ids.ts'
import { openClaims } from '../../../../crdt/lock-notices.ts'
import { answerOf, codeOf, passing, PROJECT, type LabNode } from '../../../support/claim-lab.ts'
import { settle } from '../../../support/clock.ts'
import { actorOf, LockCalls, locksOf, noticesOf, pathsOf } from '../../../support/lock-calls.ts'
import type { Report, Scenario } from '../scenario.ts'

export const lockEndingScenarios: readonly Scenario[] = [
  { id: 'lock-ended-by', says: 'A lock is ended on its own node, by whoever may end it.', run: endedBy },
  {
    id: 'lock-ended-once',
    says: 'What is given back at once, or while it is certified, is given back.',
    run: endedOnce,
  },
  { id: 'lock-unsure', says: 'What is given back while its lease is unsure does not come back.', run: unsure },
  { id: 'lock-waits', says: 'Whoever prolongs a lock that is unsure waits until it is known.', run: waits },
  { id: 'kept-locks', says: 'A process finds the locks of the one before as they were last.', run: kept },
]

const ANYTHING = z.unknown()
type Three = [voter: LabNode, holder: LabNode, other: LabNode]

async function endedBy({ must }: Report): Promise<void> {
  await LockCalls.in({ nodes: 3, voters: 1 }, async (calls, nodes) => {
    const [voter, holder, edge] = nodes as Three
    await calls.lock(holder, 'a', 'one')
    const place = { projectId: PROJECT, path: 'a' }
    const ask = async (at: LabNode, method: string, actor: string, abilities: string[] = []): Promise<string> => {
      const input = { ...place, instanceId: 'one', untilMs: 4e12 }
      const call = { actor: edge.actor(actor, abilities), input, reply: ANYTHING }
      return codeOf(await passing(calls.lab, edge.rpc.call(at.peer, method, call)))
    }
    const no = 'lock_not_held_by_caller'
    for (const method of ['lock.release', 'lock.extend']) {
      must('L2.8', (await ask(holder, method, 'stranger')) === no, `a holder takes a gateway’s word (${method})`)
      const misled = await ask(voter, method, 'token of one')
      must('L2.8', misled === 'superseded', `a node answers for another’s lock (${method}): ${misled}`)
    }
    must(
      'L2.8',
      (await ask(holder, 'lock.forceRelease', 'x', ['lock:write'])) === 'forbidden',
      'anybody takes locks away',
    )
    const misled = await ask(voter, 'lock.forceRelease', 'x', ['lock:admin'])
    must('L2.8', misled === 'superseded', `a node takes away what another holds: ${misled}`)
    must('L2.8', (await pathsOf(voter)) === 'a', 'a lock is ended by whoever may not')
    calls.lab.disconnect(holder)
    const stranger = edge.actor('stranger')
    const more = { path: 'a', instanceId: 'one', additionalMinutes: 5 }
    const released = await passing(calls.lab, edge.locks.release(stranger, PROJECT, more))
    must('L2.8', codeOf(released) === no, `a stranger is told where the holder is: ${codeOf(released)}`)
    const extended = await passing(calls.lab, edge.locks.extend(stranger, PROJECT, more))
    must('L2.8', codeOf(extended) === no, `a stranger is told where the holder is: ${codeOf(extended)}`)
  })
}

async function endedOnce({ must }: Report): Promise<void> {
  await LockCalls.in({ nodes: 2, voters: 1 }, async (calls, nodes) => {
    const [, holder] = nodes as [LabNode, LabNode]
    await calls.lockAll(holder, ['a', 'b', 'c'], 'one')
    const both = ['a', 'b'].map((path) => calls.release(holder, path, 'one'))
    must('L2.8', (await Promise.all(both)).join() === 'ok,ok', 'two paths of one lease cannot be given back at once')
    must('L2.8', (await pathsOf(holder)) === 'c', 'what is given back at once is given back but for one')
    const [, second] = await calls.lockAll(holder, ['x', 'y'], 'two')
    const more = { path: 'y', instanceId: 'two', additionalMinutes: 60 }
    const released = calls.release(holder, 'x', 'two')
    const extended = holder.locks.extend(actorOf(holder, 'two'), PROJECT, more)
    await Promise.all([released, passing(calls.lab, extended)])
    const lasting = (await locksOf(holder)).find(({ path }) => path === 'y')
    const isLonger = lasting !== undefined && second !== undefined && lasting.expiresAt > second.expiresAt
    must('L2.8', isLonger, 'what was prolonged while another path was given back ends as before')
  })
  for (const how of ['force', 'extend'] as const) await whileCertified({ must }, how)
}

/** A lock is asked about while the certificate of what was provisional is being written. */
async function whileCertified({ must }: Report, how: 'force' | 'extend'): Promise<void> {
  await LockCalls.in({ nodes: 2, voters: 1 }, async (calls, nodes) => {
    const [voter, holder] = nodes as [LabNode, LabNode]
    await calls.lab.split([voter], [holder])
    await calls.lab.pass(20_000)
    await calls.lock(holder, 'a', 'one')
    holder.store.holdFacts()
    await calls.lab.heal()
    await calls.lab.pass(10_000)
    const more = { path: 'a', instanceId: 'one', additionalMinutes: 5 }
    const asked: Promise<{ ok: boolean }> =
      how === 'force'
        ? voter.locks.forceRelease(voter.actor('admin', ['lock:admin']), PROJECT, 'a')
        : voter.locks.extend(actorOf(voter, 'one'), PROJECT, more)
    await settle()
    holder.store.release()
    const answer = await passing(calls.lab, asked)
    must('L2.8', answer.ok, `a lock is not its holder’s while it is certified (${how})`)
    await calls.lab.pass(5000)
    const isLeft = (await locksOf(voter)).length > 0 || holder.leases.held().length > 0
    if (how === 'force') must('L2.8', !isLeft, 'what was taken away while it was certified is held')
    const open = await holder.documents.read(projectDoc(PROJECT), (doc) => openClaims(doc, holder.peer).length)
    must('P5', open === 0, 'a claim stays open after its certificate')
  })
}

async function unsure({ must }: Report): Promise<void> {
  await LockCalls.in({ nodes: 2, voters: 1 }, async (calls, nodes) => {
    const [voter, holder] = nodes as [LabNode, LabNode]
    await calls.lock(holder, 'a', 'one')
    await calls.lock(holder, 'b', 'one')
    await calls.lab.pass(5000)
    await calls.lab.split([voter], [holder])
    await calls.lab.pass(58_000)
    const released = await calls.release(holder, 'a', 'one')
    must('L2.8', released === 'ok', `what its node is not sure of cannot be given back: ${released}`)
    await calls.lab.heal()
    await calls.lab.pass(5000)
    must('L2.8', (await pathsOf(voter)) === 'b', `held when the voters are back: ${await pathsOf(voter)}`)
  })
}

async function waits({ must }: Report): Promise<void> {
  await LockCalls.in({ nodes: 2, voters: 1 }, async (calls, nodes) => {
    const [voter, holder] = nodes as [LabNode, LabNode]
    await calls.lockAll(holder, ['a', 'b'], 'one')
    const alone = await calls.lock(holder, 'c', 'one')
    await calls.lab.pass(5000)
    await calls.lab.split([voter], [holder])
    await calls.lab.pass(58_000)
    const more = { path: 'c', instanceId: 'one', additionalMinutes: 5 }
    const [released, extended] = [
      answerOf(holder.locks.release(actorOf(holder, 'one'), PROJECT, { path: 'a', instanceId: 'one' })),
      answerOf(holder.locks.extend(actorOf(holder, 'one'), PROJECT, more)),
    ]
    const gone = new AbortController()
    const called = answerOf(holder.locks.extend(actorOf(holder, 'one'), PROJECT, more, gone.signal))
    const both = answerOf(
      holder.locks.release(actorOf(holder, 'one'), PROJECT, { path: 'b', instanceId: 'one' }, gone.signal),
    )
    for (const is of [released, extended, called, both])
      must('L2.5', (await is()) === 'waits', `a lock that may come back is told to be lost: ${await is()}`)
    gone.abort(new Error('whoever asked has gone away'))
    for (const is of [called, both])
      must('L2.5', (await is()) === 'cancelled', `who has gone away is waited for: ${await is()}`)
    await calls.lab.heal()
    await calls.lab.pass(5000)
    for (const is of [released, extended]) must('L2.5', (await is()) === 'ok', `is lost to its holder: ${await is()}`)
    must('L2.5', (await pathsOf(voter)) === 'b,c', `the rest of a lease is lost with one path: ${await pathsOf(voter)}`)
    const last = (await locksOf(voter)).find(({ path }) => path === 'c')
    must('L2.5', last !== undefined && last.expiresAt > alone.expiresAt, 'what came back is not prolonged')
  })
}

async function kept({ must }: Report): Promise<void> {
  await LockCalls.in({ nodes: 2, voters: 1 }, async (calls, nodes) => {
    const [voter, holder] = nodes as [LabNode, LabNode]
    await calls.lock(holder, 'a', 'one', { durationMinutes: 1 })
    await calls.lock(holder, 'a', 'one', { durationMinutes: 60 })
    await calls.lab.crash(holder)
    await calls.lab.pass(90_000)
    const again = await calls.restart(1, 15_000)
    must('L2.11', (await pathsOf(again)) === 'a', 'a lock that was prolonged ends with its first time')
    const facts = again.store.putFact.bind(again.store)
    let writes = 0
    again.store.putFact = async (...fact) => {
      writes++
      await facts(...fact)
    }
    await calls.lab.split([voter], [again])
    await calls.lab.pass(20_000)
    await calls.lock(again, 'b', 'two')
    must('D9', writes === 0, 'every provisional lock writes all that is certified anew')
    const crash = again.store.crash.bind(again.store)
    again.store.crash = () => {
      const store = crash()
      const getFact = store.getFact.bind(store)
      store.getFact = async (key) => (key === 'held-locks' ? new Uint8Array([1, 2, 3]) : await getFact(key))
      return store
    }
    const last = await calls.restart(1).catch(() => undefined)
    must('L2.11', last !== undefined, 'a node does not start when it cannot read what it held')
    must('P5', last === undefined || (await noticesOf(last)).length === 1, 'a claim of the last process is not told of')
  })
}
