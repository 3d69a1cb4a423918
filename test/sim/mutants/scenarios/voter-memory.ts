import { decodeRecord, encodeRecord } from '../../../../protocols/lease/records.ts'
import { TOMBSTONES_MAX } from '../../../../protocols/lease/voter-state.ts'
import { hex, path, peer, position, releaseOf, requestOf, signedBy, VoterLab } from '../../../support/lease-lab.ts'
import type { Report, Scenario } from '../scenario.ts'
import { fillLog } from './voter-requests.ts'

export const voterMemoryScenarios: readonly Scenario[] = [
  { id: 'after-release', says: 'A lease that was released is closed for good.', run: afterRelease },
  {
    id: 'hostile-releases',
    says: 'A release counts when the holder, a member, signed it for this mesh.',
    run: hostileReleases,
  },
  { id: 'promises', says: 'A promise is never shortened, neither by a renewal nor by a restart.', run: promises },
  { id: 'counter', says: 'The counter of a voter only grows, whatever is compacted.', run: counter },
  { id: 'compaction', says: 'A compacted journal has the same effect.', run: compaction },
  {
    id: 'rolled-back-voter',
    says: 'A voter whose disk was rolled back gives up its vote, and no other does.',
    run: rolledBack,
  },
  { id: 'last-writes', says: 'The next holder learns of the last write of the one before.', run: lastWrites },
  { id: 'bounded-memory', says: 'What strangers can make a voter remember is bounded.', run: boundedMemory },
]

const COMPACT = [
  ['a restart', (lab: VoterLab) => lab.restart()],
  ['compaction', (lab: VoterLab) => lab.restart(lab.voter.snapshot())],
] as const

function afterRelease({ must }: Report): void {
  for (const isEarly of [false, true]) {
    const what = isEarly ? 'a request that its release has overtaken' : 'a released lease'
    const lab = new VoterLab()
    if (!isEarly) lab.ask(requestOf())
    lab.release(releaseOf(requestOf(), 21))
    must('L2.4.6', lab.answer(requestOf({ seq: 1, n: 5 })) === 'released', `grants ${what}`)
    for (const [how, reopen] of COMPACT) {
      reopen(lab)
      must('L2.4.6', lab.answer(requestOf({ seq: 1, n: 5 })) === 'released', `grants ${what} after ${how}`)
    }
    if (!isEarly) must('L2.5', lab.answer(requestOf({ by: 22, n: 2 })) === 'grant', 'a released lease blocks others')
  }
  const lab = new VoterLab()
  lab.ask(requestOf())
  lab.ask(requestOf({ by: 22, n: 2 }))
  must('L2.5', lab.release(releaseOf(requestOf(), 21)).free.length === 1, 'whoever waited is not told')
  const { length } = lab.journal
  lab.release(releaseOf(requestOf(), 21))
  lab.release(releaseOf(requestOf({ by: 23 }), 23))
  lab.release(releaseOf(requestOf({ by: 23 }), 23))
  must('L2.4', lab.journal.length === length + 1, 'a release that is repeated fills the journal')
}

function hostileReleases({ must }: Report): void {
  const lab = new VoterLab()
  lab.ask(requestOf())
  const isHeld = (): boolean => lab.answer(requestOf({ by: 22, n: 2 })) === 'conflict'
  lab.release(releaseOf(requestOf(), 22))
  must('L2.4.1', isHeld(), 'a member releases what another one holds')
  lab.removed.add(peer(21))
  lab.release(releaseOf(requestOf(), 21))
  must('L2.4.1', isHeld(), 'a release of a removed member counts')
  const { length } = lab.journal
  lab.release(releaseOf(requestOf({ lid: hex(77) }), 21))
  must('L2.4.1', lab.journal.length === length, 'a removed member writes into the journal')
}

function promises({ must }: Report): void {
  const rival = requestOf({ by: 22, n: 2 })
  const lab = new VoterLab()
  lab.ask(requestOf({ ttl: 60_000 }))
  lab.nowMs = 1000
  lab.ask(requestOf({ seq: 1, ttl: 2000 }))
  lab.nowMs = 59_999
  must('L2.4.8', lab.answer(rival) === 'conflict', 'a shorter renewal shortens the promise')
  for (const [how, reopen] of COMPACT) {
    const voter = new VoterLab()
    voter.ask(requestOf({ ttl: 60_000 }))
    voter.ask(requestOf({ seq: 1, ttl: 2000 }))
    voter.nowMs = 50_000
    reopen(voter)
    voter.nowMs = 109_999
    must('L2.4.8', voter.answer(rival) === 'conflict', `${how} shortens a promise`)
    voter.nowMs = 110_000
    must('I6', voter.answer(rival) === 'grant', `${how} makes a promise longer than it ever was`)
  }
  const renewed = new VoterLab()
  renewed.ask(requestOf({ ttl: 2000 }))
  renewed.nowMs = 1000
  renewed.ask(requestOf({ seq: 1, ttl: 60_000 }))
  renewed.nowMs = 60_999
  must('L2.4.8', renewed.answer(rival) === 'conflict', 'a renewal promises nothing')
  renewed.restart(renewed.voter.snapshot())
  renewed.nowMs += 59_999
  must('L2.4.8', renewed.answer(rival) === 'conflict', 'compaction forgets the length of a renewal')
  must('I9', renewed.decide(requestOf({ by: 25, res: [path('b')] })).mustSync, 'a grant does not wait for the disk')
  must('I9', renewed.decide(requestOf({ seq: 2 })).mustSync, 'a renewal does not wait for the disk')
}

function counter({ must }: Report): void {
  const lab = new VoterLab()
  let last = 0
  const grows = (how: string, request = requestOf()): void => {
    const { vseq, first } = lab.grantOf(request).body
    must('I10', vseq > last, `${how} the counter does not grow: ${last}, then ${vseq}`)
    must('L2.12', first <= vseq, `${how} a grant began at ${first}, after its own number ${vseq}`)
    last = vseq
  }
  grows('at first')
  grows('with a renewal', requestOf({ seq: 1 }))
  lab.restart()
  grows('after a restart', requestOf({ seq: 2 }))
  lab.restart(lab.voter.snapshot())
  grows('after compaction', requestOf({ seq: 3 }))
  lab.release(releaseOf(requestOf(), 21))
  lab.restart(lab.voter.snapshot())
  grows('after compaction without live leases', requestOf({ by: 22, n: 2 }))
  const [one, two] = [
    lab.grantOf(requestOf({ by: 23, res: [path('c')] })),
    lab.grantOf(requestOf({ by: 23, seq: 1, res: [path('c')] })),
  ]
  must('L2.12', one.body.first === two.body.first, 'a renewal denies its first grant: honest voters would be convicted')
}

function compaction({ must }: Report): void {
  const lab = new VoterLab()
  lab.ask(requestOf({ ttl: 9000 }))
  lab.ask(requestOf({ seq: 1, ttl: 3000 }))
  const ended = requestOf({ by: 22, n: 4, res: [path('b')] })
  lab.ask(ended)
  lab.release(releaseOf(ended, 22, position(22, 9)))
  lab.release(releaseOf(requestOf({ by: 25 }), 25))
  const compacted = new VoterLab()
  compacted.restart(lab.voter.snapshot())
  const words = (voter: VoterLab): string[] => [
    voter.answer(requestOf({ seq: 1, ttl: 3000 })),
    voter.answer(requestOf({ by: 26, n: 9 })),
    voter.answer(requestOf({ by: 22, n: 4, res: [path('b')] })),
    voter.answer(requestOf({ by: 25 })),
    voter.answer(requestOf({ by: 27, n: 4, res: [path('b')] })),
    voter.answer(requestOf({ by: 28, n: 5, res: [path('b')] })),
    String(voter.voter.incarnation),
  ]
  const [as, then] = [words(lab), words(compacted)]
  must('L2.4', as.join() === then.join(), `after compaction it says ${then.join()} where it said ${as.join()}`)
}

function rolledBack({ must }: Report): void {
  const seen = { [`${peer(1)}/${hex(1)}`]: 1 }
  const lab = new VoterLab()
  const before = [...lab.journal]
  const evidence = lab.grantOf(requestOf())
  const later = lab.grantOf(requestOf({ seq: 1 }))
  lab.restart([...before])
  must('L2.4.4', lab.answer(requestOf({ by: 22, n: 2, seen })) === 'prove', 'grants although it has forgotten grants')
  const { reply } = lab.decide(requestOf())
  const decision = lab.accuse(later)
  must('L2.4.4', lab.voter.incarnation !== hex(1), 'keeps its vote although it was rolled back')
  must('L2.4.4', decision.mustSync, 'its new incarnation does not wait for the disk')
  must('L2.4.4', reply !== undefined && !lab.voter.settle(reply), 'lets out a grant of the incarnation it gave up')
  must('L2.4.4', lab.answer(requestOf({ by: 22, n: 2 })) === 'notvoter', 'votes under its new incarnation')
  lab.restart()
  must('L2.4.4', lab.answer(requestOf({ by: 22, n: 2 })) === 'notvoter', 'votes again after a restart')

  const sound = new VoterLab()
  sound.ask(requestOf())
  const { body } = evidence
  const lies = [
    signedBy(2, 'grant', { ...body, vseq: 99 }),
    signedBy(1, 'grant', { ...body, vseq: 99, inc: hex(9) }),
    signedBy(1, 'grant', { ...body, vseq: 99, voter: peer(2) }),
    signedBy(1, 'grant', body),
  ]
  for (const lie of lies) {
    sound.accuse(lie)
    const what = JSON.stringify([lie.body.vseq, lie.body.inc.slice(-2), lie.body.voter.slice(-4)])
    must('L2.4.4', sound.voter.incarnation === hex(1), `a sound voter gives up its vote because of ${what}`)
  }
}

function lastWrites({ must }: Report): void {
  const lab = new VoterLab()
  lab.ask(requestOf({ res: [path('p/a', 'subtree')] }))
  lab.release(releaseOf(requestOf(), 21, position(21, 5)))
  const afterOf = (by: number, key: string): string =>
    JSON.stringify(lab.grantOf(requestOf({ by, n: 9_000_000 + by, res: [path(key)] })).body.after)
  const expected = JSON.stringify([position(21, 5)])
  must('L2.4', afterOf(22, 'p/a/x') === expected, 'the next holder does not learn of the last write')
  for (const [how, reopen] of COMPACT) {
    reopen(lab)
    must('L2.4', afterOf(how === 'a restart' ? 23 : 24, `p/a/${how}`) === expected, `${how} forgets the last write`)
  }
  lab.nowMs = 100_000
  fillLog(lab)
  must('L2.4', afterOf(25, 'p/a/z') === expected, 'the last write goes with the lease that is forgotten')
  lab.restart(lab.voter.snapshot())
  must('L2.4', afterOf(26, 'p/a/y') === expected, 'compaction forgets last writes of forgotten leases')
  must('L2.4', afterOf(27, 'q/b') === '[]', 'everybody waits for the writes of another project')
}

function boundedMemory({ must }: Report): void {
  const lab = new VoterLab()
  for (let i = 0; i <= TOMBSTONES_MAX; i++) lab.journal.push(encodeRecord({ t: 'rel', node: peer(21), lid: hex(i) }))
  lab.restart()
  const tombstones = lab.voter.snapshot().filter((bytes) => decodeRecord(bytes).t === 'rel').length
  must('L2.4', tombstones === 1000, `remembers ${tombstones} releases of leases that it never granted`)
  lab.ask(requestOf({ lid: hex(5000), n: 2 }))
  for (let i = 0; i <= 64; i++) lab.ask(requestOf({ by: 22, lid: hex(6000 + i), n: 3 }))
  const { free } = lab.release(releaseOf(requestOf({ lid: hex(5000), n: 2 }), 21))
  must('L2.4', free.length === 64, `remembers ${free.length} that wait`)
  fillLog(lab)
  fillLog(lab)
  for (let i = 0; i < 1200; i++) {
    const lease = { node: peer(30), lid: hex(20_000 + i), res: [path(`more/${i}`)], token: { epoch: 1, n: 60 + i } }
    lab.journal.push(encodeRecord({ t: 'ended', ...lease, first: 0, released: true }))
  }
  lab.restart()
  const ended = lab.voter.snapshot().filter((bytes) => decodeRecord(bytes).t === 'ended').length
  must('L2.4', ended === 1000, `remembers the tokens of ${ended} leases that have ended`)
}
