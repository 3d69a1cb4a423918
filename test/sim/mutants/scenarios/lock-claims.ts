import { compareHlc } from '../../../../crdt/hlc.ts'
import { domainError } from '../../../../crdt/errors.ts'
import { outranks, type Ranked } from '../../../../crdt/lock-rank.ts'
import { isProvisional, LockRecord } from '../../../../crdt/lock-record.ts'
import { err } from '../../../../crdt/result.ts'
import { SETTLE_MS } from '../../../../node/services/locks/lock-provisional.ts'
import { codeOf, valueOf } from '../../../support/claim-lab.ts'
import { claimTable, lease, target, termsOf } from '../../../support/claim-table.ts'
import { settle } from '../../../support/clock.ts'
import type { Report, Scenario } from '../scenario.ts'

export const lockClaimScenarios: readonly Scenario[] = [
  { id: 'lock-order', says: 'Of any two overlapping locks exactly one is better, for both sides.', run: order },
  {
    id: 'claim-settles',
    says: 'A provisional lock counts once nobody has objected for long enough, and only if it is on disk.',
    run: settles,
  },
  { id: 'claim-certified', says: 'A claim whose certificate is being written gives way to nobody.', run: certified },
  { id: 'claim-refused', says: 'A claim whose certificate was refused stands as it stood before.', run: refused },
  { id: 'claim-ends', says: 'A claim ends with its time, and once.', run: ends },
  { id: 'claims-of-a-stopped-node', says: 'A node that stops leaves its claims for the next start.', run: stopped },
]

const DAY_MS = 86_400_000
const fullDisk = () => err(domainError('storage_failed'))

async function order({ must }: Report): Promise<void> {
  const of = (n: number, token: number | null, ms = 0, count = 0): Ranked => {
    const lease = n.toString(16).padStart(32, '0')
    return token === null ? { lease, token, hlc: { ms, n: count } } : { lease, token }
  }
  const best = [of(9, 7), of(1, 6), of(2, 6), of(8, null, 1), of(3, null, 2, 0), of(1, null, 2, 1), of(4, null, 2, 1)]
  for (const [i, a] of best.entries()) {
    for (const [j, b] of best.entries()) {
      must('P2', outranks(a, b) === i < j, `of the ${i}th and the ${j}th the wrong one is better, or none, or both`)
    }
  }
  const { claims, notices, rival, hold } = claimTable()
  const claim = await hold('a')
  rival('a', { token: 1 })
  claims.review()
  await settle()
  must('P2', claims.held(claim.id) === undefined, 'what a quorum granted gives way to what nobody granted')
  must('P5', notices.get(claim.id)?.state === 'yield', 'whoever gave way is not told')
  const other = claimTable()
  const first = await other.hold('a')
  other.rival('a', { hlc: { ms: 4e12, n: 0 } })
  other.claims.review()
  must('P3', other.claims.held(first.id) === first, 'the earlier claim gives way to the later one')
}

async function settles({ must }: Report): Promise<void> {
  const { claims, clock, entries, rival } = claimTable()
  const ahead = { ms: clock.wallMs() + 60_000, n: 3 }
  rival('src', { hlc: ahead })
  must('P1', codeOf(await claims.begin(termsOf('one'), [target('src/a')])) === 'lock_held', 'claims what another holds')
  const claim = valueOf(await claims.begin(termsOf('one'), [target('a')]))
  const next = valueOf(await claims.begin(termsOf('two'), [target('b')]))
  const isLater = compareHlc(claim.hlc, ahead) > 0 && compareHlc(next.hlc, claim.hlc) > 0
  must('P2', isLater, 'a node whose clock is behind comes before what it knew of')
  let isSettled = false
  const settled = claims.settle(claim, ['x'.repeat(1000)]).then(() => (isSettled = true))
  await clock.advance(SETTLE_MS - 1)
  const isOpen = claims.held(claim.id) !== undefined || claims.waiting().length > 0
  must('P1', !isSettled && !isOpen && !saysSettled(entries), 'a claim counts before anybody could object')
  await clock.advance(1)
  await settled
  must('P1', claims.held(claim.id) === claim && saysSettled(entries), 'a claim that nobody objected to never counts')
  const isRead = [...entries.values()].every(({ record }) => LockRecord.safeParse(record).success)
  must('M13', isRead, 'a claim that nobody else can read')

  const full = claimTable()
  const lost = valueOf(await full.claims.begin(termsOf('one'), [target('a')]))
  full.gates.live.refusal = fullDisk()
  const answer = full.claims.settle(lost, [])
  await full.clock.advance(SETTLE_MS)
  const isGone = codeOf(await answer) !== 'ok' && full.claims.held(lost.id) === undefined && full.notices.size === 0
  must('P5', isGone, 'a claim that could not be written as held is held')

  const late = claimTable()
  const beaten = valueOf(await late.claims.begin(termsOf('one'), [target('a')]))
  late.gates.live.shut()
  const told = late.claims.settle(beaten, [])
  await late.clock.advance(SETTLE_MS)
  late.rival('a')
  late.claims.review()
  await late.gates.live.open()
  must('P3', codeOf(await told) === 'lock_held', 'whoever lost in the last moment is told to hold the lock')
}

const saysSettled = (entries: ReturnType<typeof claimTable>['entries']): boolean =>
  [...entries.values()].some(({ record }) => isProvisional(record) && record.settled)

async function certified({ must }: Report): Promise<void> {
  const { claims, entries, extended, gates, notices, released, hold, rival } = claimTable()
  const claim = await hold('a')
  const untilMs = claim.terms.untilMs + 60_000
  await claims.extend(claim, untilMs)
  gates.live.shut()
  const answer = claims.certify(claim, { lease, targets: claim.targets })
  const twice = claims.certify(claim, { lease: { ...lease, leaseId: 'b'.repeat(32) }, targets: claim.targets })
  await settle()
  must('P3', released.length === 1, 'one claim takes two leases')
  rival('a')
  claims.review()
  await settle()
  await gates.live.open()
  must('P3', codeOf(await twice) === 'superseded', 'one claim takes two leases')
  const isCertain = codeOf(await answer) === 'ok' && [...entries.values()].every(({ record }) => record.token === 7)
  must('P3', isCertain, 'a certificate that is being written gives way to a provisional lock')
  must('L2.8', extended.at(-1) === untilMs, 'what was prolonged while the voters were asked ends as first wished')
  must('P4', notices.size === 0, 'a claim goes on beside its certificate')

  const ended = claimTable()
  const back = await ended.hold('a')
  ended.gates.drops.shut()
  const withdrawn = ended.claims.withdraw(back)
  const late = await ended.claims.certify(back, { lease, targets: back.targets })
  await ended.gates.drops.open()
  await withdrawn
  const isOver = codeOf(late) === 'superseded' && ended.released.length === 1 && ended.entries.size === 0
  must('P4', isOver, 'what was given back is certified while that is being written')
}

async function refused({ must }: Report): Promise<void> {
  const { claims, clock, gates, notices, released, hold } = claimTable()
  const claim = await hold('a')
  gates.live.refusal = fullDisk()
  must('P4', codeOf(await claims.certify(claim, { lease, targets: claim.targets })) === 'storage_failed', 'is certain')
  must('L2.5', released.length === 1, 'a lease without its lock is kept')
  must('P4', claims.held(claim.id) === claim, 'a claim ends with a certificate that it did not get')
  gates.live.shut()
  const again = claims.certify(claim, { lease, targets: claim.targets })
  await clock.advance(claim.terms.untilMs - clock.wallMs() + 1)
  await gates.live.open()
  await again
  gates.live.refusal = undefined
  await clock.advance(1)
  must(
    'P1',
    claims.held(claim.id) === undefined && notices.size === 0,
    'a claim whose time was up meanwhile never ends',
  )

  const beaten = claimTable()
  const loser = await beaten.hold('a')
  beaten.gates.live.shut()
  beaten.gates.live.refusal = fullDisk()
  const answer = beaten.claims.certify(loser, { lease, targets: loser.targets })
  beaten.rival('a')
  beaten.claims.review()
  await beaten.gates.live.open()
  await answer
  await settle()
  must(
    'P3',
    beaten.notices.get(loser.id)?.state === 'yield',
    'what was heard while the certificate was written is lost',
  )
}

async function ends({ must }: Report): Promise<void> {
  const { claims, clock, entries, notices, hold } = claimTable()
  const claim = await hold('a')
  await clock.advance(61_000)
  must('P1', claims.held(claim.id) === claim, 'a claim ends before its time')
  clock.suspend(claim.terms.untilMs - clock.wallMs())
  await clock.advance(60_000)
  const isGone = claims.held(claim.id) === undefined && entries.size === 0 && notices.size === 0
  must('P1', isGone, 'a claim outlives its time, or the sleep of its host')

  const fresh = claimTable()
  const often = await fresh.hold('b')
  fresh.gates.live.refusal = fullDisk()
  for (let i = 0; i < 3; i++) await fresh.claims.certify(often, { lease, targets: often.targets })
  fresh.gates.live.refusal = undefined
  await fresh.claims.withdraw(await fresh.hold('c'))
  const { count } = fresh.writes
  await fresh.clock.advance(DAY_MS)
  must('P4', fresh.writes.count === count + 1, 'what has ended is ended again')

  for (let i = 0; i < 300; i++) {
    const one = await claims.begin(termsOf('one'), [target('a')])
    must('P1', one.ok, 'claims that have ended count')
    if (one.ok) await claims.withdraw(one.value)
  }
  const single = await claimTable().hold('a')
  const table = claimTable()
  const both = await table.hold('a', 'b')
  const [first, second] = both.targets.map(({ entry }) => entry)
  await table.claims.dropPath(both, first!)
  must('P4', table.claims.held(both.id) === both && table.entries.size === 1, 'the rest goes with one of the paths')
  await table.claims.dropPath(both, second!)
  const isOver = table.claims.held(both.id) === undefined && table.notices.size === 0
  must('P4', isOver && single.state === 'held', 'a claim goes on without a path')
}

async function stopped({ must }: Report): Promise<void> {
  const { claims, clock, gates, notices, writes, hold, rival } = claimTable()
  const [kept, lost] = [await hold('a'), await hold('b')]
  gates.notices.refusal = fullDisk()
  rival('b')
  claims.review()
  await settle()
  gates.notices.refusal = undefined
  valueOf(await claims.begin(termsOf('one'), [target('c')]))
  claims.stop()
  const { count } = writes
  for (const path of ['a', 'c']) {
    rival(path)
    claims.review()
  }
  await clock.advance(DAY_MS)
  const states = [kept, lost].map(({ id }) => notices.get(id)?.state)
  must('P5', states.join() === 'open,open', 'a node that has stopped tells what became of its claims')
  must('P5', writes.count === count, 'a node that has stopped writes')
}
