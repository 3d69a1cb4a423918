import { MalformedError, toHex } from '../../../../protocols/codec.ts'
import type { Promised, SealVote } from '../../../../protocols/lease/ballot.ts'
import { verifyCertificate } from '../../../../protocols/lease/certificate.ts'
import { readConfig, voterSetOf } from '../../../../protocols/lease/config.ts'
import { forcedEpochAfter, type VoterSetRecord } from '../../../../protocols/lease/epochs.ts'
import type { Config, Grant } from '../../../../protocols/lease/messages.ts'
import { Proposal } from '../../../../protocols/lease/proposal.ts'
import { pack, type Packed, type Signed } from '../../../../protocols/lease/signing.ts'
import {
  configOf,
  hex,
  otherSpace,
  peer,
  requestOf,
  signaturesOf,
  signedBy,
  space,
  VoterLab,
} from '../../../support/lease-lab.ts'
import {
  ballotOf,
  chainOf,
  forcedBy,
  sealCertificate,
  sealedBy,
  sealOf,
  successorOf,
} from '../../../support/succession-lab.ts'
import type { Report, Scenario } from '../scenario.ts'

export const decisionScenarios: readonly Scenario[] = [
  {
    id: 'chain',
    says: 'An epoch counts when a quorum of the one before sealed one ballot for it, on every node alike.',
    run: chain,
  },
  {
    id: 'forced-sets',
    says: 'A set is installed by force in its author’s name, above all that voters may still agree on.',
    run: forcedSets,
  },
  { id: 'beginning', says: 'Only the founder says who votes first.', run: beginning },
  {
    id: 'certificates',
    says: 'A certificate is a quorum of grants to exactly one request of the epoch.',
    run: certificates,
  },
  {
    id: 'proposer',
    says: 'A proposer completes what may have been decided, and counts voters of its epoch only.',
    run: proposer,
  },
]

const first = voterSetOf(configOf(3))
const second = successorOf(first, [2, 3, 4])
const secondSet = voterSetOf(second)

const epochAfter = (...records: VoterSetRecord[]): number | undefined => chainOf(records)?.current.set.epoch

function chain({ must }: Report): void {
  const third = successorOf(secondSet, [4])
  const records = [sealedBy(first, second, [1, 2]), sealedBy(secondSet, third, [3, 4])]
  const garbage: VoterSetRecord[] = [
    { kind: 'sealed', bytes: Uint8Array.of(0xa0) },
    { kind: 'forced', bytes: Uint8Array.of(0xff), by: peer(3) },
  ]
  let after: number | undefined
  try {
    after = epochAfter(...garbage, ...records)
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error
  }
  must('L2.7', after === 3, 'garbage in the log leaves the mesh without voters')
  const [one, two] = [sealOf(first, second, 1), sealOf(first, second, 2)]
  const proves = (seals: readonly Signed<SealVote>[], config = second): boolean =>
    epochAfter({ kind: 'sealed', bytes: sealCertificate(config, seals) }) !== 1
  must('L2.7', proves([one, two]), 'a quorum of seals decides nothing')
  const with2 = (fields: Partial<SealVote>, config = second) => [
    sealOf(first, config, 1),
    sealOf(first, config, 2, fields),
  ]
  const lies: [string, readonly Signed<SealVote>[], Signed<Config>?][] = [
    ['one of three', [one]],
    ['a voter twice', [one, one]],
    ['a voter twice beside a quorum', [one, two, two]],
    ['a stranger', [one, sealOf(first, second, 9)]],
    ['a seal of another incarnation', with2({ inc: hex(9) })],
    ['seals of two ballots', with2({ ballot: ballotOf(2) })],
    ['seals of two proposers', with2({ ballot: ballotOf(1, 2) })],
    ['a seal for another set', with2({ next: third.hash })],
    ['a seal of another epoch', with2({ epoch: 2 })],
    ['a seal on another set', with2({ cid: second.hash })],
    ['a seal that its voter did not sign', [one, signedBy(3, 'seal', two.body)]],
    ['a set that its author did not sign', [one, two], signedBy(2, 'config', second.body)],
  ]
  for (const [what, seals, config] of lies) must('L2.7', !proves(seals, config), `${what} decides on an epoch`)
  for (const [what, fields] of [
    ['of a later epoch', { epoch: 3 }],
    ['of another mesh', { space: otherSpace }],
  ] as const) {
    const config = successorOf(first, [4], fields)
    must('L2.7', !proves([sealOf(first, config, 1), sealOf(first, config, 2)], config), `a set ${what} is decided on`)
  }
  const twice = successorOf(first, [4, 4])
  must('L2.7', !proves([sealOf(first, twice, 1), sealOf(first, twice, 2)], twice), 'a voter counts twice in its set')
  const four = voterSetOf(configOf(4))
  const half = chainOf([sealedBy(four, successorOf(four, [4]), [1, 2])], configOf(4))
  must('I7', half?.current.set.epoch === 1, 'half of the voters decide, and so may the other half')

  const orders = [records, records.toReversed()].map((order) => epochAfter(...order))
  must('L2.7', orders.join() === '3,3', `the order of the log matters: ${orders.join()}`)
}

function forcedSets({ must }: Report): void {
  const forced = successorOf(first, [5], { epoch: 1000 })
  must('L2.7', epochAfter(forcedBy(forced)) === 1000, 'a forced set does not count')
  must('L2.7', epochAfter(forcedBy(forced), sealedBy(first, second, [1, 2])) === 1000, 'agreement overtakes force')
  const lies: [string, VoterSetRecord][] = [
    ['in an epoch that agreement could reach', forcedBy(successorOf(first, [5], { epoch: 2 }))],
    ['of another mesh', forcedBy(successorOf(first, [5], { epoch: 1000, space: otherSpace }))],
    ['by another than who wrote it down', forcedBy(forced, peer(2))],
    ['that its author did not sign', forcedBy(signedBy(2, 'config', forced.body))],
  ]
  for (const [what, record] of lies) must('L2.7', epochAfter(record) === 1, `a set is forced ${what}`)
  const jumps = [1, 999, 1000, 1001].map(forcedEpochAfter).join()
  must('L2.7', jumps === '1000,1000,2000,2000', `force leaves room for agreement below it: ${jumps}`)
  const other = successorOf(first, [6], { epoch: 1000 })
  const currentOf = (...records: VoterSetRecord[]) => toHex(chainOf(records)!.current.set.cid)
  const same = currentOf(forcedBy(forced), forcedBy(other)) === currentOf(forcedBy(other), forcedBy(forced))
  must('L2.7', same, 'of two forced sets every node takes another')
}

function beginning({ must }: Report): void {
  const bad: [string, Signed<Config>][] = [
    ['of a later epoch', configOf(3, { epoch: 2 })],
    ['of another mesh', configOf(3, { space: otherSpace })],
    ['that follows another', configOf(3, { prev: second.hash })],
    ['by somebody else', signedBy(2, 'config', { ...configOf(3).body, by: peer(2) })],
    ['that the founder did not sign', signedBy(2, 'config', configOf(3).body)],
  ]
  for (const [what, config] of bad) must('L2.7', chainOf([], config) === undefined, `a mesh begins with a set ${what}`)
  const voters = [1, 1, 2].map((n) => ({ node: peer(n), inc: hex(n) }))
  must('L2.7', chainOf([], configOf(3, { voters })) === undefined, 'a voter counts twice in its set')
  must('L2.7', readConfig(signaturesOf(40), pack(configOf(4))).quorum === 3, 'half of an even set is a quorum')
}

function certificates({ must }: Report): void {
  const signatures = signaturesOf(40)
  const req = requestOf({}, first)
  const grants = [1, 2, 3].map((n) => new VoterLab(n, first).grantOf(req))
  const [one, two] = grants as [Signed<Grant>, Signed<Grant>]
  const counts = (other: readonly Signed<Grant>[], request = req): boolean =>
    verifyCertificate(signatures, first, { req: request, grants: other })
  must('L2.10', counts([one, two]), 'a quorum of grants proves nothing')
  const altered = (change: Partial<Grant>) => signedBy(2, 'grant', { ...two.body, ...change })
  const lies: [string, readonly Signed<Grant>[]][] = [
    ['one of three', [one]],
    ['a voter twice', [one, one]],
    ['a grant that its voter did not sign', [one, signedBy(3, 'grant', two.body)]],
    ['a grant for another request', [one, altered({ reqHash: new Uint8Array(32) })]],
    ['a grant of another incarnation', [one, altered({ inc: hex(9) })]],
    ['a grant of a stranger', [one, signedBy(9, 'grant', { ...two.body, voter: peer(9), inc: hex(9) })]],
    ['a grant of another mesh', [one, altered({ space: otherSpace })]],
    ['a grant of another epoch', [one, altered({ epoch: 2 })]],
    ['a grant for another lease', [one, altered({ lid: hex(9) })]],
    ['a grant for another number', [one, altered({ seq: 9 })]],
    ['a grant for another length', [one, altered({ ttl: 9 })]],
    ['a grant for another token', [one, altered({ token: { epoch: 1, n: 9 } })]],
    ['a grant for a token of another epoch', [one, altered({ token: { epoch: 9, n: 1 } })]],
  ]
  for (const [what, other] of lies) must('I4', !counts(other), `${what} makes a certificate`)
  must('L2.10', !counts([one, two], signedBy(22, 'request', req.body)), 'the holder did not sign what was granted')

  const granted = (fields: object) => {
    const asked = requestOf(fields, first)
    return [1, 2].map((n) => signedBy(n, 'grant', { ...grants[n - 1]!.body, ...pickGrant(asked), reqHash: asked.hash }))
  }
  for (const [what, fields] of [
    ['another mesh', { space: otherSpace }],
    ['another epoch', { epoch: 2 }],
    ['another set', { cid: second.hash }],
  ] as const) {
    const asked = requestOf(fields, first)
    must('L2.10', !counts(granted(fields), asked), `a request to the voters of ${what} makes a certificate`)
  }
}

const pickGrant = ({ body: { space, epoch, lid, seq, ttl, token } }: Signed<ReturnType<typeof requestOf>['body']>) => ({
  space,
  epoch,
  lid,
  seq,
  ttl,
  token,
})

const own = successorOf(first, [4])
const other = successorOf(first, [5])

function proposalOf(value: Packed | undefined = pack(own)): Proposal {
  let nonces = 1
  const nonce = (): string => hex(nonces++)
  return new Proposal(
    { signatures: signaturesOf(1), voters: first, nonce, retransmitMs: 1000, backoffMs: () => 300 },
    value,
  )
}
const promiseOf = (by: number, fields: Partial<Promised> = {}): Signed<Promised> =>
  signedBy<Promised>(by, 'promise', {
    v: 1,
    space,
    epoch: 1,
    cid: first.cid,
    voter: peer(by),
    inc: hex(by),
    ballot: ballotOf(1, 1),
    vseq: 1,
    ...fields,
  })
const sealFor = (by: number, fields: Partial<SealVote> = {}, config = own): Signed<SealVote> =>
  sealOf(first, config, by, { ballot: ballotOf(1, 1), ...fields })
const proposes = (proposal: Proposal, nowMs = 0): Packed | undefined => {
  const message = proposal.poll(nowMs)?.message
  return message?.t === 'accept' ? message.m.body.config : undefined
}
const isValue = (packed: Packed | undefined, config: Signed<Config>): boolean =>
  packed !== undefined && packed.b.join() === pack(config).b.join()

function proposer({ must }: Report): void {
  const fresh = proposalOf()
  must('I7', fresh.poll(0)?.message.t === 'prepare', 'proposes without asking what was accepted')
  fresh.onPromise(promiseOf(1))
  must('I7', proposes(fresh) === undefined, 'proposes before a quorum has promised to listen')
  fresh.onPromise(promiseOf(1))
  must('I7', proposes(fresh) === undefined, 'counts one promise twice')

  for (const order of [
    [7, 9],
    [9, 7],
  ] as const) {
    const late = proposalOf()
    late.poll(0)
    for (const [i, id] of order.entries()) {
      const config = pack(id === 9 ? other : successorOf(first, [6]))
      late.onPromise(promiseOf(i + 1, { accepted: { ballot: ballotOf(0, id), config } }))
    }
    must('I7', isValue(proposes(late), other), 'proposes anew where something may have been decided')
  }
  const strange: [string, Partial<Promised & SealVote>][] = [
    ['for another ballot', { ballot: ballotOf(1, 2) }],
    ['of another epoch', { epoch: 2 }],
    ['of another set', { cid: own.hash }],
    ['of another incarnation', { inc: hex(9) }],
    ['in the name of another', { voter: peer(3), inc: hex(3) }],
    ['of a stranger', { voter: peer(9), inc: hex(9) }],
  ]
  for (const [what, fields] of strange) {
    const proposal = proposalOf()
    proposal.poll(0)
    proposal.onPromise(promiseOf(1))
    proposal.onPromise(promiseOf(2, fields))
    must('L2.7', proposes(proposal) === undefined, `a promise ${what} counts`)
    proposal.onPromise(promiseOf(2))
    proposal.poll(0)
    const decides = understood(() => (proposal.onSeal(sealFor(1)), proposal.onSeal(sealFor(2, fields))))
    must('L2.7', decides === undefined, `a seal ${what} counts`)
  }
  for (const [what, config] of [
    ['that nobody signed', pack(signedBy(2, 'config', other.body))],
    ['of a later epoch', pack(successorOf(first, [4], { epoch: 7 }))],
    ['of another mesh', pack(successorOf(first, [4], { space: otherSpace }))],
    ['that follows another', pack(successorOf(first, [4], { prev: other.hash }))],
    ['that is none', { ...pack(other), b: Uint8Array.of(1, 2, 3) }],
  ] as const) {
    const misled = proposalOf()
    misled.poll(0)
    const isKept = understood(() => {
      misled.onPromise(promiseOf(1, { accepted: { ballot: ballotOf(0, 7), config } }))
      misled.onPromise(promiseOf(2))
      return proposes(misled)
    })
    must('L2.7', isKept === undefined, `a lying voter makes it propose a set ${what}`)
  }
  const proposal = proposalOf()
  proposal.poll(0)
  for (const voter of [1, 2]) proposal.onPromise(promiseOf(voter))
  proposal.onPromise(promiseOf(3, { accepted: { ballot: ballotOf(0, 7), config: pack(other) } }))
  must('L2.7', isValue(proposes(proposal), own), 'a promise that comes late changes what is proposed')
  const wrong = understood(() => [1, 2].map((n) => proposal.onSeal(sealFor(n, {}, other))).find(Boolean))
  must('L2.7', wrong === undefined, 'seals for another set count')
  must('I7', understood(() => proposal.onSeal(sealFor(1))) === undefined, 'one seal of three decides')
  must('I7', understood(() => proposal.onSeal(sealFor(1))) === undefined, 'one seal counts twice')
  must('L2.7', understood(() => proposal.onSeal(sealFor(3))) !== undefined, 'a quorum of seals decides nothing')
  const early = proposalOf()
  early.poll(0)
  must(
    'L2.7',
    !understood(() => [1, 2].map((n) => early.onSeal(sealFor(n))).find(Boolean)),
    'is told of a decision that it did not ask for',
  )

  const outbid = proposalOf()
  outbid.poll(0)
  outbid.onOutbid(ballotOf(0, 9), 0)
  outbid.onPromise(promiseOf(1))
  outbid.onPromise(promiseOf(2))
  must('L2.7', isValue(proposes(outbid), own), 'starts over because of a ballot that is lower than its own')
  outbid.onOutbid(ballotOf(4, 9), 100)
  const again = outbid.poll(1000)?.message
  const ballot = again?.m.body.ballot
  must('L2.7', again?.t === 'prepare' && ballot?.n === 5, 'goes on with a ballot that was outbid')
  must('I7', ballot?.id === hex(2), 'two attempts have one ballot')
  const hasty = proposalOf()
  hasty.poll(0)
  for (const voter of [1, 2]) hasty.onPromise(promiseOf(voter))
  hasty.onOutbid(ballotOf(4, 9), 0)
  hasty.poll(1000)
  hasty.onPromise(promiseOf(1, { ballot: ballotOf(5, 2) }))
  const mixed = understood(() => hasty.onSeal(sealFor(2, { ballot: ballotOf(5, 2) })))
  must('L2.7', mixed === undefined, 'a seal counts as a promise')
  const idle = new Proposal(
    { signatures: signaturesOf(1), voters: first, nonce: () => hex(1), retransmitMs: 1000, backoffMs: () => 300 },
    undefined,
  )
  idle.poll(0)
  idle.onPromise(promiseOf(1))
  idle.onPromise(promiseOf(2))
  must('I6', !idle.isIdle, 'a voter that is slow to say what it accepted stays sealed')
  idle.poll(1000)
  must('L2.7', idle.isIdle, 'completes what nobody has begun')
}

/** What a proposer cannot understand would stop it, and whatever else its node does. */
function understood<T>(work: () => T): T | undefined | 'stopped' {
  try {
    return work()
  } catch (error) {
    if (error instanceof MalformedError) return 'stopped'
    throw error
  }
}
