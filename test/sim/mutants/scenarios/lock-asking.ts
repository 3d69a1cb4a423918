import { InstanceId } from '../../../../crdt/ids.ts'
import { err } from '../../../../crdt/result.ts'
import type { LeaseRefusal } from '../../../../node/services/leases/lease-service.ts'
import { createCertifying } from '../../../../node/services/locks/lock-certifying.ts'
import type { Claim } from '../../../../node/services/locks/lock-claim.ts'
import { passing, PROJECT, type LabNode } from '../../../support/claim-lab.ts'
import { target, termsOf } from '../../../support/claim-table.ts'
import { createManualClock, settle } from '../../../support/clock.ts'
import { createSeededRandom, crypto } from '../../../support/identity.ts'
import { actorOf, LockCalls, locksOf, pathsOf } from '../../../support/lock-calls.ts'
import { createRecordedLog } from '../../../support/log.ts'
import type { Report, Scenario } from '../scenario.ts'

export const lockAskingScenarios: readonly Scenario[] = [
  { id: 'asking-again', says: 'Voters are asked for a claim again, and not more often than is of use.', run: again },
  {
    id: 'lock-taking',
    says: 'Whoever asks for what it holds keeps it; of others it gets all or nothing.',
    run: taking,
  },
]

const NO_QUORUM: LeaseRefusal = { why: 'no_quorum', missing: [] }
const TTL_MS = 60_000

/** The loop alone: what it asks for is counted, and refused as the test says. */
function asking(count = 1) {
  const clock = createManualClock()
  const waiting = Array.from({ length: count }, (_, i): Claim => {
    const targets = [{ ...target(`${i}`), entry: `${i}` }]
    return { id: `${i}`, state: 'held', terms: termsOf('one'), targets } as unknown as Claim
  })
  const means = { asked: 0, timers: 0, yielded: 0, refusal: async (): Promise<LeaseRefusal> => NO_QUORUM }
  const loop = createCertifying({
    claims: {
      waiting: () => waiting.filter(({ state }) => state === 'held'),
      certify: async () => err({ code: 'superseded', message: '' }),
      yieldTo: () => void means.yielded++,
    },
    leases: {
      async acquire() {
        means.asked++
        return err(await means.refusal())
      },
    },
    crypto,
    clock: {
      ...clock,
      after(ms, task) {
        means.timers++
        return clock.after(ms, task)
      },
    },
    random: createSeededRandom(1),
    log: createRecordedLog(),
    ttlMs: TTL_MS,
  })
  return { clock, loop, means, waiting }
}

async function again({ must }: Report): Promise<void> {
  const one = asking()
  for (let i = 0; i < 20; i++) one.loop.wake()
  await one.clock.advance(2999)
  must('L2.8', one.means.asked <= 1, `one claim is asked for ${one.means.asked} times at once`)
  await one.clock.advance(3_600_000)
  must(
    'L2.8',
    one.means.asked > 40 && one.means.asked < 130,
    `${one.means.asked} questions in an hour without a quorum`,
  )
  const before = one.means.asked
  one.loop.hurry()
  await one.clock.advance(6001)
  must(
    'L2.8',
    one.means.asked >= before + 2,
    'a voter that was heard again is asked once, and then as seldom as before',
  )

  const busy = asking()
  busy.means.refusal = () => new Promise(() => undefined)
  for (let i = 0; i < 3; i++) busy.loop.hurry()
  busy.loop.wake()
  await busy.clock.advance(600_000)
  must('L2.8', busy.means.asked === 1, 'asks while it is asking')

  const many = asking(3)
  many.loop.hurry()
  await settle()
  must('L2.8', many.means.asked === 1, 'every claim waits in vain for voters that none of them reaches')
  const ended = asking(2)
  ended.means.refusal = async () => {
    for (const claim of ended.waiting) claim.state = 'ended'
    return { why: 'held', leaseId: 'a'.repeat(32), owner: 'w', by: { instanceId: 'x', untilMs: 0 } }
  }
  ended.loop.hurry()
  await settle()
  must('P3', ended.means.asked === 1, 'what has ended is asked for')

  const changing = asking()
  let rival = 0
  const by = { instanceId: InstanceId.parse('x'), untilMs: 0 }
  changing.means.refusal = async () => ({ why: 'held', leaseId: `${rival++}`.padStart(32, '0'), owner: 'w', by })
  changing.loop.hurry()
  await changing.clock.advance(5 * TTL_MS)
  must('P3', changing.means.yielded === 0, 'a claim gives way to rivals none of which was ever renewed')
  const steady = asking()
  steady.means.refusal = async () => ({ why: 'held', leaseId: 'a'.repeat(32), owner: 'w', by })
  steady.loop.hurry()
  await steady.clock.advance(TTL_MS)
  must('P3', steady.means.yielded === 0, 'a claim gives way to a rival that only asks')
  await steady.clock.advance(5 * TTL_MS)
  must('P3', steady.means.yielded > 0, 'a claim never gives way to what is surely certified')

  const next = asking()
  next.loop.wake()
  await next.clock.advance(600_000)
  const [claim] = next.waiting
  next.means.refusal = async () => {
    claim!.state = 'ended'
    return NO_QUORUM
  }
  await next.clock.advance(120_000)
  claim!.state = 'held'
  next.means.asked = 0
  next.loop.wake()
  await next.clock.advance(3000)
  must('L2.8', next.means.asked === 1, 'a claim waits for what others before it have waited in vain')

  const over = asking()
  over.loop.wake()
  over.loop.stop()
  over.means.timers = 0
  over.loop.hurry()
  over.loop.wake()
  await over.clock.advance(600_000)
  must('L2.8', over.means.asked === 0 && over.means.timers === 0, 'a node that has stopped asks')
}

type Pair = [voter: LabNode, holder: LabNode]

async function taking({ must }: Report): Promise<void> {
  await LockCalls.in({ nodes: 2, voters: 1 }, async (calls, nodes) => {
    const [voter, holder] = nodes as Pair
    const bulk = async (paths: readonly string[], instanceId: string, minutes = 30) => {
      const wish = { instanceId, paths, allOrNothing: true, durationMinutes: minutes }
      const answer = await passing(calls.lab, voter.locks.bulk(actorOf(voter, 'one'), PROJECT, wish))
      return answer.ok ? answer.value : { acquired: [], failed: [] }
    }
    const mine = await calls.lock(holder, 'a', 'one')
    const other = holder.locks.acquire(actorOf(holder, 'one'), PROJECT, { path: 'a', instanceId: 'two' })
    const answer = await passing(calls.lab, other)
    must('I1', !answer.ok && answer.error.code === 'lock_held', 'an instance has what another of its token holds')
    const bad = await bulk(['b', '../x'], 'one')
    must('L2.8', bad.acquired.length === 0 && (await pathsOf(voter)) === 'a', 'some of what was wanted together')
    const [shown] = (await bulk(['src/', 'src'], 'one')).acquired
    must('L2.9', shown?.path === 'src/', 'a directory is shown as a file where it was also spelled as one')
    await calls.release(voter, 'src/', 'one')

    const isValid = holder.leases.isValid.bind(holder.leases)
    holder.leases.isValid = (id) => id !== mine.leaseId && isValid(id)
    const fresh = await calls.lock(holder, 'a', 'one')
    holder.leases.isValid = isValid
    must('L2.5', fresh.leaseId !== mine.leaseId, 'a lock is told to be held whose lease has lapsed')
    await calls.lab.pass(5000)
    const held = await calls.lock(holder, 'c', 'one')
    // Resuming waits for the voter, so that whoever asks is there first.
    await calls.lab.split([voter], [holder])
    const next = await calls.lab.restart(1)
    const asked = calls.tryLock(next, 'c', 'one')
    await settle()
    await calls.lab.heal()
    const same = await asked
    const [, now] = await locksOf(next)
    must(
      'L2.11',
      same === 'ok' && now?.leaseId === held.leaseId,
      'whoever asks in the first moments gets its lock once more',
    )
    await calls.lab.pass(5000)
    calls.lab.disconnect(next)
    const lost = await bulk(['c', 'd'], 'one', 120)
    const isNothing = lost.acquired.length === 0 && lost.failed.length === 2
    must('L2.8', isNothing, 'some of what was wanted together is given')
    const left = (await locksOf(voter)).filter(({ path }) => path === 'd')
    must('L2.8', left.length === 0 && voter.leases.held().length === 0, 'what was refused in the end stays locked')
  })
}
