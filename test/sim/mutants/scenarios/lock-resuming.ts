import { encodeCanonical, decodeCanonical } from '../../../../protocols/codec.ts'
import { NOTICE_PATHS_MAX } from '../../../../crdt/lock-notices.ts'
import { PROJECT, passing, type LabNode } from '../../../support/claim-lab.ts'
import { LockCalls, locksOf, noticesOf, pathsOf } from '../../../support/lock-calls.ts'
import type { Report, Scenario } from '../scenario.ts'
import { z } from 'zod'

export const lockResumingScenarios: readonly Scenario[] = [
  { id: 'resumed-locks', says: 'A process goes on with the locks of the one before, once.', run: resumed },
  {
    id: 'stopped-while-resuming',
    says: 'A node that stops before its voters have answered leaves its locks for the next start.',
    run: stopped,
  },
  { id: 'lost-locks', says: 'What cannot be resumed is told, until somebody has read it.', run: lost },
  { id: 'loss-not-written', says: 'A loss that could not be told is told after the next start.', run: lossNotWritten },
]

const TWO = { nodes: 2, voters: 1 }
type Pair = [voter: LabNode, holder: LabNode]

async function resumed({ must }: Report): Promise<void> {
  await LockCalls.in(TWO, async (calls, nodes) => {
    const [voter, holder] = nodes as Pair
    const mine = await calls.lock(holder, 'a', 'one')
    await calls.lock(holder, 'b', 'one', { durationMinutes: 1 })
    await calls.lab.crash(holder)
    await calls.lab.pass(60_000)
    voter.told.length = 0
    const again = await calls.restart(1, 2000)
    must('L2.11', (await pathsOf(again)) === 'a', 'a lock is not resumed, or one whose time is up is')
    await calls.lab.pass(13_000)
    const [lock] = await locksOf(voter)
    must('L2.11', lock?.leaseId === mine.leaseId && lock.fencingToken === mine.fencingToken, 'resumed as another lock')
    const told = [...voter.told, ...again.told]
    const isNews = told.some((event) => event.type === 'file.locked' && event.lock.path === 'b')
    must('L2.11', !isNews && (await noticesOf(voter)).length === 0, 'what nobody waits for any more is told')
    must('L2.11', (await calls.release(voter, 'a', 'one')) === 'ok', 'a lock that was resumed cannot be given back')
    const last = await calls.restart(1)
    const isOver = (await pathsOf(last)) === '' && (await noticesOf(last)).length === 0
    must('L2.11', isOver, 'what was resumed and given back comes back')
  })
  await LockCalls.in(TWO, async (calls, nodes) => {
    const [voter, holder] = nodes as Pair
    await calls.lock(holder, 'a', 'one')
    await calls.lock(holder, 'over', 'one', { durationMinutes: 1 })
    changeStore(holder, (store) => (store.putFact = () => Promise.reject(new Error('the disk is full'))))
    await calls.lab.crash(holder)
    await calls.lab.pass(60_000)
    const again = await calls.restart(1, 15_000)
    const isLost = again.leases.held().length === 0 && (await noticesOf(voter)).length === 1
    must('D7', isLost && (await pathsOf(voter)) === '', 'a lock that its disk cannot keep is resumed')
  })
}

async function stopped({ must }: Report): Promise<void> {
  await LockCalls.in(TWO, async (calls, nodes) => {
    const [voter, holder] = nodes as Pair
    await calls.lock(holder, 'a', 'one')
    calls.lab.disconnect(voter)
    const next = await calls.restart(1, 3000)
    const docs = next.documents.list().length
    next.locks.stop()
    await next.leases.close()
    await calls.lab.pass(1000)
    must('L2.11', next.documents.list().length === docs, 'a node that has stopped announces what it holds')
    await calls.lab.restart(1)
    await calls.lab.reconnect(voter)
    const again = await calls.restart(1)
    must('L2.11', (await pathsOf(again)) === 'a', 'a lock is lost because its node stopped')
    must('L2.11', (await noticesOf(again)).length === 0, 'a lock that was resumed in the end is told to be lost')
  })
}

async function lost({ must }: Report): Promise<void> {
  await LockCalls.in(TWO, async (calls, nodes) => {
    const [voter, holder] = nodes as Pair
    const paths = Array.from({ length: NOTICE_PATHS_MAX + 5 }, (_, i) => `d/${i}`)
    await calls.lockAll(holder, paths, 'one')
    await calls.lab.crash(holder)
    await calls.lab.pass(90_000)
    await calls.lock(voter, 'd/', 'two', { durationMinutes: 60 })
    const again = await calls.restart(1)
    const [notice, ...more] = await noticesOf(again)
    must('P5', notice?.paths.length === NOTICE_PATHS_MAX && more.length === 0, 'the loss of many paths is not told')
    const dismissed = again.locks.dismissNotice(again.actor('x'), PROJECT, notice?.id ?? '')
    await passing(calls.lab, dismissed)
    const last = await calls.restart(1)
    must('P5', (await noticesOf(last)).length === 0, 'what was read comes back with every start')
  })
  await LockCalls.in(TWO, async (calls, nodes) => {
    const [voter, holder] = nodes as Pair
    await calls.lab.split([voter], [holder])
    await calls.lab.pass(20_000)
    const claim = await calls.lock(holder, 'a', 'one', { durationMinutes: 60 })
    await calls.lab.heal()
    await calls.lab.pass(10_000)
    must('L2.8', (await locksOf(voter))[0]?.guarantee === 'certified', 'a provisional lock is never certified')
    await calls.lab.crash(holder)
    await calls.lab.pass(90_000)
    await calls.lock(voter, 'a', 'two', { durationMinutes: 60 })
    await calls.restart(1)
    must('P5', (await idsOf(voter)) === claim.leaseId, 'a loss is told of something that its holder does not know')
  })
  await LockCalls.in(TWO, async (calls, nodes) => {
    const [voter, holder] = nodes as Pair
    const mine = await calls.lock(holder, 'a', 'one')
    changeStore(holder, (store) => {
      const getFact = store.getFact.bind(store)
      store.getFact = async (key) => unproven(await getFact(key))
    })
    const again = await calls.restart(1)
    must('L2.11', (await pathsOf(again)) === '', 'a lock is resumed that nothing proves')
    must('P5', (await idsOf(voter)) === mine.leaseId, 'the loss of a lock that nothing proves is not told')
  })
}

async function lossNotWritten({ must }: Report): Promise<void> {
  await LockCalls.in(TWO, async (calls, nodes) => {
    const [voter, holder] = nodes as Pair
    await calls.lock(holder, 'a', 'one', { durationMinutes: 60 })
    await calls.lock(holder, 'b', 'one', { durationMinutes: 60 })
    await calls.lab.crash(holder)
    await calls.lab.pass(90_000)
    await calls.lock(voter, 'a', 'two', { durationMinutes: 60 })
    const again = await calls.lab.restart(1)
    const append = again.store.append.bind(again.store)
    again.store.append = async (envelopes) => {
      const isNotice = envelopes.some(({ doc, author }) => author === again.peer && doc.startsWith('project/'))
      if (isNotice) throw new Error('the disk is full')
      await append(envelopes)
    }
    await calls.lab.pass(5000)
    await calls.lock(again, 'c', 'one', { durationMinutes: 60 })
    must('L2.11', (await pathsOf(again)) === 'a,b,c', 'what another was not granted is not resumed')
    const last = await calls.restart(1)
    must('P5', (await noticesOf(last)).length === 1, 'a loss is forgotten before it is told')
    must('L2.11', (await pathsOf(last)) === 'a,b,c', 'what goes on is lost with what does not')
  })
}

const idsOf = async (node: LabNode): Promise<string> => (await noticesOf(node)).map(({ id }) => id).join()

/** Of the process after the next crash. */
function changeStore(node: LabNode, change: (store: LabNode['store']) => void): void {
  const crash = node.store.crash.bind(node.store)
  node.store.crash = () => {
    const store = crash()
    change(store)
    return store
  }
}

const Bytes = z.instanceof(Uint8Array)

/** The locks that were kept, with certificates of nothing. */
function unproven(fact: Uint8Array | undefined): Uint8Array | undefined {
  if (!fact) return undefined
  const kept = decodeCanonical(z.looseObject({ certificates: z.record(z.string(), Bytes) }), fact, fact.byteLength)
  const leases = Object.keys(kept.certificates)
  return encodeCanonical({ ...kept, certificates: Object.fromEntries(leases.map((id) => [id, new Uint8Array(1)])) })
}
