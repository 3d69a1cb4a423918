import { describe, expect, it } from 'vitest'
import type { Capability } from '../../../../crdt/capability.ts'
import { fromHex, toHex } from '../../../../protocols/codec.ts'
import { recoveryProofBytes } from '../../../../protocols/membership/records.ts'
import type { MembershipService } from '../../../../node/services/membership/membership-service.ts'
import {
  createRecoveryService,
  type RecoveryProof,
  type RecoveryService,
} from '../../../../node/services/membership/recovery-service.ts'
import { crypto, identity } from '../../../support/identity.ts'
import { addNode, codeOf, createLab, type Lab } from './mesh-lab.ts'

const WORDS = identity(2000)
const publicKey = toHex(WORDS.publicKey)

const serviceOf = (n: number, membership: MembershipService): RecoveryService =>
  createRecoveryService({
    self: identity(n).peer,
    membership,
    nameOf: (peer) => membership.current().members.get(peer)?.name ?? peer,
  })

async function mesh(capabilities?: readonly Capability[]) {
  const lab = createLab()
  const home = await lab.founder()
  const other = await addNode(lab, home, 1, capabilities)
  const sync = async (): Promise<void> => {
    await other.membership.receive(home.membership.all())
    await home.membership.receive(other.membership.all())
  }
  await sync()
  const services = { home: serviceOf(0, home.membership), other: serviceOf(1, other.membership) }
  return { lab, home, other, sync, services }
}

/** What somebody who holds words makes of a node's status. */
function proofFor(service: RecoveryService, words = WORDS): RecoveryProof {
  const { mesh, self, keys, parents } = service.status()
  const recoveryKey = keys[0]?.id ?? '00'.repeat(32)
  const claim = { mesh, peer: self, recoveryKey: fromHex(recoveryKey), parents: parents.map(fromHex) }
  return { recoveryKey, parents, proof: toHex(words.sign(recoveryProofBytes(crypto, claim))) }
}

describe('the recovery key', () => {
  it('[M21] is shown with who made it and when, on every node', async () => {
    const { services, sync, lab } = await mesh()
    expect(services.other.status()).toMatchObject({ isAdmin: false, admins: ['founder'], keys: [] })
    await services.home.create(publicKey)
    await sync()
    expect(services.other.status().keys).toMatchObject([
      { publicKey, by: identity(0).peer, byName: 'founder', isByMember: true, createdAt: isoOf(lab) },
    ])
  })

  it('[M21] is made by admins only', async () => {
    const { services } = await mesh(['store'])
    expect(codeOf(await services.other.create(publicKey))).toBe('forbidden')
  })

  it('[M21] makes an admin of a member that keeps what it had', async () => {
    const { services, sync, other } = await mesh(['store', 'vote'])
    await services.home.create(publicKey)
    await sync()
    expect(codeOf(await services.other.use(proofFor(services.other)))).toBe('ok')
    expect(services.other.status()).toMatchObject({ isAdmin: true, admins: ['founder', 'node 1'] })
    expect(other.membership.current().members.get(identity(1).peer)?.capabilities.size).toBe(7)
  })

  it('[A-M4] refuses other words, a key that is none, and a proof for another moment, and writes nothing', async () => {
    const { services, sync, home, other } = await mesh()
    await services.home.create(publicKey)
    await sync()
    const before = other.membership.all().length
    const good = proofFor(services.other)
    expect(codeOf(await services.other.use(proofFor(services.other, identity(2001))))).toBe('forbidden')
    expect(codeOf(await services.other.use({ ...good, recoveryKey: 'ab'.repeat(32) }))).toBe('invalid_input')
    expect(codeOf(await services.other.use(proofFor(services.home)))).toBe('forbidden')
    expect(other.membership.all()).toHaveLength(before)
    await home.mesh.invite({})
    await sync()
    expect(codeOf(await services.other.use(good))).toBe('superseded')
    expect(services.other.status().isAdmin).toBe(false)
  })

  it('[M21] tells when whoever made it is gone', async () => {
    const { services, sync, other } = await mesh()
    await services.home.create(publicKey)
    await sync()
    await services.other.use(proofFor(services.other))
    await other.membership.author(() => ({
      ok: true,
      value: { type: 'remove', peer: identity(0).peer, cuts: {} },
    }))
    expect(services.other.status().keys).toMatchObject([{ isByMember: false }])
  })
})

const isoOf = (lab: Lab): string => new Date(lab.clock.wallMs()).toISOString()
