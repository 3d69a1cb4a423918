import { describe, expect, it } from 'vitest'
import { voterSetOf } from '../../../../protocols/lease/config.ts'
import { LEASES_PER_OWNER_MAX, type Grant } from '../../../../protocols/lease/messages.ts'
import { decodeRecord, encodeRecord } from '../../../../protocols/lease/records.ts'
import type { Signed } from '../../../../protocols/lease/signing.ts'
import { WAITERS_MAX } from '../../../../protocols/lease/voter.ts'
import { TOKEN_LOG_MAX, TOMBSTONES_MAX } from '../../../../protocols/lease/voter-state.ts'
import {
  configOf,
  hex,
  otherSpace,
  path,
  peer,
  position,
  releaseOf,
  requestOf,
  signaturesOf,
  signedBy,
  VoterLab,
} from '../../../support/lease-lab.ts'

const records = (lab: VoterLab): string[] => lab.journal.map((bytes) => decodeRecord(bytes).t)
/** What lies in the journal of a voter that has entered its first epoch. */
const started = ['init', 'epoch', 'floor']

/** Other content under the signature that is there. */
const forged = <T extends object>({ seal, ...draft }: Signed<T>, change: Partial<T>): Signed<T> => ({
  ...signaturesOf(40).draft(draft.kind, { ...draft.body, ...change }),
  seal,
})

describe('[L2.4.1] who may ask for what', () => {
  it('a valid request is granted, bound to its hash', () => {
    const lab = new VoterLab()
    const request = requestOf({ ttl: 7000 })
    expect(lab.decide(request)).toEqual({
      records: [expect.any(Uint8Array)],
      mustSync: true,
      reply: {
        is: 'grant',
        node: peer(21),
        inc: hex(1),
        draft: signaturesOf(1).draft<Grant>('grant', {
          v: 1,
          space: request.body.space,
          epoch: 1,
          voter: peer(1),
          inc: hex(1),
          lid: request.body.lid,
          seq: 0,
          reqHash: request.hash,
          token: { epoch: 1, n: 1 },
          ttl: 7000,
          vseq: 1,
          first: 1,
          after: [],
        }),
      },
      free: [],
    })
  })

  it('what comes through the channel of another node gets no answer and leaves no trace, even if it is genuine', () => {
    const lab = new VoterLab()
    expect(lab.answer(requestOf(), peer(22))).toBe('silence')
    expect(records(lab)).toEqual(started)
  })

  it('a node that is no member is refused, and what it holds runs out by itself', () => {
    const lab = new VoterLab()
    lab.ask(requestOf())
    lab.removed.add(peer(21))
    expect(lab.answer(requestOf({ seq: 1 }))).toBe('revoked')
    expect(lab.answer(requestOf({ by: 22, n: 2 }))).toBe('conflict')
  })

  it('resources must be normalised, sorted and distinct', () => {
    const lab = new VoterLab()
    expect(lab.answer(requestOf({ res: [path('b'), path('a')] }))).toBe('malformed')
    expect(lab.answer(requestOf({ res: [path('a/../b')] }))).toBe('malformed')
  })

  it('a node holds a bounded number of live leases', () => {
    const lab = new VoterLab()
    const promise = { node: peer(21), owner: 'boot/21', info: { instanceId: 'a', untilMs: 0 }, after: [] }
    const times = { seq: 0, ttl: 9000, ttlMax: 9000, reqHash: new Uint8Array(32) }
    for (let i = 0; i < LEASES_PER_OWNER_MAX; i++) {
      const lease = { lid: hex(i), res: [path(`f${i}`)], token: { epoch: 1, n: i + 1 }, vseq: i + 1, first: i + 1 }
      lab.journal.push(encodeRecord({ t: 'grant', ...promise, ...times, ...lease }))
    }
    lab.restart()
    const one = (by: number) => requestOf({ by, lid: hex(9999), n: 9999, res: [path('more')] })
    expect(lab.answer(one(21))).toBe('limit')
    expect(lab.answer(one(22))).toBe('grant')
    lab.release(releaseOf(requestOf({ lid: hex(5), n: 6 }), 21))
    lab.nowMs += 1
    expect(lab.answer(requestOf({ lid: hex(9998), n: 9999, res: [path('again')] }))).toBe('grant')
  })
})

describe('[L2.4.3] which configuration', () => {
  it('a request for another configuration is refused with the epoch of the current one', () => {
    const lab = new VoterLab()
    const reply = lab.ask(requestOf({ cid: new Uint8Array(32) }))
    expect(reply).toMatchObject({ is: 'deny', body: { why: 'epoch', epoch: 1 } })
    expect(lab.answer(requestOf({ epoch: 2, token: { epoch: 2, n: 1 } }))).toBe('epoch')
  })

  it('[A-L1] a request of another mesh is refused', () => {
    expect(new VoterLab().answer(requestOf({ space: otherSpace }))).toBe('malformed')
  })

  it('a token of another epoch is refused', () => {
    expect(new VoterLab().answer(requestOf({ token: { epoch: 2, n: 1 } }))).toBe('malformed')
  })

  it('a voter whose incarnation the configuration does not name says so', () => {
    const lab = new VoterLab(2, voterSetOf(configOf(1)))
    expect(lab.answer(requestOf())).toBe('notvoter')
  })

  it('without an incarnation it says nothing', () => {
    const lab = new VoterLab()
    lab.restart(lab.journal.slice(1))
    expect(lab.answer(requestOf())).toBe('silence')
  })

  it('before it has entered an epoch it votes for nobody', () => {
    const lab = new VoterLab()
    lab.restart(lab.journal.slice(0, 1))
    expect(lab.answer(requestOf())).toBe('notvoter')
    expect(records(lab)).toEqual(['init'])
  })
})

describe('[L2.4.4] a voter that was rolled back', () => {
  const seen = (vseq: number) => ({ [`${peer(1)}/${hex(1)}`]: vseq })

  it('asks for evidence when somebody claims to have seen more, and grants nothing', () => {
    const lab = new VoterLab()
    expect(lab.ask(requestOf({ seen: seen(1) }))).toEqual({ is: 'prove', body: { inc: hex(1), above: 0 } })
    expect(records(lab)).toEqual(started)
    expect(lab.answer(requestOf({ seen: { [`${peer(1)}/${hex(9)}`]: 5 } }))).toBe('grant')
  })

  it('takes a new incarnation when shown its own grant, durably, and is no voter any more', () => {
    const lab = new VoterLab()
    const before = [...lab.journal]
    const evidence = lab.grantOf(requestOf())
    lab.restart(before)
    const decision = lab.accuse(evidence)
    expect(decision.mustSync).toBe(true)
    expect(lab.voter.incarnation).toBe(hex(0xfe))
    expect(lab.answer(requestOf())).toBe('notvoter')
    lab.restart()
    expect(lab.answer(requestOf())).toBe('notvoter')
  })

  it('does not let out a grant that it decided on before', () => {
    const lab = new VoterLab()
    const before = [...lab.journal]
    const evidence = [lab.grantOf(requestOf()), lab.grantOf(requestOf({ seq: 1 }))]
    lab.restart(before)
    const { reply } = lab.decide(requestOf())
    lab.accuse(evidence[1]!)
    expect(lab.voter.settle(reply!)).toBe(false)
  })

  it('is not put out of service by words, forgeries or what it remembers itself', () => {
    const lab = new VoterLab()
    const grant = lab.grantOf(requestOf())
    lab.accuse(grant)
    lab.accuse(forged(grant, { vseq: 99 }))
    lab.accuse(signedBy(2, 'grant', { ...grant.body, vseq: 99 }))
    lab.accuse(signedBy(1, 'grant', { ...grant.body, vseq: 99, inc: hex(9) }))
    lab.accuse(signedBy(1, 'grant', { ...grant.body, vseq: 99, voter: peer(2) }))
    expect(lab.voter.incarnation).toBe(hex(1))
  })
})

describe('[L2.4.5] expiry', () => {
  it('a promise blocks others until it has run out to the millisecond', () => {
    const lab = new VoterLab()
    lab.ask(requestOf({ ttl: 5000 }))
    lab.nowMs = 4999
    expect(lab.answer(requestOf({ by: 22, n: 2 }))).toBe('conflict')
    lab.nowMs = 5000
    expect(lab.answer(requestOf({ by: 22, n: 2 }))).toBe('grant')
    expect(records(lab)).toEqual([...started, 'grant', 'exp', 'grant'])
  })

  it('tells whoever was refused', () => {
    const lab = new VoterLab()
    lab.ask(requestOf({ ttl: 5000 }))
    lab.ask(requestOf({ by: 22, n: 2 }))
    lab.nowMs = 5000
    expect(lab.decide(requestOf({ by: 23, res: [path('other')] })).free).toEqual([{ node: peer(22), lid: hex(22) }])
  })

  it('an expired lease can be resumed with its token unless somebody came in between', () => {
    const lab = new VoterLab()
    lab.ask(requestOf({ ttl: 5000 }))
    lab.nowMs = 6000
    expect(lab.answer(requestOf({ seq: 1, ttl: 5000 }))).toBe('grant')
    lab.nowMs = 12_000
    expect(lab.answer(requestOf({ by: 22, n: 2, ttl: 1000 }))).toBe('grant')
    lab.nowMs = 14_000
    expect(lab.answer(requestOf({ seq: 2 }))).toBe('stale')
  })
})

describe('[L2.4.6] what was released or answered before', () => {
  it('a released lease is closed for good, also after a restart', () => {
    const lab = new VoterLab()
    lab.ask(requestOf())
    lab.release(releaseOf(requestOf(), 21))
    expect(lab.answer(requestOf({ seq: 1 }))).toBe('released')
    lab.restart()
    expect(lab.answer(requestOf({ seq: 1 }))).toBe('released')
  })

  it('a release that overtakes its request closes the lease too', () => {
    const lab = new VoterLab()
    lab.release(releaseOf(requestOf(), 21))
    expect(lab.answer(requestOf())).toBe('released')
    lab.restart()
    expect(lab.answer(requestOf())).toBe('released')
  })

  it('a copy of a granted request gets the same grant, which extends nothing', () => {
    const lab = new VoterLab()
    const request = requestOf({ ttl: 5000 })
    const first = lab.ask(request)
    lab.nowMs = 4000
    expect(lab.ask(request)).toEqual(first)
    lab.restart()
    lab.nowMs = 5000
    expect(lab.ask(request)).toEqual(first)
    lab.nowMs = 9000 // the restart began a full promise at 4000
    expect(lab.answer(requestOf({ by: 22, n: 2 }))).toBe('grant')
  })

  it('[I9] a copy gets nothing while the grant is not durable', () => {
    const lab = new VoterLab()
    const { reply } = lab.decide(requestOf())
    expect(lab.answer(requestOf())).toBe('silence')
    lab.voter.settle(reply!)
    expect(lab.answer(requestOf())).toBe('grant')
  })

  it('an older or equal sequence number with other content is ignored', () => {
    const lab = new VoterLab()
    lab.ask(requestOf({ seq: 5 }))
    expect(lab.answer(requestOf({ seq: 5, nonce: hex(7) }))).toBe('silence')
    expect(lab.answer(requestOf({ seq: 4 }))).toBe('silence')
  })
})

describe('[L2.4.7] conflict and staleness', () => {
  it('an overlapping lease of another owner is refused, with the holder', () => {
    const lab = new VoterLab()
    lab.ask(requestOf({ res: [path('src', 'subtree'), path('x')] }))
    expect(lab.ask(requestOf({ by: 22, n: 2, res: [path('src/a.ts')] }))).toMatchObject({
      body: {
        why: 'conflict',
        by: {
          owner: 'boot/21',
          node: peer(21),
          lid: hex(21),
          info: { instanceId: 'agent-21', untilMs: 0 },
          res: [path('src', 'subtree')],
        },
      },
    })
  })

  it('another owner on the same node conflicts, the same owner does not', () => {
    const lab = new VoterLab()
    lab.ask(requestOf())
    expect(lab.answer(requestOf({ lid: hex(9), n: 2, owner: 'boot/other' }))).toBe('conflict')
    expect(lab.answer(requestOf({ lid: hex(10), n: 2 }))).toBe('grant')
  })

  it('the same owner name on another node is another owner', () => {
    const lab = new VoterLab()
    lab.ask(requestOf())
    expect(lab.answer(requestOf({ by: 22, n: 2, owner: 'boot/21' }))).toBe('conflict')
  })

  it('[I2] a token not above that of every overlapping lease before is refused with the smallest that would do', () => {
    const lab = new VoterLab()
    lab.ask(requestOf({ n: 7 }))
    lab.release(releaseOf(requestOf({ n: 7 }), 21))
    const next = requestOf({ by: 22, n: 7 })
    expect(lab.ask(next)).toMatchObject({ body: { why: 'stale', min: { epoch: 1, n: 8 } } })
    lab.restart()
    expect(lab.answer(next)).toBe('stale')
    expect(lab.answer(requestOf({ by: 22, n: 7, res: [path('elsewhere')] }))).toBe('grant')
    expect(lab.answer(requestOf({ by: 23, n: 8 }))).toBe('grant')
  })

  it('a live lease is renewed although its token lies below the floor', () => {
    const lab = new VoterLab()
    lab.ask(requestOf({ n: 1, ttl: 600_000 }))
    const forgotten = requestOf({ by: 22, n: 55, res: [path('elsewhere')] })
    lab.ask(forgotten)
    lab.release(releaseOf(forgotten, 22))
    fillLog(lab)
    expect(lab.answer(requestOf({ by: 23, n: 55, res: [path('anywhere')] }))).toBe('stale')
    expect(lab.answer(requestOf({ n: 1, seq: 1 }))).toBe('grant')
  })

  it('tokens outlive the log: forgotten leases raise a floor, also across restart and compaction', () => {
    const lab = new VoterLab()
    lab.ask(requestOf({ n: 50 }))
    lab.release(releaseOf(requestOf({ n: 50 }), 21))
    fillLog(lab)
    const late = requestOf({ by: 23, n: 50 })
    expect(lab.answer(late)).toBe('stale')
    lab.restart()
    expect(lab.answer(late)).toBe('stale')
    lab.restart(lab.voter.snapshot())
    expect(lab.answer(late)).toBe('stale')
  })

  it('a lease id keeps its token, its resources and its owner', () => {
    const lab = new VoterLab()
    lab.ask(requestOf())
    expect(lab.answer(requestOf({ seq: 1, n: 2 }))).toBe('malformed')
    expect(lab.answer(requestOf({ seq: 1, res: [path('b')] }))).toBe('malformed')
    expect(lab.answer(requestOf({ seq: 1, owner: 'boot/other' }))).toBe('malformed')
  })

  it('the lease id of another node gives no hold over its lease', () => {
    const lab = new VoterLab()
    lab.ask(requestOf())
    expect(lab.answer(requestOf({ by: 22, lid: hex(21), seq: 9, n: 2 }))).toBe('conflict')
    lab.release(releaseOf(requestOf(), 22))
    expect(lab.answer(requestOf({ by: 22, n: 2 }))).toBe('conflict')
    expect(lab.answer(requestOf({ seq: 1 }))).toBe('grant')
  })

  it('the highest token of all leaves nothing to ask for', () => {
    const lab = new VoterLab()
    lab.ask(requestOf({ n: 2 ** 32 - 1 }))
    lab.release(releaseOf(requestOf({ n: 2 ** 32 - 1 }), 21))
    expect(lab.answer(requestOf({ by: 22, n: 5 }))).toBe('limit')
  })
})

describe('[L2.4.8] promises', () => {
  it('a shorter renewal does not shorten the promise', () => {
    const lab = new VoterLab()
    lab.ask(requestOf({ ttl: 60_000 }))
    lab.nowMs = 1000
    lab.ask(requestOf({ seq: 1, ttl: 2000 }))
    lab.nowMs = 59_999
    expect(lab.answer(requestOf({ by: 22, n: 2 }))).toBe('conflict')
    lab.nowMs = 60_000
    expect(lab.answer(requestOf({ by: 22, n: 2 }))).toBe('grant')
  })

  it.each([false, true])('a restart begins every promise anew at its longest length (compacted: %s)', (compacted) => {
    const lab = new VoterLab()
    lab.ask(requestOf({ ttl: 60_000 }))
    lab.ask(requestOf({ seq: 1, ttl: 2000 }))
    lab.nowMs = 50_000
    lab.restart(compacted ? lab.voter.snapshot() : lab.journal)
    lab.nowMs = 109_999
    expect(lab.answer(requestOf({ by: 22, n: 2 }))).toBe('conflict')
    lab.nowMs = 110_000
    expect(lab.answer(requestOf({ by: 22, n: 2 }))).toBe('grant')
  })

  it('a grant is visible to the next request at once, before it is durable', () => {
    const lab = new VoterLab()
    lab.decide(requestOf())
    expect(lab.answer(requestOf({ by: 22, n: 2 }))).toBe('conflict')
  })

  it('[I10] vseq grows with every grant, also across restart and compaction', () => {
    const lab = new VoterLab()
    const next = (seq: number) => lab.grantOf(requestOf({ seq })).body.vseq
    expect([next(0), next(1)]).toEqual([1, 2])
    lab.restart()
    expect(next(2)).toBe(3)
    lab.restart(lab.voter.snapshot())
    expect(next(3)).toBe(4)
    lab.nowMs = 1_000_000
    lab.ask(requestOf({ by: 22, n: 2, ttl: 1 }))
    lab.nowMs += 1000
    lab.ask(requestOf({ by: 23, n: 1, ttl: 1, seen: {}, res: [path('z')] }))
    lab.restart(lab.voter.snapshot())
    expect(lab.grantOf(requestOf({ by: 24, res: [path('q')] })).body.vseq).toBe(7)
  })

  it('only grants and new incarnations wait for the disk', () => {
    const lab = new VoterLab()
    expect(lab.decide(requestOf()).mustSync).toBe(true)
    expect(lab.decide(requestOf({ by: 22, n: 2 })).mustSync).toBe(false)
    expect(lab.release(releaseOf(requestOf(), 21)).mustSync).toBe(false)
  })

  it('a compacted journal has the same effect: same snapshot, same answers', () => {
    const lab = new VoterLab()
    lab.ask(requestOf({ ttl: 9000 }))
    lab.ask(requestOf({ seq: 1, ttl: 3000 }))
    lab.ask(requestOf({ by: 22, n: 4, res: [path('b')] }))
    lab.release(releaseOf(requestOf({ by: 22, n: 4 }), 22, position(22, 9)))
    lab.release(releaseOf(requestOf({ by: 25 }), 25))
    const compacted = new VoterLab()
    compacted.restart(lab.voter.snapshot())
    lab.restart()
    expect(compacted.voter.snapshot()).toEqual(lab.voter.snapshot())
    const again = requestOf({ seq: 1, ttl: 3000 })
    expect(compacted.ask(again)).toEqual(lab.ask(again))
    expect(compacted.answer(requestOf({ by: 25 }))).toBe('released')
  })
})

describe('[L2.5] release', () => {
  it('frees the resources and wakes whoever was refused because of them', () => {
    const lab = new VoterLab()
    lab.ask(requestOf())
    lab.ask(requestOf({ by: 22, n: 2 }))
    expect(lab.release(releaseOf(requestOf(), 21)).free).toEqual([{ node: peer(22), lid: hex(22) }])
    expect(lab.answer(requestOf({ by: 23, n: 2 }))).toBe('grant')
  })

  it('counts only when it comes from the holder', () => {
    const lab = new VoterLab()
    lab.ask(requestOf())
    lab.release(releaseOf(requestOf(), 22))
    expect(lab.answer(requestOf({ by: 22, n: 2 }))).toBe('conflict')
  })

  it('of no member is ignored', () => {
    const lab = new VoterLab()
    lab.ask(requestOf())
    lab.removed.add(peer(21))
    lab.release(releaseOf(requestOf(), 21))
    expect(lab.answer(requestOf({ by: 22, n: 2 }))).toBe('conflict')
  })

  it('hands the last write to the next holder, also across restart and compaction', () => {
    const lab = new VoterLab()
    lab.ask(requestOf({ res: [path('a', 'subtree')] }))
    lab.release(releaseOf(requestOf(), 21, position(21, 5)))
    expect(lab.grantOf(requestOf({ by: 22, n: 2, res: [path('b')] })).body.after).toEqual([])
    lab.restart()
    expect(lab.grantOf(requestOf({ by: 23, n: 2, res: [path('a/x')] })).body.after).toEqual([position(21, 5)])
    lab.release(releaseOf(requestOf({ by: 23, n: 2 }), 23, position(21, 4)))
    lab.restart(lab.voter.snapshot())
    expect(lab.grantOf(requestOf({ by: 24, n: 3 })).body.after).toEqual([position(21, 5)])
  })

  it('hands last writes on after the log has forgotten the lease, within the same first folder', () => {
    const lab = new VoterLab()
    lab.ask(requestOf({ res: [path('p1/a')] }))
    lab.release(releaseOf(requestOf(), 21, position(21, 5)))
    fillLog(lab)
    lab.restart(lab.voter.snapshot())
    expect(lab.grantOf(requestOf({ by: 22, n: 9_000_000, res: [path('p1/b')] })).body.after).toEqual([position(21, 5)])
    expect(lab.grantOf(requestOf({ by: 23, n: 9_000_000, res: [path('p2/b')] })).body.after).toEqual([])
  })

  it('remembers bounded numbers of early releases and of waiting nodes', () => {
    const lab = new VoterLab()
    for (let i = 0; i <= TOMBSTONES_MAX; i++) {
      lab.journal.push(encodeRecord({ t: 'rel', node: peer(21), lid: hex(i) }))
    }
    lab.restart()
    expect(lab.answer(requestOf({ lid: hex(1) }))).toBe('released')
    expect(lab.answer(requestOf({ lid: hex(0) }))).toBe('grant')
    for (let i = 0; i <= WAITERS_MAX; i++) lab.ask(requestOf({ by: 22, lid: hex(500 + i), n: 2 }))
    const { free } = lab.release(releaseOf(requestOf({ lid: hex(0) }), 21))
    expect([free.length, free[0]?.lid]).toEqual([WAITERS_MAX, hex(501)])
  })
})

/** As many ended leases elsewhere as the token log holds, so that everything that ended before is forgotten. */
function fillLog(lab: VoterLab): void {
  for (let i = 0; i < TOKEN_LOG_MAX; i++) {
    const lease = { node: peer(30), lid: hex(10_000 + i), res: [path(`fill/${i}`)], token: { epoch: 1, n: 60 + i } }
    lab.journal.push(encodeRecord({ t: 'ended', ...lease, first: 0, released: true }))
  }
  lab.restart()
}
