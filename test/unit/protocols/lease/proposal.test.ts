import { describe, expect, it } from 'vitest'
import type { Promised, SealVote } from '../../../../protocols/lease/ballot.ts'
import { voterSetOf } from '../../../../protocols/lease/config.ts'
import { Proposal, type ProposalMessage } from '../../../../protocols/lease/proposal.ts'
import { pack, type Packed, type Signed } from '../../../../protocols/lease/signing.ts'
import { configOf, hex, otherSpace, peer, signaturesOf, signedBy, space } from '../../../support/lease-lab.ts'
import { ballotOf, chainOf, sealOf, successorOf } from '../../../support/succession-lab.ts'
import { SuccessionSim, type Sabotage } from '../../../support/succession-sim.ts'

const set = voterSetOf(configOf(3))
const own = successorOf(set, [4])
const other = successorOf(set, [5])
const RETRANSMIT_MS = 1000
const BACKOFF_MS = 300

function proposalOf(value: Packed | undefined = pack(own)): Proposal {
  let nonces = 1
  return new Proposal(
    {
      signatures: signaturesOf(1),
      voters: set,
      nonce: () => hex(nonces++),
      retransmitMs: RETRANSMIT_MS,
      backoffMs: () => BACKOFF_MS,
    },
    value,
  )
}

const promiseOf = (by: number, fields: Partial<Promised> = {}): Signed<Promised> =>
  signedBy<Promised>(by, 'promise', {
    v: 1,
    space,
    epoch: 1,
    cid: set.cid,
    voter: peer(by),
    inc: hex(by),
    ballot: ballotOf(1, 1),
    vseq: 1,
    ...fields,
  })
const seal = (by: number, fields: Partial<SealVote> = {}, config = own): Signed<SealVote> =>
  sealOf(set, config, by, { ballot: ballotOf(1, 1), ...fields })

/** A proposal that two of three voters have promised to listen to. */
function prepared(value?: Packed): Proposal {
  const proposal = proposalOf(value)
  proposal.poll(0)
  for (const voter of [1, 2]) proposal.onPromise(promiseOf(voter))
  return proposal
}
const proposes = (proposal: Proposal, nowMs = 0): Packed | undefined => {
  const message: ProposalMessage | undefined = proposal.poll(nowMs)?.message
  return message?.t === 'accept' ? message.m.body.config : undefined
}

describe('[L2.7] a proposer', () => {
  it('first asks every voter to listen, and again whoever is silent', () => {
    const proposal = proposalOf()
    const first = proposal.poll(0)
    expect(first).toMatchObject({
      to: [peer(1), peer(2), peer(3)],
      message: { t: 'prepare', m: { body: { space, epoch: 1, cid: set.cid, ballot: ballotOf(1, 1), node: peer(1) } } },
    })
    expect([proposal.poll(RETRANSMIT_MS - 1), proposal.dueMs()]).toEqual([undefined, RETRANSMIT_MS])
    proposal.onPromise(promiseOf(2))
    expect(proposal.poll(RETRANSMIT_MS)).toEqual({ ...first, to: [peer(1), peer(3)] })
    expect(proposal.silent()).toEqual([peer(1), peer(3)])
  })

  it('then has a quorum accept its value', () => {
    const proposal = proposalOf()
    proposal.poll(0)
    proposal.onPromise(promiseOf(1))
    expect(proposes(proposal)).toBeUndefined()
    proposal.onPromise(promiseOf(3))
    const sent = proposal.poll(5)
    expect(sent).toMatchObject({
      to: [peer(1), peer(2), peer(3)],
      message: { t: 'accept', m: { body: { ballot: ballotOf(1, 1), config: pack(own), node: peer(1) } } },
    })
    expect(proposal.poll(5 + RETRANSMIT_MS)).toEqual(sent)
  })

  it('knows it is decided when a quorum has sealed, with a certificate that proves it to anybody', () => {
    const proposal = prepared()
    proposal.poll(0)
    expect(proposal.onSeal(seal(1))).toBeUndefined()
    const decided = proposal.onSeal(seal(3))!
    expect(decided.epoch).toEqual({
      set: voterSetOf(own),
      origin: { is: 'sealed', seals: [seal(1).body, seal(3).body] },
    })
    expect(chainOf([{ kind: 'sealed', bytes: decided.bytes }])?.current).toEqual(decided.epoch)
    expect([proposal.poll(99_999), proposal.dueMs()]).toEqual([undefined, Infinity])
  })

  it('[I7] completes what may have been decided already: the value of the highest ballot', () => {
    const proposal = proposalOf()
    proposal.poll(0)
    proposal.onPromise(promiseOf(1, { accepted: { ballot: ballotOf(0, 7), config: pack(other) } }))
    proposal.onPromise(promiseOf(2, { accepted: { ballot: ballotOf(0, 9), config: pack(successorOf(set, [6])) } }))
    expect(proposes(proposal)).toEqual(pack(successorOf(set, [6])))
  })

  it('completes without a value of its own, and leaves alone what nobody has begun', () => {
    const completing = new Proposal({ ...deps(), voters: set }, undefined)
    completing.poll(0)
    completing.onPromise(promiseOf(1))
    completing.onPromise(promiseOf(2, { accepted: { ballot: ballotOf(0, 7), config: pack(other) } }))
    expect(proposes(completing)).toEqual(pack(other))
    const idle = new Proposal({ ...deps(), voters: set }, undefined)
    idle.poll(0)
    idle.onPromise(promiseOf(1))
    expect(idle.isIdle).toBe(false)
    idle.onPromise(promiseOf(2))
    idle.onPromise(promiseOf(3))
    expect([idle.isIdle, idle.poll(99_999), idle.dueMs()]).toEqual([true, undefined, Infinity])
  })

  it('[I6] takes nothing for begun only once those who are silent had their time to say otherwise', () => {
    const early = new Proposal({ ...deps(), voters: set }, undefined)
    early.poll(0)
    for (const voter of [1, 2]) early.onPromise(promiseOf(voter))
    expect([early.isIdle, early.poll(RETRANSMIT_MS - 1), early.dueMs()]).toEqual([false, undefined, RETRANSMIT_MS])
    early.onPromise(promiseOf(3, { accepted: { ballot: ballotOf(0, 7), config: pack(other) } }))
    expect(proposes(early)).toEqual(pack(other))
    const alone = new Proposal({ ...deps(), voters: set }, undefined)
    alone.poll(0)
    for (const voter of [1, 2]) alone.onPromise(promiseOf(voter))
    expect([alone.poll(RETRANSMIT_MS), alone.isIdle]).toEqual([undefined, true])
  })

  it('starts over with a higher ballot when it is outbid, after a pause', () => {
    const proposal = prepared()
    proposal.onOutbid(ballotOf(4, 9), 100)
    expect([proposal.poll(100 + BACKOFF_MS - 1), proposal.dueMs()]).toEqual([undefined, 100 + BACKOFF_MS])
    expect(proposal.poll(100 + BACKOFF_MS)?.message).toMatchObject({
      t: 'prepare',
      m: { body: { ballot: ballotOf(5, 2) } },
    })
  })

  it('is not outbid by what is no higher', () => {
    const proposal = prepared()
    proposal.onOutbid(ballotOf(1, 1), 0)
    proposal.onOutbid(ballotOf(0, 9), 0)
    expect(proposes(proposal)).toEqual(pack(own))
  })
})

const deps = () => ({
  signatures: signaturesOf(1),
  nonce: () => hex(1),
  retransmitMs: RETRANSMIT_MS,
  backoffMs: () => BACKOFF_MS,
})

describe('[L2.7] what a proposer does not count', () => {
  const strange: [string, Partial<Promised & SealVote>][] = [
    ['for another ballot', { ballot: ballotOf(1, 2) }],
    ['of another epoch', { epoch: 2 }],
    ['of another set', { cid: own.hash }],
    ['of another incarnation', { inc: hex(9) }],
    ['in the name of another', { voter: peer(3), inc: hex(3) }],
    ['of a stranger', { voter: peer(9), inc: hex(9) }],
  ]
  it.each(strange)('a promise or a seal %s', (_what, fields) => {
    const proposal = proposalOf()
    proposal.poll(0)
    proposal.onPromise(promiseOf(1))
    proposal.onPromise(promiseOf(2, fields))
    expect(proposes(proposal)).toBeUndefined()
    proposal.onPromise(promiseOf(2))
    proposal.poll(0)
    proposal.onSeal(seal(1))
    expect([proposal.onSeal(seal(2, fields)), proposal.onSeal(seal(2))]).toEqual([undefined, expect.anything()])
  })

  it('a voter twice', () => {
    const proposal = proposalOf()
    proposal.poll(0)
    for (let i = 0; i < 3; i++) proposal.onPromise(promiseOf(1))
    expect(proposes(proposal)).toBeUndefined()
    proposal.onPromise(promiseOf(2))
    proposal.poll(0)
    expect([1, 1, 1].map((voter) => proposal.onSeal(seal(voter)))).toEqual([undefined, undefined, undefined])
  })

  it('a seal for another value, and a promise or seal out of turn', () => {
    const early = proposalOf()
    early.poll(0)
    expect([1, 2, 3].map((voter) => early.onSeal(seal(voter)))).toEqual([undefined, undefined, undefined])
    const proposal = prepared()
    proposal.onPromise(promiseOf(3, { accepted: { ballot: ballotOf(0, 7), config: pack(other) } }))
    expect(proposes(proposal)).toEqual(pack(own))
    expect([1, 2, 3].map((voter) => proposal.onSeal(seal(voter, {}, other)))).toEqual([undefined, undefined, undefined])
  })

  it.each<[string, Packed]>([
    ['that is none', { ...pack(other), b: Uint8Array.of(1, 2, 3) }],
    ['that nobody signed', pack(signedBy(2, 'config', other.body))],
    ['of a later epoch', pack(successorOf(set, [4], { epoch: 7 }))],
    ['of another mesh', pack(successorOf(set, [4], { space: otherSpace }))],
    ['that follows another', pack(successorOf(set, [4], { prev: other.hash }))],
    ['that follows none', pack(successorOf(set, [4], { prev: null }))],
  ])('a promise with an accepted configuration %s: no honest voter has it', (_what, config) => {
    const proposal = proposalOf()
    proposal.poll(0)
    proposal.onPromise(promiseOf(1, { accepted: { ballot: ballotOf(0, 7), config } }))
    proposal.onPromise(promiseOf(2))
    expect(proposes(proposal)).toBeUndefined()
    proposal.onPromise(promiseOf(3))
    expect(proposes(proposal)).toEqual(pack(own))
  })
})

describe('[I7] one configuration per epoch', () => {
  const SEEDS = Array.from({ length: 100 }, (_, i) => 1000 + i)

  it('whatever the network, the disks and the proposers do, and in the end exactly one', () => {
    const all = SEEDS.map((seed) => ({ seed, ...new SuccessionSim(seed).run(250) }))
    expect(all.filter(({ decided }) => decided.size !== 1)).toEqual([])
    expect(all.filter(({ decided, learned }) => [...learned].some((cid) => !decided.has(cid)))).toEqual([])
    expect(all.filter(({ learned }) => learned.size !== 1)).toEqual([])
    expect(all.filter(({ forgotten }) => forgotten.length > 0)).toEqual([])
    const sum = (of: (run: (typeof all)[number]['counts']) => number) =>
      all.reduce((n, { counts }) => n + of(counts), 0)
    expect(sum(({ certified }) => certified)).toBeGreaterThan(SEEDS.length / 2)
    expect(sum(({ crashes }) => crashes)).toBeGreaterThan(10 * SEEDS.length)
    expect(sum(({ deaths }) => deaths)).toBeGreaterThan(SEEDS.length)
    expect(sum(({ values }) => values)).toBeGreaterThan(3 * SEEDS.length)
    expect(sum(({ lost }) => lost)).toBeGreaterThan(10 * SEEDS.length)
  })

  it.each<Sabotage>(['voters forget', 'proposers insist'])('and the check would notice if %s', (sabotage) => {
    expect(SEEDS.some((seed) => new SuccessionSim(seed, sabotage).run(250).decided.size > 1)).toBe(true)
  })
})
