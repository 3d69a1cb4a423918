import { readFounderConfig } from '../../../../protocols/lease/config.ts'
import { Signatures } from '../../../../protocols/lease/signing.ts'
import { describe, expect, it } from 'vitest'
import { ok } from '../../../../crdt/result.ts'
import { RECORDS_PER_AUTHOR_MAX } from '../../../../node/services/membership/membership-intake.ts'
import { ORPHAN_BYTES_MAX, ORPHANS_MAX } from '../../../../node/services/membership/membership-orphans.ts'
import {
  adoptMesh,
  createMesh,
  loadMembership,
  type MembershipService,
} from '../../../../node/services/membership/membership-service.ts'
import { createSigner } from '../../../../node/adapters/node-crypto.ts'
import { createMemoryStore } from '../../../support/memory-store.ts'
import { crypto, identity } from '../../../support/identity.ts'
import { settle } from '../../../support/clock.ts'
import { createHistory, membersIn, stateOf } from '../../protocols/membership/history.ts'
import { addNode, boxKeyOf, codeOf, createLab, hexes, type Lab } from './mesh-lab.ts'

const founder = { name: 'founder', boxKey: boxKeyOf(0), voterInc: '0'.repeat(32) }

/** Writes one record that means little. */
const touch = (service: MembershipService, n: number) =>
  service.author(() => ok({ type: 'setCapabilities', peer: identity(n).peer, capabilities: ['run'] }))

/** A follower of member 0's log with nothing but its genesis, so that every order can be tried on it. */
async function follower(lab: Lab, genesis: Uint8Array, mesh: string): Promise<MembershipService> {
  const store = createMemoryStore()
  await store.appendRecords([genesis])
  const service = await loadMembership(lab.depsOf(0, store))
  if (service?.mesh !== mesh) throw new Error('not the mesh that was expected')
  return service
}

describe('the membership service', () => {
  it('[M4] founds a mesh that a restart finds again', async () => {
    const lab = createLab()
    const deps = lab.depsOf(0)
    expect(await loadMembership(deps)).toBeUndefined()
    const service = await createMesh(deps, founder)
    const { leaseConfig, mesh: space, founder: by } = service.current()
    const set = readFounderConfig(new Signatures({ crypto, signer: identity(5) }), leaseConfig!, { space, founder: by })
    expect([...set.incarnations]).toEqual([[identity(0).peer, '0'.repeat(32)]])
    const again = await loadMembership({ ...deps, store: deps.store.crash() })
    expect(stateOf(again!.resolution())).toEqual(stateOf(service.resolution()))
    expect(hexes(again!.all())).toEqual(hexes(service.all()))
  })

  it('[M14] tells nobody of a record before it is durable, and forgets what the disk refused', async () => {
    const lab = createLab()
    const deps = lab.depsOf(0)
    const service = await createMesh(deps, founder)
    const before = hexes(service.all())
    const heads = hexes(service.heads())
    const told: number[] = []
    service.onChange(({ members }) => told.push(members.size))
    deps.store.hold()
    const authored = touch(service, 0)
    await settle()
    expect([hexes(service.all()), hexes(service.heads()), told]).toEqual([before, heads, []])
    deps.store.failWith(new Error('disk full'))
    deps.store.release()
    expect(codeOf(await authored)).toBe('storage_failed')
    expect(hexes(service.all())).toEqual(before)
    deps.store.failWith(undefined)
    expect(codeOf(await touch(service, 0))).toBe('ok')
    expect([service.all().length, told]).toEqual([before.length + 1, [1]])
  })

  it('[M14] forgets received records that the disk refused, and takes them again later', async () => {
    const lab = createLab()
    const h = createHistory()
    h.join(0, [h.genesis], 1, ['run'])
    const store = createMemoryStore()
    await store.appendRecords([h.genesis.bytes])
    const service = (await loadMembership(lab.depsOf(0, store)))!
    const rest = h.records.slice(1).map(({ bytes }) => bytes)
    store.failWith(new Error('disk full'))
    await expect(service.receive(rest)).rejects.toThrow('disk full')
    expect([service.all().length, service.current().members.size, service.has(h.records[1]!.id)]).toEqual([1, 1, false])
    store.failWith(undefined)
    expect(hexes(await service.receive(rest))).toEqual(hexes(rest))
    expect(service.current().members.size).toBe(2)
  })

  it('[M4] comes to one state and one log whatever the order and batches records arrive in', async () => {
    const lab = createLab()
    const h = createHistory()
    const one = h.join(0, [h.genesis], 1, ['admin', 'admit', 'run'])
    const two = h.join(0, [one], 2, ['admin', 'run'])
    h.remove(1, [two], 2)
    h.remove(2, [two], 1)
    h.join(1, [two], 3, ['run'])
    const rest = h.records.slice(1).map(({ bytes }) => bytes)
    const orders = [rest, rest.toReversed(), [...rest.slice(3), ...rest.slice(0, 3)]]
    const states = []
    for (const order of orders) {
      const whole = await follower(lab, h.genesis.bytes, h.genesis.mesh)
      await whole.receive(order)
      const single = await follower(lab, h.genesis.bytes, h.genesis.mesh)
      for (const bytes of order) await single.receive([bytes])
      states.push(stateOf(whole.resolution()), stateOf(single.resolution()))
      expect(whole.all().length).toBe(h.records.length)
    }
    for (const state of states) expect(state).toEqual(states[0])
    expect(
      membersIn(
        (
          await reread(
            lab,
            h.records.map(({ bytes }) => bytes),
          )
        ).resolution(),
      ),
    ).toHaveProperty('1')
  })

  it('[M16] says what another lacks, parents first, and ignores heads it does not know', async () => {
    const lab = createLab()
    const h = createHistory()
    const one = h.join(0, [h.genesis], 1, ['run'])
    const left = h.grant(0, [one], 1, ['run'])
    const right = h.invite(0, [one], ['run'])
    const service = await reread(
      lab,
      h.records.map(({ bytes }) => bytes),
    )
    expect(hexes(service.after([left.id]))).toEqual(hexes([right.bytes]))
    expect(hexes(service.after([one.id, new Uint8Array(32)]))).toEqual(hexes([left.bytes, right.bytes]))
    expect(hexes(service.after([]))).toEqual(hexes(service.all()))
    expect(service.after(service.heads())).toEqual([])
    expect(hexes(service.heads())).toEqual(hexes([left.id, right.id]).toSorted())
  })

  it('[A-M4] refuses bad records, keeps its state and says so in the log', async () => {
    const lab = createLab()
    const h = createHistory()
    const one = h.join(0, [h.genesis], 1, ['run'])
    const service = await reread(
      lab,
      h.records.map(({ bytes }) => bytes),
    )
    const before = stateOf(service.resolution())
    const other = createHistory(5)
    const bad = one.bytes.slice()
    bad[bad.byteLength - 1]! ^= 1
    const refused = [
      h.grant(1, [one], 1, ['admin', 'run']).bytes,
      h.remove(9, [one], 0).bytes,
      bad,
      new Uint8Array([1, 2, 3]),
      other.genesis.bytes,
      other.join(5, [other.genesis], 6, ['run']).bytes,
    ]
    expect(await service.receive([...refused, one.bytes])).toEqual([])
    expect(stateOf(service.resolution())).toEqual(before)
    expect(lab.log.lines.map(({ fields }) => (fields as { why: string }).why)).toEqual([
      'unauthorised',
      'unauthorised',
      'bad_signature',
      'malformed',
      'foreign_mesh',
      'foreign_mesh',
    ])
  })

  it('[M4] counts a record once that waited for its parent and then came again', async () => {
    const lab = createLab()
    const h = createHistory()
    const invite = h.invite(0, [h.genesis], ['run'])
    const admit = h.admit(0, [invite], invite, 1)
    const late = h.grant(0, [admit], 1, [])
    const service = await follower(lab, h.genesis.bytes, h.genesis.mesh)
    expect(await service.receive([late.bytes, admit.bytes, late.bytes])).toEqual([])
    expect(hexes(await service.receive([invite.bytes, admit.bytes]))).toEqual(
      hexes([invite.bytes, admit.bytes, late.bytes]),
    )
    expect(service.all().length).toBe(4)
    expect(await service.receive([late.bytes, admit.bytes, invite.bytes])).toEqual([])
  })

  it('[M4] bounds what waits for unknown parents by forgetting the oldest', async () => {
    const lab = createLab()
    const h = createHistory()
    const missing = h.invite(0, [h.genesis], ['run'])
    const orphans = Array.from({ length: ORPHANS_MAX + 10 }, (_, i) => h.remove(0, [missing], 1, i).bytes)
    const service = await follower(lab, h.genesis.bytes, h.genesis.mesh)
    await service.receive(orphans)
    expect((await service.receive([missing.bytes])).length).toBe(1 + ORPHANS_MAX)
  })

  it('[M4] bounds the bytes that wait, too', async () => {
    const lab = createLab()
    const h = createHistory()
    const missing = h.invite(0, [h.genesis], ['run'])
    const cuts = Object.fromEntries(
      Array.from({ length: 1500 }, (_, i) => {
        const doc = `project/00000000-0000-4000-8000-${String(i).padStart(12, '0')}`
        return [doc, { seq: i, hash: new Uint8Array(32) }]
      }),
    )
    const large = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20].map(
      (n) => h.say(0, [missing], { type: 'remove', peer: identity(n).peer, cuts }).bytes,
    )
    const fitting = Math.floor(ORPHAN_BYTES_MAX / large[0]!.byteLength)
    const service = await follower(lab, h.genesis.bytes, h.genesis.mesh)
    await service.receive(large)
    expect((await service.receive([missing.bytes])).length).toBe(1 + fitting)
    expect(fitting).toBeLessThan(large.length)
  })

  it('[M4] bounds what one author may write', async () => {
    const lab = createLab()
    const h = createHistory()
    const one = h.join(0, [h.genesis], 1, ['admin'])
    const service = await reread(
      lab,
      h.records.map(({ bytes }) => bytes),
    )
    const flood = Array.from({ length: RECORDS_PER_AUTHOR_MAX + 3 }, (_, i) => h.remove(1, [one], 1, i).bytes)
    expect((await service.receive(flood)).length).toBe(RECORDS_PER_AUTHOR_MAX)
    expect(codeOf(await touch(service, 1))).toBe('ok')
  })

  it('[M5] does not write what it may not', async () => {
    const lab = createLab()
    const home = await lab.founder()
    const guest = await addNode(lab, home, 1, ['run'])
    expect(codeOf(await touch(guest.membership, 0))).toBe('forbidden')
    const admin = await addNode(lab, home, 2, ['admin', 'run'])
    expect(codeOf(await touch(admin.membership, 8))).toBe('ok')
    expect(codeOf(await touch(admin.membership, 2))).toBe('ok') // gives up `admin`
    const length = admin.membership.all().length
    expect(codeOf(await touch(admin.membership, 8))).toBe('forbidden')
    expect(admin.membership.all().length).toBe(length)
  })

  it('[M4] decides one record at a time, each in sight of the one before', async () => {
    const lab = createLab()
    const service = await createMesh(lab.depsOf(0), founder)
    const seen: number[] = []
    const key = new Uint8Array(createSigner(new Uint8Array(32)).publicKey)
    await Promise.all(
      Array.from({ length: 5 }, () =>
        service.author(({ resolution, nowMs }) => {
          seen.push(resolution.membership.invites.size)
          return ok({ type: 'invite', inviteKey: key, capabilities: ['run'], expiresAt: nowMs + seen.length })
        }),
      ),
    )
    expect(seen).toEqual([0, 1, 2, 3, 4])
    expect(service.heads().length).toBe(1)
  })

  it('[M8] adopts a log only when it leads to the expected genesis and has us as a member', async () => {
    const lab = createLab()
    const home = await lab.founder()
    const other = await createMesh(lab.depsOf(7), { ...founder, name: 'other' })
    const records = home.membership.all()
    expect(codeOf(await adoptMesh(lab.depsOf(1), records, home.membership.mesh))).toBe('ticket_invalid')
    expect(codeOf(await adoptMesh(lab.depsOf(7), other.all(), home.membership.mesh))).toBe('ticket_other_mesh')
    expect(codeOf(await adoptMesh(lab.depsOf(0), records, home.membership.mesh))).toBe('ok')
  })

  it('[M20] goes by the latest mesh when a node has replaced its empty one', async () => {
    const lab = createLab()
    const home = await lab.founder()
    const store = createMemoryStore()
    await createMesh(lab.depsOf(1, store), { ...founder, name: 'alone' })
    const guest = await addNode(lab, home, 1)
    await adoptMesh(lab.depsOf(1, store), guest.membership.all(), home.membership.mesh)
    const again = await loadMembership(lab.depsOf(1, store.crash()))
    expect(stateOf(again!.resolution())).toEqual(stateOf(guest.membership.resolution()))
  })

  it('keeps what one listener throws from the others', async () => {
    const lab = createLab()
    const service = await createMesh(lab.depsOf(0), founder)
    const told: string[] = []
    service.onChange(() => {
      throw new Error('bug')
    })
    const stop = service.onChange((current, previous) => told.push(`${previous.heads.length} ${current === previous}`))
    await touch(service, 8)
    stop()
    await touch(service, 8)
    expect(told).toEqual(['1 false'])
    expect(lab.log.lines.filter(({ level }) => level === 'error').length).toBe(2)
  })
})

async function reread(lab: Lab, records: readonly Uint8Array[]): Promise<MembershipService> {
  const store = createMemoryStore()
  await store.appendRecords(records)
  return (await loadMembership(lab.depsOf(0, store)))!
}
