import { describe, expect, it } from 'vitest'
import type { PeerId } from '../../../crdt/ids.ts'
import {
  DIAL_BACK_OPTIONS,
  DIAL_BACK_PROTOCOL,
  encodeAddresses,
  Reachability,
  readAddresses,
} from '../../../node/p2p/reachability.ts'
import { createManualClock } from '../../support/clock.ts'
import { createRecordedLog } from '../../support/log.ts'
import { createMemoryNetwork } from '../../support/memory-network.ts'
import { peerOf } from '../../support/libp2p-nodes.ts'

const HOME = '/ip4/93.184.216.34/tcp/4001'
const LISTENING = ['/ip4/192.168.1.7/tcp/4001']

/** Node 1 asks the others; each tells under which of the addresses it reached node 1. */
function create(reachable: ReadonlySet<string>, witnesses = [2, 3], listening = LISTENING) {
  const clock = createManualClock()
  const network = createMemoryNetwork()
  const asked: [PeerId, readonly string[]][] = []
  const make = (n: number, port = network.join(peerOf(n))): Reachability => {
    const made: Reachability = new Reachability({
      clock,
      log: createRecordedLog(),
      open: (peer, signal) => port.open(peer, DIAL_BACK_PROTOCOL, signal),
      listening: () => listening,
      async dialBack(peer, addresses) {
        asked.push([peerOf(n), addresses])
        return peer === peerOf(1) ? addresses.filter((address) => reachable.has(address)) : []
      },
      onChange: () => changes.push(made.proven),
    })
    port.handle(DIAL_BACK_PROTOCOL, DIAL_BACK_OPTIONS, (channel) => made.serve(channel))
    return made
  }
  const changes: (readonly string[])[] = []
  const port = network.join(peerOf(1))
  const node = make(1, port)
  for (const n of witnesses) {
    make(n)
    network.connect(peerOf(1), peerOf(n))
  }
  return { clock, node, port, asked, changes }
}

describe('whether this node can be reached publicly', () => {
  it('is what a member says who has dialled the forwarded port, once', async () => {
    const { node, asked, changes } = create(new Set([HOME]))
    await node.seen(peerOf(2), '/ip4/93.184.216.34/tcp/51234')
    await node.seen(peerOf(3), '/ip4/93.184.216.34/tcp/51234')
    expect({ proven: node.proven, changes, asked }).toEqual({
      proven: [HOME],
      changes: [[HOME]],
      asked: [[peerOf(2), [HOME]]],
    })
  })

  it('is not concluded from private addresses, nor asked about them', async () => {
    const { node, asked } = create(new Set(LISTENING))
    await node.seen(peerOf(2), '/ip4/192.168.1.7/tcp/51234')
    await node.seen(peerOf(2), undefined)
    expect({ proven: node.proven, asked }).toEqual({ proven: [], asked: [] })
  })

  it('is asked of another member when one could not dial, and of the same one a minute later', async () => {
    const { node, asked, clock } = create(new Set())
    for (const n of [2, 2, 3]) await node.seen(peerOf(n), '/ip4/93.184.216.34/tcp/1')
    expect(asked.map(([peer]) => peer)).toEqual([peerOf(2), peerOf(3)])
    await clock.advance(60_000)
    await node.seen(peerOf(2), '/ip4/93.184.216.34/tcp/1')
    expect(asked).toHaveLength(3)
    expect(node.proven).toEqual([])
  })

  it('is found out anew when a member sees this node elsewhere: its router has been given another address', async () => {
    const reachable = new Set([HOME])
    const { node, asked, changes, clock } = create(reachable)
    for (const n of [2, 3]) await node.seen(peerOf(n), '/ip4/93.184.216.34/tcp/1')
    await clock.advance(60_000)
    reachable.delete(HOME)
    const moved = '/ip4/93.184.216.99/tcp/4001'
    reachable.add(moved)
    await node.seen(peerOf(2), '/ip4/93.184.216.99/tcp/1')
    await node.seen(peerOf(3), '/ip4/93.184.216.99/tcp/1')
    expect({ proven: node.proven, changes }).toEqual({ proven: [moved], changes: [[HOME], [moved]] })
    expect(asked.map(([, addresses]) => addresses)).toEqual([[HOME], [moved, HOME]])
  })

  it('stays where it was as long as nobody reaches the other address, nor is an address of another kind one', async () => {
    const { node, asked, clock } = create(new Set([HOME]))
    await node.seen(peerOf(2), '/ip4/93.184.216.34/tcp/1')
    await clock.advance(60_000)
    await node.seen(peerOf(2), '/ip6/2606:4700::1111/tcp/1')
    expect(asked).toHaveLength(1)
    await node.seen(peerOf(3), '/ip4/93.184.216.99/tcp/1')
    expect({ asked: asked.length, proven: node.proven }).toEqual({ asked: 2, proven: [HOME] })
  })

  it('[A-D1] is found out although one member has said that it sees this node at a hundred places', async () => {
    const { node, asked, clock } = create(new Set([HOME]))
    for (let n = 0; n < 100; n++) await node.seen(peerOf(2), `/ip4/93.184.217.${n}/tcp/1`)
    await clock.advance(60_000)
    await node.seen(peerOf(3), '/ip4/93.184.216.34/tcp/1')
    expect({ asked: asked.length, proven: node.proven }).toEqual({ asked: 2, proven: [HOME] })
  })

  it('[A-D1] is no way to have others dialled: a member is answered every few seconds at most', async () => {
    const { port, asked, clock } = create(new Set([HOME]))
    const ask = async (): Promise<void> => {
      const channel = await port.open(peerOf(2), DIAL_BACK_PROTOCOL, AbortSignal.timeout(1000))
      await channel.send(encodeAddresses([HOME]))
      await readAddresses(channel).catch(() => undefined)
    }
    for (let n = 0; n < 100; n++) await ask()
    expect(asked).toHaveLength(1)
    await clock.advance(4000)
    await ask()
    expect(asked).toHaveLength(2)
  })

  it('is asked of a seventieth member, too', async () => {
    const others = Array.from({ length: 70 }, (_, i) => i + 2)
    const { node, asked } = create(new Set(), others)
    for (const n of others) await node.seen(peerOf(n), '/ip4/93.184.216.34/tcp/1')
    expect(asked).toHaveLength(70)
  })

  it('is asked about the forwarded port even if this host has more public addresses than fit', async () => {
    const own = Array.from({ length: 6 }, (_, i) => `/ip6/2606:4700::${i + 1}/tcp/4001`)
    const { node } = create(new Set([HOME]), [2], own)
    await node.seen(peerOf(2), '/ip4/93.184.216.34/tcp/1')
    expect(node.proven).toEqual([HOME])
  })

  it('is forgotten when the network has changed', async () => {
    const { node, changes, clock } = create(new Set([HOME]))
    await node.seen(peerOf(2), '/ip4/93.184.216.34/tcp/1')
    await clock.advance(5000) // a change is looked for so often
    node.startOver()
    expect({ proven: node.proven, changes }).toEqual({ proven: [], changes: [[HOME], []] })
    await node.seen(peerOf(2), '/ip4/93.184.216.34/tcp/1')
    expect(node.proven).toEqual([HOME])
  })
})
