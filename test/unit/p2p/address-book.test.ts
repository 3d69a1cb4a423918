import { describe, expect, it } from 'vitest'
import type { PeerId } from '../../../crdt/ids.ts'
import { createAddressBook } from '../../../node/p2p/address-book.ts'
import { createManualClock } from '../../support/clock.ts'
import { createRecordedLog } from '../../support/log.ts'
import { peerOf } from '../../support/libp2p-nodes.ts'

const peer = peerOf(1)
const at = (port: number): string => `/ip4/10.0.0.1/tcp/${port}`

function create(stored: ReadonlyMap<PeerId, readonly string[]> = new Map()) {
  const saved: (readonly [PeerId, readonly string[]])[][] = []
  const clock = createManualClock()
  const store = {
    load: async () => stored,
    save: async (addresses: ReadonlyMap<PeerId, readonly string[]>) => void saved.push([...addresses]),
  }
  return { book: createAddressBook({ store, clock, log: createRecordedLog() }), clock, saved }
}

describe('address book', () => {
  it('tries first what worked last, then what was heard last', () => {
    const { book } = create()
    book.confirm(peer, at(1))
    expect(book.hint(peer, [at(2), at(3)])).toBe(true)
    book.confirm(peer, at(3))
    expect(book.hint(peer, [at(4), at(1)])).toBe(true)
    expect(book.hint(peer, [at(1)])).toBe(false)
    expect(book.of(peer)).toEqual([at(3), at(4), at(1), at(2)])
  })

  it('forgets the oldest beyond twelve, but never the best', () => {
    const { book } = create()
    book.confirm(peer, at(1))
    for (let port = 2; port < 100; port++) book.hint(peer, [at(port)])
    expect(book.of(peer)).toEqual([at(1), ...Array.from({ length: 11 }, (_, i) => at(99 - i))])
  })

  it('tries what the peer says of itself before what was known, but what worked last first if it still says so', () => {
    const { book } = create()
    book.confirm(peer, at(1))
    book.hint(peer, [at(2)])
    expect(book.told(peer, [at(3), at(1)])).toBe(true)
    expect(book.of(peer)).toEqual([at(1), at(3), at(2)])
    expect(book.told(peer, [at(4), at(3)])).toBe(true)
    expect(book.of(peer)).toEqual([at(4), at(3), at(1), at(2)])
    expect(book.told(peer, [at(4), at(3)])).toBe(false)
  })

  it('does not take for new, again and again, what it has no room for', () => {
    const { book } = create()
    const many = Array.from({ length: 30 }, (_, i) => at(i + 1))
    expect([book.told(peer, many), book.told(peer, many)]).toEqual([true, false])
  })

  it('does not take for new, again and again, what members say who remember other addresses than this node', () => {
    const { book } = create()
    const many = (from: number): string[] => Array.from({ length: 12 }, (_, i) => at(from + i))
    book.confirm(peer, at(1))
    const news = [100, 200, 100, 200, 100].map((from) => book.hint(peer, many(from)))
    expect(news).toEqual([true, true, false, false, false])
    expect(book.of(peer)).toEqual([at(1), ...many(100).slice(0, 11)])
    expect(book.hint(peer, [at(300)])).toBe(true)
  })

  it('is written once for many changes, and again when it is closed', async () => {
    const { book, clock, saved } = create()
    book.confirm(peer, at(1))
    book.confirm(peer, at(2))
    await clock.advance(1000)
    book.confirm(peer, at(2))
    await clock.advance(1000)
    book.confirm(peer, at(1))
    await book.flush()
    expect(saved).toEqual([[[peer, [at(2), at(1)]]], [[peer, [at(1), at(2)]]]])
  })

  it('starts with what was stored, without nonsense', async () => {
    const { book } = create(new Map([[peer, [at(1), 'nonsense', `${at(2)}/p2p/${peer}`]]]))
    await book.load()
    expect([book.peers(), book.of(peer)]).toEqual([[peer], [at(1), at(2)]])
  })
})
