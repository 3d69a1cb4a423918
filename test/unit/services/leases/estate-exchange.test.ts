import { describe, expect, it } from 'vitest'
import type { PeerId } from '../../../../crdt/ids.ts'
import { EstateExchange } from '../../../../node/services/leases/estate-exchange.ts'
import { packEstate, type Estate } from '../../../../protocols/lease/estate.ts'
import type { LeaseMessage } from '../../../../protocols/lease/frame.ts'
import { createManualClock, settle } from '../../../support/clock.ts'
import { crypto } from '../../../support/identity.ts'
import { configOf, hex, path, peer } from '../../../support/lease-lab.ts'
import { sealOf, successorOf } from '../../../support/succession-lab.ts'
import { voterSetOf } from '../../../../protocols/lease/config.ts'

const sha256 = (bytes: Uint8Array): Uint8Array => crypto.sha256(bytes)
const RETRY_MS = 1000

/** Of so many leases over long paths that it takes several pages. */
const estate: Estate = {
  grants: Array.from({ length: 5 }, (_, i) => ({
    node: peer(21),
    lid: hex(i),
    owner: 'boot/21',
    info: { instanceId: 'a', untilMs: 0 },
    res: Array.from({ length: 400 }, (_, k) => path(`${i}/${String(k).padStart(3, '0')}${'x'.repeat(200)}`)),
    token: { epoch: 1, n: i },
    seq: 0,
    ttlMax: 1000,
    after: [],
  })),
  after: [],
}
const packed = packEstate(sha256, estate)
const set = voterSetOf(configOf(3))
const seal = sealOf(set, successorOf(set, [4]), 1, { estate: packed.hash, pages: packed.pages.length }).body

type Answer = (page: number, from: PeerId) => Uint8Array | undefined

/** An exchange whose questions are answered as `answer` says, and the questions it asked. */
function start(answer: Answer) {
  const clock = createManualClock()
  const asked: [PeerId, number][] = []
  const exchange = new EstateExchange({
    sha256,
    clock,
    retryMs: RETRY_MS,
    send(to, message: LeaseMessage) {
      if (message.t !== 'pull') throw new Error(`asked with ${message.t}`)
      const { estate: hash, page } = message.m
      for (const from of to) {
        asked.push([from, page])
        const bytes = answer(page, from)
        if (bytes) queueMicrotask(() => exchange.receive({ estate: hash, page, bytes }))
      }
    },
  })
  return { clock, asked, exchange }
}
const honest: Answer = (page) => packed.pages[page]

describe('[L2.7] an estate is fetched', () => {
  it('page by page, and is what was sealed', async () => {
    const { exchange, asked } = start(honest)
    expect(packed.pages.length).toBeGreaterThan(1)
    const fetched = await exchange.fetch(seal, [peer(1)], new AbortController().signal)
    expect(fetched).toEqual({ packed, estate })
    expect(asked).toEqual(packed.pages.map((_, page) => [peer(1), page]))
  })

  it('from whoever has it: each source is asked in turn, and again', async () => {
    const { exchange, asked, clock } = start((page, from) => (from === peer(3) ? honest(page, from) : undefined))
    let fetched: unknown
    void exchange.fetch(seal, [peer(1), peer(3)], new AbortController().signal).then((it) => (fetched = it))
    await clock.advance(RETRY_MS * packed.pages.length)
    expect(fetched).toEqual({ packed, estate })
    expect(asked.slice(0, 2)).toEqual([
      [peer(1), 0],
      [peer(3), 0],
    ])
  })

  it('[A-L1] from another when the pages of one do not add up to what was sealed', async () => {
    const { exchange, asked, clock } = start((page, from) =>
      from === peer(1) ? Uint8Array.of(page) : honest(page, from),
    )
    let fetched: unknown
    void exchange.fetch(seal, [peer(1), peer(2)], new AbortController().signal).then((it) => (fetched = it))
    await clock.advance(RETRY_MS)
    expect(fetched).toEqual({ packed, estate })
    expect(new Set(asked.slice(0, packed.pages.length).map(([from]) => from))).toEqual(new Set([peer(1)]))
    expect(asked).toHaveLength(2 * packed.pages.length)
  })

  it('not at all when nobody has it, until it is called off', async () => {
    const { exchange, asked, clock } = start(() => undefined)
    const stop = new AbortController()
    const fetched = exchange.fetch(seal, [peer(1), peer(2)], stop.signal)
    await clock.advance(10 * RETRY_MS)
    expect(asked.length).toBeGreaterThanOrEqual(10)
    expect(asked.length).toBeLessThanOrEqual(12)
    stop.abort()
    expect(await fetched).toBeUndefined()
    const before = asked.length
    await clock.advance(10 * RETRY_MS)
    expect(asked).toHaveLength(before)
  })

  it('by several at once that wait for the same: voters that promised nothing leave the same', async () => {
    const { exchange } = start(honest)
    const { signal } = new AbortController()
    expect(await Promise.all([1, 2].map((n) => exchange.fetch(seal, [peer(n)], signal)))).toEqual([
      { packed, estate },
      { packed, estate },
    ])
  })

  it('pages that nobody waits for are dropped', async () => {
    const { exchange, asked } = start(honest)
    for (let page = 0; page < 10_000; page++) exchange.receive({ estate: packed.hash, page, bytes: new Uint8Array(9) })
    await settle()
    expect(asked).toEqual([])
    expect(await exchange.fetch(seal, [peer(1)], new AbortController().signal)).toEqual({ packed, estate })
  })

  it('[A-L1] one that lies for ever does not keep its asker busy', async () => {
    const { exchange, asked } = start(() => Uint8Array.of(1))
    const stop = new AbortController()
    const fetched = exchange.fetch(seal, [peer(1)], stop.signal)
    await settle()
    expect(asked).toHaveLength(packed.pages.length)
    stop.abort()
    expect(await fetched).toBeUndefined()
  })
})
