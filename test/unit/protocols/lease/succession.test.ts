import { describe, expect, it } from 'vitest'
import { MalformedError } from '../../../../protocols/codec.ts'
import type { Accept, Prepare } from '../../../../protocols/lease/ballot.ts'
import { voterSetOf } from '../../../../protocols/lease/config.ts'
import type { Estate } from '../../../../protocols/lease/estate.ts'
import { PAGE_BYTES_MAX } from '../../../../protocols/lease/frame.ts'
import { decodeRecord } from '../../../../protocols/lease/records.ts'
import { pack, type Signed } from '../../../../protocols/lease/signing.ts'
import { WAIT_OUT_MS } from '../../../../protocols/lease/voter-state.ts'
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
} from '../../../support/lease-lab.ts'
import {
  acceptOf,
  ballotOf,
  forcedEpoch,
  prepareOf,
  sealedEpoch,
  successorOf,
  SuccessionLab,
  votersOf,
  wordOf,
} from '../../../support/succession-lab.ts'

const set = voterSetOf(configOf(3))
const next = successorOf(set, [2, 3, 4])
const nextSet = voterSetOf(next)
const lab = (number = 2, of = set): SuccessionLab => new SuccessionLab(number, of)
const records = (of: SuccessionLab): string[] => of.journal.map((bytes) => decodeRecord(bytes).t)
const started = ['init', 'epoch', 'floor']
const restarts: [string, (of: SuccessionLab) => void][] = [
  ['as it is', () => undefined],
  ['restarted', (of) => of.restart()],
  ['compacted', (of) => of.restart(of.voter.snapshot())],
]

describe('[L2.7] prepare', () => {
  it('a promise is durable before it leaves, and counted', () => {
    const voter = lab()
    voter.ask(requestOf({}, set))
    const decision = voter.prepare(prepareOf(set, 1, ballotOf(5)))
    expect(decision).toMatchObject({ mustSync: true, records: [expect.any(Uint8Array)] })
    expect(decision.reply).toMatchObject({
      is: 'promise',
      inc: hex(2),
      draft: {
        kind: 'promise',
        body: {
          v: 1,
          space: set.config.body.space,
          epoch: 1,
          cid: set.cid,
          voter: peer(2),
          inc: hex(2),
          ballot: ballotOf(5),
          vseq: 2,
        },
      },
    })
    expect(voter.grantOf(requestOf({ seq: 1 }, set)).body.vseq).toBe(3)
  })

  it.each(restarts)('holds against lower ballots, by number and then by id (%s)', (_how, reopen) => {
    const voter = lab()
    voter.prepare(prepareOf(set, 1, ballotOf(5, 5)))
    reopen(voter)
    const before = voter.journal.length
    for (const lower of [ballotOf(4, 9), ballotOf(5, 4)]) {
      const outbid = { is: 'outbid', body: { epoch: 1, ballot: ballotOf(5, 5) } }
      expect(voter.prepare(prepareOf(set, 1, lower)).reply).toEqual(outbid)
      expect(voter.accept(acceptOf(set, lower, next)).reply).toEqual(outbid)
    }
    expect([voter.journal.length, voter.voter.succession.isSealed]).toEqual([before, false])
    for (const enough of [ballotOf(5, 5), ballotOf(5, 6), ballotOf(6, 0)]) {
      expect(wordOf(voter.prepare(prepareOf(set, 1, enough)))).toBe('promise')
    }
  })

  it.each(restarts)('tells what was accepted, and by which ballot (%s)', (_how, reopen) => {
    const voter = lab()
    expect(voter.promiseTo(prepareOf(set, 1, ballotOf(1))).accepted).toBeUndefined()
    voter.accept(acceptOf(set, ballotOf(1), next))
    reopen(voter)
    expect(voter.promiseTo(prepareOf(set, 1, ballotOf(7))).accepted).toEqual({
      ballot: ballotOf(1),
      config: pack(next),
    })
    const other = successorOf(set, [2])
    voter.accept(acceptOf(set, ballotOf(8), other))
    reopen(voter)
    expect(voter.promiseTo(prepareOf(set, 1, ballotOf(9))).accepted).toEqual({
      ballot: ballotOf(8),
      config: pack(other),
    })
  })

  it('still grants: a promise to listen is no seal', () => {
    const voter = lab()
    voter.prepare(prepareOf(set, 1, ballotOf(1)))
    expect(voter.answer(requestOf({}, set))).toBe('grant')
  })
})

describe('[L2.7] who may propose', () => {
  it('an admin, and a voter of the epoch: it may have to complete what an admin began', () => {
    const voter = lab(2, voterSetOf(configOf(3, { voters: votersOf([2, 3, 4]) })))
    const of = voter.set
    expect([1, 2, 3, 4].map((by) => wordOf(voter.prepare(prepareOf(of, by, ballotOf(9)))))).toEqual(
      Array.from({ length: 4 }, () => 'promise'),
    )
  })

  const bad: [string, Partial<Prepare & Accept> & { by?: number }][] = [
    ['a member that is neither', { by: 21 }],
    ['a voter of another epoch', { epoch: 2 }],
    ['a voter of another set', { cid: nextSet.cid }],
    ['another mesh', { space: otherSpace }],
  ]
  it.each(bad)('not %s', (_who, { by = 1, ...fields }) => {
    const voter = lab()
    expect(wordOf(voter.prepare(prepareOf(set, by, ballotOf(1), fields)))).toBe('silence')
    expect(wordOf(voter.accept(acceptOf(set, ballotOf(1), next, { by, ...fields })))).toBe('silence')
    expect(records(voter)).toEqual(started)
  })

  it('not whoever did not sign it himself, as what it is', () => {
    const voter = lab()
    const { body } = prepareOf(set, 1, ballotOf(1))
    const accept = acceptOf(set, ballotOf(1), next)
    expect([
      wordOf(voter.prepare(signedBy(21, 'prepare', body))),
      wordOf(voter.prepare({ ...signedBy(1, 'accept', body), kind: 'prepare' })),
      wordOf(voter.accept(signedBy(21, 'accept', accept.body))),
      wordOf(voter.accept({ ...signedBy(1, 'prepare', accept.body), kind: 'accept' })),
    ]).toEqual(Array.from({ length: 4 }, () => 'silence'))
    expect(records(voter)).toEqual(started)
  })

  it('a node answers nobody before it has an epoch, or when its incarnation is not the one that votes', () => {
    const without = lab()
    without.restart(without.journal.slice(0, 1))
    const stranger = lab(9)
    const lost = lab()
    lost.restart([lab(8).journal[0]!, ...lost.journal.slice(1)])
    for (const voter of [without, stranger, lost]) {
      expect(wordOf(voter.prepare(prepareOf(set, 1, ballotOf(1))))).toBe('silence')
      expect(wordOf(voter.accept(acceptOf(set, ballotOf(1), next)))).toBe('silence')
    }
  })
})

describe('[L2.7] accept', () => {
  it('is the seal: durable, counted, naming the successor and what is left', () => {
    const voter = lab()
    voter.prepare(prepareOf(set, 1, ballotOf(3)))
    const decision = voter.accept(acceptOf(set, ballotOf(3), next))
    expect(decision.mustSync).toBe(true)
    expect(records(voter)).toEqual([...started, 'prom', 'estate', 'seal'])
    expect(decision.reply).toMatchObject({
      is: 'seal',
      inc: hex(2),
      draft: {
        kind: 'seal',
        body: { epoch: 1, cid: set.cid, voter: peer(2), inc: hex(2), ballot: ballotOf(3), next: next.hash, pages: 1 },
      },
    })
    expect(voter.estateOf({ ...voter.sealFor(acceptOf(set, ballotOf(3), next)) })).toEqual({ grants: [], after: [] })
  })

  it('needs no promise before: a ballot above all is enough', () => {
    expect(wordOf(lab().accept(acceptOf(set, ballotOf(0), next)))).toBe('seal')
  })

  it('is a promise too: a lower ballot comes too late', () => {
    const voter = lab()
    voter.accept(acceptOf(set, ballotOf(3), next))
    expect(wordOf(voter.prepare(prepareOf(set, 1, ballotOf(2))))).toBe('outbid')
    expect(wordOf(voter.accept(acceptOf(set, ballotOf(2), successorOf(set, [2]))))).toBe('outbid')
  })

  it.each(restarts)('[I1] a sealed voter grants and renews nothing, and repeats nothing (%s)', (_how, reopen) => {
    const voter = lab()
    const request = requestOf({}, set)
    voter.ask(request)
    voter.accept(acceptOf(set, ballotOf(1), next))
    reopen(voter)
    expect(voter.voter.succession.isSealed).toBe(true)
    expect([
      voter.answer(request),
      voter.answer(requestOf({ seq: 1 }, set)),
      voter.answer(requestOf({ by: 22, res: [path('b')] }, set)),
    ]).toEqual(['epoch', 'epoch', 'epoch'])
  })

  it.each<[string, Signed<Accept>]>([
    ['of a later epoch', acceptOf(set, ballotOf(1), successorOf(set, [4], { epoch: 3 }))],
    ['of this epoch', acceptOf(set, ballotOf(1), successorOf(set, [4], { epoch: 1 }))],
    ['that follows another', acceptOf(set, ballotOf(1), successorOf(set, [4], { prev: next.hash }))],
    ['that follows none', acceptOf(set, ballotOf(1), successorOf(set, [4], { prev: null }))],
    ['of another mesh', acceptOf(set, ballotOf(1), successorOf(set, [4], { space: otherSpace }))],
    [
      'by a voter that is no admin',
      acceptOf(set, ballotOf(1), signedBy(2, 'config', { ...next.body, by: peer(2) }), { by: 2 }),
    ],
  ])('refuses a configuration %s', (_what, accept) => {
    const voter = lab()
    expect(wordOf(voter.accept(accept))).toBe('silence')
    expect([records(voter), voter.answer(requestOf({}, set))]).toEqual([started, 'grant'])
  })

  it.each<[string, Signed<Accept>]>([
    ['names a voter twice', acceptOf(set, ballotOf(1), successorOf(set, [4, 4]))],
    ['its author did not sign', acceptOf(set, ballotOf(1), signedBy(2, 'config', next.body))],
    ['is no configuration', acceptOf(set, ballotOf(1), next, { config: pack(prepareOf(set, 1, ballotOf(1))) })],
  ])('cannot understand a configuration that %s', (_what, accept) => {
    const voter = lab()
    expect(() => voter.accept(accept)).toThrow(MalformedError)
    expect([records(voter), voter.answer(requestOf({}, set))]).toEqual([started, 'grant'])
  })

  it('whoever proposes, the configuration is an admin’s', () => {
    expect(wordOf(lab().accept(acceptOf(set, ballotOf(1), next, { by: 3 })))).toBe('seal')
  })

  it('an admin completes what somebody began who is an admin no more', () => {
    const begun = signedBy(2, 'config', { ...next.body, by: peer(2) })
    expect(wordOf(lab().accept(acceptOf(set, ballotOf(1), begun, { by: 1 })))).toBe('seal')
  })
})

describe('[L2.7] the estate', () => {
  it('[I1] lists every live lease, also those whose grants are not durable yet', () => {
    const voter = lab()
    voter.ask(requestOf({ ttl: 10_000 }, set))
    voter.ask(requestOf({ seq: 1, ttl: 60_000 }, set))
    voter.decide(requestOf({ by: 22, seq: 4, n: 2, res: [path('b')] }, set)) // decided, not synced, not settled
    const { grants } = voter.estateOf(voter.sealFor(acceptOf(set, ballotOf(1), next)))
    const lease = { token: { epoch: 1, n: 1 }, after: [] }
    expect(grants).toEqual([
      {
        ...lease,
        node: peer(21),
        lid: hex(21),
        owner: 'boot/21',
        info: { instanceId: 'agent-21', untilMs: 0 },
        res: [path('a')],
        seq: 1,
        ttlMax: 60_000,
      },
      {
        ...lease,
        node: peer(22),
        lid: hex(22),
        owner: 'boot/22',
        info: { instanceId: 'agent-22', untilMs: 0 },
        res: [path('b')],
        token: { epoch: 1, n: 2 },
        seq: 4,
        ttlMax: 10_000,
      },
    ])
  })

  it('[I6] leaves out a promise that has ended, also when nobody has asked since', () => {
    const voter = lab()
    voter.ask(requestOf({ ttl: 10_000 }, set))
    voter.nowMs = 10_000
    const { length } = voter.journal
    expect(voter.estateOf(voter.sealFor(acceptOf(set, ballotOf(1), next))).grants).toEqual([])
    expect(records(voter).slice(length)).toEqual(['exp', 'estate', 'seal'])
  })

  it('leaves out what was released, and keeps the last writes', () => {
    const voter = lab()
    voter.ask(requestOf({ res: [path('p1/a')] }, set))
    voter.release(releaseOf(requestOf({}, set), 21, position(21, 5)))
    expect(voter.estateOf(voter.sealFor(acceptOf(set, ballotOf(1), next)))).toEqual({
      grants: [],
      after: [{ scope: 'path:p1', at: position(21, 5) }],
    })
  })

  it.each(restarts)('is the same for every later ballot (%s)', (_how, reopen) => {
    const voter = lab()
    voter.ask(requestOf({ ttl: 10_000 }, set))
    const first = voter.sealFor(acceptOf(set, ballotOf(1), next))
    reopen(voter)
    voter.nowMs = 20_000
    voter.release(releaseOf(requestOf({}, set), 21))
    const { length } = voter.journal
    const second = voter.sealFor(acceptOf(set, ballotOf(2), successorOf(set, [5])))
    expect(records(voter).slice(length)).toEqual(['seal'])
    expect([second.estate, second.pages]).toEqual([first.estate, first.pages])
    expect(second.vseq).toBeGreaterThan(first.vseq)
    expect(voter.estateOf(first).grants).toHaveLength(1)
  })

  it('is whole, wherever a crash cuts off what the seal wrote', () => {
    const voter = lab()
    voter.ask(requestOf({}, set))
    voter.sealFor(acceptOf(set, ballotOf(1), next))
    voter.adopt(sealedEpoch(next), [voter.estateOf(voter.sealFor(acceptOf(set, ballotOf(2), next)))])
    voter.ask(requestOf({ lid: hex(2), res: [path('b')], token: { epoch: 2, n: 9 } }, nextSet))
    const { length } = voter.journal
    const following = acceptOf(nextSet, ballotOf(1), successorOf(nextSet, [5]))
    voter.sealFor(following)
    for (let kept = length; kept <= voter.journal.length; kept++) {
      const again = lab()
      again.restart(voter.journal.slice(0, kept))
      expect(again.estateOf(again.sealFor(following)).grants).toHaveLength(2)
    }
  })

  it('a large one travels in pages', () => {
    const voter = lab()
    for (let i = 0; i < 4; i++) {
      const res = Array.from({ length: 512 }, (_, k) => path(`${i}/${String(k).padStart(4, '0')}${'x'.repeat(200)}`))
      voter.ask(requestOf({ lid: hex(i), n: i + 1, res }, set))
    }
    const seal = voter.sealFor(acceptOf(set, ballotOf(1), next))
    expect(seal.pages).toBeGreaterThan(1)
    const first = voter.voter.succession.page(seal.estate, 0)
    expect(first?.byteLength).toBe(PAGE_BYTES_MAX)
    expect(voter.estateOf(seal).grants).toHaveLength(4)
    expect(voter.voter.succession.page(seal.estate, seal.pages)).toBeUndefined()
    expect(voter.voter.succession.page(new Uint8Array(32), 0)).toBeUndefined()
  })
})

/** What voters of epoch 1 leave that granted these requests. */
function estateOf(number: number, requests: Parameters<typeof requestOf>[0][], prepare?: (of: SuccessionLab) => void) {
  const voter = lab(number)
  for (const fields of requests) voter.ask(requestOf(fields, set))
  prepare?.(voter)
  return voter.estateOf(voter.sealFor(acceptOf(set, ballotOf(1), next)))
}

/** A new voter, in epoch 2. */
function successor(estates: readonly Estate[], number = 4): SuccessionLab {
  const voter = lab(number)
  voter.restart(voter.journal.slice(0, 1))
  voter.adopt(sealedEpoch(next), estates)
  return voter
}

describe('[L2.7] adoption', () => {
  it('[I1] wherever a crash cuts it off, nobody else gets what was promised', () => {
    const voter = successor([estateOf(2, [{}])])
    const rival = requestOf({ by: 22, lid: hex(2), token: { epoch: 2, n: 9 } }, nextSet)
    for (let kept = 1; kept <= voter.journal.length; kept++) {
      const again = lab(4)
      again.restart(voter.journal.slice(0, kept))
      expect(again.answer(rival)).toBe({ 1: 'notvoter', 4: 'conflict' }[kept] ?? 'recovering')
    }
  })

  it('that was cut off is made up for by waiting, once', () => {
    const voter = successor([estateOf(2, [{}])])
    voter.restart(voter.journal.slice(0, 2))
    expect(voter.voter.waitsMs(voter.nowMs)).toBe(WAIT_OUT_MS)
    voter.nowMs += WAIT_OUT_MS
    expect(voter.answer(requestOf({ token: { epoch: 2, n: 9 } }, nextSet))).toBe('grant')
    voter.restart()
    expect(voter.voter.waitsMs(voter.nowMs)).toBe(0)
  })

  it('is durable, and from then on the voter answers for its epoch', () => {
    const voter = lab(4)
    voter.restart(voter.journal.slice(0, 1))
    const decision = voter.adopt(sealedEpoch(next), [])
    expect([decision.mustSync, records(voter)]).toEqual([true, ['init', 'epoch', 'floor']])
    expect(voter.answer(requestOf({}, set))).toBe('epoch')
    expect(voter.ask(requestOf({}, set))).toMatchObject({ body: { epoch: 2 } })
    expect(voter.answer(requestOf({}, nextSet))).toBe('grant')
  })

  it.each(restarts)('[I1] imports the union of what was promised, each for its full length (%s)', (_how, reopen) => {
    const a = estateOf(2, [{ ttl: 60_000 }, { by: 22, res: [path('b')], ttl: 1000 }])
    const b = estateOf(3, [
      { ttl: 5000, seq: 3 },
      { by: 23, res: [path('c')], ttl: 1000 },
    ])
    const voter = successor([a, b])
    voter.nowMs = 0
    reopen(voter)
    let lid = 900
    const newcomer = (key: string) =>
      voter.answer(requestOf({ by: 30, lid: hex(lid++), n: lid, res: [path(key)] }, nextSet))
    expect(['a', 'b', 'c'].map(newcomer)).toEqual(['conflict', 'conflict', 'conflict'])
    voter.nowMs = 1000
    expect(['a', 'b', 'c'].map(newcomer)).toEqual(['conflict', 'grant', 'grant'])
    voter.nowMs = 59_999
    expect(newcomer('a')).toBe('conflict')
    voter.nowMs = 60_000
    expect(newcomer('a')).toBe('grant')
  })

  it('imported leases may contradict each other: both block until they end', () => {
    const voter = successor([estateOf(2, [{ ttl: 1000 }]), estateOf(3, [{ by: 22, ttl: 2000 }])])
    const third = requestOf({ by: 23 }, nextSet)
    expect([21, 22].map((by) => voter.answer(requestOf({ by, seq: 1 }, nextSet)))).toEqual(['conflict', 'conflict'])
    voter.nowMs = 1000
    expect(voter.answer(third)).toBe('conflict')
    voter.nowMs = 2000
    expect(voter.answer(third)).toBe('grant')
  })

  it('a voter that goes on keeps its own promises, at full length from then on', () => {
    const voter = lab()
    voter.ask(requestOf({ ttl: 10_000 }, set))
    voter.nowMs = 9000
    voter.accept(acceptOf(set, ballotOf(1), next))
    voter.adopt(sealedEpoch(next), [])
    voter.nowMs = 18_999
    expect(voter.answer(requestOf({ by: 22 }, nextSet))).toBe('conflict')
    voter.nowMs = 19_000
    expect(voter.answer(requestOf({ by: 22 }, nextSet))).toBe('grant')
  })

  it('[I6] a promise that has ended does not begin anew, also when nobody has asked since', () => {
    const voter = lab()
    voter.ask(requestOf({ ttl: 10_000 }, set))
    voter.nowMs = 10_000
    voter.adopt(sealedEpoch(next), [])
    expect(voter.answer(requestOf({ by: 22 }, nextSet))).toBe('grant')
  })

  it.each(restarts)('[L2.4.6] what was released stays released, whatever other voters leave (%s)', (_how, reopen) => {
    const voter = lab()
    voter.ask(requestOf({ ttl: 10_000 }, set))
    voter.release(releaseOf(requestOf({}, set), 21))
    const other = lab(2)
    other.ask(requestOf({ ttl: 10_000 }, set))
    const left = other.estateOf(other.sealFor(acceptOf(set, ballotOf(1), next)))
    expect(left.grants).toHaveLength(1)
    voter.adopt(sealedEpoch(next), [left])
    reopen(voter)
    expect(voter.answer(requestOf({ seq: 1, token: { epoch: 2, n: 1 } }, nextSet))).toBe('released')
    expect(voter.answer(requestOf({ by: 22 }, nextSet))).toBe('grant')
  })

  it('its own promises get one token of the new epoch too', () => {
    const voter = lab()
    voter.ask(requestOf({ n: 9 }, set))
    voter.accept(acceptOf(set, ballotOf(1), next))
    voter.adopt(sealedEpoch(next), [])
    const { first, vseq } = voter.grantOf(requestOf({ seq: 1, n: 2 }, nextSet)).body
    expect(first).toBe(vseq)
    expect(voter.answer(requestOf({ seq: 2, n: 3 }, nextSet))).toBe('malformed')
  })

  it('is unsealed and unbound by the ballots before', () => {
    const voter = lab()
    voter.accept(acceptOf(set, ballotOf(9), next))
    voter.adopt(sealedEpoch(next), [])
    expect(voter.voter.succession.isSealed).toBe(false)
    expect(wordOf(voter.prepare(prepareOf(nextSet, 1, ballotOf(0))))).toBe('promise')
    expect(voter.promiseTo(prepareOf(nextSet, 1, ballotOf(0))).accepted).toBeUndefined()
  })

  it.each(restarts)('[I2] tokens start anew in the new epoch, above all of the one before (%s)', (_how, reopen) => {
    const voter = lab()
    voter.ask(requestOf({ n: 50 }, set))
    voter.release(releaseOf(requestOf({ n: 50 }, set), 21))
    voter.accept(acceptOf(set, ballotOf(1), next))
    voter.adopt(sealedEpoch(next), [])
    reopen(voter)
    expect(voter.answer(requestOf({ by: 22, n: 0 }, nextSet))).toBe('stale')
    expect(voter.answer(requestOf({ by: 22, n: 1 }, nextSet))).toBe('grant')
  })

  it.each(restarts)(
    'keeps tombstones: a lease that was given up before its grant stays closed (%s)',
    (_how, reopen) => {
      const voter = lab()
      voter.release(releaseOf(requestOf({}, set), 21))
      voter.accept(acceptOf(set, ballotOf(1), next))
      voter.adopt(sealedEpoch(next), [estateOf(3, [{}])])
      reopen(voter)
      expect(voter.answer(requestOf({ seq: 1 }, nextSet))).toBe('released')
      expect(voter.answer(requestOf({ by: 22 }, nextSet))).toBe('grant')
    },
  )

  it.each(restarts)('keeps last writes, its own and those of the voters before (%s)', (_how, reopen) => {
    const estate = estateOf(3, [{ by: 22, res: [path('p/b')] }], (other) =>
      other.release(releaseOf(requestOf({ by: 22 }, set), 22, position(22, 8))),
    )
    const voter = lab()
    voter.ask(requestOf({ res: [path('p/a')] }, set))
    voter.release(releaseOf(requestOf({}, set), 21, position(21, 5)))
    voter.accept(acceptOf(set, ballotOf(1), next))
    voter.adopt(sealedEpoch(next), [estate])
    reopen(voter)
    const grant = voter.grantOf(requestOf({ by: 23, res: [path('p/c')] }, nextSet))
    expect(grant.body.after.toSorted((a, b) => a.seq - b.seq)).toEqual([position(21, 5), position(22, 8)])
  })

  it.each(restarts)(
    'a lease that came along gets one token of the new epoch with its first grant (%s)',
    (_how, reopen) => {
      const voter = successor([estateOf(2, [{ n: 9, ttl: 60_000 }])])
      reopen(voter)
      const retoken = requestOf({ seq: 1, n: 2, ttl: 60_000 }, nextSet)
      expect(voter.grantOf(retoken).body).toMatchObject({ token: { epoch: 2, n: 2 }, vseq: 1, first: 1 })
      reopen(voter)
      expect(voter.answer(requestOf({ seq: 2, n: 3, ttl: 60_000 }, nextSet))).toBe('malformed')
      expect(voter.grantOf(requestOf({ seq: 2, n: 2, ttl: 60_000 }, nextSet)).body).toMatchObject({ vseq: 2, first: 1 })
      expect(voter.answer(requestOf({ by: 22, n: 9 }, nextSet))).toBe('conflict')
    },
  )

  it('a lease that came along belongs to its owner and keeps its resources', () => {
    const voter = successor([estateOf(2, [{ ttl: 60_000 }])])
    expect(voter.answer(requestOf({ seq: 1, owner: 'boot/other' }, nextSet))).toBe('malformed')
    expect(voter.answer(requestOf({ seq: 1, res: [path('b')] }, nextSet))).toBe('malformed')
  })

  it('[I2b] a lease that came along and ran out is not revived', () => {
    const voter = successor([estateOf(2, [{ ttl: 5000 }])])
    voter.nowMs = 5000
    expect(voter.answer(requestOf({ seq: 1, n: 7 }, nextSet))).toBe('malformed')
  })

  it('requests of before the change are not answered again', () => {
    const voter = successor([estateOf(2, [{ seq: 5, ttl: 60_000 }])])
    expect(voter.answer(requestOf({ seq: 5, n: 2 }, nextSet))).toBe('silence')
    expect(voter.answer(requestOf({ seq: 6, n: 2 }, nextSet))).toBe('grant')
  })

  it('[I10] counts on', () => {
    const voter = lab()
    const before = voter.grantOf(requestOf({}, set)).body.vseq
    const { vseq } = voter.sealFor(acceptOf(set, ballotOf(1), next))
    voter.adopt(sealedEpoch(next), [])
    const after = voter.grantOf(requestOf({ by: 22, res: [path('b')] }, nextSet)).body.vseq
    expect([before < vseq, vseq < after]).toEqual([true, true])
  })

  it('happens once, and never backwards', () => {
    const voter = successor([])
    voter.ask(requestOf({}, nextSet))
    const { length } = voter.journal
    voter.adopt(sealedEpoch(next), [])
    voter.adopt(founded(set), [])
    expect([voter.journal.length, voter.voter.succession.set?.epoch]).toEqual([length, 2])
    expect([sealedEpoch(next), founded(set)].map((epoch) => voter.voter.succession.needs(epoch))).toEqual([
      undefined,
      undefined,
    ])
  })

  it('a node that is not among the new voters enters too, to refuse with the right word', () => {
    const voter = lab(1)
    expect(voter.voter.succession.needs(sealedEpoch(next))).toBe('nothing')
    voter.adopt(sealedEpoch(next), [])
    expect(voter.answer(requestOf({}, nextSet))).toBe('notvoter')
    expect(voter.answer(requestOf({}, set))).toBe('epoch')
  })

  it('a voter that lost its journal is not among them either', () => {
    const voter = lab(9)
    const lost = successorOf(set, [], { voters: [{ node: peer(9), inc: hex(1) }] })
    expect(voter.voter.succession.needs(sealedEpoch(lost))).toBe('nothing')
    voter.adopt(sealedEpoch(lost), [])
    expect(voter.answer(requestOf({}, voterSetOf(lost)))).toBe('notvoter')
  })
})

describe('[L2.7] a set whose predecessors cannot be asked', () => {
  const forced = successorOf(set, [4, 5], { epoch: 1000 })
  const forcedSet = voterSetOf(forced)
  const enter = (): SuccessionLab => {
    const voter = lab(4)
    voter.nowMs = 7000
    expect(voter.voter.succession.needs(forcedEpoch(forced))).toBe('time')
    voter.adopt(forcedEpoch(forced), 'time')
    return voter
  }
  const request = requestOf({}, forcedSet)

  it('grants nothing until every promise before has ended, then says so to its journal', () => {
    const voter = enter()
    expect(voter.voter.waitsMs(voter.nowMs)).toBe(WAIT_OUT_MS)
    voter.nowMs = 7000 + WAIT_OUT_MS - 1
    expect([voter.answer(request), voter.voter.waitsMs(voter.nowMs)]).toEqual(['recovering', 1])
    voter.nowMs += 1
    expect(voter.voter.waitsMs(voter.nowMs)).toBe(0)
    expect(voter.answer(request)).toBe('grant')
    expect(records(voter).slice(-3)).toEqual(['epoch', 'ready', 'grant'])
  })

  it('600 s of the longest lease, at clocks that run 10 % apart', () => {
    expect(WAIT_OUT_MS).toBeGreaterThanOrEqual(600_000 / 0.9)
  })

  it.each(restarts.slice(1))(
    'starts to wait anew after a crash: how long it was down is unknown (%s)',
    (_how, reopen) => {
      const voter = enter()
      voter.nowMs = 7000 + WAIT_OUT_MS - 1
      reopen(voter)
      voter.nowMs += WAIT_OUT_MS - 1
      expect(voter.answer(request)).toBe('recovering')
      voter.nowMs += 1
      expect(voter.answer(request)).toBe('grant')
    },
  )

  it.each(restarts.slice(1))('has waited once it has waited (%s)', (_how, reopen) => {
    const voter = enter()
    voter.nowMs = 7000 + WAIT_OUT_MS
    voter.ask(request)
    reopen(voter)
    expect(voter.answer(requestOf({ seq: 1 }, forcedSet))).toBe('grant')
  })

  it('[I1] leaves nothing to successors while it waits: they would take what it does not know for nothing', () => {
    const voter = enter()
    const accept = acceptOf(forcedSet, ballotOf(1), successorOf(forcedSet, [4, 5, 6]))
    voter.nowMs = 7000 + WAIT_OUT_MS - 1
    expect([wordOf(voter.accept(accept)), voter.voter.succession.isSealed]).toEqual(['silence', false])
    voter.nowMs += 1
    expect(wordOf(voter.accept(accept))).toBe('seal')
    voter.restart()
    const again = acceptOf(forcedSet, ballotOf(2), successorOf(forcedSet, [4]))
    expect(wordOf(voter.accept(again))).toBe('seal') // what it left before the crash was complete
  })

  it('[I2] tokens start above those before', () => {
    const voter = enter()
    voter.nowMs = 7000 + WAIT_OUT_MS
    expect(voter.answer(requestOf({ n: 0 }, forcedSet))).toBe('stale')
    expect(voter.answer(requestOf({ n: 1 }, forcedSet))).toBe('grant')
  })

  it('the same when a sealed set’s predecessors do not answer', () => {
    const voter = lab(4)
    expect(voter.voter.succession.needs(sealedEpoch(next))).toBe('estates')
    voter.adopt(sealedEpoch(next), 'time')
    expect(voter.answer(requestOf({}, nextSet))).toBe('recovering')
    voter.nowMs = WAIT_OUT_MS
    expect(voter.answer(requestOf({}, nextSet))).toBe('grant')
  })
})
