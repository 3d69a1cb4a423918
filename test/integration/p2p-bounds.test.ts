import { multiaddr, type Multiaddr } from '@multiformats/multiaddr'
import type { Connection } from '@libp2p/interface'
import { afterEach, describe, expect, it } from 'vitest'
import type { PeerId } from '../../crdt/ids.ts'
import type { Libp2pNode } from '../../node/p2p/libp2p-node.ts'
import { CONNECTED_MIN } from '../../node/p2p/neighbourhood.ts'
import type { Libp2pNetwork, PeerNetworkOptions } from '../../node/p2p/libp2p-network.ts'
import { reservationsOf } from '../../node/p2p/relay.ts'
import type { Channel, ProtocolOptions } from '../../node/ports/peer-network.ts'
import { SYNC_PROTOCOL } from '../../protocols/sync.ts'
import { createManualClock } from '../support/clock.ts'
import { createRawNode, createTestNode, peerOf, soon, until } from '../support/libp2p-nodes.ts'

const MINUTE_MS = 60_000
const UNREACHABLE = { listen: [] }
const forMembers: ProtocolOptions = { policy: { who: 'member' }, frameBytesMax: 1024, channelsPerPeerMax: 8 }

const running: { stop(): unknown }[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map((node) => node.stop()))
})

const upTo = (count: number): Set<PeerId> => new Set(Array.from({ length: count }, (_, n) => peerOf(n)))

async function echo(channel: Channel): Promise<void> {
  for await (const frame of channel.frames) await channel.send(frame)
}

/** Its clock stands still: it dials nobody by itself. */
async function startNode(
  n: number,
  members: ReadonlySet<PeerId>,
  options: Partial<PeerNetworkOptions> = {},
): Promise<Libp2pNetwork> {
  const node = await createTestNode(n, members, { clock: createManualClock(), ...options })
  for (const protocol of [SYNC_PROTOCOL, '/t/echo']) node.handle(protocol, forMembers, echo)
  await node.start()
  running.push(node)
  return node
}

describe('a member of a large mesh', () => {
  const ALL = upTo(14)

  it('gives up connections that are surplus: no neighbour, idle, dialled by itself, and enough are left', async () => {
    const clock = createManualClock()
    const neighbours = new Set([1, 2, 3, 4].map(peerOf))
    const node = await startNode(0, ALL, { clock, neighbours: () => neighbours })
    const lost: PeerId[] = []
    node.onDisconnect((peer) => lost.push(peer))
    const others = await Promise.all([5, 6, 7, 8, 9, 10, 11, 1, 2, 3, 4].map((n) => startNode(n, ALL)))
    const [caller, asked, watched, ...idle] = others.slice(0, 7)
    await caller!.dialAddresses(node.self, node.addresses(), soon())
    await until(() => node.connected().length === 1)
    for (const other of others.slice(1)) await node.dialAddresses(other.self, other.addresses(), soon())
    const question = await node.open(asked!.self, '/t/echo', soon())
    await node.open(watched!.self, '/t/echo', soon())
    for (const other of others) await node.open(other.self, SYNC_PROTOCOL, soon())

    await clock.advance(MINUTE_MS)
    const surplus = idle.slice(0, others.length - CONNECTED_MIN).map(({ self }) => self)
    await until(() => lost.length >= surplus.length)
    expect(lost).toEqual(surplus)

    // Nobody dials them again, until there is something to ask; then another one may go.
    await clock.advance(MINUTE_MS)
    await question.close()
    await node.open(surplus[0]!, '/t/echo', soon())
    expect(node.connected()).toHaveLength(CONNECTED_MIN + 1)
    await clock.advance(MINUTE_MS)
    await until(() => lost.length > surplus.length)
    expect(lost).toEqual([...surplus, asked!.self])
  })

  it('keeps the relay through which others reach it', async () => {
    const clock = createManualClock()
    const neighbours = new Set([...ALL].slice(1, 1 + CONNECTED_MIN))
    const node = await startNode(0, ALL, { ...UNREACHABLE, clock, neighbours: () => neighbours })
    const relay = await startNode(12, ALL, { relay: 'on' })
    const others = await Promise.all([1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => startNode(n, ALL)))
    for (const other of [relay, ...others]) await node.dialAddresses(other.self, other.addresses(), soon())
    await until(() => node.wayTo(relay.self).agent !== null)
    await clock.advance(MINUTE_MS)
    await until(() => !node.connected().includes(peerOf(9)))
    expect(node.connected().toSorted()).toEqual([...neighbours, relay.self].toSorted())
  })
})

describe('a relay', () => {
  async function startRaw(n: number): Promise<Libp2pNode> {
    const raw = await createRawNode(n)
    await raw.node.start()
    running.push(raw.node)
    return raw
  }

  const addressOf = (node: Libp2pNetwork): Multiaddr => multiaddr(node.addresses()[0] ?? '')

  async function reserve({ node, relayTransport }: Libp2pNode, relay: Libp2pNetwork): Promise<unknown> {
    const { remotePeer } = await node.dial(addressOf(relay), { signal: soon() })
    return await reservationsOf(relayTransport).addRelay(remotePeer, 'configured')
  }

  it('[A-D1] has a bounded number of places; that of a removed member is free', async () => {
    const PLACES = 128
    const members = upTo(PLACES + 2)
    const relay = await startNode(0, members, { relay: 'on' })
    for (let n = 1; n <= PLACES; n++) await reserve(await startRaw(n), relay)
    const late = await startRaw(PLACES + 1)
    await expect(reserve(late, relay)).rejects.toThrow('RESERVATION_REFUSED')
    members.delete(peerOf(1))
    relay.membersChanged()
    await expect(reserve(late, relay)).resolves.toBeDefined()
  })

  it('[A-D1] carries a bounded number of connections of one member, and others all the same', async () => {
    const PER_MEMBER = 64
    const relay = await startNode(0, upTo(5), { relay: 'on' })
    const [greedy, modest, ...reachable] = await Promise.all([1, 2, 3, 4].map(startRaw))
    for (const one of reachable) await reserve(one, relay)
    for (const one of [greedy!, modest!]) await one.node.dial(addressOf(relay), { signal: soon() })
    const dial = ({ components }: Libp2pNode, n = 0): Promise<Connection> => {
      const there = `/p2p-circuit/p2p/${reachable[n % reachable.length]!.node.peerId.toString()}`
      return components.transportManager.dial(addressOf(relay).encapsulate(there), { signal: soon() })
    }
    const open: Connection[] = []
    for (let n = 0; n < PER_MEMBER; n++) open.push(await dial(greedy!, n))
    expect(new Set(open.map(({ status }) => status))).toEqual(new Set(['open']))
    await expect(dial(greedy!).then(({ status }) => status)).rejects.toThrow(Error)
    expect((await dial(modest!)).status).toBe('open')
    await open[0]?.close()
    const again = (): Promise<string> => dial(greedy!).then(({ status }) => status, String)
    await expect.poll(again, { timeout: 10_000 }).toBe('open')
  })
})
