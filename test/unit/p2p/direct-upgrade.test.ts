import { describe, expect, it } from 'vitest'
import { DirectUpgrade } from '../../../node/p2p/direct-upgrade.ts'
import { createManualClock } from '../../support/clock.ts'
import { peerOf } from '../../support/libp2p-nodes.ts'

const PEER = peerOf(1)

function create() {
  const clock = createManualClock()
  const startMs = clock.monoMs()
  const tries: number[] = []
  const state = { isRelayed: true }
  const upgrade = new DirectUpgrade({
    clock,
    isRelayed: () => state.isRelayed,
    tryDirect: async () => void tries.push(clock.monoMs() - startMs),
  })
  return { clock, tries, state, upgrade }
}

describe('doing without the relay', () => {
  it('is tried at once, then less and less often, and never given up', async () => {
    const { clock, tries, upgrade } = create()
    upgrade.hurry(PEER)
    await clock.advance(2 * 3600_000)
    expect(tries.slice(0, 4)).toEqual([500, 15_500, 45_500, 105_500])
    const [before = 0, last = 0] = tries.slice(-2)
    expect(last - before).toBe(600_000)
  })

  it('is tried as soon as there is news, but not at every word of a member that has news all the time', async () => {
    const { clock, tries, upgrade } = create()
    upgrade.hurry(PEER)
    await clock.advance(60_000)
    expect(tries).toEqual([500, 15_500, 45_500])
    for (let n = 0; n < 600; n++) {
      upgrade.hurry(PEER)
      await clock.advance(100)
    }
    const news = tries.slice(3)
    expect(news[0]).toBe(60_500)
    expect(news.length).toBe(12)
  })

  it('ends when there is a direct way', async () => {
    const { clock, tries, state, upgrade } = create()
    upgrade.hurry(PEER)
    await clock.advance(500)
    state.isRelayed = false
    await clock.advance(3600_000)
    upgrade.hurry(PEER)
    await clock.advance(3600_000)
    expect(tries).toEqual([500])
  })
})
