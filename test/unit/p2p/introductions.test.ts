import { describe, expect, it } from 'vitest'
import { Introductions } from '../../../node/p2p/introductions.ts'
import { createManualClock } from '../../support/clock.ts'
import { createRecordedLog } from '../../support/log.ts'
import { peerOf } from '../../support/libp2p-nodes.ts'

const OTHERS = [1, 2, 3].map(peerOf)

function create() {
  const clock = createManualClock()
  const startMs = clock.monoMs()
  const opened: [peer: number, atMs: number][] = []
  const introductions = new Introductions({
    clock,
    log: createRecordedLog(),
    async open(peer) {
      opened.push([OTHERS.indexOf(peer) + 1, clock.monoMs() - startMs])
      throw new Error('nobody is there')
    },
    connected: () => OTHERS,
    own: () => ({ agent: 'rookery', addresses: [], observed: undefined, protocols: [] }),
    onIntroduced: () => undefined,
  })
  return { clock, opened, introductions }
}

describe('introductions', () => {
  it('pass on at once where a member is found now, to all but that member', async () => {
    const { clock, opened, introductions } = create()
    introductions.passOn(peerOf(1), ['/ip4/192.0.2.1/tcp/1'])
    await clock.advance(60_000)
    expect(opened).toEqual([
      [2, 250],
      [3, 250],
    ])
  })

  it('[A-D1] do not have everybody tell everybody each time that one member has news', async () => {
    const { clock, opened, introductions } = create()
    for (let n = 0; n < 200; n++) {
      introductions.passOn(peerOf(1), [`/ip4/192.0.2.1/tcp/${n + 1}`])
      await clock.advance(300)
    }
    expect(opened.length).toBeLessThanOrEqual(2 * 13)
    expect(opened.at(-1)?.[1]).toBeGreaterThan(55_000)
  })

  it('tell at once where this node is found now, whatever waits', async () => {
    const { clock, opened, introductions } = create()
    for (let n = 0; n < 2; n++) {
      introductions.passOn(peerOf(1), [`/ip4/192.0.2.1/tcp/${n + 1}`])
      await clock.advance(1000)
    }
    opened.length = 0
    introductions.announce()
    await clock.advance(60_000)
    expect(opened).toEqual([1, 2, 3].map((peer) => [peer, 2250]))
  })
})
