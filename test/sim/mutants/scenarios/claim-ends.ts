import { domainError } from '../../../../crdt/errors.ts'
import { err } from '../../../../crdt/result.ts'
import { SETTLE_MS } from '../../../../node/services/locks/lock-provisional.ts'
import { codeOf, valueOf } from '../../../support/claim-lab.ts'
import { claimTable, lease, target, termsOf } from '../../../support/claim-table.ts'
import { settle } from '../../../support/clock.ts'
import type { Report, Scenario } from '../scenario.ts'

export const claimEndScenarios: readonly Scenario[] = [
  { id: 'claim-begun', says: 'A claim is on disk and one of a bounded number, or there is none.', run: begun },
  { id: 'claim-prolonged', says: 'A claim lasts as long as its disk says.', run: prolonged },
  { id: 'claim-yields', says: 'A claim that gave way leaves one notice, before it is seen to be gone.', run: yields },
]

const fullDisk = () => err(domainError('storage_failed'))
const beginOne = (table: ReturnType<typeof claimTable>, path: string) =>
  table.claims.begin(termsOf('one'), [target(path)])

async function begun({ must }: Report): Promise<void> {
  const table = claimTable()
  for (let i = 0; i < 256; i++) await beginOne(table, 'a')
  must('P5', codeOf(await beginOne(table, 'a')) === 'limit_reached', 'claims of any number wait for the voters')

  for (const disk of ['live', 'notices'] as const) {
    const full = claimTable()
    full.gates[disk].refusal = fullDisk()
    must('P5', codeOf(await beginOne(full, 'a')) === 'storage_failed', `a claim that is not on disk counts (${disk})`)
    full.gates[disk].refusal = undefined
    must('P5', full.entries.size === 0 && full.notices.size === 0, `what could not be claimed is announced (${disk})`)
  }

  const { claims, clock, asked, entries } = claimTable()
  const claim = valueOf(await claims.begin(termsOf('one'), [target('a')]))
  must('P1', claims.held(claim.id) === undefined, 'a claim can be used before anybody could object')
  const settled = claims.settle(claim, [])
  await clock.advance(SETTLE_MS)
  must(
    'L2.8',
    codeOf(await settled) === 'ok' && asked.count === 1,
    'nobody asks the voters for what is held without them',
  )

  const beaten = claimTable()
  const loser = valueOf(await beginOne(beaten, 'a'))
  beaten.rival('a')
  beaten.claims.review()
  const told = beaten.claims.settle(loser, [])
  await beaten.clock.advance(SETTLE_MS)
  must('P3', codeOf(await told) === 'lock_held', 'whoever lost before it counted is told to hold the lock')
  must('P5', beaten.notices.size === 0, 'the end of what never counted is told')
  must('P3', beaten.entries.size === 0 && entries.size === 1, 'what lost before it counted stays announced')
}

async function prolonged({ must }: Report): Promise<void> {
  const { claims, clock, entries, gates, hold } = claimTable()
  const claim = await hold('a')
  const before = claim.terms.untilMs
  gates.live.shut()
  const longer = claims.extend(claim, before + 600_000)
  gates.live.refusal = fullDisk()
  await clock.advance(120_000)
  await gates.live.open()
  must('D7', codeOf(await longer) === 'storage_failed', 'what the disk refuses is told to be prolonged')
  must('D7', claim.terms.untilMs === before, 'a claim lasts longer in memory than on disk')
  gates.live.refusal = undefined
  const more = before + 60_000
  must('L2.8', codeOf(await claims.extend(claim, more)) === 'ok' && claim.terms.untilMs === more, 'cannot be prolonged')
  const isSaid = [...entries.values()].every(({ record }) => Date.parse(record.expiresAt) === more)
  must('L2.8', isSaid, 'others see a claim end before its holder is told that it does')

  const late = claimTable()
  const over = await late.hold('a')
  const { untilMs } = over.terms
  late.gates.live.shut()
  const vain = late.claims.extend(over, untilMs + 86_400_000)
  await late.clock.advance(untilMs - late.clock.wallMs() - 1)
  late.gates.live.refusal = fullDisk()
  await late.gates.live.open()
  await vain
  await late.clock.advance(1)
  must('P1', late.claims.held(over.id) === undefined, 'a claim that could not be prolonged ends late')

  const ended = claimTable()
  const gone = await ended.hold('a')
  ended.gates.live.shut()
  const asked = ended.claims.extend(gone, gone.terms.untilMs + 60_000)
  await ended.claims.withdraw(gone)
  ended.gates.live.refusal = fullDisk()
  await ended.gates.live.open()
  await asked
  const { count } = ended.writes
  await ended.clock.advance(86_400_000)
  must('P4', ended.writes.count === count, 'what has ended is ended again')
}

async function yields({ must }: Report): Promise<void> {
  const { claims, clock, entries, gates, notices, writes, hold, rival } = claimTable()
  const claim = await hold('a')
  gates.notices.shut()
  rival('a')
  claims.review()
  await settle()
  must('P5', entries.size === 1, 'a lock is seen to be gone before its holder can be told')
  await gates.notices.open()
  must('P5', entries.size === 0 && notices.get(claim.id)?.state === 'yield', 'a lock that gave way is shown')
  must('P4', codeOf(await claims.certify(claim, { lease, targets: claim.targets })) === 'lock_held', 'is certified')
  await claims.withdraw(claim)
  must('P5', notices.get(claim.id)?.state === 'yield', 'whoever asks for what it has lost takes the notice away')
  const last = writes.count

  const full = claimTable()
  const lost = await full.hold('a')
  full.gates.notices.refusal = fullDisk()
  full.rival('a')
  full.claims.review()
  await settle()
  must('P5', full.entries.size === 0, 'a disk that refuses the notice keeps the lock')
  const { count } = full.writes
  await full.clock.advance(60_000)
  must('P5', full.writes.count === count, 'what is gone is taken out again with every try')
  full.gates.notices.refusal = undefined
  await full.clock.advance(10_000)
  must('P5', full.notices.get(lost.id)?.state === 'yield', 'a notice that the disk refused is never written')
  await clock.advance(60_000)
  must('P5', writes.count === last, 'what is gone is taken out again')
}
