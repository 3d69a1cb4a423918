import { describe, expect, it, vi } from 'vitest'
import type { PeerId } from '../../../../crdt/ids.ts'
import type { Channel, PeerNetwork } from '../../../../node/ports/peer-network.ts'
import type { FeedExchange } from '../../../../node/services/feeds/feed-exchange.ts'
import type { PresenceLink } from '../../../../node/services/sync/presence-service.ts'
import { clientIdOf } from '../../../../protocols/feed/envelope.ts'
import { decodeSync, encodeSync, SYNC_PROTOCOL, type SyncMessage } from '../../../../protocols/sync.ts'
import { crypto, identity } from '../../../support/identity.ts'
import { contentOf, Forger, OTHER_PROJECT, PROJECT, setKey, updateBy } from '../../../support/replicas.ts'
import { createPulse, createSyncLab, type SyncLab, type SyncNode } from '../../../support/sync-lab.ts'

const never = new AbortController().signal
type Serve = (channel: Channel) => Promise<void>
const PASSING_ON = { passesOn: () => true }

async function write(node: SyncNode, key: string, value: unknown): Promise<void> {
  await node.documents.write(PROJECT, undefined, setKey(key, value))
}

/** The peer's side of the protocol by hand: what it hears, and a channel to speak on. */
async function impersonate(
  port: PeerNetwork,
  to: SyncNode,
): Promise<{ heard: SyncMessage[]; say(message: SyncMessage): Promise<void>; channel(): Promise<Channel> }> {
  const heard: SyncMessage[] = []
  port.handle(
    SYNC_PROTOCOL,
    { policy: { who: 'member' }, frameBytesMax: 512 * 1024, channelsPerPeerMax: 4 },
    async (channel) => {
      for await (const frame of channel.frames) {
        const message = decodeSync(frame)
        if (message !== undefined) heard.push(message)
      }
    },
  )
  let open: Promise<Channel> | undefined
  const channel = (): Promise<Channel> => (open ??= port.open(to.peer, SYNC_PROTOCOL, never))
  return { heard, channel, say: async (message) => (await channel()).send(encodeSync(message)) }
}

/** Three nodes with heartbeats, each connected with the others for a while. */
async function beatingTriangle(lab: SyncLab) {
  const pulses = [0, 1, 2].map((n) => createPulse(lab.time, identity(n).peer)) as [Pulse, Pulse, Pulse]
  const node = (n: 0 | 1 | 2): Promise<SyncNode> => lab.node(n, { presence: pulses[n] })
  const nodes = [await node(0), await node(1), await node(2)] as const
  const [a, b, c] = nodes
  await lab.connect(a.peer, b.peer)
  await lab.connect(b.peer, c.peer)
  await lab.connect(c.peer, a.peer)
  await lab.time.advance(6000)
  return { nodes, pulses }
}
type Pulse = ReturnType<typeof createPulse>

describe('synchronisation', () => {
  it('[M16] brings both sides what the other wrote before they met', async () => {
    const lab = createSyncLab(2)
    const [a, b] = [await lab.node(0), await lab.node(1)]
    await write(a, 'from a', 1)
    await write(b, 'from b', 2)
    await lab.connect(a.peer, b.peer)
    const both = { 'from a': 1, 'from b': 2 }
    expect([await contentOf(a), await contentOf(b)]).toEqual([both, both])
  })

  it('[M17] pushes what is written while connected, without waiting for a round', async () => {
    const lab = createSyncLab(3)
    const nodes = [await lab.node(0), await lab.node(1), await lab.node(2)] as const
    const [a, b, c] = nodes
    for (const [x, y] of [
      [a, b],
      [a, c],
      [b, c],
    ] as const)
      await lab.connect(x.peer, y.peer)
    await write(a, 'key', 'value')
    await lab.quiet()
    expect(await Promise.all(nodes.map((node) => contentOf(node)))).toEqual([
      { key: 'value' },
      { key: 'value' },
      { key: 'value' },
    ])
  })

  it('[M17] passes on at once, where not everybody is connected, what is news: each piece once, and not back', async () => {
    const lab = createSyncLab(4)
    const [a, b, c] = [await lab.node(0), await lab.node(1, PASSING_ON), await lab.node(2, PASSING_ON)]
    const port = lab.network.join(identity(3).peer)
    const last = await impersonate(port, c)
    await lab.connect(a.peer, b.peer)
    await lab.connect(b.peer, c.peer)
    await lab.connect(c.peer, port.self)
    const received = vi.spyOn(b.documents, 'receive')
    await write(a, 'key', 'value')
    await lab.quiet()
    expect(await contentOf(c)).toEqual({ key: 'value' })
    expect(last.heard.filter(({ t }) => t === 'envelopes')).toHaveLength(1)
    const [pushed] = last.heard.filter(({ t }) => t === 'envelopes')
    if (pushed?.t !== 'envelopes') throw new Error('nothing was passed on')
    for (let i = 0; i < 3; i++) await last.say(pushed)
    await lab.quiet()
    expect(last.heard.filter(({ t }) => t === 'envelopes')).toHaveLength(1)
    expect(received).toHaveBeenCalledTimes(1)
  })

  it('[M17] gets around a connection that is dead in one direction as soon as the silence is noticed', async () => {
    const lab = createSyncLab(3)
    const { nodes, pulses } = await beatingTriangle(lab)
    const [ash, birch] = nodes
    lab.network.lose(ash.peer, birch.peer)
    await write(ash, 'before', 'it is noticed')
    await lab.time.advance(4000)
    await lab.quiet()
    expect(await contentOf(birch)).toEqual({})
    await lab.time.advance(5000)
    await lab.quiet()
    expect(await contentOf(birch)).toEqual({ before: 'it is noticed' })
    await write(ash, 'after', 'at once')
    await lab.quiet()
    expect(await contentOf(birch)).toEqual({ before: 'it is noticed', after: 'at once' })
    pulses[1].heard.clear()
    await lab.time.advance(6000)
    await lab.quiet()
    expect(pulses[1].heard).toContain(ash.peer)
  })

  it('[M17] passes nothing on any more once all hear each other again', async () => {
    const lab = createSyncLab(3)
    const { nodes } = await beatingTriangle(lab)
    const [ash, birch, cedar] = nodes
    lab.network.lose(ash.peer, birch.peer)
    await lab.time.advance(10_000)
    lab.network.lose(ash.peer, birch.peer, false)
    await lab.time.advance(6000)
    await lab.quiet()
    const received = vi.spyOn(birch.documents, 'receive')
    await write(ash, 'key', 'healed')
    await lab.quiet()
    expect(received.mock.calls.map(([, from]) => from)).toEqual([ash.peer])
    expect(await contentOf(cedar)).toEqual({ key: 'healed' })
  })

  it('[M17] passes heartbeats on together, to those who have not shown that they have them', async () => {
    const lab = createSyncLab(4)
    const heard: string[] = []
    const presence: PresenceLink = {
      greeting: () => undefined,
      onBeat: () => () => undefined,
      receive: (beat) => {
        heard.push(beat.join())
        return { peer: identity(1).peer, boot: 1, counter: beat[0] ?? 0 }
      },
      echoed: () => undefined,
    }
    const b = await lab.node(0, { ...PASSING_ON, presence })
    const [one, other] = [lab.network.join(identity(1).peer), lab.network.join(identity(2).peer)]
    const [left, right] = [await impersonate(one, b), await impersonate(other, b)]
    await lab.connect(b.peer, one.self)
    await lab.connect(b.peer, other.self)
    await left.say({ t: 'beat', beat: new Uint8Array([1]) })
    await left.say({ t: 'beats', beats: [new Uint8Array([2]), new Uint8Array([3])] })
    await right.say({ t: 'beats', beats: [new Uint8Array([3]), new Uint8Array([2])] })
    await lab.quiet()
    expect(right.heard.filter(({ t }) => t === 'beats')).toEqual([])
    await lab.time.advance(1000)
    await lab.quiet()
    expect(heard).toEqual(['1', '2', '3'])
    expect(left.heard.filter(({ t }) => t === 'beats' || t === 'echo')).toEqual([{ t: 'echo', boot: 1, counter: 1 }])
    expect(right.heard.filter(({ t }) => t === 'beats')).toEqual([{ t: 'beats', beats: [new Uint8Array([1])] }])
  })

  it('answers the first two heartbeats of a connection, since the first is slow, and then one in half a minute', async () => {
    const lab = createSyncLab(2)
    const presence: PresenceLink = {
      greeting: () => undefined,
      onBeat: () => () => undefined,
      receive: (beat, from) => ({ peer: from, boot: 1, counter: beat[0] ?? 0 }),
      echoed: () => undefined,
    }
    const node = await lab.node(0, { presence })
    const port = lab.network.join(identity(1).peer)
    const other = await impersonate(port, node)
    await lab.connect(node.peer, port.self)
    for (let counter = 1; counter <= 9; counter++) {
      await other.say({ t: 'beat', beat: new Uint8Array([counter]) })
      await lab.time.advance(5000)
    }
    await lab.quiet()
    const echoes = other.heard.flatMap((message) => (message.t === 'echo' ? [message.counter] : []))
    expect(echoes).toEqual([1, 2, 8])
  })

  it('hears a goodbye that is read when the connection is gone already', async () => {
    const lab = createSyncLab(2)
    const [self, far] = [identity(0).peer, identity(1).peer]
    const heard: string[] = []
    const presence: PresenceLink = {
      greeting: () => undefined,
      onBeat: () => () => undefined,
      receive: (beat, from) => void heard.push(`${from} ${beat.join()}`),
      echoed: () => undefined,
    }
    const tell: { connect?: (peer: PeerId) => void; disconnect?: (peer: PeerId) => void; serve?: Serve } = {}
    const network: PeerNetwork = {
      self,
      connected: () => [],
      mayBeReached: () => true,
      onConnect: (listener) => ((tell.connect = listener), () => undefined),
      onDisconnect: (listener) => ((tell.disconnect = listener), () => undefined),
      open: () => new Promise(() => undefined),
      handle: (_protocol, _options, serve) => void (tell.serve = serve),
    }
    await lab.node(0, { network, presence })
    async function* frames() {
      yield encodeSync({ t: 'peers', peers: [] })
      tell.disconnect?.(far)
      yield encodeSync({ t: 'heads', heads: [] })
      yield encodeSync({ t: 'beat', beat: new Uint8Array([9]) })
    }
    tell.connect?.(far)
    const rest = { send: async () => undefined, close: async () => undefined, abort: () => undefined }
    await tell.serve?.({ peer: far, frames: frames(), ...rest })
    expect(heard).toEqual([`${far} 9`])
  })

  it('[M16] [M17] takes again what came a while ago: a round must get through', async () => {
    const lab = createSyncLab(2)
    const b = await lab.node(0, PASSING_ON)
    const port = lab.network.join(identity(1).peer)
    const far = await impersonate(port, b)
    await lab.connect(b.peer, port.self)
    const received = vi.spyOn(b.documents, 'receive')
    const message: SyncMessage = { t: 'envelopes', envelopes: [new Uint8Array([1])], more: false }
    const say = async (): Promise<number> => {
      received.mockClear()
      await far.say(message)
      await lab.quiet()
      return received.mock.calls.flatMap(([envelopes]) => envelopes).length
    }
    expect([await say(), await say()]).toEqual([1, 0])
    await lab.time.advance(30_000)
    expect(await say()).toBe(1)
  })

  it('[M16] [D14] converges over a node in the middle, by rounds alone', async () => {
    const lab = createSyncLab(3)
    const [a, middle, c] = [await lab.node(0), await lab.node(1), await lab.node(2)]
    await lab.connect(a.peer, middle.peer)
    await lab.connect(middle.peer, c.peer)
    await write(a, 'far', 'away')
    await lab.quiet()
    expect([await contentOf(middle), await contentOf(c)]).toEqual([{ far: 'away' }, {}])
    for (let round = 0; round < 3; round++) {
      await lab.time.advance(30_000)
      await lab.quiet()
    }
    expect(await contentOf(c)).toEqual({ far: 'away' })
  })

  it('[D11] asks anew after every reconnect: what was missed in between arrives', async () => {
    const lab = createSyncLab(2)
    const [a, b] = [await lab.node(0), await lab.node(1)]
    for (let i = 0; i < 5; i++) {
      await lab.connect(a.peer, b.peer)
      lab.network.disconnect(a.peer, b.peer)
      await write(a, `missed ${i}`, i)
    }
    await lab.connect(a.peer, b.peer)
    expect(await contentOf(b)).toEqual(await contentOf(a))
    expect(Object.keys((await contentOf(a)) as object)).toHaveLength(5)
  })

  it('[M16] sends more than one bounded round, until nothing is missing', async () => {
    const lab = createSyncLab(2)
    const [a, b] = [await lab.node(0), await lab.node(1)]
    for (let i = 0; i < 100; i++) await write(a, `big ${i}`, 'x'.repeat(120_000)) // 12 MB in rounds of 4
    await lab.connect(a.peer, b.peer)
    await lab.quiet()
    expect(b.documents.vectors()).toEqual(a.documents.vectors())
    expect(await contentOf(b)).toEqual(await contentOf(a))
  })

  it('[M4] exchanges membership records on connect and pushes later ones', async () => {
    const lab = createSyncLab(2)
    const [a, b] = [await lab.node(0), await lab.node(1)]
    a.records.add(1, 2)
    b.records.add(2, 3)
    await lab.connect(a.peer, b.peer)
    expect([a.records.all(), b.records.all()]).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ])
    a.records.add(4)
    await lab.quiet()
    expect(b.records.all()).toEqual([1, 2, 3, 4])
  })

  it('[M4] [M16] sends vectors only after the membership records of the other side are in', async () => {
    const lab = createSyncLab(2)
    const node = await lab.node(0)
    const other = await impersonate(lab.network.join(identity(1).peer), node)
    await lab.connect(node.peer, identity(1).peer)
    expect(other.heard.map(({ t }) => t)).toEqual(['hello', 'heads'])
    await other.say({ t: 'records', records: [new Uint8Array([9])], last: false })
    await other.say({ t: 'records', records: [], last: true })
    await lab.quiet()
    expect(other.heard.map(({ t }) => t)).toEqual(['hello', 'heads', 'records', 'vectors'])
    expect(node.records.all()).toEqual([9])
  })

  it('[M7] takes a member for heard of once their membership logs were compared, and by every heartbeat after that', async () => {
    const lab = createSyncLab(2)
    const heard: string[] = []
    const receive = (): undefined => undefined
    const presence = { greeting: () => undefined, onBeat: () => () => undefined, receive, echoed: () => undefined }
    const node = await lab.node(0, { presence, onHeard: (peer) => heard.push(peer) })
    const port = lab.network.join(identity(1).peer)
    const other = await impersonate(port, node)
    await lab.connect(node.peer, port.self)
    const beat = { t: 'beat', beat: new Uint8Array([1]) } as const
    await other.say(beat)
    await other.say({ t: 'records', records: [new Uint8Array([9])], last: false })
    await lab.quiet()
    expect(heard).toEqual([])
    await other.say({ t: 'records', records: [], last: true })
    await lab.quiet()
    expect(heard).toEqual([port.self])
    await other.say(beat)
    await lab.quiet()
    expect(heard).toEqual([port.self, port.self])
  })

  it('[A-D1] names a member whose own envelopes are refused, and not the one that passes on those of others', async () => {
    const lab = createSyncLab(3)
    const blamed: string[] = []
    const node = await lab.node(0, { onMisconduct: (peer, what) => blamed.push(`${peer} ${what}`) })
    const port = lab.network.join(identity(1).peer)
    const other = await impersonate(port, node)
    await lab.connect(node.peer, port.self)
    const foreign = updateBy(5, setKey('key', 'value'))
    await other.say({ t: 'envelopes', envelopes: [new Forger(2).seal(foreign).bytes], more: false })
    await lab.quiet()
    expect(node.log.lines.map(({ message }) => message)).toContain('envelopes refused')
    expect(blamed).toEqual([])
    await other.say({ t: 'envelopes', envelopes: [new Forger(1).seal(foreign).bytes], more: false })
    await lab.quiet()
    expect(blamed).toEqual([expect.stringMatching(`^${port.self} sends envelopes that are refused`)])
  })

  it('[M16] answers who asks before our own channel is open, once it is', async () => {
    const lab = createSyncLab(2)
    const node = await lab.node(0)
    const port = lab.network.join(identity(1).peer)
    lab.network.connect(node.peer, port.self)
    await lab.quiet() // nobody serves the protocol there yet: the node has to try again
    const channel = await port.open(node.peer, SYNC_PROTOCOL, never)
    await channel.send(encodeSync({ t: 'heads', heads: [] }))
    await lab.quiet()
    const heard: (string | undefined)[] = []
    port.handle(
      SYNC_PROTOCOL,
      { policy: { who: 'member' }, frameBytesMax: 512 * 1024, channelsPerPeerMax: 4 },
      async (open) => {
        for await (const frame of open.frames) heard.push(decodeSync(frame)?.t)
      },
    )
    await lab.time.advance(2000)
    await lab.quiet()
    expect(heard).toEqual(['hello', 'heads', 'records', 'hears'])
  })

  it('[D3] reports replicas that differ although both have applied the same', async () => {
    const lab = createSyncLab(2)
    const mismatches: unknown[] = []
    const a = await lab.node(0)
    const b = await lab.node(1, { onMismatch: (doc, peer) => mismatches.push({ doc, peer }) })
    await write(a, 'key', 1)
    await lab.connect(a.peer, b.peer)
    await lab.time.advance(30_000)
    await lab.quiet()
    expect(mismatches).toEqual([])
    const feeds: FeedExchange = b.documents
    feeds.contentHash = async () => new Uint8Array(32)
    await lab.time.advance(60_000)
    await lab.quiet()
    expect(mismatches).toContainEqual({ doc: PROJECT, peer: a.peer })
  })

  it('[D3] compares what has been used, and loads nothing for it', async () => {
    const lab = createSyncLab(2)
    const [a, b] = [await lab.node(0), await lab.node(1)]
    const hashed: string[] = []
    for (const { documents } of [a, b]) {
      const feeds: FeedExchange = documents
      const hash = feeds.contentHash.bind(feeds)
      feeds.contentHash = async (doc) => {
        hashed.push(doc)
        return await hash(doc)
      }
    }
    const pass = async (ms: number): Promise<void> => {
      for (let rest = ms; rest > 0; rest -= 10_000) {
        for (const clock of [lab.time, a.clock, b.clock]) await clock.advance(10_000)
        await lab.quiet()
      }
    }
    const isLoaded = () => [a, b].map(({ documents }) => documents.info().some(({ loaded }) => loaded))
    await write(a, 'key', 1)
    await lab.connect(a.peer, b.peer)
    await pass(60_000)
    expect([hashed.includes(PROJECT), isLoaded()]).toEqual([true, [true, true]])
    await pass(400_000)
    expect(isLoaded()).toEqual([false, false])
    await b.documents.read(PROJECT, () => undefined)
    await pass(200_000)
    expect(isLoaded()).toEqual([false, true])
  })

  it('[M12] shows every member the proof against an author who contradicts itself', async () => {
    const lab = createSyncLab(4)
    const [a, b] = [await lab.node(0), await lab.node(1)]
    await lab.connect(a.peer, b.peer)
    const liar = new Forger(3)
    const nonce = new Uint8Array(16).fill(7)
    const client = clientIdOf(crypto, liar.peer, PROJECT, nonce)
    const one = liar.seal(updateBy(client, setKey('x', 1)), { nonce })
    const two = new Forger(3).seal(updateBy(client, setKey('x', 2)), { nonce })
    await a.documents.receive([one.bytes], liar.peer)
    await a.documents.receive([two.bytes], liar.peer)
    await lab.quiet()
    expect([...a.documents.frozen().keys()]).toEqual([liar.peer])
    expect([...b.documents.frozen().keys()]).toEqual([liar.peer])
    const late = await lab.node(2)
    await lab.connect(late.peer, b.peer)
    expect([...late.documents.frozen().keys()]).toEqual([liar.peer])
  })

  it('stops pushing to a peer that does not read, and catches up once it does', async () => {
    const lab = createSyncLab(2)
    const node = await lab.node(0)
    const port = lab.network.join(identity(1).peer)
    const go = Promise.withResolvers<void>()
    const heard: SyncMessage[] = []
    port.handle(
      SYNC_PROTOCOL,
      { policy: { who: 'member' }, frameBytesMax: 512 * 1024, channelsPerPeerMax: 4 },
      async (channel) => {
        await go.promise
        for await (const frame of channel.frames) heard.push(decodeSync(frame) ?? { t: 'echo', boot: 0, counter: 0 })
      },
    )
    await lab.connect(node.peer, port.self)
    for (let i = 0; i < 100; i++) await write(node, `big ${i}`, 'x'.repeat(120_000)) // 12 MB
    await lab.quiet()
    go.resolve()
    await lab.quiet()
    const pushed = heard.filter((message) => message.t === 'envelopes').flatMap(({ envelopes }) => envelopes)
    const bytes = pushed.reduce((sum, envelope) => sum + envelope.byteLength, 0)
    expect(bytes).toBeGreaterThan(3 * 1024 * 1024)
    expect(bytes).toBeLessThan(5 * 1024 * 1024)
    expect(heard.at(-1)?.t).toBe('heads') // a new round is asked for as soon as the queue is empty
  })

  it('[M18] says so when a member speaks no common version', async () => {
    const lab = createSyncLab(2)
    const node = await lab.node(0)
    const other = await impersonate(lab.network.join(identity(1).peer), node)
    await lab.connect(node.peer, identity(1).peer)
    await other.say({ t: 'hello', versions: [7, 8] })
    await lab.quiet()
    expect([...node.sync.problems()]).toEqual([
      [identity(1).peer, 'speaks sync version 7, 8, this node 1: upgrade one of them'],
    ])
    lab.network.disconnect(node.peer, identity(1).peer)
    expect(node.sync.problems().size).toBe(0)
  })

  it('[M18] ignores kinds of messages of later releases, and hangs up on nonsense', async () => {
    const lab = createSyncLab(2)
    const node = await lab.node(0)
    const other = await impersonate(lab.network.join(identity(1).peer), node)
    await lab.connect(node.peer, identity(1).peer)
    await other.say({ t: 'novelty', v: 2, with: ['anything'] } as never)
    await other.say({ t: 'records', records: [new Uint8Array([5])], last: false })
    await lab.quiet()
    expect(node.records.all()).toEqual([5])
    const channel = await other.channel()
    await channel.send(new Uint8Array([1, 2, 3]))
    await expect(channel.frames[Symbol.asyncIterator]().next()).rejects.toThrow(Error)
  })

  it('passes on addresses of members, to everybody but themselves', async () => {
    const lab = createSyncLab(3)
    const learnt: unknown[] = []
    const [second, third] = [identity(1).peer, identity(2).peer]
    const known = new Map([
      [second, ['/ip4/10.0.0.2/tcp/1']],
      [third, ['/ip4/10.0.0.3/tcp/1']],
    ])
    const a = await lab.node(0, { addresses: { knownPeers: () => known, learn: () => undefined } })
    const b = await lab.node(1, {
      addresses: { knownPeers: () => new Map(), learn: (...hint) => learnt.push(hint) },
    })
    await lab.connect(a.peer, b.peer)
    expect(learnt).toEqual([[third, ['/ip4/10.0.0.3/tcp/1'], a.peer]])
  })

  it('tells the others of who has just connected, once it has introduced itself, and of nobody else', async () => {
    const lab = createSyncLab(4)
    const learnt: unknown[] = []
    const known = new Map([1, 2, 3].map((n) => [identity(n).peer, [`/ip4/10.0.0.${n}/tcp/1`]]))
    const a = await lab.node(0, { addresses: { knownPeers: () => known, learn: () => undefined } })
    const b = await lab.node(1, {
      addresses: { knownPeers: () => new Map(), learn: (peer) => learnt.push(peer) },
    })
    await lab.connect(a.peer, b.peer)
    await lab.time.advance(2000)
    learnt.length = 0
    const c = await lab.node(2)
    await lab.connect(a.peer, c.peer)
    await lab.time.advance(2000)
    await lab.quiet()
    expect(learnt).toEqual([c.peer])
  })

  it('opens its channel again when the other side closes it', async () => {
    const lab = createSyncLab(2)
    const node = await lab.node(0)
    const port = lab.network.join(identity(1).peer)
    let opened = 0
    port.handle(
      SYNC_PROTOCOL,
      { policy: { who: 'member' }, frameBytesMax: 512 * 1024, channelsPerPeerMax: 4 },
      async () => void opened++,
    )
    await lab.connect(node.peer, port.self)
    expect(opened).toBe(1)
    await lab.time.advance(1000)
    expect(opened).toBe(2)
    await lab.time.advance(1999)
    expect(opened).toBe(2)
    await lab.time.advance(1)
    expect(opened).toBe(3)
  })

  it('[M17] says on every new channel whom it hears: what was said on the one before may be lost', async () => {
    const lab = createSyncLab(2)
    const node = await lab.node(0)
    const port = lab.network.join(identity(1).peer)
    const said: SyncMessage[] = []
    port.handle(
      SYNC_PROTOCOL,
      { policy: { who: 'member' }, frameBytesMax: 512 * 1024, channelsPerPeerMax: 4 },
      async (channel) => {
        for await (const frame of channel.frames) {
          const message = decodeSync(frame)
          if (message?.t !== 'hears') continue
          said.push(message)
          return
        }
      },
    )
    await lab.connect(node.peer, port.self)
    await lab.time.advance(1000)
    expect(said).toEqual([{ t: 'hears', peers: [port.self] }])
    await lab.time.advance(2000)
    expect(said).toHaveLength(2)
  })

  it('stops within half a second while a member takes nothing any more', async () => {
    const lab = createSyncLab(2)
    const [a, b] = [await lab.node(0), await lab.node(1)]
    const open = a.port.open.bind(a.port)
    a.port.open = async (...to) => {
      const channel = await open(...to)
      channel.close = () => new Promise(() => undefined)
      return channel
    }
    await lab.connect(a.peer, b.peer)
    let isStopped = false
    const stopping = a.sync.stop().then(() => (isStopped = true))
    await lab.time.advance(499)
    expect(isStopped).toBe(false)
    await lab.time.advance(1)
    await stopping
    expect(isStopped).toBe(true)
  })

  it('flushes what is queued when it stops, then is silent', async () => {
    const lab = createSyncLab(2)
    const [a, b] = [await lab.node(0), await lab.node(1)]
    await lab.connect(a.peer, b.peer)
    a.records.add(1)
    await a.sync.stop()
    await lab.quiet()
    expect(b.records.all()).toEqual([1])
    a.records.add(2)
    await a.documents.write(OTHER_PROJECT, undefined, setKey('after', 'stop'))
    await lab.time.advance(30_000)
    await lab.quiet()
    expect(b.records.all()).toEqual([1])
    expect(await contentOf(b, OTHER_PROJECT)).toEqual({})
  })
})
