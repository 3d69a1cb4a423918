import { describe, expect, it } from 'vitest'
import type { PeerId } from '../../../crdt/ids.ts'
import { CONNECTED_MIN, Neighbourhood } from '../../../node/p2p/neighbourhood.ts'
import { simPeer } from '../../sim/ports/sim-crypto.ts'
import { createSeededRandom } from '../../support/identity.ts'

const peers = (from: number, count: number): PeerId[] => Array.from({ length: count }, (_, n) => simPeer(from + n))

/** Neighbours are 0 to 9, others 10 to 39. */
function create(connected: PeerId[]) {
  const neighbours = new Set(peers(0, 10))
  return new Neighbourhood({
    neighbours: () => neighbours,
    known: () => peers(0, 40),
    connected: () => connected,
    random: createSeededRandom(1),
  })
}

describe('a neighbourhood', () => {
  it('wants the neighbours, and nobody else while enough are connected', () => {
    const near = create(peers(0, CONNECTED_MIN))
    expect(near.targets()).toEqual(peers(0, 10))
    expect(near.substitutes()).toEqual([])
  })

  it('tries as many others as are missing, and others again the next time', () => {
    const near = create([...peers(0, 2), simPeer(10)])
    const tries = Array.from({ length: 20 }, () => near.substitutes())
    for (const some of tries) {
      expect(new Set(some).size).toBe(CONNECTED_MIN - 3)
      for (const peer of some) expect(peers(11, 29)).toContain(peer)
    }
    expect(new Set(tries.flat()).size).toBeGreaterThan(20)
  })

  it('lets go of idle connections beyond the neighbours, but never below the minimum', () => {
    const idle = peers(10, 6)
    const surplus = (connected: PeerId[]): PeerId[] => create(connected).surplus((peer) => idle.includes(peer))
    expect(surplus([...peers(0, 10), ...peers(10, 8)])).toEqual(idle)
    expect(surplus([...peers(0, 4), ...peers(10, 6)])).toEqual(idle.slice(0, 2))
    expect(surplus([...peers(0, 2), ...peers(10, 6)])).toEqual([])
  })
})
