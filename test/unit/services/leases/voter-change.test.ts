import { afterEach, describe, expect, it } from 'vitest'
import type { VoterChange } from '../../../../node/services/leases/voter-service.ts'
import { decodeRecord } from '../../../../protocols/lease/records.ts'
import { WAIT_OUT_MS } from '../../../../protocols/lease/voter-state.ts'
import { settle } from '../../../support/clock.ts'
import { path } from '../../../support/lease-lab.ts'
import {
  acceptedAlone,
  acquired,
  createLeaseMesh,
  timed,
  wanting,
  type LeaseMesh,
  type LeaseNode,
} from '../../../support/lease-mesh.ts'

let mesh: LeaseMesh

afterEach(async () => await mesh.close())

type Nodes = [LeaseNode, LeaseNode, LeaseNode, LeaseNode, LeaseNode]

async function start(voters: number, admins: number[] = [1]): Promise<Nodes> {
  mesh = await createLeaseMesh({ voters, nodes: 5, admins })
  return mesh.nodes as unknown as Nodes
}

const named = (numbers: readonly number[]): string[] => numbers.map((n) => `node-${n}`)

/** What an admin is told, and after how long. */
async function change(
  by: LeaseNode,
  numbers: readonly number[],
  rest: Partial<VoterChange> = {},
  signal?: AbortSignal,
) {
  return await timed(mesh, by.leases.changes.set({ members: named(numbers), ...rest }, signal))
}

async function changed(by: LeaseNode, numbers: readonly number[], rest: Partial<VoterChange> = {}): Promise<void> {
  const { answer } = await change(by, numbers, rest)
  if (!answer.ok) throw new Error(`refused: ${JSON.stringify(answer.error)}`)
  await settle()
}

const viewOf = ({ leases }: LeaseNode): [number, number, string[]] => {
  const { epoch, quorum, voters } = leases.changes.view()
  return [epoch, quorum, voters.map(({ name }) => name).toSorted()]
}

const try_ = async (node: LeaseNode, owner: string, fields: Parameters<typeof wanting>[2] = {}) =>
  (await timed(mesh, node.leases.acquire(wanting(mesh, owner, fields)))).answer

const isolate = (node: LeaseNode): void => {
  for (const other of mesh.nodes) if (other !== node) mesh.cut(node, other)
}

describe('[L2.7] the voters are changed', () => {
  it('from one to three: leases go on, exclude others and can be had without the first', async () => {
    const [first, , third, holder, other] = await start(1)
    const before = await acquired(mesh, holder, 'w1')
    await mesh.clock.advance(5000)
    await changed(first, [3, 1, 2])
    for (const node of mesh.nodes) expect(viewOf(node)).toEqual([2, 2, named([1, 2, 3])])
    expect(holder.leases.isValid(before.leaseId)).toBe(true)
    await mesh.clock.advance(1000) // the new voters were asked before they had entered their epoch
    const after = holder.leases.find(before.leaseId)!
    expect(after.fencingToken).toBeGreaterThan(before.fencingToken)
    expect(after.certificate.req.body.token.epoch).toBe(2)
    isolate(first)
    await mesh.clock.advance(120_000)
    expect(holder.leases.isValid(before.leaseId)).toBe(true)
    expect(await try_(other, 'w2')).toMatchObject({ error: { why: 'held', leaseId: before.leaseId } })
    await holder.leases.release(before.leaseId)
    await settle()
    expect((await acquired(mesh, third, 'w3')).fencingToken).toBeGreaterThan(after.fencingToken)
  })

  it('from three to one', async () => {
    const [first, second, , holder, other] = await start(3)
    const lease = await acquired(mesh, holder, 'w1')
    await mesh.clock.advance(5000)
    await changed(first, [2])
    isolate(first)
    expect(viewOf(second)).toEqual([2, 1, named([2])])
    expect(await try_(other, 'w2')).toMatchObject({ error: { why: 'held', leaseId: lease.leaseId } })
    await mesh.clock.advance(120_000)
    expect(holder.leases.isValid(lease.leaseId)).toBe(true)
  })

  it('again and again, while a lease is held: its token only rises', async () => {
    const [first, , , holder, other] = await start(1)
    const { leaseId } = await acquired(mesh, holder, 'w1')
    const tokens: number[] = []
    for (const numbers of [[1, 2, 3], [3], [3, 4, 5], [1]]) {
      await changed(first, numbers)
      await mesh.clock.advance(1000)
      expect(holder.leases.isValid(leaseId)).toBe(true)
      expect(await try_(other, 'w2')).toMatchObject({ error: { why: 'held', leaseId } })
      tokens.push(holder.leases.find(leaseId)!.fencingToken)
    }
    expect(tokens).toEqual([...new Set(tokens)].toSorted((a, b) => a - b))
  })

  it('[L2.11] one whose disk was lost is taken in again by its new identity', async () => {
    const [first, second, third, holder] = await start(3)
    third.disk.crash()
    ;(third.disk.durable as Uint8Array[]).splice(0)
    await mesh.restart(third)
    expect(third.voter.problem()).toMatch(/lost/)
    expect(third.leases.changes.view().voters.find(({ name }) => name === 'node-3')?.problem).toMatch(/lost/)
    await changed(first, [1, 2, 3])
    expect(third.voter.problem()).toBeUndefined()
    mesh.cut(second, holder)
    expect((await acquired(mesh, holder, 'w1')).certificate.grants).toHaveLength(2)
  })

  it('with a voter down: a quorum of the set before is enough', async () => {
    const [first, , third, holder] = await start(3)
    isolate(third)
    const lease = await acquired(mesh, holder, 'w1')
    await changed(first, [1, 2, 4])
    expect(viewOf(first)).toEqual([2, 2, named([1, 2, 4])])
    expect(holder.leases.isValid(lease.leaseId)).toBe(true)
    mesh.join(third, first)
    expect(viewOf(third)).toEqual([2, 2, named([1, 2, 4])])
  })

  it('to what it is already: nothing happens', async () => {
    const [first] = await start(3)
    await changed(first, [2, 1, 3])
    expect([viewOf(first)[0], mesh.voterSets]).toEqual([1, []])
  })

  it('last writes are handed on by the new voters', async () => {
    const [first, , , holder, other] = await start(1)
    const lease = await acquired(mesh, holder, 'w1')
    const at = { doc: 'mesh', author: holder.peer, seq: 5 } as Parameters<typeof holder.leases.release>[1]
    await holder.leases.release(lease.leaseId, at)
    await settle()
    await changed(first, [2, 3])
    expect((await acquired(mesh, other, 'w2')).after).toEqual([at])
  })
})

describe('[L2.7] a change is refused', () => {
  it.each<[string, string[], object]>([
    ['who is no member', ['node-9'], { code: 'invalid_input' }],
    ['whoever is named twice', ['node-2', 'node-2'], { code: 'invalid_input' }],
    ['nobody', [], { code: 'invalid_input' }],
    ['more than 63', Array.from({ length: 64 }, () => 'node-2'), { code: 'invalid_input' }],
  ])('for %s', async (_what, members, error) => {
    const [first] = await start(1)
    expect(await first.leases.changes.set({ members })).toMatchObject({ ok: false, error })
    expect(mesh.voterSets).toEqual([])
  })

  it('to whoever is no admin, by itself and by the voters', async () => {
    const [, second] = await start(3)
    expect(await second.leases.changes.set({ members: named([2]) })).toMatchObject({ error: { code: 'forbidden' } })
    expect(await second.leases.changes.set({ members: named([2]), force: { reason: 'x' } })).toMatchObject({
      error: { code: 'forbidden' },
    })
  })

  it('without a quorum of the voters before, naming who is missing; and then all is as it was', async () => {
    const [first, second, third, holder] = await start(3)
    const lease = await acquired(mesh, holder, 'w1')
    mesh.cut(first, second)
    mesh.cut(first, third)
    const { answer, ms } = await change(first, [1])
    expect(answer).toMatchObject({
      error: { code: 'quorum_unreachable', details: { missingVoters: named([2, 3]) } },
    })
    expect(ms).toBeLessThanOrEqual(30_000)
    expect(viewOf(first)).toEqual([1, 2, named([1, 2, 3])])
    await mesh.clock.advance(60_000)
    expect(holder.leases.isValid(lease.leaseId)).toBe(true)
    expect((await acquired(mesh, holder, 'w2', { resources: [path('b')] })).certificate.req.body.epoch).toBe(1)
  })

  it('with a new voter that cannot be reached, by name', async () => {
    const [first, , , fourth] = await start(1)
    mesh.cut(first, fourth)
    const { answer, ms } = await change(first, [1, 4])
    expect(answer).toMatchObject({ error: { code: 'machine_offline', message: expect.stringMatching(/node-4/) } })
    expect([ms <= 6000, viewOf(first)[0]]).toEqual([true, 1])
  })

  it('when it is called off', async () => {
    const [first, second, third] = await start(3)
    mesh.cut(first, second)
    mesh.cut(first, third)
    const stop = new AbortController()
    const answer = first.leases.changes.set({ members: named([1]) }, stop.signal)
    await mesh.clock.advance(7000)
    stop.abort()
    expect((await timed(mesh, answer)).answer).toMatchObject({ error: { code: 'cancelled' } })
    mesh.join(first, second)
    await changed(first, [1, 2])
    expect(viewOf(second)).toEqual([2, 2, named([1, 2])])
  })

  it('when it is called off while new voters are asked', async () => {
    const [first, , , fourth] = await start(1)
    mesh.cut(first, fourth)
    const stop = new AbortController()
    const answer = first.leases.changes.set({ members: named([4]) }, stop.signal)
    await settle()
    stop.abort()
    expect(await answer).toMatchObject({ error: { code: 'cancelled' } })
    expect(mesh.voterSets).toEqual([])
  })
})

describe('[I7] two admins at once', () => {
  it('one of them wins, the other hears who votes now', async () => {
    const [first, , , fourth, other] = await start(3, [1, 4])
    const answers = await timed(
      mesh,
      Promise.all([
        first.leases.changes.set({ members: named([1]) }),
        fourth.leases.changes.set({ members: named([4, 5]) }),
      ]),
    )
    const [a, b] = answers.answer
    expect([a, b].filter(({ ok }) => ok)).toHaveLength(1)
    expect(answers.ms).toBeLessThan(5000)
    const lost = a.ok ? b : a
    const winner = a.ok ? named([1]) : named([4, 5])
    expect(lost).toMatchObject({ error: { code: 'superseded', message: expect.stringContaining(winner[0]!) } })
    for (const node of mesh.nodes) expect(viewOf(node).slice(0, 3)).toEqual([2, a.ok ? 1 : 2, winner])
    expect((await acquired(mesh, other, 'w1')).certificate.req.body.epoch).toBe(2)
  })
})

describe('[I6] voters that sealed for a proposer that is an admin no more', () => {
  const problemOf = ({ leases, peer }: LeaseNode): string | null | undefined =>
    leases.changes.view().voters.find(({ peerId }) => peerId === peer)?.problem

  it('say what they wait for, and ask the node of an admin, which completes it', async () => {
    const [first, second, , fourth, fifth] = await start(3, [4, 5])
    isolate(fifth)
    await acceptedAlone(mesh, first, fourth, 2)
    mesh.removed.set(fourth.peer, new Map())
    await mesh.clock.advance(60_000)
    expect(first.voter.sealedEpoch()?.epoch).toBe(1)
    expect([problemOf(first), problemOf(second)]).toEqual([expect.stringContaining('rookery voters set'), null])
    for (const node of mesh.nodes) if (node !== fifth) mesh.join(node, fifth)
    await mesh.clock.advance(60_000)
    for (const node of [first, second, fifth]) expect(viewOf(node)).toEqual([2, 2, named([1, 2])])
    expect([first.voter.sealedEpoch(), problemOf(first)]).toEqual([undefined, null])
  })

  it('an admin begins nothing because somebody says so that does not vote', async () => {
    const [first, , , fourth] = await start(3, [4])
    const before = first.disk.durable.length
    fourth.voter.submit(mesh.nodes[4]!.peer, { t: 'stalled', m: { epoch: 1 } }, () => undefined)
    await mesh.clock.advance(60_000)
    expect(first.disk.durable.length).toBe(before)
    fourth.voter.submit(first.peer, { t: 'stalled', m: { epoch: 1 } }, () => undefined)
    await mesh.clock.advance(60_000)
    expect(first.disk.durable.length).toBeGreaterThan(before)
  })
})

describe('[L2.7] a proposer that dies', () => {
  it('after the decision: the voters complete it by themselves, and leases go on', async () => {
    const [first, second, , fourth, holder] = await start(3, [1, 4])
    const lease = await acquired(mesh, holder, 'w1')
    await mesh.clock.advance(5000)
    fourth.beforePublish = () => new Promise(() => undefined)
    void fourth.leases.changes.set({ members: named([2, 3]) })
    await settle()
    expect([first, second].map(({ voter }) => voter.sealedEpoch()?.epoch)).toEqual([1, 1])
    expect(await try_(first, 'w2', { resources: [path('b')] })).toMatchObject({ error: { why: 'no_quorum' } })
    await mesh.kill(fourth)
    await mesh.clock.advance(30_000)
    expect(viewOf(second)).toEqual([2, 2, named([2, 3])])
    expect(holder.leases.isValid(lease.leaseId)).toBe(true)
    expect((await acquired(mesh, first, 'w2', { resources: [path('b')] })).certificate.req.body.epoch).toBe(2)
  })

  it('a decision that several complete is written down alike: there is one current set', async () => {
    const [, second, third, fourth] = await start(3, [1, 4])
    fourth.beforePublish = () => new Promise(() => undefined)
    void fourth.leases.changes.set({ members: named([2, 3]) })
    await settle()
    await mesh.clock.advance(60_000)
    expect(new Set(mesh.nodes.map((node) => JSON.stringify(viewOf(node)))).size).toBe(1)
    expect([second, third].map(({ voter }) => voter.sealedEpoch())).toEqual([undefined, undefined])
  })
})

describe('[L2.7] what the voters before left', () => {
  it('is had from the proposer when they are gone: new voters grant at once, but not what was promised', async () => {
    const [first, second, third, fourth, holder] = await start(1, [1, 4])
    const lease = await acquired(mesh, holder, 'w1')
    fourth.beforePublish = async () => isolate(first)
    await changed(fourth, [2, 3])
    isolate(holder)
    expect(second.leases.changes.view().grantsAgainInMs).toBeNull()
    expect(await try_(third, 'w2')).toMatchObject({ error: { why: 'held', leaseId: lease.leaseId } })
    expect((await acquired(mesh, third, 'w2', { resources: [path('b')] })).leaseId).toBeTruthy()
  })

  it('[I1] is waited out when nobody has it', async () => {
    const [first, second, third, fourth, holder] = await start(1, [1, 4])
    const lease = await acquired(mesh, holder, 'w1')
    fourth.beforePublish = async () => {
      isolate(first)
      isolate(fourth)
    }
    await changed(fourth, [2, 3])
    await mesh.clock.advance(60_000)
    const { grantsAgainInMs } = second.leases.changes.view()
    expect(grantsAgainInMs).toBeGreaterThan(WAIT_OUT_MS - 1000)
    expect(holder.leases.isValid(lease.leaseId)).toBe(false)
    expect(await try_(third, 'w2')).toMatchObject({ error: { why: 'no_quorum' } })
    await mesh.clock.advance(WAIT_OUT_MS)
    expect(second.leases.changes.view().grantsAgainInMs).toBeNull()
    expect((await acquired(mesh, third, 'w2')).fencingToken).toBeGreaterThan(lease.fencingToken)
  })

  it('comes late, but comes: until then nothing is granted', async () => {
    const [first, , third, fourth] = await start(1, [1, 4])
    fourth.beforePublish = async () => {
      isolate(first)
      isolate(fourth)
    }
    await changed(fourth, [2, 3])
    await mesh.clock.advance(20_000)
    expect(await try_(third, 'w2')).toMatchObject({ error: { why: 'no_quorum' } })
    mesh.join(fourth, third)
    for (const to of mesh.nodes.slice(1, 3)) mesh.join(first, to)
    await mesh.clock.advance(5000)
    expect((await acquired(mesh, third, 'w2')).certificate.req.body.epoch).toBe(2)
  })
})

describe('[L2.7] a set installed by force', () => {
  it('when the founder is gone for good: nothing is granted until its promises have ended, then above them', async () => {
    const [first, second, , fourth, holder] = await start(1, [1, 4])
    const lease = await acquired(mesh, holder, 'w1')
    await mesh.kill(first)
    expect((await change(fourth, [2, 3])).answer).toMatchObject({ error: { code: 'quorum_unreachable' } })
    await changed(fourth, [2, 3], { force: { reason: 'the founder burnt down' } })
    expect(mesh.voterSets.map(({ kind, reason }) => [kind, reason])).toEqual([['forced', 'the founder burnt down']])
    expect(second.leases.changes.view()).toMatchObject({ epoch: 1000, isForced: true, grantsAgainInMs: WAIT_OUT_MS })
    expect(fourth.leases.changes.view().grantsAgainInMs).toBeNull()
    expect(await try_(holder, 'w2')).toMatchObject({ error: { why: 'no_quorum' } })
    await mesh.clock.advance(WAIT_OUT_MS)
    const after = await acquired(mesh, holder, 'w2')
    expect(after.certificate.req.body.token.epoch).toBe(1000)
    expect(after.fencingToken).toBeGreaterThan(lease.fencingToken)
  })

  it('[I1] a voter that restarts meanwhile waits anew', async () => {
    const [first, second, , fourth] = await start(1, [1, 4])
    await mesh.kill(first)
    await changed(fourth, [2], { force: { reason: 'gone' } })
    await mesh.clock.advance(WAIT_OUT_MS - 10_000)
    await mesh.restart(second)
    await mesh.clock.advance(WAIT_OUT_MS - 10_000)
    expect(await try_(fourth, 'w1')).toMatchObject({ error: { why: 'no_quorum' } })
    await mesh.clock.advance(10_000)
    expect((await acquired(mesh, fourth, 'w1')).certificate.req.body.epoch).toBe(1000)
  })

  it('needs new voters that can be reached', async () => {
    const [first, , , fourth, fifth] = await start(1, [1, 4])
    await mesh.kill(first)
    mesh.cut(fourth, fifth)
    expect((await change(fourth, [5], { force: { reason: 'gone' } })).answer).toMatchObject({
      error: { code: 'machine_offline' },
    })
  })
})

describe('[L2.11] a lease after a restart of its holder', () => {
  const until = () => mesh.clock.wallMs() + 600_000

  it('goes on under its token, with numbers that were never used', async () => {
    const [first, , , holder, other] = await start(1)
    const lease = await acquired(mesh, holder, 'w1')
    await mesh.clock.advance(5000)
    await mesh.restart(holder)
    expect(holder.leases.isValid(lease.leaseId)).toBe(false)
    expect((await timed(mesh, holder.leases.resume(lease.certificate, until()))).answer).toBe(true)
    expect(holder.leases.find(lease.leaseId)).toMatchObject({
      fencingToken: lease.fencingToken,
      resources: lease.resources,
    })
    await mesh.clock.advance(120_000)
    expect(holder.leases.isValid(lease.leaseId)).toBe(true)
    expect(await try_(other, 'w2')).toMatchObject({ error: { why: 'held', leaseId: lease.leaseId } })
    const seqs = first.disk.durable.flatMap((bytes) => {
      const record = decodeRecord(bytes)
      return record.t === 'grant' || record.t === 'renew' ? [record.seq] : []
    })
    expect(seqs).toEqual([...new Set(seqs)].toSorted((a, b) => a - b))
    expect(Math.max(...seqs)).toBeGreaterThan(2 * 2 ** 20)
  })

  it('is lost when somebody else was certified in between', async () => {
    const [, , , holder, other] = await start(3)
    const lease = await acquired(mesh, holder, 'w1')
    await mesh.restart(holder)
    await mesh.clock.advance(10_000)
    const next = await acquired(mesh, other, 'w2')
    await other.leases.release(next.leaseId)
    await settle()
    expect((await timed(mesh, holder.leases.resume(lease.certificate, until()))).answer).toBe(false)
    expect([holder.leases.held(), holder.leases.find(lease.leaseId)]).toEqual([[], undefined])
    expect((await acquired(mesh, other, 'w3')).leaseId).not.toBe(lease.leaseId)
  })

  it('is lost when it was released before', async () => {
    const [, , , holder] = await start(1)
    const lease = await acquired(mesh, holder, 'w1')
    await holder.leases.release(lease.leaseId)
    await settle()
    await mesh.restart(holder)
    expect((await timed(mesh, holder.leases.resume(lease.certificate, until()))).answer).toBe(false)
  })

  it('is lost when others vote now, or nobody answers', async () => {
    const [first, , , holder] = await start(1)
    const lease = await acquired(mesh, holder, 'w1')
    await mesh.restart(holder)
    await changed(first, [2])
    expect((await timed(mesh, holder.leases.resume(lease.certificate, until()))).answer).toBe(false)
    const next = await acquired(mesh, holder, 'w2', { resources: [path('b')] })
    await mesh.restart(holder)
    isolate(holder)
    expect((await timed(mesh, holder.leases.resume(next.certificate, until()))).answer).toBe(false)
  })

  it('ends at the end of its hold', async () => {
    const [, , , holder] = await start(1)
    const lease = await acquired(mesh, holder, 'w1')
    await mesh.restart(holder)
    const end = mesh.clock.wallMs() + 30_000
    expect((await timed(mesh, holder.leases.resume(lease.certificate, end))).answer).toBe(true)
    await mesh.clock.advance(30_000)
    expect(holder.leases.isValid(lease.leaseId)).toBe(false)
  })
})
