import { voterSetOf } from '../../../../protocols/lease/config.ts'
import { Deny, LEASES_PER_OWNER_MAX } from '../../../../protocols/lease/messages.ts'
import { encodeRecord } from '../../../../protocols/lease/records.ts'
import { configOf, hex, otherSpace, path, peer, releaseOf, requestOf, VoterLab } from '../../../support/lease-lab.ts'
import { acceptOf, ballotOf, forcedEpoch, successorOf, SuccessionLab } from '../../../support/succession-lab.ts'
import { WAIT_OUT_MS } from '../../../../protocols/lease/voter-state.ts'
import type { Report, Scenario } from '../scenario.ts'

export const voterRequestScenarios: readonly Scenario[] = [
  {
    id: 'hostile-requests',
    says: 'A voter grants nothing to a request that another makes, that its sender may not make, or addressed to others.',
    run: hostileRequests,
  },
  { id: 'copies', says: 'A request that comes again brings no new promise.', run: copies },
  { id: 'conflict', says: 'While a promise runs, nothing that overlaps is granted to another owner.', run: conflict },
  { id: 'one-lease-one-thing', says: 'A lease id keeps its owner, token and resources.', run: oneLeaseOneThing },
  {
    id: 'tokens',
    says: 'A token is above those of all overlapping leases before, also of forgotten ones.',
    run: tokens,
  },
  { id: 'expiry', says: 'A promise ends when it has run out, and not before.', run: expiry },
  { id: 'sealed-voter', says: 'A voter that has sealed its epoch grants and renews nothing.', run: sealedVoter },
  {
    id: 'forced-wait',
    says: 'A voter whose predecessors cannot be asked waits until their promises ended.',
    run: forcedWait,
  },
  { id: 'limits-of-a-member', says: 'One member holds a bounded number of live leases.', run: limitsOfAMember },
]

function hostileRequests({ must }: Report): void {
  const answer = (request: Parameters<VoterLab['answer']>[0]): string => new VoterLab().answer(request)
  must(
    'L2.4.1',
    new VoterLab().answer(requestOf(), peer(22)) === 'silence',
    'votes for what comes from another than its holder',
  )
  const lab = new VoterLab()
  lab.removed.add(peer(21))
  must('L2.4.1', lab.answer(requestOf()) === 'revoked', 'serves a member that was removed')
  for (const res of [[path('b'), path('a')], [path('a'), path('a')], [path('a/../b')], [path('e\u0301')]])
    must('L2.4.1', answer(requestOf({ res })) === 'malformed', `takes ${JSON.stringify(res)} for normalised`)
  const ahead = requestOf({ token: { epoch: 9, n: 1 } })
  must('L2.4.1', answer(ahead) === 'malformed', 'takes a token of a far epoch')
  must('L2.4.1', answer(requestOf({ space: otherSpace })) === 'malformed', 'serves another mesh')
  must('L2.4.3', answer(requestOf({ cid: new Uint8Array(32) })) === 'epoch', 'grants for a set that is not its own')
  const later = requestOf({ epoch: 2, token: { epoch: 2, n: 1 } })
  must('L2.4.3', answer(later) === 'epoch', 'grants in an epoch that it has not entered')
  const lost = new VoterLab(2, voterSetOf(configOf(1)))
  must('L2.4.3', lost.answer(requestOf()) === 'notvoter', 'votes under an incarnation that the set does not name')
}

function copies({ must }: Report): void {
  const unsynced = new VoterLab()
  const { reply } = unsynced.decide(requestOf())
  must('I9', unsynced.decide(requestOf()).reply === undefined, 'sends a grant whose record is not on disk')
  unsynced.voter.settle(reply!)
  must('L2.4.6', unsynced.answer(requestOf()) === 'grant', 'keeps the grant back from whoever asks again')

  const lab = new VoterLab()
  const request = requestOf({ seq: 5, ttl: 5000 })
  lab.ask(request)
  must('L2.4.6', lab.answer(requestOf({ seq: 5, ttl: 5000, nonce: hex(7) })) === 'silence', 'grants one number twice')
  must('L2.4.6', lab.answer(requestOf({ seq: 4 })) === 'silence', 'grants a request that was overtaken')
  lab.nowMs = 4000
  lab.ask(request)
  lab.nowMs = 5000
  must('L2.4.6', lab.answer(requestOf({ by: 22, n: 2 })) === 'grant', 'a copy has extended the promise')

  const twice = new VoterLab()
  const first = twice.decide(requestOf())
  const second = twice.decide(requestOf({ seq: 1 }))
  twice.voter.settle(first.reply!)
  must('I9', twice.answer(requestOf({ seq: 1 })) === 'silence', 'the sync of one grant lets out a later one')
  twice.voter.settle(second.reply!)
  const third = twice.decide(requestOf({ seq: 2 }))
  must('I9', twice.answer(requestOf({ seq: 2 })) === 'silence', 'sends a renewal whose record is not on disk')
  twice.voter.settle(third.reply!)
  must('L2.4.6', twice.answer(requestOf({ seq: 2 })) === 'grant', 'forgets that a grant is on disk')
}

function conflict({ must }: Report): void {
  const lab = new VoterLab()
  lab.ask(requestOf({ res: [path('src', 'subtree')] }))
  const rival = { by: 22, n: 2, res: [path('src/a')] }
  must('L2.4.7', lab.answer(requestOf(rival)) === 'conflict', 'grants what another holds')
  const namesake = requestOf({ ...rival, owner: 'boot/21' })
  must('L2.4.7', lab.answer(namesake) === 'conflict', 'takes the owner of another node for its namesake')
  const neighbour = requestOf({ lid: hex(9), n: 2, owner: 'boot/other', res: [path('src/a')] })
  must('L2.4.7', lab.answer(neighbour) === 'conflict', 'takes all owners of a node for one')
  must(
    'L2.4.7',
    lab.answer(requestOf({ lid: hex(8), n: 3, res: [path('src/a')] })) === 'grant',
    'an owner is in its own way',
  )
  must('L2.4.7', lab.answer(requestOf({ ...rival, lid: hex(7), res: [path('srcs')] })) === 'grant', 'src covers srcs')
  for (const [held, wanted] of [
    [path('x/y'), path('x', 'subtree')],
    [path('x', 'subtree'), path('', 'subtree')],
    [path('', 'subtree'), path('x/y')],
    [path('x', 'subtree'), path('x')],
    [path('x'), path('x')],
    [path('x/y', 'subtree'), path('x/y/z/w')],
  ] as const) {
    const voter = new VoterLab()
    voter.ask(requestOf({ res: [held] }))
    const isKept = voter.answer(requestOf({ by: 22, n: 2, res: [wanted] })) === 'conflict'
    must('L2.4.7', isKept, `grants ${wanted.mode} "${wanted.key}" while ${held.mode} "${held.key}" is held`)
  }
  const large = new VoterLab()
  const res = Array.from({ length: 20 }, (_, n) => path(`many/${String(n).padStart(2, '0')}`))
  large.ask(requestOf({ res }))
  const refusal = large.ask(requestOf({ by: 22, n: 2, res }))
  const isRead = refusal?.is === 'deny' && Deny.safeParse(refusal.body).success
  must('L2.4.7', isRead, 'a refusal names more than a message can carry')
  const unsynced = new VoterLab()
  unsynced.decide(requestOf())
  must(
    'L2.4.8',
    unsynced.answer(requestOf({ by: 22, n: 2 })) === 'conflict',
    'overlooks a promise that is not on disk yet',
  )
}

function oneLeaseOneThing({ must }: Report): void {
  const lab = new VoterLab()
  lab.ask(requestOf())
  must('L2.4.7', lab.answer(requestOf({ seq: 1, owner: 'boot/other' })) === 'malformed', 'a lease changes its owner')
  must('L2.4.7', lab.answer(requestOf({ seq: 2, n: 2 })) === 'malformed', 'a lease changes its token within an epoch')
  must('L2.4.7', lab.answer(requestOf({ seq: 3, res: [path('b')] })) === 'malformed', 'a lease changes its resources')
  must(
    'L2.4.7',
    lab.answer(requestOf({ by: 22, lid: hex(21), n: 2 })) === 'conflict',
    'the lease id of another is enough',
  )
  lab.release(releaseOf(requestOf(), 22))
  must('L2.4.6', lab.answer(requestOf({ by: 22, n: 2 })) === 'conflict', 'whoever knows a lease id ends the lease')

  const gone = new SuccessionLab(2, voterSetOf(configOf(3)))
  const next = successorOf(gone.set, [2])
  const grant = {
    node: peer(21),
    lid: hex(21),
    owner: 'boot/21',
    info: { instanceId: 'a', untilMs: 0 },
    res: [path('a')],
  }
  const live = { ...grant, token: { epoch: 1, n: 1 }, seq: 0, ttlMax: 5000, after: [] }
  gone.adopt({ set: voterSetOf(next), origin: { is: 'sealed', seals: [] } }, [{ grants: [live], after: [] }])
  gone.nowMs = 5000
  const revived = requestOf({ seq: 1, n: 7 }, voterSetOf(next))
  must('I2b', gone.answer(revived) === 'malformed', 'a lease that came along and ran out is revived')
}

function tokens({ must }: Report): void {
  const lab = new VoterLab()
  const give = (fields: Parameters<typeof requestOf>[0]): void => {
    lab.ask(requestOf(fields))
    lab.release(releaseOf(requestOf(fields), 21))
  }
  give({ n: 7 })
  must('I2', lab.answer(requestOf({ by: 22, n: 7 })) === 'stale', 'a token comes twice')
  must('I2', lab.answer(requestOf({ by: 22, n: 6, res: [path('', 'subtree')] })) === 'stale', 'a token falls')
  must('I2', lab.answer(requestOf({ by: 22, n: 8 })) === 'grant', 'wants more than one above the highest')

  const full = new VoterLab()
  full.ask(requestOf({ n: 1, ttl: 600_000, res: [path('long')] }))
  const before = requestOf({ lid: hex(5), n: 50 })
  full.ask(before)
  full.release(releaseOf(before, 21))
  fillLog(full)
  must('I2', full.answer(requestOf({ by: 23, n: 50 })) === 'stale', 'the token of a forgotten lease comes again')
  full.restart()
  must('I2', full.answer(requestOf({ by: 23, n: 50 })) === 'stale', 'a restart forgets the floor')
  full.restart(full.voter.snapshot())
  must('I2', full.answer(requestOf({ by: 23, n: 50 })) === 'stale', 'compaction forgets the floor')
  const renewal = requestOf({ n: 1, seq: 1, ttl: 600_000, res: [path('long')] })
  must('L2.4.7', full.answer(renewal) === 'grant', 'a live lease is refused since its token is below the floor')

  const last = new VoterLab()
  last.ask(requestOf({ n: 2 ** 32 - 1 }))
  last.release(releaseOf(requestOf({ n: 2 ** 32 - 1 }), 21))
  must('L2.4.7', last.answer(requestOf({ by: 22, n: 5 })) === 'limit', 'asks for a token that no message can carry')
  const blocked = new VoterLab()
  blocked.ask(requestOf({ n: 2 ** 32 - 1 }))
  const reply = blocked.ask(requestOf({ by: 22, n: 5 }))
  const min = reply?.is === 'deny' && reply.body.min
  must('L2.4.7', !min, 'a refusal names a token that no message can carry')
}

/** As many ended leases elsewhere as the token log holds. */
export function fillLog(lab: VoterLab): void {
  for (let i = 0; i < 1000; i++) {
    const lease = { node: peer(30), lid: hex(10_000 + i), res: [path(`fill/${i}`)], token: { epoch: 1, n: 60 + i } }
    lab.journal.push(encodeRecord({ t: 'ended', ...lease, first: 0, released: true }))
  }
  lab.restart()
}

function expiry({ must }: Report): void {
  const lab = new VoterLab()
  lab.ask(requestOf({ ttl: 5000 }))
  lab.nowMs = 4999
  must('L2.4.5', lab.answer(requestOf({ by: 22, n: 2 })) === 'conflict', 'a promise ends too soon')
  lab.nowMs = 5000
  const decision = lab.decide(requestOf({ by: 23, n: 1, res: [path('other')] }))
  must('L2.4.5', decision.free.length === 1, 'whoever waited is not told that the way is free')
  must('I6', lab.answer(requestOf({ by: 22, n: 2, ttl: 1000 })) === 'grant', 'a promise that ran out blocks others')
  lab.nowMs = 6000
  must('I2b', lab.answer(requestOf({ seq: 1 })) === 'stale', 'a lapsed lease is granted again after another had it')
}

function sealedVoter({ must }: Report): void {
  const set = voterSetOf(configOf(3))
  for (const reopen of [undefined, 'restart', 'compact'] as const) {
    const voter = new SuccessionLab(2, set)
    voter.ask(requestOf({}, set))
    voter.accept(acceptOf(set, ballotOf(1), successorOf(set, [2, 3, 4])))
    if (reopen) voter.restart(reopen === 'compact' ? voter.voter.snapshot() : voter.journal)
    const how = reopen ? ` after a ${reopen}` : ''
    must('L2.7', voter.answer(requestOf({ seq: 1 }, set)) === 'epoch', `renews in a sealed epoch${how}`)
    const newcomer = requestOf({ by: 22, res: [path('b')] }, set)
    must('L2.7', voter.answer(newcomer) === 'epoch', `grants in a sealed epoch${how}`)
  }
}

function forcedWait({ must }: Report): void {
  const set = voterSetOf(configOf(3))
  const forced = successorOf(set, [4, 5], { epoch: 1000 })
  const voter = new SuccessionLab(4, set)
  voter.adopt(forcedEpoch(forced), 'time')
  const request = requestOf({}, voterSetOf(forced))
  must('L2.7', voter.answer(request) === 'recovering', 'grants while promises that it does not know may run')
  voter.nowMs = WAIT_OUT_MS - 1
  must('L2.7', voter.answer(request) === 'recovering', 'waits less than the longest promise')
  must('L2.7', WAIT_OUT_MS >= 600_000 / 0.9, 'waits less than the longest promise by the slowest clock')
  const accept = acceptOf(voterSetOf(forced), ballotOf(1), successorOf(voterSetOf(forced), [4]))
  must('L2.7', voter.accept(accept).reply === undefined, 'leaves its successors less than was promised')
  for (const isCompacted of [false, true]) {
    voter.nowMs = 1_000_000
    voter.restart(isCompacted ? voter.voter.snapshot() : voter.journal)
    voter.nowMs += WAIT_OUT_MS - 1
    must('L2.7', voter.answer(request) === 'recovering', 'a restart shortens the wait')
  }
  voter.nowMs += WAIT_OUT_MS
  must('I2', voter.answer(requestOf({ n: 0 }, voterSetOf(forced))) === 'stale', 'tokens of an epoch begin at its floor')
  must('I6', voter.answer(request) === 'grant', 'waits for ever')
  voter.restart()
  must('I6', voter.answer(requestOf({ seq: 1 }, voterSetOf(forced))) === 'grant', 'waits a second time')
}

function limitsOfAMember({ must }: Report): void {
  const lab = new VoterLab()
  const promise = { node: peer(21), owner: 'boot/21', info: { instanceId: 'a', untilMs: 0 }, after: [] }
  const times = { seq: 0, ttl: 9000, ttlMax: 9000, reqHash: new Uint8Array(32) }
  for (let i = 0; i < LEASES_PER_OWNER_MAX; i++) {
    const lease = { lid: hex(i), res: [path(`f${i}`)], token: { epoch: 1, n: i + 1 }, vseq: i + 1, first: i + 1 }
    lab.journal.push(encodeRecord({ t: 'grant', ...promise, ...times, ...lease }))
  }
  lab.restart()
  const one = (by: number, lid: number) => requestOf({ by, lid: hex(lid), n: 9999, res: [path(`more/${lid}`)] })
  must('L2.4.1', lab.answer(one(21, 9999)) === 'limit', 'one member holds more leases than it may')
  must('L2.4.1', lab.answer(one(22, 9998)) === 'grant', 'one member fills the limit of another')
  lab.release(releaseOf(requestOf({ lid: hex(5), n: 6 }), 21))
  must('L2.4.1', lab.answer(one(21, 9997)) === 'grant', 'what has ended counts against the limit')
}
