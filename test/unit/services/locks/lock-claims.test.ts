import { describe, expect, it } from 'vitest'
import { domainError } from '../../../../crdt/errors.ts'
import { InstanceId } from '../../../../crdt/ids.ts'
import { err } from '../../../../crdt/result.ts'
import { SETTLE_MS } from '../../../../node/services/locks/lock-provisional.ts'
import { codeOf, valueOf } from '../../../support/claim-lab.ts'
import { claimTable, lease, target, termsOf } from '../../../support/claim-table.ts'
import { settle } from '../../../support/clock.ts'

describe('a claim', () => {
  it('[P1] is not announced over a lock that is known, not even for a moment', async () => {
    const { claims, entries, notices, rival } = claimTable()
    rival('src')
    expect(codeOf(await claims.begin(termsOf('one'), [target('src/a.ts')]))).toBe('lock_held')
    expect([entries.size, notices.size]).toEqual([0, 0])
    expect(codeOf(await claims.begin(termsOf('one'), [target('docs')]))).toBe('ok')
  })

  it('[P1] does not count before everybody had the time to object', async () => {
    const { claims, clock, entries } = claimTable()
    const claim = valueOf(await claims.begin(termsOf('one'), [target('a')]))
    let isSettled = false
    const settled = claims.settle(claim, []).then(() => (isSettled = true))
    await clock.advance(SETTLE_MS - 1)
    expect([isSettled, claims.held(claim.id), [...entries.values()].map(({ record }) => record)]).toEqual([
      false,
      undefined,
      [expect.objectContaining({ settled: false })],
    ])
    await clock.advance(1)
    await settled
    expect([isSettled, claims.held(claim.id)]).toEqual([true, claim])
  })

  it('[P3] that loses before it counts leaves nothing behind but the answer', async () => {
    const { claims, clock, entries, notices, rival } = claimTable()
    const claim = valueOf(await claims.begin(termsOf('one'), [target('a')]))
    rival('a')
    claims.review()
    const settled = claims.settle(claim, [])
    await clock.advance(SETTLE_MS)
    const refused = await settled
    expect(!refused.ok && [refused.error.code, refused.error.details?.holder?.instanceId]).toEqual([
      'lock_held',
      'rival',
    ])
    expect([entries.size, notices.size]).toEqual([0, 0])
  })

  it('[P3] that gave way never gets a certificate, though the voters have granted it', async () => {
    const { claims, entries, notices, released, hold, rival } = claimTable()
    const claim = await hold('a')
    rival('a')
    claims.review()
    await settle()
    const late = await claims.certify(claim, { lease, targets: claim.targets })
    expect([late.ok, released, entries.size]).toEqual([false, [lease.leaseId], 0])
    expect([...notices.values()].map(({ state }) => state)).toEqual(['yield'])
  })

  it('[P3] whose certificate is being written gives way to nobody', async () => {
    const { claims, entries, gates, notices, hold, rival } = claimTable()
    const claim = await hold('a')
    gates.live.shut()
    const certified = claims.certify(claim, { lease, targets: claim.targets })
    rival('a')
    claims.review()
    claims.yieldTo(claim, {
      leaseId: 'e'.repeat(32),
      path: 'a',
      instanceId: InstanceId.parse('rival'),
      node: null,
      since: '2026-01-01T00:00:00.000Z',
      guarantee: 'certified',
    })
    await claims.withdraw(claim)
    await settle()
    expect([...notices.values()].map(({ state }) => state)).toEqual(['open'])
    await gates.live.open()
    expect(valueOf(await certified)).toMatchObject([{ path: 'a', guarantee: 'certified', fencingToken: 7 }])
    expect([[...entries.values()].map(({ record }) => record.token), notices.size]).toEqual([[7], 0])
  })

  it('[P3] whose certificate could not be written gives the lease back, and gives way after all', async () => {
    const { claims, gates, notices, released, hold, rival } = claimTable()
    const claim = await hold('a')
    gates.live.shut()
    gates.live.refusal = err(domainError('limit_reached'))
    const certified = claims.certify(claim, { lease, targets: claim.targets })
    rival('a')
    claims.review()
    await gates.live.open()
    expect([codeOf(await certified), released]).toEqual(['limit_reached', [lease.leaseId]])
    await settle()
    expect([...notices.values()].map(({ state }) => state)).toEqual(['yield'])
  })

  it('that is granted twice at once gives one lease back', async () => {
    const { claims, gates, released, hold } = claimTable()
    const claim = await hold('a')
    gates.live.shut()
    const first = claims.certify(claim, { lease, targets: claim.targets })
    const second = await claims.certify(claim, { lease: { ...lease, leaseId: 'b'.repeat(32) }, targets: claim.targets })
    await gates.live.open()
    expect([codeOf(await first), codeOf(second), released]).toEqual(['ok', 'superseded', ['b'.repeat(32)]])
  })

  it('takes no lease over more than it still holds', async () => {
    const { claims, released, hold } = claimTable()
    const claim = await hold('a', 'b')
    const { targets } = claim
    await claims.dropPath(claim, targets[0]!.entry)
    expect(codeOf(await claims.certify(claim, { lease, targets }))).toBe('superseded')
    expect([released, claims.held(claim.id)]).toEqual([[lease.leaseId], claim])
    valueOf(await claims.certify(claim, { lease, targets: claim.targets }))
    expect(claims.held(claim.id)).toBeUndefined()
  })

  it('[P5] that gives way is seen to be gone only when its notice is durable', async () => {
    const { claims, entries, gates, notices, hold, rival } = claimTable()
    await hold('a')
    gates.notices.shut()
    rival('a')
    claims.review()
    await settle()
    expect([entries.size, [...notices.values()].map(({ state }) => state)]).toEqual([1, ['open']])
    await gates.notices.open()
    expect([entries.size, [...notices.values()].map(({ state }) => state)]).toEqual([0, ['yield']])
  })

  it('[D7] that could not be prolonged ends when it would have ended', async () => {
    const { claims, clock, gates, hold } = claimTable()
    const claim = await hold('a')
    const { untilMs } = claim.terms
    gates.live.refusal = err(domainError('storage_failed'))
    expect(codeOf(await claims.extend(claim, untilMs + 600_000))).toBe('storage_failed')
    gates.live.refusal = undefined
    await clock.advance(untilMs - clock.wallMs() - 1)
    expect(claims.held(claim.id)).toBe(claim)
    await clock.advance(1)
    expect(claims.held(claim.id)).toBeUndefined()
  })

  it('is one of a bounded number', async () => {
    const { claims } = claimTable()
    const results = []
    for (let i = 0; i <= 256; i++) results.push(codeOf(await claims.begin(termsOf('one'), [target(`${i}`)])))
    expect([new Set(results.slice(0, 256)), results[256]]).toEqual([new Set(['ok']), 'limit_reached'])
  })
})
