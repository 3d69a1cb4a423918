import type { Claim, Refused } from '../../../../protocols/lease/claimant.ts'
import { voterSetOf } from '../../../../protocols/lease/config.ts'
import type { Grant } from '../../../../protocols/lease/messages.ts'
import type { Signed } from '../../../../protocols/lease/signing.ts'
import { DEFAULT_TIMINGS, type Instant } from '../../../../protocols/lease/timings.ts'
import { Arena, hex, peer, signedBy, VoterLab, type Ballot, type space } from '../../../support/lease-lab.ts'
import { sealedEpoch, successorOf } from '../../../support/succession-lab.ts'
import type { Report, Scenario } from '../scenario.ts'

export const claimantScenarios: readonly Scenario[] = [
  {
    id: 'validity',
    says: 'A lease is valid for 0.9 of its length from before its request left, by the fastest clock.',
    run: validity,
  },
  { id: 'quorum', says: 'Only a majority of distinct voters, in their incarnations, certifies.', run: quorum },
  {
    id: 'hostile-answers',
    says: 'Answers count that their voter signed, to the very request that is under way.',
    run: hostileAnswers,
  },
  { id: 'withdrawn', says: 'What was withdrawn or released is over, whatever arrives later.', run: withdrawn },
  { id: 'rounds', says: 'Each round asks anew, first for a short hold, and a failing one is repeated.', run: rounds },
  {
    id: 'lapse',
    says: 'A lapsed lease goes on with its certified token only, or is lost after three rounds.',
    run: lapse,
  },
  {
    id: 'new-voters',
    says: 'Over a change of voters the old token is used until the new one is certified.',
    run: newVoters,
  },
]

const { holdMs, ttlMs, firstRenewMs, requestTimeoutMs, retransmitMs, resumeRounds } = DEFAULT_TIMINGS

const replyTo = (arena: Arena, claim: Claim, voter: number): Ballot => {
  const { send } = claim.poll(arena.now)
  return arena.reply(voter, arena.signed(send!.request))!
}

function renewed(arena: Arena): Claim {
  const claim = arena.claim(21)
  arena.exchange(claim)
  arena.advance(firstRenewMs)
  arena.exchange(claim)
  return claim
}

/** The same voters go on as a new set, each with its own promises. */
function changeVoters(arena: Arena): void {
  const next = successorOf(arena.current, [1, 2, 3])
  arena.current = voterSetOf(next)
  for (const voter of arena.voters) voter.adopt(sealedEpoch(next), [])
}

function validity({ must }: Report): void {
  for (const clock of ['monoMs', 'bootMs', 'wallMs'] as const) {
    const arena = new Arena(1)
    const claim = arena.claim(21)
    arena.exchange(claim)
    const at = (ms: number): Instant => ({ ...arena.now, [clock]: arena.now[clock] + ms })
    must('I1', !claim.isValid(at(0.9 * holdMs)), `${clock} alone does not end a lease: another may have it`)
    must('L2.5', claim.isValid(at(0.9 * holdMs - 1)), `a lease ends too soon by ${clock}`)
  }
  const late = new Arena(1)
  const claim = late.claim(21)
  const { request } = claim.poll(late.now).send!
  late.advance(retransmitMs)
  const again = claim.poll(late.now).send!
  must('L2.5', again.request === request, 'a retransmission is another request')
  late.advance(1000)
  late.deliver(claim, late.reply(0, late.signed(request))!)
  late.advance(0.9 * holdMs - 2000)
  must('I1', !claim.isValid(late.now), 'validity does not count from before the first transmission')

  const slow = new Arena(1)
  const waiting = slow.claim(21)
  const grant = replyTo(slow, waiting, 0)
  slow.advance(0.9 * holdMs)
  must('I1', slow.deliver(waiting, grant)?.is !== 'certified', 'a grant certifies whose time is up')

  const asleep = new Arena(3)
  const sleeper = renewed(asleep)
  asleep.suspend(ttlMs)
  const rival = asleep.claim(22, { token: { epoch: 1, n: 2 } })
  asleep.exchange(rival)
  must('I1', !(rival.isValid(asleep.now) && sleeper.isValid(asleep.now)), 'two holders after a sleep')

  const short = new Arena(1)
  const shrinking = short.claim(21, { timings: { ...DEFAULT_TIMINGS, ttlMs: 2000 } })
  short.exchange(shrinking)
  short.advance(shrinking.dueMs(short.now) - short.now.monoMs)
  short.exchange(shrinking)
  short.advance(3000)
  must('L2.5', shrinking.isValid(short.now), 'a renewal that ends sooner replaces a longer validity')
}

function quorum({ must }: Report): void {
  for (const [voters, enough] of [
    [3, 2],
    [4, 3],
    [5, 3],
  ] as const) {
    const arena = new Arena(voters)
    const claim = arena.claim(21)
    const few = arena.exchange(
      claim,
      Array.from({ length: enough - 1 }, (_, i) => i),
    )
    must('I1', few.length === 0, `${enough - 1} of ${voters} voters are a quorum`)
    arena.advance(retransmitMs)
    must('L2.5', arena.exchange(claim, [enough - 1]).join() === 'certified', `${enough} of ${voters} voters are none`)
  }
  const arena = new Arena(3)
  const claim = arena.claim(21)
  const grant = replyTo(arena, claim, 0)
  arena.deliver(claim, grant)
  must('I1', arena.deliver(claim, grant) === undefined, 'one voter counts twice')

  const excluding = new Arena(3)
  const wary = excluding.claim(21, { isExcluded: (_voter, inc) => inc === hex(1) })
  must('L2.12', excluding.exchange(wary, [0, 1]).length === 0, 'a voter that broke its word counts')
}

function hostileAnswers({ must }: Report): void {
  const arena = new Arena(1)
  const noted: unknown[] = []
  const claim = arena.claim(21, { noteGrant: (grant) => noted.push(grant) })
  const grant = replyTo(arena, claim, 0)
  const { body } = grant as Signed<Grant>
  arena.deliver(claim, signedBy(2, 'grant', body))
  must('L2.5', noted.length === 0 && !claim.isValid(arena.now), 'a grant counts that its voter did not sign')
  for (const [what, change] of [
    ['another request', { reqHash: new Uint8Array(32) }],
    ['another incarnation', { inc: hex(99) }],
    ['another length', { ttl: 9 }],
    ['another token', { token: { epoch: 1, n: 9 } }],
    ['a token of another epoch', { token: { epoch: 9, n: 1 } }],
    ['another epoch', { epoch: 9 }],
    ['another number', { seq: 9 }],
    ['another mesh', { space: 'cd'.repeat(32) as typeof space }],
    ['another lease', { lid: hex(9) }],
  ] as const) {
    arena.deliver(claim, signedBy(1, 'grant', { ...body, ...change }))
    must('I4', noted.length === 0 && !claim.isValid(arena.now), `a grant for ${what} counts`)
  }
  const { reqHash, lid } = body
  const deny: Refused = { voter: peer(1), lid, reqHash, why: 'conflict' }
  const ends = (what: string, change: Partial<Refused>): void => {
    const fresh = new Arena(1)
    const asking = fresh.claim(21)
    const { hash } = asking.poll(fresh.now).send!.request
    fresh.deliver(asking, { ...deny, reqHash: hash, ...change })
    must('L2.5', !asking.hasEnded, `${what} ends the attempt`)
  }
  ends('a refusal of another request', { reqHash: new Uint8Array(32) })
  ends('a refusal by no voter', { voter: peer(2) })

  const pair = new Arena(3)
  const split = pair.claim(21)
  const { request } = split.poll(pair.now).send!
  const signed = pair.signed(request)
  pair.deliver(split, pair.reply(0, signed)!)
  const no = { ...deny, reqHash: request.hash }
  pair.deliver(split, no)
  pair.deliver(split, { ...no, voter: peer(2) })
  must('L2.5', !split.hasEnded, 'a voter refuses what it has granted, and the attempt is over')

  const changed = new Arena(3)
  const patient = changed.claim(21)
  const asked = changed.signed(patient.poll(changed.now).send!.request)
  const refusing = { ...deny, reqHash: asked.hash }
  changed.deliver(patient, refusing)
  changed.deliver(patient, changed.reply(0, asked)!)
  changed.deliver(patient, { ...refusing, voter: peer(2) })
  must('L2.5', !patient.hasEnded, 'a voter that grants after all still counts as refusing')
}

function withdrawn({ must }: Report): void {
  const arena = new Arena(1)
  const claim = arena.claim(21)
  const grant = replyTo(arena, claim, 0)
  claim.release()
  must(
    'I1',
    arena.deliver(claim, grant) === undefined && !claim.isValid(arena.now),
    'late grants of a withdrawn request count',
  )
  must('L2.5', claim.poll(arena.now).send === undefined, 'asks again for what it has withdrawn')
  const used = new Arena(1)
  const held = renewed(used)
  held.release()
  must('I1', !held.isValid(used.now), 'is used after its release')
  used.advance(ttlMs)
  must('L2.5', held.poll(used.now).send === undefined, 'renews what it has released')
  const moved = new Arena(3)
  const carried = renewed(moved)
  moved.advance(20_000)
  carried.poll(moved.now)
  moved.current = voterSetOf(successorOf(moved.current, [4, 5]))
  const { to } = carried.release()
  must(
    'L2.5',
    [1, 4].every((n) => to.includes(peer(n))),
    'does not tell all that may have granted it of the release',
  )
  const refusedBy = (one: Claim, arena: Arena, why: Refused['why']): boolean => {
    const { hash: reqHash } = one.poll(arena.now).send!.request
    arena.deliver(one, { voter: peer(1), lid: one.spec.lid, reqHash, why })
    return !one.release().to.includes(peer(1))
  }
  const fresh = new Arena(3)
  must(
    'L2.5',
    !refusedBy(fresh.claim(21), fresh, 'epoch'),
    'a voter that may have granted before it was sealed is not told',
  )
  must(
    'L2.5',
    !refusedBy(fresh.claim(21, { isResumed: true }), fresh, 'conflict'),
    'a voter that granted to an earlier process is not told',
  )
  const renewing = new Arena(3)
  const kept = renewed(renewing)
  renewing.advance(20_000)
  must('L2.5', !refusedBy(kept, renewing, 'revoked'), 'a voter that granted before it refused is not told')
}

function rounds({ must }: Report): void {
  const arena = new Arena(3)
  const claim = arena.claim(21, { firstSeq: 7 })
  const first = claim.poll(arena.now).send!.request
  must('L2.5', first.body.ttl === holdMs, 'a first attempt blocks others for the full length')
  must('L2.11', first.body.seq === 7, 'sequence numbers of an earlier process are used again')
  arena.deliver(claim, arena.reply(0, arena.signed(first))!)
  arena.advance(retransmitMs)
  const again = claim.poll(arena.now).send!
  must('L2.5', !again.to.includes(peer(1)), 'asks voters again that have answered')
  arena.advance(requestTimeoutMs)
  must('L2.5', claim.poll(arena.now).event?.is === 'refused', 'waits for ever for voters that are gone')

  const renewing = new Arena(3)
  const held = renewed(renewing)
  renewing.advance(20_000)
  const old = held.poll(renewing.now).send!.request
  const late = [0, 1].map((voter) => renewing.reply(voter, renewing.signed(old))!)
  renewing.advance(requestTimeoutMs)
  held.poll(renewing.now)
  renewing.advance(1000)
  const fresh = held.poll(renewing.now).send
  must('L2.5', fresh !== undefined, 'does not renew again after a round that failed')
  must('L2.11', fresh?.request.body.seq === old.body.seq + 1, 'a sequence number stands for two requests')
  for (const grant of late) must('I4', renewing.deliver(held, grant) === undefined, 'grants of an earlier round count')

  const doomed = new Arena(3)
  doomed.exchange(doomed.claim(22))
  const refused = doomed.claim(21, { token: { epoch: 1, n: 2 } })
  must('L2.5', doomed.exchange(refused, [0, 1]).includes('refused'), 'waits although a quorum has become impossible')

  const behind = (isHasty: boolean): string[] => {
    const stale = new Arena(3)
    const before = stale.claim(22)
    stale.exchange(before)
    stale.release(before)
    for (const n of [1, 2]) stale.voters[n] = new VoterLab(n + 1, stale.set)
    return stale.exchange(stale.claim(21, { isHasty }), [0])
  }
  must('L2.5', behind(true).join() === 'refused', 'a token that is too low is not corrected at once')
  must('L2.5', behind(false).length === 0, 'one voter that wants more stops all attempts')
}

function lapse({ must }: Report): void {
  const arena = new Arena(3)
  const claim = renewed(arena)
  arena.suspend(ttlMs)
  const { event, send } = claim.poll(arena.now)
  must('L2.5', event?.is === 'suspended', 'a lapse goes unnoticed')
  must('L2.5', send?.request.body.ttl === holdMs, 'resumes for the full length')
  must('I2b', send?.request.body.token.n === 1, 'resumes with a token that was never certified')

  const lost = new Arena(3)
  const loser = renewed(lost)
  lost.suspend(ttlMs)
  const rival = lost.claim(22, { token: { epoch: 1, n: 2 } })
  lost.exchange(rival)
  lost.release(rival)
  const events: string[] = []
  let asked = 0
  for (let ms = 0; ms < 60_000; ms += 500) {
    const polled = loser.poll(lost.now)
    if (polled.send && polled.send.to.length === 3) asked += 1
    if (polled.event) events.push(polled.event.is)
    for (const voter of polled.send ? [0, 1, 2] : []) {
      const answer = lost.reply(voter, lost.signed(polled.send!.request))
      const told = answer && lost.deliver(loser, answer)
      if (told) events.push(told.is)
    }
    lost.advance(500)
  }
  must('I2b', !events.includes('resumed'), 'is resumed although another was certified in between')
  must(
    'L2.5',
    events.at(-1) === 'lost' && asked === resumeRounds,
    `asks ${asked} times whether it may go on: ${events.join()}`,
  )

  const answered = new Arena(1)
  const sleeper = renewed(answered)
  answered.advance(20_000)
  const early = replyTo(answered, sleeper, 0)
  answered.suspend(ttlMs)
  const asksAgain = sleeper.poll(answered.now).send?.request.body.ttl === holdMs
  must('L2.5', asksAgain, 'goes on with a renewal of before the lapse instead of asking whether it may resume')
  must('I1', answered.deliver(sleeper, early) === undefined, 'an answer of before the lapse revives the lease')

  const due = new Arena(1)
  const watched = renewed(due)
  due.advance(20_000)
  watched.poll(due.now)
  must('L2.5', watched.dueMs(due.now) <= due.now.monoMs + 0.9 * ttlMs, 'nobody looks when the lease lapses')

  const restarted = new Arena(3)
  renewed(restarted)
  const resumed = restarted.claim(21, { isResumed: true, firstSeq: 100 })
  must('I1', !resumed.isValid(restarted.now), 'a lease of an earlier process is valid before the voters say so')
  const words = restarted.exchange(resumed)
  must('L2.11', words.join() === 'resumed', `a lease of an earlier process does not go on: ${words.join()}`)
}

function newVoters({ must }: Report): void {
  const asked = (arena: Arena, claim: Claim) => claim.poll(arena.now).send?.request.body

  const arena = new Arena(3)
  const claim = renewed(arena)
  changeVoters(arena)
  arena.nextToken = 7
  const first = asked(arena, claim)
  must(
    'L2.7',
    first?.epoch === 2 && first.token.epoch === 2,
    'does not ask the new voters under a token of their epoch',
  )
  must('I3', claim.isValid(arena.now), 'is not valid any more although it was certified')
  arena.nextToken = 8
  arena.advance(requestTimeoutMs)
  claim.poll(arena.now)
  arena.advance(1000)
  must('L2.7', asked(arena, claim)?.token.n === 7, 'asks for another token of the same epoch each time')
  must('I3', claim.token.epoch === 1, 'uses the token of the new epoch before it is certified')

  const going = new Arena(3)
  const gone = renewed(going)
  going.advance(20_000)
  const { request } = gone.poll(going.now).send!
  const late = [0, 1, 2].map((voter) => going.reply(voter, going.signed(request))!)
  changeVoters(going)
  gone.poll(going.now)
  for (const grant of late) must('L2.7', going.deliver(gone, grant) === undefined, 'grants of the voters before count')
  going.advance(1000)
  must('L2.7', going.exchange(gone).join() === 'retokened', 'is not carried over')

  for (const isAsking of [true, false]) {
    const start = new Arena(3)
    const attempt = start.claim(21)
    if (isAsking) start.exchange(attempt, [0])
    changeVoters(start)
    must('L2.7', attempt.poll(start.now).event?.is === 'refused', 'asks new voters with a token of the epoch before')
  }

  const lapsing: [string, (arena: Arena, claim: Claim) => void][] = [
    ['before the change', (of, one) => (of.suspend(ttlMs), one.poll(of.now), changeVoters(of))],
    ['after the change', (of) => (changeVoters(of), of.suspend(ttlMs))],
    ['while its new token is asked for', (of, one) => (changeVoters(of), one.poll(of.now), of.suspend(ttlMs))],
  ]
  for (const [when, happens] of lapsing) {
    const of = new Arena(3)
    const one = renewed(of)
    happens(of, one)
    const { event } = one.poll(of.now)
    must('I2b', event?.is === 'lost', `a lease that lapsed ${when} is not lost`)
  }
  const over = new Arena(3)
  const slow = renewed(over)
  changeVoters(over)
  over.advance(slow.dueMs(over.now) - over.now.monoMs)
  const pending = slow.poll(over.now).send!.request
  const grants = [0, 1].map((voter) => over.reply(voter, over.signed(pending))!)
  over.suspend(52_000)
  const words = grants.map((grant) => over.deliver(slow, grant)?.is)
  must('I2b', words[1] === 'lost', 'a lapsed lease goes on under a token of the new epoch')
  const back = new Arena(3)
  renewed(back)
  changeVoters(back)
  const resumed = back.claim(21, { isResumed: true, firstSeq: 100 })
  must('I2b', resumed.poll(back.now).event?.is === 'lost', 'a lease of an earlier process goes on with other voters')
}
