import { afterEach, expect, it } from 'vitest'
import { TaskInput } from '../../../../crdt/task.ts'
import {
  certificateBytes,
  createCertificateCheck,
  type ClaimedGrant,
} from '../../../../node/services/claims/claim-certificate.ts'
import { taskResource } from '../../../../node/services/tasks/task-boards.ts'
import type { Certificate } from '../../../../protocols/lease/messages.ts'
import { ClaimLab, passing, PROJECT, valueOf } from '../../../support/claim-lab.ts'
import { crypto } from '../../../support/identity.ts'

let lab: ClaimLab
afterEach(() => lab.close())

async function claimOne() {
  lab = await ClaimLab.create({ nodes: 3, voters: 3 })
  const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
  const input = TaskInput.parse({ title: 'task' })
  const task = valueOf(await passing(lab, a.tasks.create(a.actor('t'), PROJECT, input)))
  const claim = valueOf(await passing(lab, a.tasks.claim(a.actor('t'), task.id, 'agent'))).claim!
  const { certificate } = a.leases.find(claim.leaseId)!
  const grant: ClaimedGrant = {
    node: a.peer,
    leaseId: claim.leaseId,
    token: claim.fencingToken,
    instanceId: 'agent',
    resource: taskResource(PROJECT, task.id),
  }
  return { a, b, grant, certificate }
}

it('[L2.10] proves to any member what was granted, and nothing else', async () => {
  const { a, b, grant, certificate } = await claimOne()
  const bytes = certificateBytes(certificate)
  const check = createCertificateCheck({ crypto, leases: b.leases })
  expect(check(grant, bytes)).toBe(true)
  const wrong: Partial<ClaimedGrant>[] = [
    { node: b.peer },
    { leaseId: '0'.repeat(32) },
    { token: grant.token + 1 },
    { instanceId: 'somebody else' },
    { resource: { ...grant.resource, key: `${grant.resource.key}x` } },
    { resource: { ...grant.resource, kind: 'path' } },
    { resource: { ...grant.resource, mode: 'subtree' } },
  ]
  expect(wrong.map((change) => check({ ...grant, ...change }, bytes))).toEqual(wrong.map(() => false))
  expect(createCertificateCheck({ crypto, leases: a.leases })(grant, bytes)).toBe(true)
})

it('[M3] is worth nothing when a byte of it was changed, a quorum is missing, or it is garbage', async () => {
  const { b, grant, certificate } = await claimOne()
  const check = createCertificateCheck({ crypto, leases: b.leases })
  const bytes = certificateBytes(certificate)
  const flipped = Uint8Array.from(bytes, (byte, i) => (i === bytes.length - 5 ? byte ^ 1 : byte))
  const tooFew: Certificate = { req: certificate.req, grants: certificate.grants.slice(0, 1) }
  const twice: Certificate = { req: certificate.req, grants: [certificate.grants[0]!, certificate.grants[0]!] }
  const worthless = [flipped, bytes.slice(1), new Uint8Array(), certificateBytes(tooFew), certificateBytes(twice)]
  expect(worthless.map((one) => check(grant, one))).toEqual(worthless.map(() => false))
})

it('checks the signatures of one certificate once', async () => {
  const { b, grant, certificate } = await claimOne()
  let asked = 0
  const check = createCertificateCheck({
    crypto,
    leases: { verified: (one) => (++asked > 0 ? b.leases.verified(one) : undefined) },
  })
  const bytes = certificateBytes(certificate)
  expect([check(grant, bytes), check(grant, bytes), asked]).toEqual([true, true, 1])
})
