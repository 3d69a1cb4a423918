import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import type { PeerId } from '../../crdt/ids.ts'
import type { Libp2pNode } from '../../node/p2p/libp2p-node.ts'
import { encodeFrame } from '../../node/p2p/framing.ts'
import { encodeIntroduction } from '../../node/p2p/introduction.ts'
import { DIAL_BACK_PROTOCOL, encodeAddresses } from '../../node/p2p/reachability.ts'
import { lookupProtocol } from '../../node/p2p/lookup.ts'
import type { MemberView } from '../../node/p2p/member-components.ts'
import type { Libp2pNetwork, PeerNetworkOptions } from '../../node/p2p/libp2p-network.ts'
import { Relay, reservationsOf } from '../../node/p2p/relay.ts'
import type { Channel, ProtocolOptions } from '../../node/ports/peer-network.ts'
import type { Connection } from '@libp2p/interface'
import { multiaddr, type Multiaddr } from '@multiformats/multiaddr'
import { createManualClock } from '../support/clock.ts'
import { createRecordedLog } from '../support/log.ts'
import { createRawNode, createTestNode, peerOf, soon, testMesh, until } from '../support/libp2p-nodes.ts'

const forMembers: ProtocolOptions = { policy: { who: 'member' }, frameBytesMax: 1024 * 1024, channelsPerPeerMax: 8 }
const HOP = '/libp2p/circuit/relay/0.2.0/hop'
const STOP = '/libp2p/circuit/relay/0.2.0/stop'
const UNREACHABLE = { listen: [] }
/** What the mesh promises after everything has changed. */
const WHOLE_MS = 30_000

const running: { stop(): unknown }[] = []

afterEach(async () => {
  await Promise.all(running.splice(0).map((node) => node.stop()))
})

async function echo(channel: Channel): Promise<void> {
  for await (const frame of channel.frames) await channel.send(frame)
}

async function startNode(
  n: number,
  members: ReadonlySet<PeerId>,
  options: Partial<PeerNetworkOptions> = {},
): Promise<Libp2pNetwork> {
  const node = await createTestNode(n, members, options)
  node.handle('/t/echo', forMembers, echo)
  node.handle('/t/held', { ...forMembers, holdsConnection: true }, echo)
  await node.start()
  running.push(node)
  return node
}

async function stopNode(node: Libp2pNetwork): Promise<void> {
  running.splice(running.indexOf(node), 1)
  await node.stop()
}

async function ask(from: Libp2pNetwork, to: Libp2pNetwork, frame: Uint8Array): Promise<Uint8Array | undefined> {
  const channel = await from.open(to.self, '/t/echo', soon())
  await channel.send(frame)
  const { value } = await channel.frames[Symbol.asyncIterator]().next()
  await channel.close()
  return value
}

const isThrough = (from: Libp2pNetwork, to: Libp2pNetwork, relay: Libp2pNetwork): boolean =>
  from.connectionOf(to.self)?.address.includes(`/p2p/${relay.self}/p2p-circuit`) === true

const isDirect = (from: Libp2pNetwork, to: Libp2pNetwork): boolean =>
  from.connectionOf(to.self)?.address.includes('/p2p-circuit') === false

/** Handlers wait five or ten seconds for what they are asked; a stream that ends well before has reached none. */
async function expectRefusal(from: Libp2pNode, address: Multiaddr, protocol: string): Promise<void> {
  const stream = await from.node.dialProtocol(address, protocol, { signal: soon() }).catch(() => undefined)
  if (stream !== undefined) await until(() => stream.status !== 'open', 3000)
}

async function startRaw(n: number, view: Partial<MemberView> = {}): Promise<Libp2pNode> {
  const raw = await createRawNode(n, view)
  await raw.node.start()
  running.push(raw.node)
  return raw
}

describe('members that nobody can dial', () => {
  const members = new Set([1, 2, 3].map(peerOf))

  it('[A-M1] are reached through a member that relays, with everything of ours, by themselves', async () => {
    const relay = await startNode(1, members, { relay: 'on' })
    const two = await startNode(2, members, UNREACHABLE)
    const three = await startNode(3, members, UNREACHABLE)
    for (const node of [two, three]) await node.dialAddresses(relay.self, relay.addresses(), soon())
    await until(() => isThrough(two, three, relay) && isThrough(three, two, relay))
    const large = new Uint8Array(1024 * 1024).fill(7)
    expect(await ask(two, three, large)).toEqual(large)
    expect(await ask(three, two, new Uint8Array([1]))).toEqual(new Uint8Array([1]))
  })

  it('do without the relay as soon as there is a direct way, once nobody would notice', async () => {
    const clock = createManualClock()
    // Its clock stands still, so that it does not pass on where three listens.
    const relay = await startNode(1, members, { relay: 'on', clock: createManualClock() })
    const three = await startNode(3, members)
    await three.dialAddresses(relay.self, relay.addresses(), soon())
    await until(() => relay.knownPeers().get(three.self)?.includes(`/p2p/${relay.self}/p2p-circuit`) === true)
    const two = await startNode(2, members, { ...UNREACHABLE, clock })
    await two.dialAddresses(relay.self, relay.addresses(), soon())
    await two.dialAddresses(three.self, [`/p2p/${relay.self}/p2p-circuit`], soon())
    await until(() => isThrough(two, three, relay) && isThrough(three, two, relay))
    const [noticed, unnoticed] = [
      await two.open(three.self, '/t/held', soon()),
      await two.open(three.self, '/t/echo', soon()),
    ]
    two.learn(three.self, three.addresses(), relay.self)
    await clock.advance(500)
    await until(() => isDirect(two, three) && isDirect(three, two))
    expect(await ask(two, three, new Uint8Array([3]))).toEqual(new Uint8Array([3]))
    await clock.advance(30_000)
    await unnoticed.send(new Uint8Array([1]))
    await noticed.close()
    await clock.advance(30_000)
    await expect(unnoticed.send(new Uint8Array([1]))).rejects.toThrow(Error)
    expect(two.connected().toSorted()).toEqual([relay.self, three.self].toSorted())
  })

  it('look for a direct way again when the one there was is lost, and the relay still there', async () => {
    const clock = createManualClock()
    const relay = await startNode(1, members, { relay: 'on', clock: createManualClock() })
    const three = await startNode(3, members)
    await three.dialAddresses(relay.self, relay.addresses(), soon())
    const two = await startNode(2, members, { ...UNREACHABLE, clock })
    await two.dialAddresses(relay.self, relay.addresses(), soon())
    await until(() => relay.knownPeers().get(three.self)?.includes(`/p2p/${relay.self}/p2p-circuit`) === true)
    await two.dialAddresses(three.self, [`/p2p/${relay.self}/p2p-circuit`], soon())
    const held = await two.open(three.self, '/t/held', soon())
    const proxy = await startProxy(Number(/tcp\/(\d+)/.exec(three.addresses()[0] ?? '')?.[1]))
    const there = `/ip4/127.0.0.1/tcp/${proxy.port}`
    await two.dialAddresses(three.self, [there], soon())
    expect(isDirect(two, three)).toBe(true)
    await clock.advance(1000) // what it meant to try while there was only the relay
    proxy.cut()
    await until(() => isThrough(two, three, relay))
    await clock.advance(5000)
    await until(() => isDirect(two, three))
    await held.send(new Uint8Array([1]))
  })

  it('keep no way through a relay that opened only after a direct one', async () => {
    const clock = createManualClock()
    const relay = await startNode(1, members, { relay: 'on' })
    const three = await startNode(3, members, { clock })
    await three.dialAddresses(relay.self, relay.addresses(), soon())
    const raw = await startRaw(2)
    const there = multiaddr(relay.addresses()[0] ?? '')
    await raw.node.dial(there, { signal: soon() })
    const direct = await raw.components.transportManager.dial(multiaddr(three.addresses()[0] ?? ''), { signal: soon() })
    const through = there.encapsulate(`/p2p-circuit/p2p/${three.self}`)
    const relayed: Connection[] = []
    let isTrying = false
    await until(() => {
      if (!isTrying) {
        isTrying = true
        const dialled = raw.components.transportManager.dial(through, { signal: soon() })
        dialled.then(
          (connection) => relayed.push(connection),
          () => (isTrying = false), // three has no place at the relay yet
        )
      }
      return relayed.length > 0
    })
    await clock.advance(30_000)
    await until(() => relayed[0]?.status !== 'open')
    expect(direct.status).toBe('open')
  })

  it('[A-D1] are reached within bounds of time and bytes, and by the same key at both ends', async () => {
    const relay = await startNode(1, members, { relay: 'on' })
    const three = await startNode(3, members, UNREACHABLE)
    await three.dialAddresses(relay.self, relay.addresses(), soon())
    await until(() => relay.knownPeers().get(three.self)?.length === 1)
    const raw = await startRaw(2)
    const there = multiaddr(relay.addresses()[0] ?? '')
    await raw.node.dial(there, { signal: soon() })
    const through = (peer: PeerId): Multiaddr => there.encapsulate(`/p2p-circuit/p2p/${peer}`)
    const connection = await raw.components.transportManager.dial(through(three.self), { signal: soon() })
    const { bytes = 0n, seconds = 0 } = connection.limits ?? {}
    expect(connection.remotePeer.toString()).toBe(three.self)
    expect(bytes > 0n && bytes <= 8n * 1024n ** 3n).toBe(true)
    expect(seconds).toBeGreaterThan(0)
    await expect(raw.components.transportManager.dial(through(peerOf(9)), { signal: soon() })).rejects.toThrow(Error)
  })

  it('[A-M2] lose their place and their way when they are removed', async () => {
    const current = new Set(members)
    const removed = new Set<PeerId>()
    const isRemoved = (peer: PeerId): boolean => removed.has(peer)
    const relay = await startNode(1, current, { relay: 'on', isRemoved })
    const two = await startNode(2, current, { ...UNREACHABLE, isRemoved })
    const three = await startNode(3, members, UNREACHABLE)
    for (const node of [two, three]) await node.dialAddresses(relay.self, relay.addresses(), soon())
    await until(() => isThrough(two, three, relay))
    current.delete(three.self)
    removed.add(three.self)
    for (const node of [relay, two]) node.membersChanged()
    expect([relay.connected(), two.connected()]).toEqual([[two.self], [relay.self]])
    await until(() => three.connected().length === 0)
    await expect(ask(three, two, new Uint8Array([1]))).rejects.toThrow(Error)
    expect(two.connectionOf(three.self)).toBeUndefined()
  })
})

describe('what packages of libp2p serve', () => {
  const members = new Set([1, 2].map(peerOf))

  it('[A-M1] does not start without a policy of its own', async () => {
    await expect(startRaw(9, { policies: {} })).rejects.toThrow('has no policy')
  })

  it('[A-M1] [A-M2] is for members: neither a stranger nor a removed member gets a place at a relay or an answer', async () => {
    const current = new Set(members)
    const relay = await startNode(1, current, { relay: 'on' })
    const address = multiaddr(relay.addresses()[0] ?? '')
    const reserve = async (raw: Libp2pNode): Promise<unknown> => {
      const { remotePeer } = await raw.node.dial(address, { signal: soon() })
      return await reservationsOf(raw.relayTransport).addRelay(remotePeer, 'configured')
    }
    const [member, stranger] = [await startRaw(2), await startRaw(3)]
    await expect(reserve(member)).resolves.toBeDefined()
    await expect(reserve(stranger)).rejects.toThrow(Error)
    for (const protocol of [HOP, STOP, lookupProtocol(testMesh)]) await expectRefusal(stranger, address, protocol)
    await expectRefusal(member, address, STOP) // the node has not asked this member to be its relay
    current.delete(peerOf(2))
    relay.membersChanged()
    await until(() => member.node.getConnections().length === 0)
    await expect(reserve(member)).rejects.toThrow(Error)
  })

  it('[A-M1] tells members where others are, and takes nothing else from them', async () => {
    const node = await startNode(1, members)
    const address = multiaddr(node.addresses()[0] ?? '')
    const member = await startRaw(2)
    const answerTo = async (request: readonly number[]): Promise<'answer' | 'refusal'> => {
      const stream = await member.node.dialProtocol(address, lookupProtocol(testMesh), { signal: soon() })
      const answer = new Promise<'answer'>((resolve) => stream.addEventListener('message', () => resolve('answer')))
      const end = new Promise<'refusal'>((resolve) => stream.addEventListener('close', () => resolve('refusal')))
      stream.send(Uint8Array.from([request.length, ...request]))
      return await Promise.race([answer, end])
    }
    const key = member.node.peerId.toMultihash().bytes
    const ask = (type: number): Promise<'answer' | 'refusal'> => answerTo([8, type, 18, key.length, ...key])
    const [PUT_VALUE, GET_VALUE, ADD_PROVIDER, GET_PROVIDERS, FIND_NODE, PING] = [0, 1, 2, 3, 4, 5] as const
    expect(await ask(FIND_NODE)).toBe('answer')
    for (const type of [PUT_VALUE, GET_VALUE, ADD_PROVIDER, GET_PROVIDERS, PING])
      expect(await ask(type)).toBe('refusal')
  })

  it('keeps the places it has given at a relay whose own reachability comes and goes: who has one is not told', async () => {
    const [node, near, far] = [await startRaw(1), await startRaw(2), await startRaw(3)]
    await node.components.transportManager.listen([multiaddr('/ip4/127.0.0.1/tcp/0')])
    const log = createRecordedLog()
    const relay = new Relay({ libp2p: node, isMember: () => true, clock: createManualClock(), log, onChange() {} })
    running.push(relay)
    await relay.serve(true)
    const there = node.node.getMultiaddrs()[0]!
    await near.node.dial(there, { signal: soon() })
    await reservationsOf(near.relayTransport).addRelay(node.node.peerId, 'configured')
    const through = there.encapsulate(`/p2p-circuit/p2p/${near.node.peerId.toString()}`)
    await far.node.dial(there, { signal: soon() })
    const carried = await far.components.transportManager.dial(through, { signal: soon() })
    for (const on of [false, true]) await relay.serve(on)
    expect(reservationsOf(near.relayTransport).hasReservation(node.node.peerId)).toBe(true)
    expect(carried.status).toBe('open')
    const again = await far.components.transportManager.dial(through, { signal: soon() })
    expect(again.remotePeer.toString()).toBe(peerOf(2))
  })

  it('[A-D1] reads no more of what a member says to it than makes sense, since decoding it holds up everything', async () => {
    const relay = await startNode(1, members, { relay: 'on' })
    const address = multiaddr(relay.addresses()[0] ?? '')
    const member = await startRaw(2)
    const large = Uint8Array.from([0x80, 0x80, 0x80, 0x01, ...new Uint8Array(2048)]) // says that it will be 2 MB
    for (const protocol of [HOP, lookupProtocol(testMesh)]) {
      const stream = await member.node.dialProtocol(address, protocol, { signal: soon() })
      stream.send(large)
      await until(() => stream.status !== 'open', 3000)
    }
    expect(relay.connected()).toEqual([member.node.peerId.toString()])
  })

  it('[A-D1] reads no more of an answer than it may have asked for', async () => {
    const [asker, hostile] = [await startRaw(1), await startRaw(2)]
    await hostile.components.transportManager.listen([multiaddr('/ip4/127.0.0.1/tcp/0')])
    let addresses = 10
    await hostile.node.handle(HOP, (stream) => {
      const answer = (): void => void (stream.send(placeAt(addresses)), stream.close())
      stream.addEventListener('message', answer, { once: true })
    })
    await asker.node.dial(hostile.node.getMultiaddrs()[0]!, { signal: soon() })
    const place = (): Promise<unknown> =>
      reservationsOf(asker.relayTransport).addRelay(hostile.node.peerId, 'configured')
    addresses = 1000
    await expect(place()).rejects.toThrow(Error)
    addresses = 10
    await expect(place()).resolves.toBeDefined()
  })

  it('renews its place at a relay before it is gone there, though the clock of the relay is a day ahead', async () => {
    const [asker, relay] = [await startRaw(1), await startRaw(2)]
    await relay.components.transportManager.listen([multiaddr('/ip4/127.0.0.1/tcp/0')])
    let asked = 0
    await relay.node.handle(HOP, (stream) => {
      asked++
      const answer = (): void => void (stream.send(placeAt(1, 26 * 3600)), stream.close())
      stream.addEventListener('message', answer, { once: true })
    })
    await asker.node.dial(relay.node.getMultiaddrs()[0]!, { signal: soon() })
    const clock = createManualClock()
    let changes = 0
    const onChange = (): void => void changes++
    const places = new Relay({ libp2p: asker, isMember: () => true, clock, log: createRecordedLog(), onChange })
    running.push(places)
    places.seek(() => asker.node.getConnections())
    await until(() => places.addresses().length === 1)
    for (const times of [2, 3]) {
      await until(() => {
        void clock.advance(10 * 60_000)
        return asked === times
      })
    }
    expect([places.addresses(), changes]).toEqual([[`/p2p/${peerOf(2)}/p2p-circuit`], 1])
  })

  it('reaches nobody through a relay that is not connected, or where nobody has a place', async () => {
    const relay = await startNode(1, members, { relay: 'on' })
    const two = await startNode(2, members, UNREACHABLE)
    await two.dialAddresses(relay.self, relay.addresses(), soon())
    const elsewhere = [`/p2p/${peerOf(5)}/p2p-circuit`, `/p2p/${relay.self}/p2p-circuit`]
    await expect(two.dialAddresses(peerOf(3), elsewhere, soon())).rejects.toThrow(Error)
  })
})

/** The answer of a relay that has a place, as Protocol Buffers, with its length in front. */
function placeAt(addresses: number, seconds = 3600): Uint8Array {
  const varint = (value: number): number[] =>
    value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))]
  const sized = (bytes: readonly number[]): number[] => [...varint(bytes.length), ...bytes]
  const address = [...multiaddr('/ip4/192.0.2.1/tcp/4001').bytes]
  const expires = [0x08, ...varint(Math.floor(Date.now() / 1000) + seconds)]
  const reservation = [...expires, ...Array.from({ length: addresses }, () => [0x12, ...sized(address)]).flat()]
  return Uint8Array.from(sized([0x08, 2, 0x1a, ...sized(reservation), 0x28, 100]))
}

describe('members that are slow, or gone for good', () => {
  const members = new Set([1, 2].map(peerOf))

  it('introduce themselves in the end, though not within the time that is given them first', async () => {
    const clock = createManualClock()
    const one = await startNode(1, members, { clock })
    const slow = await startRaw(2)
    let asked = 0
    await slow.node.handle('/rookery/id/1', (stream) => {
      if (++asked < 3) return
      const said = encodeIntroduction({ agent: 'slow', addresses: [], observed: undefined, protocols: [] }, [])
      stream.addEventListener('message', () => void stream.send(encodeFrame(said)), { once: true })
      stream.send(encodeFrame(new Uint8Array()))
    })
    await slow.node.dial(multiaddr(one.addresses()[0] ?? ''), { signal: soon() })
    for (const times of [1, 2]) {
      await until(() => asked === times)
      await clock.advance(5000)
    }
    await until(() => one.wayTo(peerOf(2)).agent === 'slow')
    expect(asked).toBe(3)
  })

  it('are not looked for first where they asked to be dialled back: that may be the long way round', async () => {
    const one = await startNode(1, members)
    const two = await startRaw(2)
    await two.components.transportManager.listen(['/ip4/127.0.0.1/tcp/0', '/ip6/::1/tcp/0'].map((a) => multiaddr(a)))
    const [near, far] = two.node.getMultiaddrs().map((address) => address.toString().replace(/\/p2p\/.*/, ''))
    await one.dialAddresses(peerOf(2), [near!], soon())
    await until(() => two.node.getConnections().length === 1)
    const stream = await two.node.getConnections()[0]!.newStream(DIAL_BACK_PROTOCOL, { signal: soon() })
    const said: unknown[] = []
    stream.addEventListener('message', ({ data }) => said.push(data))
    stream.send(encodeFrame(encodeAddresses([far!])))
    await until(() => said.length === 2) // that it is let in, and the answer
    expect(one.knownPeers().get(peerOf(2))).toEqual([near])
  })

  it('[A-M2] leave no address behind when they are removed, connected or not', async () => {
    const current = new Set(members)
    let saved: ReadonlyMap<PeerId, readonly string[]> = new Map([[peerOf(2), ['/ip4/127.0.0.1/tcp/1']]])
    const knownAddresses = { load: async () => saved, save: async (known: typeof saved) => void (saved = known) }
    const isRemoved = (peer: PeerId): boolean => members.has(peer) && !current.has(peer)
    const one = await startNode(1, current, { knownAddresses, isRemoved })
    await until(() => one.wayTo(peerOf(2)).failed.length > 0)
    current.delete(peerOf(2))
    one.membersChanged()
    expect(one.wayTo(peerOf(2))).toMatchObject({ plan: 'no address', failed: [] })
    await stopNode(one)
    expect([...saved.keys()]).toEqual([])
  })

  it('[A-M2] are found to refuse this node when it is itself that was removed', async () => {
    const removed = new Set<PeerId>([peerOf(2)])
    const one = await startNode(1, new Set([peerOf(1)]), { isRemoved: (peer) => removed.has(peer) })
    const saved = new Map([[one.self, one.addresses()]])
    const clock = createManualClock()
    const knownAddresses = { load: async () => saved, save: async () => undefined }
    const two = await startNode(2, members, { clock, knownAddresses })
    await until(() => {
      void clock.advance(1000)
      return two.refusers().includes(one.self)
    })
    expect(two.connected()).toEqual([])
  })
})

describe('members that moved', () => {
  const members = new Set([1, 2, 3].map(peerOf))
  const remembering = (known: Readonly<Record<string, readonly string[]>> = {}): Partial<PeerNetworkOptions> => {
    let content: ReadonlyMap<PeerId, readonly string[]> = new Map(
      Object.entries(known) as [PeerId, readonly string[]][],
    )
    return {
      knownAddresses: {
        load: async () => content,
        save: async (addresses) => void (content = addresses),
      },
    }
  }

  it('are looked up among the others when no remembered address leads to them', async () => {
    const one = await startNode(1, members)
    const three = await startNode(3, members)
    await three.dialAddresses(one.self, one.addresses(), soon())
    await until(() => (one.knownPeers().get(three.self) ?? []).length > 0)
    // Nobody tells two of three: that is for the lookup to find out.
    const stale = remembering({ [three.self]: ['/ip4/127.0.0.1/tcp/1'], [one.self]: one.addresses() })
    const blind = await startNode(2, members, { ...UNREACHABLE, ...stale, dht: false })
    await until(() => blind.connected().includes(one.self))
    await expect(blind.open(three.self, '/t/echo', soon())).rejects.toThrow(Error)
    await stopNode(blind)
    const two = await startNode(2, members, { ...UNREACHABLE, ...stale })
    await until(() => two.connected().includes(three.self), WHOLE_MS)
    expect(await ask(two, three, new Uint8Array([9]))).toEqual(new Uint8Array([9]))
  })

  it.each([
    ['one side has', [2]],
    ['both sides have', [2, 3]],
  ])('[D13] meet again after %s restarted at another port', async (_case, moved) => {
    const disks = new Map([1, 2, 3].map((n) => [n, remembering()] as const))
    const nodes = new Map<number, Libp2pNetwork>()
    for (const n of [1, 2, 3]) nodes.set(n, await startNode(n, members, disks.get(n)))
    const [one, two, three] = [1, 2, 3].map((n) => nodes.get(n)!) as [Libp2pNetwork, Libp2pNetwork, Libp2pNetwork]
    for (const node of [two, three]) await node.dialAddresses(one.self, one.addresses(), soon())
    await three.dialAddresses(two.self, two.addresses(), soon())
    const isWhole = (): boolean => [...nodes.values()].every((node) => node.connected().length === 2)
    await until(isWhole)
    await until(() => [...nodes.values()].every((node) => [...node.knownPeers().values()].every((a) => a.length > 0)))
    for (const n of moved) await stopNode(nodes.get(n)!)
    for (const n of moved) nodes.set(n, await startNode(n, members, disks.get(n)))
    await until(isWhole, WHOLE_MS)
    expect(isWhole()).toBe(true)
  })

  it('[D13] are dialled as soon as another one has met them again, though they are where they always were', async () => {
    const disk = remembering()
    const clocks = [createManualClock(), createManualClock()] as const
    const two = await startNode(2, members, { clock: clocks[1] })
    const before = await startNode(3, members, disk)
    await before.dialAddresses(two.self, two.addresses(), soon())
    await until(() => two.wayTo(before.self).agent !== null)
    const listen = before.addresses().map((address) => address.replace(/\/p2p\/.*/, ''))
    await stopNode(before)
    await clocks[1].advance(6000) // what it had to tell of three is told, to nobody
    const known = remembering({ [two.self]: two.addresses(), [before.self]: listen })
    const one = await startNode(1, members, { ...UNREACHABLE, ...known, clock: clocks[0] })
    await until(() => {
      void clocks[0].advance(1000)
      return (one.wayTo(before.self).nextTryInMs ?? 0) > 60_000
    })
    await clocks[0].advance(6000) // and then it stands still: by itself one would not try again
    const three = await startNode(3, members, { ...disk, listen })
    await until(() => two.wayTo(three.self).agent !== null)
    await clocks[1].advance(6000)
    await until(() => one.connected().includes(three.self))
    expect(one.connectionOf(three.self)?.address).toContain(listen[0])
  })

  it('[D13] are noticed to be gone within 10 s of waking up, though nothing was said', async () => {
    const clock = createManualClock()
    const one = await startNode(1, members, { clock })
    const proxy = await startProxy(Number(/tcp\/(\d+)/.exec(one.addresses()[0] ?? '')?.[1]))
    const two = await startNode(2, members, UNREACHABLE)
    await two.dialAddresses(one.self, [`/ip4/127.0.0.1/tcp/${proxy.port}`], soon())
    await until(() => one.connected().length === 1)
    proxy.freeze()
    await clock.advance(5000)
    expect(one.connected()).toEqual([two.self])
    clock.suspend(3600_000)
    await clock.advance(10_000)
    await until(() => one.connected().length === 0)
    expect(one.connectionOf(two.self)).toBeUndefined()
  })

  it('[D13] are given up when nothing has come from them for half a minute, though the connection stands', async () => {
    const clock = createManualClock()
    const one = await startNode(1, members, { clock })
    const proxy = await startProxy(Number(/tcp\/(\d+)/.exec(one.addresses()[0] ?? '')?.[1]))
    const two = await startNode(2, members, UNREACHABLE)
    await two.dialAddresses(one.self, [`/ip4/127.0.0.1/tcp/${proxy.port}`], soon())
    await until(() => one.connected().length === 1)
    proxy.freeze()
    await clock.advance(20_000)
    expect(one.connected()).toEqual([two.self])
    await clock.advance(10_000)
    await until(() => one.connected().length === 0)
    expect(one.connectionOf(two.self)).toBeUndefined()
  })

  it('[D13] are talked to over the connection they have just made, not over one that died silently', async () => {
    const one = await startNode(1, members)
    const proxy = await startProxy(Number(/tcp\/(\d+)/.exec(one.addresses()[0] ?? '')?.[1]))
    const before = await startNode(2, members, UNREACHABLE)
    await before.dialAddresses(one.self, [`/ip4/127.0.0.1/tcp/${proxy.port}`], soon())
    await until(() => one.connected().length === 1)
    proxy.freeze()
    const dead = one.connectionOf(before.self)?.address
    const after = await startNode(2, members, UNREACHABLE) // the same member, which does not know of the old connection
    await after.dialAddresses(one.self, one.addresses(), soon())
    await until(() => one.connectionOf(after.self)?.address !== dead)
    expect(await ask(one, after, new Uint8Array([5]))).toEqual(new Uint8Array([5]))
  })
})

/** Passes bytes on until it is cut, or frozen: then it says nothing any more, not even that it has gone. */
async function startProxy(port: number): Promise<{ port: number; freeze: () => void; cut: () => void }> {
  const sockets: Socket[] = []
  const server: Server = createServer((inner) => {
    const outer = connect(port, '127.0.0.1')
    for (const socket of [inner, outer]) sockets.push(socket.on('error', () => undefined))
    inner.pipe(outer)
    outer.pipe(inner)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const cut = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  const stop = (): void => {
    cut()
    server.close()
  }
  running.push({ stop })
  const freeze = (): void => {
    for (const socket of sockets) socket.unpipe().pause()
  }
  return { port: (server.address() as AddressInfo).port, freeze, cut }
}
