import { MalformedError } from '../../../../protocols/codec.ts'
import type { Accept } from '../../../../protocols/lease/ballot.ts'
import { voterSetOf } from '../../../../protocols/lease/config.ts'
import type { Estate, LiveGrant } from '../../../../protocols/lease/estate.ts'
import { decodeRecord, encodeRecord } from '../../../../protocols/lease/records.ts'
import { WAIT_OUT_MS } from '../../../../protocols/lease/voter-state.ts'
import { pack, type Signed } from '../../../../protocols/lease/signing.ts'
import {
  configOf,
  founded,
  hex,
  otherSpace,
  path,
  peer,
  position,
  releaseOf,
  requestOf,
  signedBy,
  VoterLab,
} from '../../../support/lease-lab.ts'
import {
  acceptOf,
  ballotOf,
  forcedEpoch,
  prepareOf,
  sealedEpoch,
  successorOf,
  SuccessionLab,
  wordOf,
} from '../../../support/succession-lab.ts'
import type { Report, Scenario } from '../scenario.ts'

export const successionScenarios: readonly Scenario[] = [
  {
    id: 'ballots',
    says: 'A voter holds to the highest ballot it has promised, and tells what it accepted.',
    run: ballots,
  },
  {
    id: 'hostile-proposers',
    says: 'Only admins and voters of the epoch propose, and only what follows it.',
    run: hostileProposers,
  },
  {
    id: 'estates',
    says: 'What a voter leaves lists every promise that may run, for every ballot alike.',
    run: estates,
  },
  {
    id: 'adoption',
    says: 'A voter enters an epoch with the union of what was promised, once and never backwards.',
    run: adoption,
  },
  {
    id: 'carried-over',
    says: 'A lease that is carried over keeps its promise and gets one token of the new epoch.',
    run: carriedOver,
  },
  { id: 'cut-off', says: 'A crash while an epoch is entered or sealed loses nothing that was promised.', run: cutOff },
  { id: 'floor-never-falls', says: 'The floor of tokens never falls within an epoch.', run: floorNeverFalls },
]

const set = voterSetOf(configOf(3))
const next = successorOf(set, [2, 3, 4])
const nextSet = voterSetOf(next)
const lab = (number = 2, of = set): SuccessionLab => new SuccessionLab(number, of)
/** An empty voter that enters epoch 2. */
function successor(estates: readonly Estate[], number = 4): SuccessionLab {
  const voter = lab(number)
  voter.restart(voter.journal.slice(0, 1))
  voter.adopt(sealedEpoch(next), estates)
  return voter
}
const liveOf = (fields: Partial<LiveGrant> = {}): LiveGrant => ({
  node: peer(21),
  lid: hex(21),
  owner: 'boot/21',
  info: { instanceId: 'agent-21', untilMs: 0 },
  res: [path('a')],
  token: { epoch: 1, n: 1 },
  seq: 0,
  ttlMax: 10_000,
  after: [],
  ...fields,
})
const left = (...grants: LiveGrant[]): Estate => ({ grants, after: [] })

function ballots({ must }: Report): void {
  for (const how of ['', ' after a restart', ' after compaction']) {
    const reopen = (voter: SuccessionLab): void => {
      if (how !== '') voter.restart(how.includes('compact') ? voter.voter.snapshot() : voter.journal)
    }
    const voter = lab()
    const promise = voter.prepare(prepareOf(set, 1, ballotOf(5, 5)))
    must('I9', promise.mustSync, 'a promise does not wait for the disk')
    reopen(voter)
    for (const lower of [ballotOf(4, 9), ballotOf(5, 4)]) {
      must('I7', wordOf(voter.prepare(prepareOf(set, 1, lower))) === 'outbid', `promises a lower ballot${how}`)
      must('I7', wordOf(voter.accept(acceptOf(set, lower, next))) === 'outbid', `accepts a lower ballot${how}`)
    }
    must('I9', voter.accept(acceptOf(set, ballotOf(6), next)).mustSync, 'a seal does not wait for the disk')
    reopen(voter)
    must('I7', wordOf(voter.prepare(prepareOf(set, 1, ballotOf(5, 9)))) === 'outbid', `a seal is no promise${how}`)
    const { accepted } = voter.promiseTo(prepareOf(set, 1, ballotOf(7)))
    must('I7', accepted?.ballot.n === 6, `keeps to itself what it has accepted${how}`)
    const other = successorOf(set, [2])
    voter.accept(acceptOf(set, ballotOf(8), other))
    reopen(voter)
    const again = voter.promiseTo(prepareOf(set, 1, ballotOf(9))).accepted
    const isLatest = again !== undefined && again.config.b.join() === pack(other).b.join()
    must('I7', isLatest, `tells of an earlier value than the latest it accepted${how}`)
  }
  const counted = lab()
  counted.ask(requestOf({}, set))
  const promised = counted.promiseTo(prepareOf(set, 1, ballotOf(1)))
  const { vseq } = counted.sealFor(acceptOf(set, ballotOf(1), next))
  must('I10', promised.vseq > 1 && vseq > promised.vseq, 'promises and seals do not count: their rollback is not seen')
  counted.restart()
  counted.adopt(sealedEpoch(next), [])
  const after = counted.grantOf(requestOf({ by: 22, res: [path('b')] }, nextSet)).body.vseq
  must('I10', after > vseq, 'the counter falls with a new epoch')
}

function hostileProposers({ must }: Report): void {
  const started = lab().journal.length
  const tries = (what: string, by: number, fields: object = {}): void => {
    const voter = lab()
    const words = [
      wordOf(voter.prepare(prepareOf(set, by, ballotOf(1), fields))),
      wordOf(voter.accept(acceptOf(set, ballotOf(1), next, { by, ...fields }))),
    ]
    const isKept = words.every((word) => word === 'silence') && voter.journal.length === started
    must('L2.7', isKept, `listens to ${what}`)
  }
  tries('a member that may not propose', 21)
  tries('a proposal for another epoch', 1, { epoch: 2 })
  tries('a proposal for another set', 1, { cid: nextSet.cid })
  tries('a proposal for another mesh', 1, { space: otherSpace })
  const forged = lab()
  forged.prepare(signedBy(21, 'prepare', prepareOf(set, 1, ballotOf(1)).body))
  forged.accept(signedBy(21, 'accept', acceptOf(set, ballotOf(1), next).body))
  must('L2.7', forged.journal.length === started, 'listens to a proposal that its proposer did not sign')
  const stranger = lab(9)
  stranger.prepare(prepareOf(set, 1, ballotOf(1)))
  must('L2.7', stranger.journal.length === started, 'votes on voters without being one')
  const asVoter = wordOf(lab().prepare(prepareOf(set, 3, ballotOf(1))))
  must('L2.7', asVoter === 'promise', 'does not let voters complete what a proposer left')

  const refuses = (what: string, accept: Signed<Accept>): void => {
    const voter = lab()
    const word = attempt(() => wordOf(voter.accept(accept)))
    must('L2.7', word === 'silence' && voter.journal.length === started, `seals for a configuration ${what}`)
  }
  const follows = (fields: object): Signed<Accept> => acceptOf(set, ballotOf(1), successorOf(set, [4], fields))
  refuses('of a later epoch', follows({ epoch: 3 }))
  refuses('of this epoch', follows({ epoch: 1 }))
  refuses('that follows another', follows({ prev: next.hash }))
  refuses('that follows none', follows({ prev: null }))
  refuses('of another mesh', follows({ space: otherSpace }))
  const byVoter = signedBy(2, 'config', { ...next.body, by: peer(2) })
  refuses('that no admin signed', acceptOf(set, ballotOf(1), byVoter, { by: 2 }))
  refuses('that its author did not sign', acceptOf(set, ballotOf(1), signedBy(2, 'config', next.body)))
  refuses('that names a voter twice', acceptOf(set, ballotOf(1), successorOf(set, [4, 4])))
}

/** What cannot be understood is answered with silence by whoever feeds the voter. */
function attempt(say: () => string): string {
  try {
    return say()
  } catch (error) {
    if (error instanceof MalformedError) return 'silence'
    throw error
  }
}

function estates({ must }: Report): void {
  const voter = lab()
  voter.ask(requestOf({ ttl: 60_000 }, set))
  voter.ask(requestOf({ seq: 1, ttl: 1000 }, set))
  voter.decide(requestOf({ by: 22, n: 2, res: [path('b')] }, set)) // not on disk yet
  const seal = voter.sealFor(acceptOf(set, ballotOf(1), next))
  const { grants } = voter.estateOf(seal)
  must(
    'I1',
    grants.some(({ lid }) => lid === hex(21)),
    'leaves out a lease that is live',
  )
  must(
    'I1',
    grants.some(({ lid }) => lid === hex(22)),
    'leaves out a promise that is not on disk yet',
  )
  must('I1', grants[0]?.ttlMax === 60_000, 'leaves a promise shorter than it was made')
  const { estate, pages } = seal
  for (const how of ['', 'a restart', 'compaction']) {
    if (how !== '') voter.restart(how === 'compaction' ? voter.voter.snapshot() : voter.journal)
    voter.nowMs += 5000
    voter.release(releaseOf(requestOf({ by: 22 }), 22))
    const again = voter.sealFor(acceptOf(set, ballotOf(voter.nowMs), successorOf(set, [5])))
    const isSame = again.pages === pages && again.estate.join() === estate.join()
    must('L2.7', isSame, `leaves another estate at a later ballot after ${how || 'a while'}`)
    must(
      'L2.7',
      voter.voter.succession.page(estate, 0) !== undefined,
      `has lost what it left after ${how || 'a while'}`,
    )
  }
  must('L2.7', voter.voter.succession.page(new Uint8Array(32), 0) === undefined, 'passes its estate off as another')
  const expired = lab()
  expired.ask(requestOf({ ttl: 1000 }, set))
  expired.nowMs = 1000
  const none = expired.estateOf(expired.sealFor(acceptOf(set, ballotOf(1), next)))
  must('L2.7', none.grants.length === 0, 'leaves a promise that has ended, which begins anew')
  const written = lab()
  written.ask(requestOf({ res: [path('p/a')] }, set))
  written.release(releaseOf(requestOf({}, set), 21, position(21, 5)))
  const estateLeft = written.estateOf(written.sealFor(acceptOf(set, ballotOf(1), next)))
  must('L2.7', estateLeft.after.length === 1, 'leaves out the last writes')
  const heir = successor([estateLeft])
  const { after } = heir.grantOf(requestOf({ by: 30, res: [path('p/b')] }, nextSet)).body
  must('L2.7', after.length === 1, 'forgets the last writes of the epoch before')
  const busy = Array.from({ length: 6 }, (_, k) =>
    Array.from({ length: 256 }, (_, n) => ({ scope: `path:p${k}-${n}`, at: position(21, n) })),
  )
  const many = successor(busy.map((writes) => ({ grants: [], after: writes })))
  const canRestart = attempt(() => (many.restart(), 'yes')) === 'yes'
  must('L2.7', canRestart, 'a voter writes a journal that it cannot read again')
}

function adoption({ must }: Report): void {
  const a = left(liveOf({ ttlMax: 60_000 }), liveOf({ node: peer(22), lid: hex(22), res: [path('b')], ttlMax: 1000 }))
  const b = left(liveOf({ ttlMax: 5000, seq: 5, token: { epoch: 1, n: 9 } }))
  for (const estates of [
    [a, b],
    [b, a],
  ]) {
    for (const isRestarted of [false, true]) {
      const voter = successor(estates)
      if (isRestarted) voter.restart(voter.voter.snapshot())
      const rival = (key: string, n = 30) =>
        voter.answer(requestOf({ by: 30, lid: hex(1000 + n), n, res: [path(key)] }, nextSet))
      must('I1', rival('a') === 'conflict' && rival('b') === 'conflict', 'a new epoch starts without what was promised')
      must(
        'L2.4.6',
        voter.answer(requestOf({ seq: 5, n: 2 }, nextSet)) === 'silence',
        'grants a request of before the change',
      )
      voter.nowMs = 59_999
      must('L2.7', rival('a', 31) === 'conflict', 'of two promises to one lease the shorter counts')
      voter.nowMs = 60_000
      must('I6', rival('a', 32) === 'grant', 'what was promised before blocks for ever')
    }
  }
  const empty = successor([])
  must(
    'I2',
    empty.answer(requestOf({ n: 0 }, nextSet)) === 'stale',
    'a token of the new epoch is no higher than those before',
  )

  const old = lab()
  old.prepare(prepareOf(set, 1, ballotOf(500)))
  old.accept(acceptOf(set, ballotOf(500), next))
  const closed = requestOf({ by: 23, res: [path('c')] }, set)
  old.release(releaseOf(closed, 23))
  const adopted = old.adopt(sealedEpoch(next), [left(liveOf({ node: peer(23), lid: hex(23), res: [path('c')] }))])
  must('I9', adopted.mustSync, 'the new epoch does not wait for the disk')
  must('I6', old.answer(requestOf({}, nextSet)) === 'grant', 'a voter that has sealed once is deaf in the next epoch')
  must(
    'I6',
    wordOf(old.prepare(prepareOf(nextSet, 1, ballotOf(1)))) === 'promise',
    'the ballots of an epoch outbid those of the next',
  )
  const waiting = requestOf({ by: 24, n: 3, res: [path('c')] }, nextSet)
  must('L2.4.6', old.answer(waiting) === 'grant', 'a lease that was withdrawn here blocks since another did not know')

  const heard = lab()
  heard.ask(requestOf({}, set))
  heard.release(releaseOf(requestOf({}, set), 21))
  heard.adopt(sealedEpoch(next), [left(liveOf())])
  must('L2.4.6', heard.answer(requestOf({ seq: 1, n: 2 }, nextSet)) === 'released', 'a released lease comes along')
  must('L2.4.6', heard.answer(requestOf({ by: 22 }, nextSet)) === 'grant', 'a released lease blocks the next epoch')

  const quiet = lab()
  quiet.ask(requestOf({ ttl: 1000 }, set))
  quiet.nowMs = 1000
  quiet.adopt(sealedEpoch(next), [])
  must('I6', quiet.answer(requestOf({ by: 22 }, nextSet)) === 'grant', 'a promise that has ended begins anew')

  const voter = successor([])
  voter.ask(requestOf({}, nextSet))
  const { length } = voter.journal
  voter.adopt(sealedEpoch(next), [])
  voter.adopt(founded(set), [])
  must('L2.7', voter.journal.length === length, 'enters an epoch twice')
  must('L2.7', voter.voter.succession.set?.epoch === 2, 'goes back to an epoch that is over')
  must('L2.7', lab(9).voter.succession.needs(sealedEpoch(next)) === 'nothing', 'waits for what only voters need')
  must('L2.7', lab(4).voter.succession.needs(sealedEpoch(next)) === 'estates', 'votes without asking what was promised')
  const forced = forcedEpoch(successorOf(set, [4], { epoch: 1000 }))
  must('L2.7', lab(4).voter.succession.needs(forced) === 'time', 'does not wait although nobody was asked')
  const outsider = lab(1)
  outsider.adopt(sealedEpoch(next), 'time')
  must('L2.7', outsider.voter.waitsMs(0) === 0, 'waits although it has no vote')

  const logged = lab()
  for (let i = 0; i < 20; i++) {
    const lease = { node: peer(30), lid: hex(10_000 + i), res: [path(`fill/${i}`)], token: { epoch: 1, n: 60 + i } }
    logged.journal.push(encodeRecord({ t: 'ended', ...lease, first: 0, released: true }))
  }
  logged.restart()
  logged.adopt(sealedEpoch(next), [])
  const kept = logged.voter.snapshot().filter((bytes) => decodeRecord(bytes).t === 'ended').length
  must('L2.7', kept === 0, `remembers ${kept} leases of the epoch before although all tokens are above theirs`)
}

function carriedOver({ must }: Report): void {
  for (const isRestarted of [false, true]) {
    const how = isRestarted ? ' after compaction' : ''
    const voter = lab()
    voter.ask(requestOf({ ttl: 60_000 }, set))
    voter.accept(acceptOf(set, ballotOf(1), next))
    voter.adopt(sealedEpoch(next), [])
    if (isRestarted) voter.restart(voter.voter.snapshot())
    const rival = (n: number) => requestOf({ by: 22, lid: hex(100 + n), n }, nextSet)
    must('I1', voter.answer(rival(9)) === 'conflict', `a promise ends with its epoch${how}`)
    voter.nowMs = 1000
    must(
      'L2.7',
      voter.answer(requestOf({ seq: 1, n: 3, ttl: 2000 }, nextSet)) === 'grant',
      `a lease is not carried over${how}`,
    )
    must(
      'L2.4.7',
      voter.answer(requestOf({ seq: 2, n: 4, ttl: 2000 }, nextSet)) === 'malformed',
      `it changes its token twice${how}`,
    )
    const estate = voter.estateOf(voter.sealFor(acceptOf(nextSet, ballotOf(1), successorOf(nextSet, [2]))))
    must('L2.7', estate.grants[0]?.token.epoch === 2, `the voter keeps the token of the epoch before${how}`)
    const again = lab()
    again.ask(requestOf({ ttl: 60_000 }, set))
    again.adopt(sealedEpoch(next), [])
    again.nowMs = 1000
    again.ask(requestOf({ seq: 1, n: 3, ttl: 2000 }, nextSet))
    again.nowMs = 59_999
    must('L2.4.8', again.answer(rival(10)) === 'conflict', `the first grant in an epoch shortens the promise${how}`)
  }
  const both = successor([left(liveOf()), left(liveOf({ node: peer(22), lid: hex(22), owner: 'boot/22' }))])
  const words = [21, 22].map((by) => both.answer(requestOf({ by, seq: 1, n: 5 }, nextSet)))
  must(
    'L2.7',
    words.join() === 'conflict,conflict',
    `of two leases that contradict each other one goes on: ${words.join()}`,
  )
}

function cutOff({ must }: Report): void {
  const before = lab()
  before.ask(requestOf({}, set))
  const estate = before.estateOf(before.sealFor(acceptOf(set, ballotOf(1), next)))
  const entered = successor([estate], 2)
  const rival = requestOf({ by: 22, lid: hex(2), token: { epoch: 2, n: 9 } }, nextSet)
  for (let kept = 2; kept <= entered.journal.length; kept++) {
    const again = lab()
    again.restart(entered.journal.slice(0, kept))
    must('L2.7', again.answer(rival) !== 'grant', `grants what was promised when it has ${kept} records`)
  }
  const waiting = successor([estate], 2)
  waiting.restart(waiting.journal.slice(0, 2))
  waiting.nowMs += WAIT_OUT_MS
  waiting.answer(rival)
  waiting.restart()
  must('I6', waiting.voter.waitsMs(waiting.nowMs) === 0, 'waits again after it has waited')

  before.adopt(sealedEpoch(next), [estate])
  before.ask(requestOf({ lid: hex(3), res: [path('b')], token: { epoch: 2, n: 9 } }, nextSet))
  const { length } = before.journal
  const following = acceptOf(nextSet, ballotOf(1), successorOf(nextSet, [5]))
  before.sealFor(following)
  for (let kept = length; kept <= before.journal.length; kept++) {
    const again = lab()
    again.restart(before.journal.slice(0, kept))
    const { grants } = again.estateOf(again.sealFor(following))
    must('L2.7', grants.length === 2, `leaves ${grants.length} of 2 promises`)
  }
}

function floorNeverFalls({ must }: Report): void {
  const voter = new VoterLab()
  const end = (i: number, n: number): void => {
    const lease = { node: peer(30), lid: hex(10_000 + i), res: [path(`fill/${i}`)], token: { epoch: 1, n } }
    voter.journal.push(encodeRecord({ t: 'ended', ...lease, first: 0, released: true }))
  }
  end(0, 500)
  for (let i = 1; i < 1010; i++) end(i, 2)
  voter.restart()
  must('I10', voter.answer(requestOf({ n: 400 })) === 'stale', 'the floor falls when a lower token is forgotten')
}
