import { describe, expect, it } from 'vitest'
import type { PeerId } from '../../../crdt/ids.ts'
import { Dialer } from '../../../node/p2p/dialer.ts'
import { createManualClock } from '../../support/clock.ts'
import { createSeededRandom } from '../../support/identity.ts'
import { peerOf } from '../../support/libp2p-nodes.ts'

function create(count = 1) {
  const clock = createManualClock()
  const targets = Array.from({ length: count }, (_, n) => peerOf(n))
  const connected = new Set<PeerId>()
  const dials: number[] = []
  const state = { isReachable: false }
  const dialer = new Dialer({
    clock,
    random: createSeededRandom(1),
    substitutes: () => [],
    targets: () => targets,
    isConnected: (peer) => connected.has(peer),
    async dial(peer) {
      dials.push(clock.monoMs() - startMs)
      if (state.isReachable) connected.add(peer)
      return state.isReachable
    },
  })
  const startMs = clock.monoMs()
  return { clock, dialer, dials, connected, state, targets }
}

describe('dialer', () => {
  it('[D13] tries everybody at once at the start', async () => {
    const { dialer, dials } = create(5)
    dialer.start()
    expect(dials).toEqual([0, 0, 0, 0, 0])
    dialer.stop()
  })

  it('[D13] waits longer and longer, with jitter, up to 5 min, and never gives up', async () => {
    const { dialer, dials, clock } = create()
    dialer.start()
    await clock.advance(6 * 3600_000)
    dialer.stop()
    const pauses = dials.slice(1).map((at, i) => at - (dials[i] ?? 0))
    const base = [5, 10, 20, 40, 80, 160, 300, 300].map((s) => s * 1000)
    base.forEach((ms, i) => {
      expect(pauses[i]).toBeGreaterThanOrEqual(ms * 0.75)
      expect(pauses[i]).toBeLessThanOrEqual(ms * 1.25)
    })
    expect(dials.length).toBeGreaterThan(60)
    expect(new Set(pauses.slice(6)).size).toBeGreaterThan(40)
  })

  it('[D13] tries a member that was there within the hour every 20 s or so, later less and less', async () => {
    const { dialer, dials, clock, targets } = create()
    const [peer = peerOf(0)] = targets
    dialer.start()
    dialer.connected(peer)
    dialer.disconnected(peer, 60_000)
    await clock.advance(50 * 60_000)
    const recent = dials.slice(6).map((at, i) => at - (dials[i + 5] ?? 0))
    expect(Math.max(...recent)).toBeLessThanOrEqual(25_000)
    await clock.advance(3600_000)
    const last = dials.slice(-3)
    expect((last[2] ?? 0) - (last[1] ?? 0)).toBeGreaterThanOrEqual(225_000)
    dialer.stop()
  })

  it('[D13] dials a lost member again at once, and one that keeps hanging up less and less', async () => {
    const { dialer, dials, clock, connected, state, targets } = create()
    const [peer] = targets
    if (peer === undefined) throw new Error('no target')
    state.isReachable = true
    dialer.start()
    const lose = async (afterMs: number): Promise<number> => {
      await clock.advance(0)
      dialer.connected(peer)
      await clock.advance(afterMs)
      connected.delete(peer)
      dialer.disconnected(peer, afterMs)
      const before = dials.length
      const lostMs = clock.monoMs()
      while (dials.length === before) await clock.advance(100)
      return clock.monoMs() - lostMs
    }
    expect(await lose(60_000)).toBeLessThanOrEqual(600)
    expect(await lose(100)).toBeLessThanOrEqual(600)
    expect(await lose(100)).toBeGreaterThanOrEqual(3700)
    expect(await lose(100)).toBeGreaterThanOrEqual(7500)
    expect(await lose(60_000)).toBeLessThanOrEqual(600)
    dialer.stop()
  })

  it('takes a member that hangs up three times in a row for one that refuses us, until it stays or is off', async () => {
    const { dialer, clock, connected, state, targets } = create()
    const [peer = peerOf(0)] = targets
    state.isReachable = true
    dialer.start()
    const hangUp = async (): Promise<void> => {
      while (!connected.has(peer)) await clock.advance(1000)
      dialer.connected(peer)
      connected.delete(peer)
      dialer.disconnected(peer, 10)
    }
    for (let n = 0; n < 2; n++) await hangUp()
    expect(dialer.refusers()).toEqual([])
    for (let n = 0; n < 10; n++) {
      await hangUp()
      expect(dialer.refusers()).toEqual([peer])
    }
    state.isReachable = false
    await clock.advance(20 * 60_000)
    expect(dialer.refusers()).toEqual([])
    state.isReachable = true
    for (let n = 0; n < 3; n++) await hangUp()
    expect(dialer.refusers()).toEqual([peer])
    while (!connected.has(peer)) await clock.advance(1000)
    dialer.connected(peer)
    expect(dialer.refusers()).toEqual([])
    dialer.stop()
  })

  it('[D13] starts over when the network has changed, even while a dial is under way', async () => {
    const { dialer, dials, clock } = create()
    dialer.start()
    await clock.advance(200_000) // deep in the back-off
    const before = dials.length
    dialer.startOver()
    await clock.advance(0)
    expect(dials.length).toBe(before + 1)
    await clock.advance(6300)
    expect(dials.length).toBe(before + 2)
    dialer.stop()
  })

  it('follows new hints at once, but not in a loop', async () => {
    const { dialer, dials, clock, targets } = create()
    const [peer = peerOf(0)] = targets
    dialer.start()
    await clock.advance(1000)
    dialer.hurry(peer)
    expect(dials).toEqual([0])
    await clock.advance(5300) // the second try is over, the third is due 7.5 s after it at the earliest
    const [, second = 0] = dials
    await clock.advance(second + 5000 - 6300)
    dialer.hurry(peer)
    dialer.hurry(peer)
    await clock.advance(0)
    dialer.hurry(peer)
    expect(dials).toEqual([0, second, second + 5000])
    dialer.stop()
  })

  it('follows a hint that comes right after a failure within 5 s, however long it would have waited', async () => {
    const { dialer, dials, clock, targets } = create()
    const [peer = peerOf(0)] = targets
    dialer.start()
    await clock.advance(500_000) // deep in the back-off
    const before = dials.length
    while (dials.length === before) await clock.advance(1000)
    const nextMs = dialer.stateOf(peer).nextTryInMs ?? 0
    expect(nextMs).toBeGreaterThan(100_000)
    dialer.hurry(peer)
    expect(dialer.stateOf(peer).nextTryInMs).toBeLessThanOrEqual(5000)
    await clock.advance(5000)
    expect(dials.length).toBe(before + 2)
    dialer.stop()
  })

  it('[D13] dials a member that is back at once, but not one in a loop that is there and cannot be reached', async () => {
    const { dialer, dials, clock, targets } = create()
    const [peer = peerOf(0)] = targets
    dialer.start()
    await clock.advance(1200_000) // deep in the back-off
    const before = dials.length
    for (let n = 0; n < 360; n++) {
      dialer.sighted(peer, false)
      await clock.advance(10_000)
    }
    expect(dials.length - before).toBeLessThanOrEqual(17)
    await clock.advance(500_000)
    const after = dials.length
    dialer.sighted(peer, false)
    expect(dials.length).toBe(after + 1)
    dialer.stop()
  })

  it('leaves removed members alone, and does nothing after it was stopped', async () => {
    const { dialer, dials, clock, targets } = create(2)
    dialer.start()
    targets.pop()
    await clock.advance(8000)
    expect(dials).toHaveLength(3)
    dialer.stop()
    await clock.advance(3600_000)
    expect(dials).toHaveLength(3)
  })
})
