import { afterEach, describe, expect, it } from 'vitest'
import type { Channel } from '../../../../node/ports/peer-network.ts'
import { MESSAGES_PER_SECOND_MAX } from '../../../../node/services/leases/voter-server.ts'
import { encodeCanonical } from '../../../../protocols/codec.ts'
import { packCertificate } from '../../../../protocols/lease/certificate.ts'
import { voterSetOf } from '../../../../protocols/lease/config.ts'
import { decodeFrame, encodeMessage, takeFrame, type LeaseMessage } from '../../../../protocols/lease/frame.ts'
import { LEASE_PROTOCOL, MAX_TTL_MS, type Certificate } from '../../../../protocols/lease/messages.ts'
import { decodeRecord } from '../../../../protocols/lease/records.ts'
import { pack, type LeaseKind } from '../../../../protocols/lease/signing.ts'
import { settle } from '../../../support/clock.ts'
import {
  configOf,
  hex,
  otherSpace,
  path,
  peer,
  requestOf,
  signaturesOf,
  signedBy,
  space,
  VoterLab,
} from '../../../support/lease-lab.ts'
import {
  acquired,
  createLeaseMesh,
  timed,
  wanting,
  type LeaseMesh,
  type LeaseNode,
} from '../../../support/lease-mesh.ts'
import { acceptOf, ballotOf, prepareOf, successorOf } from '../../../support/succession-lab.ts'

let mesh: LeaseMesh

afterEach(async () => await mesh.close())

type Nodes = [LeaseNode, LeaseNode, LeaseNode, LeaseNode]

async function start(voters = 1): Promise<Nodes> {
  mesh = await createLeaseMesh({ voters, nodes: 4 })
  return mesh.nodes as unknown as Nodes
}

/** What a node would write to a voter, and everything the voter wrote back. */
async function openRaw(from: LeaseNode, to: LeaseNode) {
  const channel: Channel = await from.network.open(to.peer, LEASE_PROTOCOL, new AbortController().signal)
  const received: LeaseMessage[] = []
  let isAborted = false
  void (async () => {
    try {
      for await (const frame of channel.frames) received.push(...decodeFrame(signaturesOf(40), frame))
    } catch {
      isAborted = true
    }
  })()
  const sendRaw = async (message: unknown): Promise<void> => {
    await channel.send(encodeCanonical([encodeCanonical(message)]))
    await settle()
  }
  return { channel, received, sendRaw, isAborted: () => isAborted }
}

/** The voter serves everybody else as if nothing had happened. */
async function expectUnharmed(holder: LeaseNode): Promise<void> {
  const lease = await acquired(mesh, holder, 'unharmed', { resources: [path('unharmed')] })
  await holder.leases.release(lease.leaseId)
}

describe('[A-L1] messages that are malformed end their channel and nothing else', () => {
  const set = voterSetOf(configOf(1))
  const { body: request } = requestOf({ by: 4 }, set)
  const signedAs = (t: LeaseKind, body: object) => ({ t, m: pack(signedBy(4, t, body)) })
  const { body: prepare } = prepareOf(set, 4, ballotOf(1))
  const { body: accept } = acceptOf(set, ballotOf(1), successorOf(set, [4]), { by: 4 })
  const seal = { ...prepare, voter: peer(4), inc: hex(4), next: set.cid, estate: set.cid, vseq: 1 }

  it.each<[string, unknown]>([
    ['a request for longer than anybody may promise', signedAs('request', { ...request, ttl: MAX_TTL_MS + 1 })],
    ['a request for ever', signedAs('request', { ...request, ttl: Number.MAX_SAFE_INTEGER })],
    ['a request for no time', signedAs('request', { ...request, ttl: 0 })],
    ['a request for less than no time', signedAs('request', { ...request, ttl: -1 })],
    ['a request for half a millisecond', signedAs('request', { ...request, ttl: 0.5 })],
    ['a request for nothing', signedAs('request', { ...request, res: [] })],
    ['a request with more than it has', signedAs('request', { ...request, more: 1 })],
    ['a token beyond all tokens', signedAs('request', { ...request, token: { epoch: 1, n: 2 ** 32 } })],
    ['a prepare without a ballot', signedAs('prepare', { ...prepare, ballot: undefined })],
    ['a prepare with a ballot below all', signedAs('prepare', { ...prepare, ballot: { n: -1, id: hex(1) } })],
    ['a prepare for a name that is none', signedAs('prepare', { ...prepare, ballot: { n: 1, id: 'x' } })],
    ['an accept without a configuration', signedAs('accept', { ...accept, config: undefined })],
    ['an accept of another kind', { t: 'accept', m: pack(signedBy(4, 'accept', prepare)) }],
    ['a seal without pages', signedAs('seal', { ...seal, pages: 0 })],
    ['a seal with too many pages', signedAs('seal', { ...seal, pages: 1025 })],
    ['a candidate without an incarnation', signedAs('candidate', { v: 1, space, node: peer(4), inc: '' })],
    ['a pull of no page', { t: 'pull', m: { estate: set.cid, page: -1 } }],
    ['a pull of a page that cannot be', { t: 'pull', m: { estate: set.cid, page: 1024 } }],
    ['a pull of what is no hash', { t: 'pull', m: { estate: new Uint8Array(31), page: 0 } }],
    ['a page without bytes', { t: 'page', m: { estate: set.cid, page: 0, bytes: 'x' } }],
    ['an outbid without a ballot', { t: 'outbid', m: { epoch: 1 } }],
    ['what is not even a word', { t: 7, m: {} }],
    ['a statement that is not packed', { t: 'request', m: request }],
    ['nothing', null],
  ])('%s', async (_what, message) => {
    const [founder, holder, , hostile] = await start()
    const raw = await openRaw(hostile, founder)
    await raw.sendRaw(message)
    expect([raw.isAborted(), raw.received]).toEqual([true, []])
    expect(founder.log.lines).toMatchObject([{ level: 'warn', fields: { peer: hostile.peer } }])
    expect(founder.voter.problem()).toBeUndefined()
    await expectUnharmed(holder)
  })
})

describe('[A-L1] well-formed messages that are lies are not answered', () => {
  it.each<[string, (cid: Uint8Array) => LeaseMessage[]]>([
    [
      'a change of voters by a member that is neither admin nor voter',
      (cid) => {
        const set = { ...voterSetOf(configOf(1)), cid }
        const next = signedBy(4, 'config', { ...successorOf(set, [4]).body, by: peer(4) })
        return [
          { t: 'prepare', m: prepareOf(set, 4, ballotOf(1)) },
          { t: 'accept', m: acceptOf(set, ballotOf(1), next, { by: 4 }) },
        ]
      },
    ],
    [
      'a change of voters in the name of the admin',
      (cid) => {
        const set = { ...voterSetOf(configOf(1)), cid }
        const { body } = acceptOf(set, ballotOf(1), successorOf(set, [4]))
        return [
          { t: 'prepare', m: signedBy(4, 'prepare', prepareOf(set, 1, ballotOf(1)).body) },
          { t: 'accept', m: signedBy(4, 'accept', body) },
        ]
      },
    ],
    [
      'answers that nobody asked for',
      (cid) => [
        { t: 'page', m: { estate: cid, page: 0, bytes: new Uint8Array(1000) } },
        { t: 'outbid', m: { epoch: 1, ballot: ballotOf(99) } },
        { t: 'candidate', m: signedBy(4, 'candidate', { v: 1 as const, space, node: peer(4), inc: hex(4) }) },
        { t: 'prove', m: { inc: hex(1), above: 0 } },
      ],
    ],
    ['a pull of what nobody left', (cid) => [{ t: 'pull', m: { estate: cid, page: 0 } }]],
    [
      'a request in the name of another',
      (cid) => [{ t: 'request', m: signedBy(4, 'request', requestOf({ by: 2, cid }).body) }],
    ],
  ])('%s', async (_what, make) => {
    const [founder, holder, , hostile] = await start()
    const { cid } = (await acquired(mesh, holder, 'w1')).certificate.req.body
    const before = founder.disk.durable.length
    const raw = await openRaw(hostile, founder)
    for (const message of make(cid)) await raw.channel.send(takeFrame([encodeMessage(message)]))
    await settle()
    expect([raw.isAborted(), raw.received, founder.disk.durable.length]).toEqual([false, [], before])
    expect(founder.voter.sealedEpoch()).toBeUndefined()
    await expectUnharmed(holder)
  })

  it('an accept whose configuration cannot be read is noted in the log', async () => {
    const [founder, holder] = await start()
    const { cid } = (await acquired(mesh, holder, 'w1')).certificate.req.body
    const set = { ...voterSetOf(configOf(1)), cid }
    const twice = successorOf(set, [4, 4])
    const raw = await openRaw(holder, founder)
    await raw.channel.send(takeFrame([encodeMessage({ t: 'accept', m: acceptOf(set, ballotOf(1), twice) })]))
    await settle()
    expect([raw.isAborted(), raw.received, founder.voter.problem()]).toEqual([false, [], undefined])
    expect(founder.log.lines).toMatchObject([{ level: 'warn' }])
    await expectUnharmed(holder)
  })

  it('paths that are spelled in another way than the one way are refused', async () => {
    const voter = new VoterLab()
    voter.ask(requestOf({ res: [path('src/a')] }))
    for (const key of [
      'src/a.',
      'src/a ',
      'src//a',
      './src/a',
      'src/./a',
      '/src/a',
      'src/a/',
      'src/x/../a',
      'src\\a',
      'src/a\0',
    ]) {
      expect(voter.answer(requestOf({ by: 22, n: 2, res: [path(key)] }))).toBe('malformed')
    }
    expect(voter.answer(requestOf({ by: 22, n: 2, res: [path('e\u0301')] }))).toBe('malformed')
    expect(voter.answer(requestOf({ by: 22, n: 2, res: [path('\u00e9')] }))).toBe('grant')
  })
})

describe('[A-L1] certificates', () => {
  const packedOf = (certificate: Certificate): Uint8Array => encodeCanonical(packCertificate(certificate))

  it.each<[string, (good: Certificate) => Certificate]>([
    ['below quorum', ({ req, grants }) => ({ req, grants: grants.slice(1) })],
    ['with a voter twice', ({ req, grants }) => ({ req, grants: [grants[0]!, grants[0]!] })],
    [
      'for another request',
      ({ req, grants }) => ({ req: signedBy(2, 'request', { ...req.body, nonce: hex(9) }), grants }),
    ],
    [
      'of another mesh',
      ({ req, grants }) => ({ req: signedBy(2, 'request', { ...req.body, space: otherSpace }), grants }),
    ],
    [
      'of voters nobody knows',
      ({ req, grants }) => ({ req: signedBy(2, 'request', { ...req.body, cid: req.hash }), grants }),
    ],
    ['that its holder did not sign', ({ req, grants }) => ({ req: signedBy(3, 'request', req.body), grants })],
    ['forged', ({ req, grants }) => ({ req, grants: grants.map(({ body }) => signedBy(4, 'grant', body)) })],
  ])('%s prove nothing', async (_what, make) => {
    const [, holder, , other] = await start(3)
    const { certificate } = await acquired(mesh, holder, 'w1')
    expect(other.leases.verified(packedOf(certificate))).toEqual(certificate)
    expect(other.leases.verified(packedOf(make(certificate)))).toBeUndefined()
  })

  it('replayed after the end prove that it was, and open nothing', async () => {
    const [, holder, other] = await start()
    const lease = await acquired(mesh, holder, 'w1')
    await holder.leases.release(lease.leaseId)
    await settle()
    expect(other.leases.verified(packedOf(lease.certificate))).toBeDefined()
    expect(await other.leases.acquire(wanting(mesh, 'w2'))).toMatchObject({ ok: true })
    expect(await holder.leases.acquire(wanting(mesh, 'w1'))).toMatchObject({ error: { why: 'held' } })
  })
})

describe('[L2.3] what one node says for another', () => {
  it('is no request and no release, even if it is genuine', async () => {
    const [founder, holder, , hostile] = await start()
    const { certificate } = await acquired(mesh, holder, 'w1')
    const { cid, lid } = certificate.req.body
    const raw = await openRaw(hostile, founder)
    await raw.sendRaw({ t: 'release', m: { lid } })
    expect(await holder.leases.acquire(wanting(mesh, 'w2'))).toMatchObject({ error: { why: 'held' } })
    const other = requestOf({ by: 3, cid, n: 9, lid: hex(9), res: [path('elsewhere')] })
    await raw.channel.send(takeFrame([encodeMessage({ t: 'request', m: other })]))
    await settle()
    expect(raw.received).toEqual([])
    await acquired(mesh, holder, 'w3', { resources: [path('elsewhere')] })
  })
})

describe('[A-L1] a member that floods', () => {
  it('is read at its rate and no faster, and others are served meanwhile', async () => {
    const [founder, holder, , hostile] = await start()
    const raw = await openRaw(hostile, founder)
    const ask = encodeMessage({ t: 'ask', m: {} })
    const count = MESSAGES_PER_SECOND_MAX + 640
    const flood = async (): Promise<void> => {
      for (let sent = 0; sent < count; sent += 64) {
        const queue = Array.from({ length: 64 }, () => ask)
        await raw.channel.send(takeFrame(queue))
        if (sent % 6400 === 0) await settle()
      }
    }
    void flood()
    while (raw.received.length < MESSAGES_PER_SECOND_MAX) await settle()
    await settle()
    expect(raw.received).toHaveLength(MESSAGES_PER_SECOND_MAX)
    await expectUnharmed(holder)
    await mesh.clock.advance(1000)
    while (raw.received.length < 10_600) await mesh.clock.advance(100)
    expect(raw.isAborted()).toBe(false)
  })

  it('with requests over ever new paths holds no more than it may, and for no longer than it promised to ask', async () => {
    const [founder, holder, , hostile] = await start()
    const { cid } = (await acquired(mesh, holder, 'w1', { resources: [path('b')] })).certificate.req.body
    const raw = await openRaw(hostile, founder)
    const request = requestOf({ by: 4, cid, n: 5, ttl: MAX_TTL_MS, res: [path('', 'subtree')] })
    await raw.channel.send(takeFrame([encodeMessage({ t: 'request', m: request })]))
    await settle()
    expect(raw.received).toMatchObject([{ t: 'deny', m: { why: 'conflict' } }])
    const free = requestOf({ by: 4, cid, n: 5, ttl: MAX_TTL_MS, lid: hex(9) })
    await raw.channel.send(takeFrame([encodeMessage({ t: 'request', m: free })]))
    await settle()
    await mesh.clock.advance(MAX_TTL_MS - 1000)
    expect((await timed(mesh, holder.leases.acquire(wanting(mesh, 'w2')))).answer).toMatchObject({
      error: { why: 'held' },
    })
    await mesh.clock.advance(1000)
    expect(await holder.leases.acquire(wanting(mesh, 'w2'))).toMatchObject({ ok: true })
  })
})

/** From here on node 3 answers every proposer that something was accepted which is no configuration. */
function lieAsThird(cid: Uint8Array): void {
  const third = mesh.nodes[2]!
  const record = decodeRecord(third.disk.durable[0]!)
  if (record.t !== 'init') throw new Error('a journal begins with the incarnation')
  const names = { v: 1 as const, space, epoch: 1, cid, voter: peer(3), inc: record.inc, vseq: 999 }
  const accepted = { ballot: ballotOf(2 ** 40), config: pack(signedBy(3, 'candidate', { a: 1 })) }
  const peers = third.network.connected()
  for (const other of peers) mesh.network.disconnect(third.peer, other)
  const network = mesh.network.join(third.peer)
  const options = { policy: { who: 'member' as const }, frameBytesMax: 2 ** 20, channelsPerPeerMax: 2 }
  network.handle(LEASE_PROTOCOL, options, async (channel) => {
    for await (const frame of channel.frames) {
      for (const { t, m } of decodeFrame(signaturesOf(3), frame)) {
        if (t !== 'prepare') continue
        const promise = signedBy(3, 'promise', { ...names, ballot: m.body.ballot, accepted })
        await channel.send(takeFrame([encodeMessage({ t: 'promise', m: promise })]))
      }
    }
  })
  for (const other of peers) mesh.network.connect(third.peer, other)
}

describe('[A-L1] a voter that lies', () => {
  it('about what it accepted stops neither the proposer nor its voter, and the others decide without it', async () => {
    const [first, second, , holder] = await start(3)
    lieAsThird((await acquired(mesh, holder, 'w1')).certificate.req.body.cid)
    mesh.cut(first, second)
    const { answer: alone } = await timed(mesh, first.leases.changes.set({ members: ['node-1'] }))
    expect(alone).toMatchObject({ error: { code: 'quorum_unreachable' } })
    expect(first.voter.problem()).toBeUndefined()
    mesh.join(first, second)
    const { answer } = await timed(mesh, first.leases.changes.set({ members: ['node-1', 'node-2'] }))
    expect(answer).toMatchObject({ ok: true })
    await mesh.clock.advance(1000)
    await expectUnharmed(holder)
  })
})
