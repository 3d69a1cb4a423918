import { describe, expect, it } from 'vitest'
import { createClaimWatch } from '../../../../node/services/claims/claim-watch.ts'
import { createManualClock } from '../../../support/clock.ts'
import { identity } from '../../../support/identity.ts'

const self = identity(0).peer
const other = identity(1).peer

function createLab() {
  const clock = createManualClock()
  const heard = new Map<string, number>()
  const valid = new Set<string>()
  const flips: string[] = []
  const watch = createClaimWatch({
    clock,
    self,
    presence: { lastRenewedMonoMs: (_peer, lease) => heard.get(lease) },
    leases: { isValid: (lease) => valid.has(lease) },
    onFlip: (lease) => flips.push(lease),
  })
  const ask = (leaseId: string, ageMs = 0, node = other) =>
    watch.isLive({ leaseId, node, issuedAtMs: clock.wallMs() - ageMs })
  return { clock, heard, valid, flips, watch, ask }
}

describe('a lease of another node', () => {
  it('[L2.10] is live for one lease length after it was first seen or last renewed, and no longer', async () => {
    const { clock, heard, flips, ask } = createLab()
    expect(ask('x')).toBe(true)
    await clock.advance(59_999)
    expect(ask('x')).toBe(true)
    heard.set('x', clock.monoMs())
    await clock.advance(59_999)
    expect([ask('x'), flips]).toEqual([true, []])
    await clock.advance(1)
    expect([ask('x'), flips]).toEqual([false, ['x']])
  })

  it('[L2.10] is not live again because its record is read anew, unless it is renewed', async () => {
    const { clock, heard, flips, ask } = createLab()
    expect(ask('old', 60_000 + 120_001)).toBe(false)
    expect(ask('not so old', 60_000 + 119_999)).toBe(true)
    heard.set('old', clock.monoMs())
    await clock.advance(5000)
    expect([ask('old', 0), flips]).toEqual([true, ['old']])
  })

  it('is live again when its holder is heard again', async () => {
    const { clock, heard, flips, ask } = createLab()
    ask('x')
    await clock.advance(70_000)
    heard.set('x', clock.monoMs())
    await clock.advance(5000)
    expect([ask('x'), flips]).toEqual([true, ['x', 'x']])
  })

  it('says how long it is still shown', async () => {
    const { clock, watch, ask } = createLab()
    ask('x')
    await clock.advance(15_000)
    expect([watch.remainingMs('x'), watch.remainingMs('unknown')]).toEqual([45_000, 0])
  })
})

describe('an own lease', () => {
  it('is live while it is valid', async () => {
    const { clock, valid, flips, ask } = createLab()
    valid.add('x')
    expect([ask('x', 0, self), ask('y', 0, self)]).toEqual([true, false])
    await clock.advance(600_000)
    expect([ask('x', 0, self), flips]).toEqual([true, []])
    valid.delete('x')
    await clock.advance(5000)
    expect([ask('x', 0, self), flips]).toEqual([false, ['x']])
  })
})

it('does nothing after it was stopped', async () => {
  const { clock, flips, watch, ask } = createLab()
  ask('x')
  watch.stop()
  ask('y')
  await clock.advance(300_000)
  expect(flips).toEqual([])
})
