import { afterEach, describe, expect, it } from 'vitest'
import { encodeCanonical } from '../../../../protocols/codec.ts'
import { packCertificate } from '../../../../protocols/lease/certificate.ts'
import type { Certificate, Grant } from '../../../../protocols/lease/messages.ts'
import { decodeRecord } from '../../../../protocols/lease/records.ts'
import type { Signed } from '../../../../protocols/lease/signing.ts'
import { settle } from '../../../support/clock.ts'
import { hex, path, peer, requestOf, signedBy } from '../../../support/lease-lab.ts'
import {
  acquired,
  createLeaseMesh,
  timed,
  wanting,
  type LeaseMesh,
  type LeaseNode,
} from '../../../support/lease-mesh.ts'

let mesh: LeaseMesh

afterEach(async () => await mesh.close())

/** Three voters, of which the first two sign whatever is convenient. */
async function start(): Promise<LeaseNode[]> {
  mesh = await createLeaseMesh({ voters: 3, nodes: 5 })
  return [...mesh.nodes]
}

function incarnationOf(n: number): string {
  const record = decodeRecord(mesh.nodes[n - 1]!.disk.durable[0]!)
  if (record.t !== 'init') throw new Error('a journal begins with the incarnation')
  return record.inc
}

/** What voter `n` would sign for the request of a certificate, about the time from `first` to `vseq`. */
const grantBy = (n: number, { req }: Certificate, vseq: number, first: number): Signed<Grant> => {
  const { space, epoch, lid, seq, token, ttl } = req.body
  const names = { voter: peer(n), inc: incarnationOf(n), reqHash: req.hash }
  return signedBy<Grant>(n, 'grant', { v: 1, space, epoch, lid, seq, token, ttl, ...names, vseq, first, after: [] })
}

/** A certificate for another member that contradicts the word of voter 1, and of nobody else. */
function rivalOf(certificate: Certificate): Uint8Array {
  const { epoch, cid, token } = certificate.req.body
  const req = requestOf({ by: 5, epoch, cid, token: { epoch, n: token.n + 1 }, lid: hex(77) })
  const rival = { req, grants: [] }
  return encodeCanonical(packCertificate({ req, grants: [grantBy(1, rival, 1, 1), grantBy(2, rival, 900, 900)] }))
}

describe('[L2.12] a voter that signed two grants that contradict each other', () => {
  it('is convicted by whoever sees both, and excluded by everybody', async () => {
    const [first, second, third, fourth, fifth] = (await start()) as [
      LeaseNode,
      LeaseNode,
      LeaseNode,
      LeaseNode,
      LeaseNode,
    ]
    const { certificate } = await acquired(mesh, fourth, 'w1')
    expect(fourth.leases.verified(rivalOf(certificate))).toBeDefined()
    await settle()
    expect(mesh.voterFaults).toHaveLength(1)
    expect(fourth.log.lines).toContainEqual(expect.objectContaining({ level: 'error', fields: { voter: first.peer } }))
    for (const node of mesh.nodes) {
      const problems = node.leases.changes.view().voters.map(({ name, problem }) => [name, problem])
      const said = expect.stringMatching(/has signed two grants/)
      expect(Object.fromEntries(problems)).toEqual({ 'node-1': said, 'node-2': null, 'node-3': null })
    }
    mesh.cut(third, fifth)
    const { answer } = await timed(mesh, fifth.leases.acquire(wanting(mesh, 'w2', { resources: [path('b')] })))
    expect(answer).toMatchObject({ ok: false, error: { why: 'no_quorum' } })
    mesh.join(third, fifth)
    const voters = (await acquired(mesh, fifth, 'w2', { resources: [path('b')] })).certificate.grants
    expect(voters.map(({ body }) => body.voter).toSorted()).toEqual([second.peer, third.peer].toSorted())
  })

  it('is written down once', async () => {
    const [, , , fourth] = (await start()) as [LeaseNode, LeaseNode, LeaseNode, LeaseNode]
    const { certificate } = await acquired(mesh, fourth, 'w1')
    for (let i = 0; i < 3; i++) {
      fourth.leases.verified(rivalOf(certificate))
      await settle()
    }
    expect(mesh.voterFaults).toHaveLength(1)
  })

  it('is seen through certificates alone, in whatever order they come', async () => {
    const [, , , fourth, fifth] = (await start()) as [LeaseNode, LeaseNode, LeaseNode, LeaseNode, LeaseNode]
    const { certificate } = await acquired(mesh, fourth, 'w1')
    fifth.leases.verified(rivalOf(certificate))
    expect(mesh.voterFaults).toEqual([])
    fifth.leases.verified(encodeCanonical(packCertificate(certificate)))
    await settle()
    expect(mesh.voterFaults).toHaveLength(1)
  })

  it('replaced, it takes part again under another identity only', async () => {
    const [first, , , fourth] = (await start()) as [LeaseNode, LeaseNode, LeaseNode, LeaseNode]
    const { certificate } = await acquired(mesh, fourth, 'w1')
    fourth.leases.verified(rivalOf(certificate))
    await settle()
    const { answer } = await timed(mesh, first.leases.changes.set({ members: ['node-2', 'node-3', 'node-4'] }))
    expect(answer).toMatchObject({ ok: true })
    const view = fourth.leases.changes.view()
    expect([view.epoch, view.voters.every(({ problem }) => problem === null)]).toEqual([2, true])
  })
})

describe('[A-L1] what does not convict', () => {
  it.each<[string, (certificate: Certificate) => Uint8Array]>([
    ['garbage', () => Uint8Array.of(1, 2, 3)],
    ['a certificate that is none', ({ req }) => encodeCanonical(packCertificate({ req, grants: [] }))],
    [
      'grants that the voter did not sign',
      (certificate) => {
        const { epoch, cid } = certificate.req.body
        const req = requestOf({ by: 5, epoch, cid, n: 9, lid: hex(77) })
        const rival = { req, grants: [] }
        const [a, b] = [grantBy(1, rival, 1, 1), grantBy(2, rival, 900, 900)]
        return encodeCanonical(packCertificate({ req, grants: [signedBy(2, 'grant', a.body), b] }))
      },
    ],
  ])('%s', async (_what, make) => {
    const [, , , fourth] = (await start()) as [LeaseNode, LeaseNode, LeaseNode, LeaseNode]
    const { certificate } = await acquired(mesh, fourth, 'w1')
    expect(fourth.leases.verified(make(certificate))).toBeUndefined()
    await settle()
    expect(mesh.voterFaults).toEqual([])
  })

  it('records of faults, sets and forced sets that are garbage change nothing', async () => {
    const [first, , , fourth] = (await start()) as [LeaseNode, LeaseNode, LeaseNode, LeaseNode]
    const { certificate } = await acquired(mesh, fourth, 'w1')
    const before = first.leases.changes.view()
    const garbage = [
      new Uint8Array(),
      Uint8Array.of(0xff),
      Uint8Array.of(0xa0),
      rivalOf(certificate),
      new Uint8Array(70_000),
    ]
    for (const bytes of garbage) {
      mesh.voterFaults.push(bytes)
      mesh.voterSets.push({ kind: 'sealed', bytes, by: fourth.peer })
      mesh.voterSets.push({ kind: 'forced', bytes, reason: '', by: first.peer })
    }
    for (const { leases } of mesh.nodes) leases.membershipChanged()
    await settle()
    expect(first.leases.changes.view()).toEqual(before)
    expect((await acquired(mesh, fourth, 'w2', { resources: [path('b')] })).certificate.req.body.epoch).toBe(1)
  })
})
