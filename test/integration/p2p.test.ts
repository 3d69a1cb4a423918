import { connect, type Socket } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import type { MeshId, PeerId } from '../../crdt/ids.ts'
import type { Libp2pNetwork, PeerNetworkOptions } from '../../node/p2p/libp2p-network.ts'
import type { Channel, ProtocolOptions } from '../../node/ports/peer-network.ts'
import { createManualClock } from '../support/clock.ts'
import { createTestNode, peerOf, soon, until } from '../support/libp2p-nodes.ts'

const forMembers: ProtocolOptions = { policy: { who: 'member' }, frameBytesMax: 1024 * 1024, channelsPerPeerMax: 8 }
const forAnyone: ProtocolOptions = { policy: { who: 'anyone' }, frameBytesMax: 16 * 1024, channelsPerPeerMax: 1 }
const forAdmins: ProtocolOptions = { ...forMembers, policy: { who: 'member', capability: 'admin' } }

const running: Libp2pNetwork[] = []
const sockets: Socket[] = []

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await Promise.all(running.splice(0).map((node) => node.stop()))
})

async function startNode(
  n: number,
  members: ReadonlySet<PeerId>,
  options: Partial<PeerNetworkOptions> & { serve?: (node: Libp2pNetwork) => void } = {},
): Promise<Libp2pNetwork> {
  const node = await createTestNode(n, members, options)
  options.serve?.(node)
  await node.start()
  running.push(node)
  return node
}

async function echo(channel: Channel): Promise<void> {
  for await (const frame of channel.frames) await channel.send(frame)
}

/** Serves three protocols and records whose handlers are called. */
function recordCalls(called: string[]): (node: Libp2pNetwork) => void {
  return (node) => {
    const record = (name: string) => async (channel: Channel) => {
      called.push(name)
      await echo(channel)
    }
    node.handle('/t/join', forAnyone, record('join'))
    node.handle('/t/member', forMembers, record('member'))
    node.handle('/t/admin', forAdmins, record('admin'))
  }
}

/** Without it, memory that is only waiting to be collected would count. */
const collectGarbage = ((): (() => void) => {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc')
})()

const portOf = (node: Libp2pNetwork): number => Number(/tcp\/(\d+)/.exec(node.addresses()[0] ?? '')?.[1])

describe('who may talk to a node', () => {
  it('[A-M1] [M2] fails the handshake of a node of another mesh, before any handler', async () => {
    const called: string[] = []
    const everybody = new Set([peerOf(1), peerOf(2)])
    const server = await startNode(1, everybody, { serve: recordCalls(called) })
    const other = await startNode(2, everybody, { mesh: 'b'.repeat(64) as MeshId })
    await expect(other.dialAddresses(server.self, server.addresses(), soon())).rejects.toThrow(Error)
    expect({ called, connected: server.connected(), by: server.connectionOf(other.self) }).toEqual({
      called: [],
      connected: [],
      by: undefined,
    })
  })

  it('[A-M1] [M8] lets a stranger use the join protocol and nothing else', async () => {
    const called: string[] = []
    const server = await startNode(1, new Set([peerOf(1)]), { serve: recordCalls(called) })
    const stranger = await startNode(2, new Set([peerOf(1), peerOf(2)]))
    await stranger.dialAddresses(server.self, server.addresses(), soon())
    for (const protocol of ['/t/member', '/t/admin', '/rookery/id/1', '/ipfs/id/1.0.0'])
      await expect(stranger.open(server.self, protocol, soon())).rejects.toThrow(Error)
    const join = await stranger.open(server.self, '/t/join', soon())
    await expect(stranger.open(server.self, '/t/join', soon())).rejects.toThrow(Error)
    await join.close()
    expect(called).toEqual(['join'])
    expect(server.connected()).toEqual([])
  })

  it('[M8] hangs up on a stranger after 15 s, and not on one who has become a member', async () => {
    const clock = createManualClock()
    const members = new Set([peerOf(1)])
    const server = await startNode(1, members, { clock })
    const admitted = await startNode(2, new Set([peerOf(1), peerOf(2)]))
    const stranger = await startNode(3, new Set([peerOf(1), peerOf(3)]))
    for (const node of [admitted, stranger]) await node.dialAddresses(server.self, server.addresses(), soon())
    await until(() => server.connectionOf(stranger.self) !== undefined)
    await until(() => server.connectionOf(admitted.self) !== undefined)
    const events: PeerId[] = []
    server.onConnect((peer) => events.push(peer))
    members.add(admitted.self)
    server.membersChanged()
    await clock.advance(14_000)
    expect(server.connectionOf(stranger.self)).toBeDefined()
    await clock.advance(2000)
    await until(() => server.connectionOf(stranger.self) === undefined)
    expect({ events, connected: server.connected() }).toEqual({
      events: [admitted.self],
      connected: [admitted.self],
    })
  })

  it('[A-M3] refuses a member without the capability before the handler', async () => {
    const called: string[] = []
    const members = new Set([peerOf(1), peerOf(2)])
    const server = await startNode(1, members, {
      serve: recordCalls(called),
      mayOpen: (_peer, policy) => !('capability' in policy),
    })
    const member = await startNode(2, members)
    await member.dialAddresses(server.self, server.addresses(), soon())
    await expect(member.open(server.self, '/t/admin', soon())).rejects.toThrow(Error)
    await (await member.open(server.self, '/t/member', soon())).close()
    expect(called).toEqual(['member'])
  })

  it('[M5] closes what a member has open when it loses the capability for it', async () => {
    let mayAdminister = true
    const members = new Set([peerOf(1), peerOf(2)])
    const server = await startNode(1, members, {
      serve: recordCalls([]),
      mayOpen: (_peer, policy) => mayAdminister || !('capability' in policy),
    })
    const member = await startNode(2, members)
    await member.dialAddresses(server.self, server.addresses(), soon())
    const admin = await member.open(server.self, '/t/admin', soon())
    const plain = await member.open(server.self, '/t/member', soon())
    mayAdminister = false
    server.membersChanged()
    await expect(admin.frames[Symbol.asyncIterator]().next()).rejects.toThrow(Error)
    const reader = plain.frames[Symbol.asyncIterator]()
    await plain.send(new Uint8Array([1]))
    await expect(reader.next()).resolves.toEqual({ value: new Uint8Array([1]), done: false })
  })

  it('[A-M2] [M7] closes connections and streams of a removed member at once and refuses new ones', async () => {
    const called: string[] = []
    const members = new Set([peerOf(1), peerOf(2)])
    const server = await startNode(1, members, { serve: recordCalls(called) })
    const removed = await startNode(2, new Set([peerOf(1), peerOf(2)]))
    await removed.dialAddresses(server.self, server.addresses(), soon())
    const channel = await removed.open(server.self, '/t/member', soon())
    const reading = channel.frames[Symbol.asyncIterator]().next()
    reading.catch(() => undefined) // looked at below
    members.delete(removed.self)
    server.membersChanged()
    await expect(reading).rejects.toThrow(Error)
    expect({ connected: server.connected(), connection: server.connectionOf(removed.self) }).toEqual({
      connected: [],
      connection: undefined,
    })
    await removed.dialAddresses(server.self, server.addresses(), soon())
    await expect(removed.open(server.self, '/t/member', soon())).rejects.toThrow(Error)
    expect(called).toEqual(['member'])
  })

  it('[A-D1] [M2] serves honest members while 200 silent connections are open', async () => {
    const members = new Set([peerOf(1), peerOf(2)])
    const server = await startNode(1, members, { serve: (node) => node.handle('/t/echo', forMembers, echo) })
    const flood = Array.from({ length: 200 }, () => connect(portOf(server), '127.0.0.1').on('error', () => undefined))
    sockets.push(...flood)
    await Promise.all(flood.map((socket) => once(socket, 'connect')))
    const honest = await startNode(2, members)
    await honest.dialAddresses(server.self, server.addresses(), soon())
    const channel = await honest.open(server.self, '/t/echo', soon())
    await channel.send(new Uint8Array([7]))
    const { value } = await channel.frames[Symbol.asyncIterator]().next()
    expect(value).toEqual(new Uint8Array([7]))
    await until(() => flood.filter((socket) => !socket.destroyed).length <= 16)
  })
})

describe('streams', () => {
  it('[A-D1] carries 50 MB to a slow reader without a reset and with bounded memory', async () => {
    const FRAME = 128 * 1024
    const FRAMES = 400
    const members = new Set([peerOf(1), peerOf(2)])
    const received = Promise.withResolvers<number>()
    const server = await startNode(1, members, {
      serve: (node) =>
        node.handle('/t/sink', forMembers, async (channel) => {
          let bytes = 0
          for await (const frame of channel.frames) {
            bytes += frame.byteLength
            if (bytes % (FRAME * 10) === 0) await new Promise((resolve) => setTimeout(resolve, 10)) // reads slowly
          }
          received.resolve(bytes)
        }),
    })
    const sender = await startNode(2, members)
    await sender.dialAddresses(server.self, server.addresses(), soon())
    const channel = await sender.open(server.self, '/t/sink', soon())
    collectGarbage()
    const before = process.memoryUsage().arrayBuffers
    let highest = 0
    for (let i = 0; i < FRAMES; i++) {
      await channel.send(new Uint8Array(FRAME))
      if (i % 20 !== 0) continue
      collectGarbage()
      highest = Math.max(highest, process.memoryUsage().arrayBuffers - before)
    }
    await channel.close()
    await expect(received.promise).resolves.toBe(FRAME * FRAMES)
    expect(highest).toBeLessThan(24 * 1024 * 1024)
  })

  it('[D12] leaves nothing behind after 200 reconnects', async () => {
    const members = new Set([peerOf(1), peerOf(2)])
    const server = await startNode(1, members, {
      serve: (node) => node.handle('/t/echo', forMembers, echo),
      clock: createManualClock(),
    })
    const client = await startNode(2, members, { clock: createManualClock() }) // neither dials by itself
    const counts = { connected: 0, disconnected: 0 }
    server.onConnect(() => counts.connected++)
    server.onDisconnect(() => counts.disconnected++)
    for (let i = 0; i < 200; i++) {
      await client.dialAddresses(server.self, server.addresses(), soon())
      const channel = await client.open(server.self, '/t/echo', soon())
      await channel.send(new Uint8Array([i]))
      await channel.frames[Symbol.asyncIterator]().next()
      client.closePeer(server.self)
      await until(() => server.connected().length === 0)
    }
    await until(() => server.channelCount === 0 && client.channelCount === 0)
    expect(counts).toEqual({ connected: 200, disconnected: 200 })
    expect(client.connectionOf(server.self)).toBeUndefined()
  })
})

describe('finding each other', () => {
  /** Addresses as the node would keep them on disk. */
  const createDisk = (): PeerNetworkOptions['knownAddresses'] & {
    content: ReadonlyMap<PeerId, readonly string[]>
  } => ({
    content: new Map(),
    async load() {
      return this.content
    },
    async save(addresses) {
      this.content = addresses
    },
  })
  const members = new Set([1, 2, 3].map(peerOf))
  const stopNode = async (node: Libp2pNetwork): Promise<void> => {
    running.splice(running.indexOf(node), 1)
    await node.stop()
  }

  it.each([
    ['who dialled first comes back first', [2, 1]],
    ['who was dialled comes back first', [1, 2]],
  ])('[D13] two nodes of one machine meet again after both restart: %s', async (_name, order) => {
    const disks = new Map([1, 2].map((n) => [n, createDisk()] as const))
    const ports = new Map<number, string>()
    const start = async (n: number): Promise<Libp2pNetwork> => {
      const node = await startNode(n, members, {
        knownAddresses: disks.get(n) ?? createDisk(),
        listen: [ports.get(n) ?? '/ip4/127.0.0.1/tcp/0'],
      })
      ports.set(n, `/ip4/127.0.0.1/tcp/${portOf(node)}`)
      return node
    }
    const [one, two] = [await start(1), await start(2)]
    await two.dialAddresses(one.self, one.addresses(), soon())
    await until(() => (one.knownPeers().get(two.self) ?? []).length > 0)
    await stopNode(one)
    await stopNode(two)
    const again: Libp2pNetwork[] = []
    for (const n of order) again.push(await start(n))
    await until(() => again.every((node) => node.connected().length === 1))
    expect(again.map((node) => node.self)).toEqual(order.map(peerOf))
  })

  it('[D13] redials a lost member by itself', async () => {
    const one = await startNode(1, members)
    const two = await startNode(2, members)
    await two.dialAddresses(one.self, one.addresses(), soon())
    await until(() => one.connected().length === 1)
    two.closePeer(one.self)
    await until(() => one.connected().length === 0)
    await until(() => one.connected().length === 1 && two.connected().length === 1)
    expect([one.connected(), two.connected()]).toEqual([[two.self], [one.self]])
  })

  it('settles when both sides dial at once', async () => {
    const one = await startNode(1, members, { serve: (node) => node.handle('/t/echo', forMembers, echo) })
    const two = await startNode(2, members, { serve: (node) => node.handle('/t/echo', forMembers, echo) })
    const lost: PeerId[] = []
    for (const node of [one, two]) node.onDisconnect((peer) => lost.push(peer))
    await Promise.all([
      one.dialAddresses(two.self, two.addresses(), soon()),
      two.dialAddresses(one.self, one.addresses(), soon()),
    ])
    for (const [from, to] of [
      [one, two],
      [two, one],
    ] as const) {
      const channel = await from.open(to.self, '/t/echo', soon())
      await channel.send(new Uint8Array([1]))
      expect((await channel.frames[Symbol.asyncIterator]().next()).value).toEqual(new Uint8Array([1]))
    }
    expect(lost).toEqual([])
  })

  it('passes addresses of members on, and a member of the same machine dials them', async () => {
    const one = await startNode(1, members)
    const two = await startNode(2, members)
    const three = await startNode(3, members)
    await two.dialAddresses(one.self, one.addresses(), soon())
    await three.dialAddresses(one.self, one.addresses(), soon())
    await until(() => [...one.knownPeers().values()].filter((addresses) => addresses.length > 0).length === 2)
    two.learn(three.self, one.knownPeers().get(three.self) ?? [], one.self)
    await until(() => two.connected().includes(three.self))
    expect([...two.connected()].toSorted()).toEqual([one.self, three.self].toSorted())
  })

  it('learns nothing from a teller it is not connected to, about strangers, or about itself', async () => {
    const one = await startNode(1, new Set([1, 2].map(peerOf)))
    const two = await startNode(2, members)
    await two.dialAddresses(one.self, one.addresses(), soon())
    await until(() => one.connected().length === 1)
    const disk = new Map(one.knownPeers())
    one.learn(peerOf(3), ['/ip4/192.0.2.1/tcp/1'], two.self)
    one.learn(one.self, ['/ip4/192.0.2.1/tcp/1'], two.self)
    one.learn(two.self, ['/ip4/192.0.2.1/tcp/1'], peerOf(3))
    expect(one.knownPeers().size).toBe(disk.size)
    expect([...one.knownPeers().values()].flat()).not.toContain('/ip4/192.0.2.1/tcp/1')
  })
})
