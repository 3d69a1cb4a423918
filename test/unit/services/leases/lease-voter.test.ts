import { afterEach, describe, expect, it } from 'vitest'
import type { Channel } from '../../../../node/ports/peer-network.ts'
import { openLeaseVoter, prepareVoterJournal, type LeaseVoter } from '../../../../node/services/leases/lease-voter.ts'
import { IN_FLIGHT_PER_MEMBER_MAX } from '../../../../node/services/leases/voter-server.ts'
import { COMPACT_AFTER_RECORDS } from '../../../../node/services/leases/lease-voter-loop.ts'
import { encodeCanonical } from '../../../../protocols/codec.ts'
import { createFounderConfig, readFounderConfig, voterSetOf } from '../../../../protocols/lease/config.ts'
import { decodeFrame, encodeMessage, takeFrame, type LeaseMessage } from '../../../../protocols/lease/frame.ts'
import { LEASE_PROTOCOL, type Config } from '../../../../protocols/lease/messages.ts'
import { decodeRecord, encodeRecord } from '../../../../protocols/lease/records.ts'
import { pack } from '../../../../protocols/lease/signing.ts'
import { createManualClock, settle } from '../../../support/clock.ts'
import { createSeededRandom, crypto, identity } from '../../../support/identity.ts'
import { configOf, hex, keysOf, path, peer, requestOf, signaturesOf, space } from '../../../support/lease-lab.ts'
import { createLeaseMesh, wanting, type LeaseMesh, type LeaseNode } from '../../../support/lease-mesh.ts'
import { createSimDisk, type SimDisk } from '../../../support/lease-sim-journal.ts'
import { createRecordedLog } from '../../../support/log.ts'
import { createMemoryNetwork } from '../../../support/memory-network.ts'

let mesh: LeaseMesh | undefined

afterEach(async () => {
  await mesh?.close()
  mesh = undefined
})

async function start(voters: number, nodes: number): Promise<[LeaseMesh, LeaseNode, LeaseNode, LeaseNode]> {
  mesh = await createLeaseMesh({ voters, nodes })
  return [mesh, ...(mesh.nodes as unknown as [LeaseNode, LeaseNode, LeaseNode])]
}

const kindsOn = ({ durable }: SimDisk): string[] => durable.map((bytes) => decodeRecord(bytes).t)

/** What a node would write to the voter, and everything the voter wrote back. */
async function openRaw(
  from: LeaseNode,
  to: LeaseNode,
): Promise<{ channel: Channel; received: LeaseMessage[]; ended: Promise<string> }> {
  const channel = await from.network.open(to.peer, LEASE_PROTOCOL, new AbortController().signal)
  const received: LeaseMessage[] = []
  const read = async (): Promise<string> => {
    try {
      for await (const frame of channel.frames) received.push(...decodeFrame(signaturesOf(40), frame))
      return 'closed'
    } catch {
      return 'aborted'
    }
  }
  return { channel, received, ended: read() }
}

describe('[I9] nothing is promised before it is on disk', () => {
  it('a crash before the sync leaks no grant: nobody holds what the voter has forgotten', async () => {
    const [mesh, founder, holder, other] = await start(1, 3)
    founder.disk.stall()
    const answer = holder.leases.acquire(wanting(mesh, 'w1'))
    await settle()
    expect([holder.leases.held(), kindsOn(founder.disk)]).toEqual([[], ['init', 'epoch', 'floor']])
    founder.disk.crash()
    founder.disk.resume()
    await mesh.restart(founder)
    expect((await other.leases.acquire(wanting(mesh, 'w2'))).ok).toBe(true)
    await mesh.clock.advance(1000) // the first node asks again with the same bytes
    expect(await answer).toMatchObject({ ok: false, error: { why: 'held', by: { instanceId: 'w2' } } })
    expect(holder.leases.held()).toEqual([])
  })

  it('a grant that became durable just before the crash is kept, and resent when asked for again', async () => {
    const [mesh, founder, holder, other] = await start(1, 3)
    founder.disk.stall()
    const answer = holder.leases.acquire(wanting(mesh, 'w1'))
    await settle()
    founder.disk.crash(1)
    founder.disk.resume()
    await mesh.restart(founder)
    expect(await other.leases.acquire(wanting(mesh, 'w2'))).toMatchObject({ error: { why: 'held' } })
    await mesh.clock.advance(1000)
    expect((await answer).ok).toBe(true)
  })

  it('requests that arrive together, or while the disk is busy, share a sync', async () => {
    const [mesh, founder, holder] = await start(1, 3)
    const before = founder.disk.syncs
    const ask = (i: number) => holder.leases.acquire(wanting(mesh, `w${i}`, { resources: [path(`f${i}`)] }))
    const first = Array.from({ length: 20 }, (_, i) => ask(i))
    await Promise.all(first)
    expect(founder.disk.syncs - before).toBe(1)
    founder.disk.stall()
    const second = [ask(20), ask(21)]
    await settle()
    second.push(ask(22), ask(23))
    await settle()
    founder.disk.resume()
    expect((await Promise.all(second)).every(({ ok }) => ok)).toBe(true)
    expect(founder.disk.syncs - before).toBe(3)
  })

  it('refusals and releases do not wait for the disk', async () => {
    const [mesh, founder, holder, other] = await start(1, 3)
    await holder.leases.acquire(wanting(mesh, 'w1'))
    const before = founder.disk.syncs
    await other.leases.acquire(wanting(mesh, 'w2'))
    await holder.leases.release(holder.leases.held()[0]!.leaseId)
    await settle()
    expect(founder.disk.syncs).toBe(before)
  })

  it('when the disk fails the voter stops, answers nothing, and says so', async () => {
    const [mesh, founder, holder] = await start(1, 3)
    founder.disk.breakDown(new Error('EIO'))
    const answer = holder.leases.acquire(wanting(mesh, 'w1'))
    await mesh.clock.advance(3000)
    expect(await answer).toEqual({ ok: false, error: { why: 'no_quorum', missing: [founder.peer] } })
    expect(founder.voter.problem()).toMatch(/has stopped/)
    expect(founder.log.lines).toEqual([
      { level: 'error', fields: { err: new Error('EIO') }, message: founder.voter.problem() },
    ])
  })
})

describe('[L2.11] a voter that restarts', () => {
  it('keeps its promises for their full length from then on', async () => {
    const [mesh, founder, holder, other] = await start(1, 3)
    const lease = await holder.leases.acquire(wanting(mesh, 'w1'))
    await holder.leases.close()
    await mesh.clock.advance(9000)
    await mesh.restart(founder)
    await mesh.clock.advance(9999)
    expect(await other.leases.acquire(wanting(mesh, 'w2'))).toMatchObject({ error: { why: 'held' } })
    await mesh.clock.advance(1)
    const next = await other.leases.acquire(wanting(mesh, 'w2'))
    expect([lease.ok, next.ok]).toEqual([true, true])
    if (lease.ok && next.ok) expect(next.value.fencingToken).toBeGreaterThan(lease.value.fencingToken)
  })

  it('a holder goes on renewing across it', async () => {
    const [mesh, founder, holder] = await start(1, 3)
    const lease = await holder.leases.acquire(wanting(mesh, 'w1'))
    for (let i = 0; i < 5; i++) {
      await mesh.restart(founder)
      await mesh.clock.advance(60_000)
    }
    expect(lease.ok && holder.leases.isValid(lease.value.leaseId)).toBe(true)
  })

  it('[L2.4.4] from an older copy of its disk gives up its vote when a node shows what it signed since', async () => {
    const [mesh, founder, holder] = await start(1, 3)
    await holder.leases.acquire(wanting(mesh, 'w1', { resources: [path('b')] }))
    founder.disk.crash()
    const rolledBack = founder.disk.durable as Uint8Array[]
    rolledBack.splice(1) // all but its incarnation
    await mesh.restart(founder)
    const answer = holder.leases.acquire(wanting(mesh, 'w2'))
    await mesh.clock.advance(3000)
    expect(await answer).toEqual({ ok: false, error: { why: 'no_quorum', missing: [founder.peer] } })
    expect(founder.voter.problem()).toMatch(/rolled back/)
    await mesh.restart(founder)
    expect(founder.voter.problem()).toMatch(/another voter identity/)
  })
})

describe('[L2.4.1] the wire', () => {
  it('what is malformed ends its channel and nothing else', async () => {
    const [mesh, founder, holder, other] = await start(1, 3)
    const { channel, ended } = await openRaw(other, founder)
    await channel.send(Uint8Array.of(1, 2, 3))
    expect(await ended).toBe('aborted')
    expect(founder.log.lines).toMatchObject([{ level: 'warn', fields: { peer: other.peer } }])
    expect((await holder.leases.acquire(wanting(mesh, 'w1'))).ok).toBe(true)
  })

  it('answers of a voter to nobody are ignored', async () => {
    const [mesh, founder, holder, other] = await start(1, 3)
    const { channel, received } = await openRaw(other, founder)
    await channel.send(takeFrame([encodeMessage({ t: 'free', m: { lid: hex(1) } })]))
    await settle()
    expect([received, founder.voter.problem()]).toEqual([[], undefined])
    expect((await holder.leases.acquire(wanting(mesh, 'w1'))).ok).toBe(true)
  })

  it('one member has a bounded number of requests waiting, and is not read any further', async () => {
    const [, founder, holder, other] = await start(1, 3)
    const config = await founder.leases.acquire(wanting(mesh!, 'w1', { resources: [path('own')] }))
    if (!config.ok) throw new Error('refused')
    const { cid } = config.value.certificate.req.body
    const { channel, received } = await openRaw(other, founder)
    const before = founder.disk.syncs
    founder.disk.stall()
    const count = 4 * IN_FLIGHT_PER_MEMBER_MAX
    const queue = Array.from({ length: count }, (_, i) =>
      encodeMessage({ t: 'request', m: requestOf({ by: 3, cid, lid: hex(i), n: 9, res: [path(`f${i}`)] }) }),
    )
    while (queue.length > 0) await channel.send(takeFrame(queue))
    await settle()
    founder.disk.resume()
    while (received.length < count) await settle()
    expect(founder.disk.syncs - before).toBe(4) // read without a bound they would share two
    expect((await holder.leases.acquire(wanting(mesh!, 'w2'))).ok).toBe(true)
  })

  it('renewals of many leases share their syncs', async () => {
    const [mesh, founder, holder] = await start(1, 2)
    for (let i = 0; i < 50; i++) {
      await holder.leases.acquire(wanting(mesh, `w${i}`, { resources: [path(`f${i}`)] }))
      await mesh.clock.advance(3)
    }
    await mesh.clock.advance(5000)
    const before = founder.disk.syncs
    await mesh.clock.advance(60_000)
    expect(founder.disk.syncs - before).toBeLessThan(50)
    expect(holder.leases.held().every(({ leaseId }) => holder.leases.isValid(leaseId))).toBe(true)
  })
})

describe('[L2.4] the journal', () => {
  it('is compacted when it has grown, without losing what counts', async () => {
    const [mesh, founder, holder] = await start(1, 2)
    const kept = await holder.leases.acquire(wanting(mesh, 'keep', { resources: [path('keep')] }))
    const lid = (i: number): string => hex(1000 + i)
    const early = Array.from({ length: COMPACT_AFTER_RECORDS }, (_, i) => ({
      t: 'rel' as const,
      node: peer(2),
      lid: lid(i),
    }))
    const records = founder.disk.durable as Uint8Array[]
    records.push(...early.map(encodeRecord))
    await mesh.restart(founder)
    const lease = await founder.leases.acquire(wanting(mesh, 'w'))
    if (lease.ok) await founder.leases.release(lease.value.leaseId)
    await settle()
    expect(founder.disk.durable.length).toBeLessThan(1100)
    await mesh.restart(founder)
    expect(await founder.leases.acquire(wanting(mesh, 'w', { resources: [path('keep')] }))).toMatchObject({
      error: { why: 'held', leaseId: kept.ok ? kept.value.leaseId : '' },
    })
    await mesh.clock.advance(10_000) // the last release was not synced: its lease has to run out
    const next = await founder.leases.acquire(wanting(mesh, 'w'))
    expect(next.ok && next.value.fencingToken).toBeGreaterThan(lease.ok ? lease.value.fencingToken : Infinity)
  })
})

describe('[L2.11] opening a voter', () => {
  const random = createSeededRandom(3)

  async function open(disk: SimDisk, leaseConfig: Uint8Array | undefined) {
    const member = {
      peer: peer(1),
      name: 'a',
      boxKey: new Uint8Array(32),
      capabilities: new Set<never>(),
      seniority: 0,
    }
    const network = createMemoryNetwork().join(peer(1))
    return await openLeaseVoter({
      network,
      membership: () => ({
        mesh: space,
        founder: peer(1),
        members: new Map([[peer(1), member]]),
        removed: new Map(),
        invites: new Map(),
        leaseConfig,
        voterSets: [],
        voterFaults: [],
        recoveryKeys: [],
        voided: new Set(),
        heads: [],
      }),
      journal: disk.open(),
      crypto,
      signer: identity(1),
      clock: createManualClock(),
      random,
      log: createRecordedLog(),
    })
  }
  const founderConfig = (inc: string): Uint8Array => createFounderConfig({ ...keysOf(1), space, inc })
  const configWith = (fields: Partial<Config>): Uint8Array =>
    encodeCanonical(pack(configOf(1, { voters: [{ node: peer(1), inc: hex(1) }], ...fields })))
  /** The word a voter says to a good request of its own node. */
  async function answerOf(voter: LeaseVoter, set = voterSetOf(configOf(1))): Promise<string> {
    const answers: LeaseMessage[] = []
    voter.submit(peer(1), { t: 'request', m: requestOf({ by: 1 }, set) }, (reply) => answers.push(reply))
    await settle()
    return answers.map((answer) => (answer.t === 'deny' ? answer.m.why : answer.t)).join()
  }

  it('works with the journal that was prepared before the mesh was made, also when preparing was repeated', async () => {
    const disk = createSimDisk()
    const inc = await prepareVoterJournal(disk.open(), random)
    expect(disk.durable.map((bytes) => decodeRecord(bytes))).toEqual([{ t: 'init', v: 1, inc }])
    disk.crash()
    expect(await prepareVoterJournal(disk.open(), random)).toBe(inc)
    const config = founderConfig(inc)
    const voter = await open(disk, config)
    expect(voter.problem()).toBeUndefined()
    const set = readFounderConfig(signaturesOf(1), config, { space, founder: peer(1) })
    expect(await answerOf(voter, set)).toBe('grant')
  })

  it.each<[string, () => Promise<SimDisk>]>([
    ['missing or empty', async () => createSimDisk()],
    [
      'that of another voter',
      async () => {
        const disk = createSimDisk()
        await prepareVoterJournal(disk.open(), random)
        return disk
      },
    ],
  ])('with a journal that is %s it grants nothing, under an identity of its own, and says so', async (_what, make) => {
    const voter = await open(await make(), founderConfig(hex(1)))
    expect(voter.problem()).toMatch(/lost or belongs to another voter identity/)
    expect(
      await answerOf(voter, readFounderConfig(signaturesOf(1), founderConfig(hex(1)), { space, founder: peer(1) })),
    ).toBe('notvoter')
    await voter.close()
  })

  it.each<[string, Uint8Array | undefined]>([
    ['that names somebody else', configWith({ voters: [{ node: peer(2), inc: hex(2) }] })],
    ['that is missing', undefined],
    ['of a later epoch', configWith({ epoch: 2 })],
    ['that cannot be read', founderConfig(hex(1)).subarray(1)],
  ])(
    'with a configuration %s it stands by: it refuses everybody, and that is no problem of its own',
    async (_what, config) => {
      const voter = await open(createSimDisk(), config)
      expect(voter.problem()).toBeUndefined()
      const set = voterSetOf(configOf(1, { voters: [{ node: peer(2), inc: hex(2) }] }))
      expect(await answerOf(voter, set)).toBe('notvoter')
      await voter.close()
    },
  )

  it('says nothing to a message that nobody asked for', async () => {
    const voter = await open(createSimDisk(), founderConfig(hex(1)))
    voter.submit(peer(1), { t: 'free', m: { lid: hex(1) } }, () => expect.unreachable())
    await voter.close()
  })
})
