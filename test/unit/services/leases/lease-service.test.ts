import { afterEach, describe, expect, it, vi } from 'vitest'
import type { FeedPosition } from '../../../../node/services/feeds/documents.ts'
import type { HeldLease } from '../../../../node/services/leases/lease-service.ts'
import { encodeCanonical } from '../../../../protocols/codec.ts'
import { packCertificate } from '../../../../protocols/lease/certificate.ts'
import { settle } from '../../../support/clock.ts'
import { crypto } from '../../../support/identity.ts'
import { path, peer, position } from '../../../support/lease-lab.ts'
import {
  acquired as acquiredIn,
  createLeaseMesh,
  timed as timedIn,
  wanting,
  type LeaseMesh,
  type LeaseNode,
} from '../../../support/lease-mesh.ts'

let mesh: LeaseMesh

afterEach(async () => await mesh.close())

async function start(
  options: Parameters<typeof createLeaseMesh>[0],
): Promise<[LeaseNode, LeaseNode, LeaseNode, LeaseNode]> {
  mesh = await createLeaseMesh(options)
  return mesh.nodes as unknown as [LeaseNode, LeaseNode, LeaseNode, LeaseNode]
}

const acquired = async (
  node: LeaseNode,
  owner: string,
  fields: Parameters<typeof wanting>[2] = {},
): Promise<HeldLease> => await acquiredIn(mesh, node, owner, fields)
const timed = async <T>(answer: Promise<T>): Promise<{ answer: T; ms: number }> => await timedIn(mesh, answer)

describe.each([1, 3])('[I1] with %i voters', (voters) => {
  it('of two that ask at once exactly one wins, in each of 200 rounds, and tokens only grow', async () => {
    const nodes = await start({ voters, nodes: 4 })
    const tokens: number[] = []
    const winners = new Set<number>()
    for (let round = 0; round < 200; round++) {
      const pair = round % 2 === 0 ? [1, 3] : [3, 2]
      const asked = pair.map(async (n) => await nodes[n]!.leases.acquire(wanting(mesh, `w${n}`)))
      const { answer: answers } = await timed(Promise.all(asked))
      const won = answers.flatMap((answer, i) => (answer.ok ? [{ n: pair[i]!, lease: answer.value }] : []))
      const lost = answers.flatMap((answer) => (answer.ok ? [] : [answer.error]))
      expect(won).toHaveLength(1)
      expect(lost).toEqual([
        {
          why: 'held',
          by: expect.objectContaining({ instanceId: `w${won[0]!.n}` }),
          owner: expect.stringMatching(`/w${won[0]!.n}$`),
          leaseId: won[0]!.lease.leaseId,
        },
      ])
      tokens.push(won[0]!.lease.fencingToken)
      winners.add(won[0]!.n)
      await nodes[won[0]!.n]!.leases.release(won[0]!.lease.leaseId)
      await settle()
    }
    expect(tokens).toEqual([...new Set(tokens)].toSorted((a, b) => a - b))
    expect(winners.size).toBeGreaterThan(1)
  })

  it('[L2.5] a lease is renewed for its whole hold, expires at its end, and the path is free', async () => {
    const [, holder, , other] = await start({ voters, nodes: 4 })
    const ended: unknown[] = []
    holder.leases.onEnd((lease, why) => ended.push([lease.leaseId, why]))
    const lease = await acquired(holder, 'w1')
    for (let minute = 0; minute < 9; minute++) {
      await mesh.clock.advance(60_000)
      expect(holder.leases.isValid(lease.leaseId)).toBe(true)
      expect(await other.leases.acquire(wanting(mesh, 'w2'))).toMatchObject({ ok: false, error: { why: 'held' } })
    }
    expect(ended).toEqual([])
    await mesh.clock.advance(60_000)
    expect(ended).toEqual([[lease.leaseId, 'expired']])
    expect(holder.leases.isValid(lease.leaseId)).toBe(false)
    expect(holder.leases.held()).toEqual([])
    expect((await acquired(other, 'w2')).fencingToken).toBeGreaterThan(lease.fencingToken)
  })

  it('what it certifies can be verified by others', async () => {
    const [, holder, , other] = await start({ voters, nodes: 4 })
    const { certificate, ...lease } = await acquired(holder, 'w1', { resources: [path('b'), path('a'), path('b')] })
    expect(lease).toEqual({
      leaseId: certificate.req.body.lid,
      resources: [path('a'), path('b')],
      fencingToken: 2 ** 32 + 1,
      after: [],
    })
    const packed = packCertificate(certificate)
    expect(other.leases.verified(encodeCanonical(packed))).toEqual(certificate)
    const forged = [certificate.grants[0]!, ...certificate.grants.slice(1)].map(({ body, seal }) => ({
      b: encodeCanonical({ ...body, vseq: 99 }),
      s: seal,
    }))
    expect(other.leases.verified(encodeCanonical({ ...packed, grants: forged }))).toBeUndefined()
    expect(other.leases.verified(encodeCanonical(packed).subarray(1))).toBeUndefined()
    expect(other.leases.voters()).toEqual(mesh.nodes.slice(0, voters).map((node) => node.peer))
  })
})

describe('[L2.5] answers in time', () => {
  it('an unreachable voter: no_quorum with its id, within 3 s', async () => {
    const [founder, holder] = await start({ voters: 1, nodes: 4 })
    mesh.cut(founder, holder)
    const { answer, ms } = await timed(holder.leases.acquire(wanting(mesh, 'w1')))
    expect(answer).toEqual({ ok: false, error: { why: 'no_quorum', missing: [founder.peer] } })
    expect(ms).toBeLessThanOrEqual(3000)
  })

  it('voters that are reached but do not answer: the same', async () => {
    const [first, second, third, holder] = await start({ voters: 3, nodes: 4 })
    first.disk.stall()
    mesh.cut(second, holder)
    const { answer, ms } = await timed(holder.leases.acquire(wanting(mesh, 'w1', { waitMs: 20_000 })))
    expect(answer).toEqual({ ok: false, error: { why: 'no_quorum', missing: [first.peer, second.peer] } })
    expect(ms).toBeLessThanOrEqual(3000)
    expect(third.voter.problem()).toBeUndefined()
  })

  it('a quorum that is back is enough at once, whatever an attempt without it left behind', async () => {
    const [holder, second, third] = await start({ voters: 3, nodes: 3 })
    mesh.cut(holder, second)
    mesh.cut(holder, third)
    expect((await timed(holder.leases.acquire(wanting(mesh, 'w1')))).answer.ok).toBe(false)
    mesh.join(holder, second)
    const { answer, ms } = await timed(holder.leases.acquire(wanting(mesh, 'w1')))
    expect([answer.ok, ms]).toEqual([true, 0])
  })

  it('a quorum suffices, and a voter that comes back takes part again', async () => {
    const [first, second, , holder] = await start({ voters: 3, nodes: 4 })
    mesh.cut(first, holder)
    const lease = await acquired(holder, 'w1')
    mesh.join(first, holder)
    mesh.cut(second, holder)
    await mesh.clock.advance(300_000)
    expect(holder.leases.isValid(lease.leaseId)).toBe(true)
  })

  it('a failed attempt leaves nothing behind at the voters it reached', async () => {
    const [first, second, third, holder] = await start({ voters: 3, nodes: 4 })
    mesh.cut(second, holder)
    mesh.cut(third, holder)
    await timed(holder.leases.acquire(wanting(mesh, 'w1')))
    mesh.cut(first, third)
    const { answer } = await timed(first.leases.acquire(wanting(mesh, 'w2')))
    expect(answer.ok).toBe(true)
  })

  it('a node that the voters do not know as a member: no_quorum', async () => {
    const [founder, holder] = await start({ voters: 1, nodes: 4 })
    mesh.removed.set(holder.peer, new Map())
    const { answer } = await timed(holder.leases.acquire(wanting(mesh, 'w1')))
    expect(answer).toEqual({ ok: false, error: { why: 'no_quorum', missing: [founder.peer] } })
  })

  it('closing answers whoever waits', async () => {
    const [, holder, other] = await start({ voters: 1, nodes: 4 })
    await acquired(holder, 'w1')
    const waiting = other.leases.acquire(wanting(mesh, 'w2', { waitMs: 60_000 }))
    await settle()
    await other.leases.close()
    expect(await waiting).toMatchObject({ ok: false, error: { why: 'held' } })
    expect(await other.leases.acquire(wanting(mesh, 'w2'))).toEqual({
      ok: false,
      error: { why: 'no_quorum', missing: [] },
    })
  })

  it('what was not normalised is a mistake of the caller', async () => {
    const [founder] = await start({ voters: 1, nodes: 1 })
    for (const resources of [[], [path('a/../b')], [path('/a')]]) {
      await expect(founder.leases.acquire(wanting(mesh, 'w1', { resources }))).rejects.toThrow(TypeError)
    }
  })

  it('too many or too long resources: limit', async () => {
    const [founder] = await start({ voters: 1, nodes: 1 })
    const many = Array.from({ length: 513 }, (_, i) => path(`f${i}`))
    const long = Array.from({ length: 512 }, (_, i) => path(`${i}${'x'.repeat(1000)}`))
    for (const resources of [many, long]) {
      expect(await founder.leases.acquire(wanting(mesh, 'w1', { resources }))).toEqual({
        ok: false,
        error: { why: 'limit' },
      })
    }
    expect((await acquired(founder, 'w1', { resources: many.slice(1) })).resources).toHaveLength(512)
  })
})

describe('[L2.5] waiting for a holder', () => {
  it('is woken by the release, without any time passing', async () => {
    const [, holder, other] = await start({ voters: 1, nodes: 4 })
    const lease = await acquired(holder, 'w1')
    const waiting = other.leases.acquire(wanting(mesh, 'w2', { waitMs: 60_000 }))
    await settle()
    await holder.leases.release(lease.leaseId)
    const startMs = mesh.clock.monoMs()
    expect((await waiting).ok).toBe(true)
    expect(mesh.clock.monoMs()).toBe(startMs)
  })

  it('asks again by itself when no hint comes, and gets it soon after the holder has died', async () => {
    const [, holder, other] = await start({ voters: 1, nodes: 4 })
    await acquired(holder, 'w1')
    await holder.leases.close() // its process is gone: nothing is released
    const { answer, ms } = await timed(other.leases.acquire(wanting(mesh, 'w2', { waitMs: 60_000 })))
    expect(answer.ok).toBe(true)
    expect(ms).toBeLessThanOrEqual(10_000 + 8000)
  })

  it('ends with the holder when the time is up', async () => {
    const [, holder, other] = await start({ voters: 1, nodes: 4 })
    const lease = await acquired(holder, 'w1')
    const { answer, ms } = await timed(other.leases.acquire(wanting(mesh, 'w2', { waitMs: 5000 })))
    expect(answer).toMatchObject({ ok: false, error: { why: 'held', leaseId: lease.leaseId } })
    expect(ms).toBeGreaterThanOrEqual(5000)
    expect(ms).toBeLessThanOrEqual(8000)
  })

  it('split votes are settled within the time for an answer', async () => {
    const nodes = await start({ voters: 3, nodes: 4 })
    const before = nodes.map((node) => node.leases.acquire(wanting(mesh, node.peer)))
    const { answer: answers } = await timed(Promise.all(before))
    expect(answers.filter(({ ok }) => ok)).toHaveLength(1)
  })
})

describe('[L2.5] last writes', () => {
  it('release hands its position over, and the next holder waits until it has been applied', async () => {
    const [founder, holder, other] = await start({ voters: 1, nodes: 4 })
    const arrived = Promise.withResolvers<boolean>()
    const asked: FeedPosition[] = []
    other.reached = async (at) => {
      asked.push(at)
      return await arrived.promise
    }
    const lease = await acquired(holder, 'w1')
    await holder.leases.release(lease.leaseId, position(2, 41))
    await settle()
    let answered = false
    const next = acquired(other, 'w2').finally(() => (answered = true))
    await mesh.clock.advance(1000)
    expect([asked, answered]).toEqual([[position(2, 41)], false])
    arrived.resolve(true)
    expect((await next).after).toEqual([position(2, 41)])
    expect(other.leases.held()).toHaveLength(1)
    expect(founder.log.lines).toEqual([])
  })

  it('behind after 2 s, and the lease is given back', async () => {
    const [, holder, other, third] = await start({ voters: 1, nodes: 4 })
    const lease = await acquired(holder, 'w1')
    await holder.leases.release(lease.leaseId, position(2, 41))
    await settle()
    other.reached = (_at, signal) =>
      new Promise((resolve) => signal.addEventListener('abort', () => resolve(false), { once: true }))
    const { answer, ms } = await timed(other.leases.acquire(wanting(mesh, 'w2')))
    expect(answer).toEqual({ ok: false, error: { why: 'behind', author: peer(2) } })
    expect(ms).toBeLessThanOrEqual(2050)
    expect(other.leases.held()).toEqual([])
    expect((await acquired(third, 'w3')).after).toEqual([position(2, 41)])
  })

  it('what a removed author wrote beyond its cut is not waited for', async () => {
    const [, holder, other, third] = await start({ voters: 1, nodes: 4 })
    const lease = await acquired(holder, 'w1')
    await holder.leases.release(lease.leaseId, position(2, 41))
    await settle()
    const asked: number[] = []
    other.reached = third.reached = async ({ seq }) => {
      asked.push(seq)
      return true
    }
    mesh.removed.set(holder.peer, new Map([[position(2, 0).doc, { seq: 7, hash: new Uint8Array(32) }]]))
    await other.leases.release((await acquired(other, 'w2')).leaseId)
    await settle()
    mesh.removed.set(holder.peer, new Map())
    await acquired(third, 'w3')
    expect(asked).toEqual([7])
  })
})

describe('[L2.5] release', () => {
  it('ends the use at once and never waits for an unreachable voter, who hears of it a second later', async () => {
    const [first, second, , holder] = await start({ voters: 3, nodes: 4 })
    const lease = await acquired(holder, 'w1')
    mesh.cut(first, holder)
    mesh.cut(second, holder)
    await holder.leases.release(lease.leaseId)
    expect([holder.leases.isValid(lease.leaseId), holder.leases.find(lease.leaseId)]).toEqual([false, undefined])
    const refused = await timed(first.leases.acquire(wanting(mesh, 'w2')))
    expect(refused.answer).toMatchObject({ ok: false, error: { why: 'held' } })
    mesh.join(first, holder)
    mesh.join(second, holder)
    await mesh.clock.advance(1000)
    expect((await acquired(first, 'w2')).fencingToken).toBeGreaterThan(lease.fencingToken)
  })

  it('of an unknown lease does nothing', async () => {
    const [founder] = await start({ voters: 1, nodes: 1 })
    await founder.leases.release('00')
    expect(founder.leases.isValid('00')).toBe(false)
  })
})

describe('[L2.5] extend', () => {
  it('moves the end, for others to see with the next renewal', async () => {
    const [founder, other] = await start({ voters: 1, nodes: 2 })
    const lease = await acquired(founder, 'w1')
    const later = mesh.clock.wallMs() + 1_200_000
    expect(founder.leases.extend(lease.leaseId, later)).toBe(true)
    await mesh.clock.advance(1_100_000)
    expect(founder.leases.isValid(lease.leaseId)).toBe(true)
    expect(await other.leases.acquire(wanting(mesh, 'w2'))).toMatchObject({
      error: { why: 'held', by: { instanceId: 'w1', untilMs: later } },
    })
    await mesh.clock.advance(100_000)
    expect(founder.leases.isValid(lease.leaseId)).toBe(false)
    expect(founder.leases.extend(lease.leaseId, later + 1)).toBe(false)
  })

  it('a hold of months does not run into the limits of timers', async () => {
    const [founder] = await start({ voters: 1, nodes: 1 })
    const lease = await acquired(founder, 'w1', { holdUntilMs: mesh.clock.wallMs() + 2 ** 33 })
    await mesh.clock.advance(7_300_000)
    expect(founder.leases.isValid(lease.leaseId)).toBe(true)
  })

  it('the end of the hold comes by wall time too, when the host slept', async () => {
    const [founder] = await start({ voters: 1, nodes: 1 })
    const lease = await acquired(founder, 'w1', { holdUntilMs: mesh.clock.wallMs() + 5000 })
    mesh.clock.stepWall(5000)
    expect(founder.leases.isValid(lease.leaseId)).toBe(false)
  })
})

describe('[L2.5] lapse', () => {
  it('a host that slept does not use its lease until the voters have confirmed it', async () => {
    const [, holder] = await start({ voters: 1, nodes: 2 })
    const ended: string[] = []
    holder.leases.onEnd((_lease, why) => ended.push(why))
    const lease = await acquired(holder, 'w1', { holdUntilMs: mesh.clock.wallMs() + 9_000_000 })
    await mesh.clock.advance(5000)
    mesh.clock.suspend(120_000)
    expect(holder.leases.isValid(lease.leaseId)).toBe(false)
    await mesh.clock.advance(1000) // the watchdog
    expect([holder.leases.isValid(lease.leaseId), ended]).toEqual([true, []])
    expect(holder.leases.find(lease.leaseId)).toBe(lease)
  })

  it('without a quorum it is lost after three rounds, once, and the path is free in the end', async () => {
    const [founder, holder, other] = await start({ voters: 1, nodes: 3 })
    const ended: string[] = []
    holder.leases.onEnd((_lease, why) => ended.push(why))
    const lease = await acquired(holder, 'w1')
    await mesh.clock.advance(5000)
    mesh.cut(founder, holder)
    await mesh.clock.advance(48_000)
    expect([holder.leases.isValid(lease.leaseId), ended]).toEqual([true, []])
    await mesh.clock.advance(30_000)
    expect([holder.leases.isValid(lease.leaseId), ended]).toEqual([false, ['lost']])
    expect((await acquired(other, 'w2')).fencingToken).toBeGreaterThan(lease.fencingToken)
  })

  it('a listener that fails hurts nobody else', async () => {
    const [founder] = await start({ voters: 1, nodes: 1 })
    const ended: string[] = []
    founder.leases.onEnd(() => {
      throw new Error('no')
    })
    const stop = founder.leases.onEnd((_lease, why) => ended.push(why))
    await acquired(founder, 'w1', { holdUntilMs: mesh.clock.wallMs() + 1000 })
    await mesh.clock.advance(1000)
    stop()
    await acquired(founder, 'w1', { holdUntilMs: mesh.clock.wallMs() + 1000 })
    await mesh.clock.advance(1000)
    expect([ended, founder.log.lines.map(({ level }) => level)]).toEqual([['expired'], ['error', 'error']])
  })
})

describe('[L2.11] restarts', () => {
  it('a holder that restarts finds its old lease in the way until it runs out, and uses new sequence numbers', async () => {
    const [, holder] = await start({ voters: 1, nodes: 2 })
    const lease = await acquired(holder, 'w1')
    await mesh.restart(holder)
    expect(await holder.leases.acquire(wanting(mesh, 'w1'))).toMatchObject({
      error: { why: 'held', leaseId: lease.leaseId },
    })
    await mesh.clock.advance(10_000)
    const again = await acquired(holder, 'w1')
    expect([lease, again].map(({ certificate }) => certificate.req.body.seq)).toEqual([2 ** 20, 2 * 2 ** 20])
    expect(again.leaseId).not.toBe(lease.leaseId)
    expect(again.fencingToken).toBeGreaterThan(lease.fencingToken)
  })
})

it('checks no signature of its own voter', async () => {
  const [one] = await start({ voters: 1, nodes: 4 })
  const verify = vi.spyOn(crypto, 'verify')
  await acquired(one, 'a')
  expect(verify).not.toHaveBeenCalled()
  verify.mockRestore()
})
