import { describe, expect, it } from 'vitest'
import { machineDoc, meshDoc, liveDoc } from '../../../../crdt/ids.ts'
import type { FeedCut } from '../../../../protocols/membership/membership.ts'
import { parseTicket } from '../../../../protocols/ticket.ts'
import {
  createMeshService,
  INVITE_MS_DEFAULT,
  INVITE_MS_MAX,
  isEmptyMesh,
  OPEN_INVITES_MAX,
} from '../../../../node/services/membership/mesh-service.ts'
import { crypto, identity } from '../../../support/identity.ts'
import { addNode, codeOf, createLab, join, meshDeps, ticketFrom } from './mesh-lab.ts'

const peer = (n: number): ReturnType<typeof identity>['peer'] => identity(n).peer

describe('the mesh service', () => {
  it('[M20] makes a ticket for 24 hours with the default capabilities', async () => {
    const lab = createLab()
    const { mesh, membership } = await lab.founder()
    const made = await mesh.invite({})
    const ticket = made.ok && parseTicket(crypto, made.value.ticket, lab.clock.wallMs())
    expect(ticket).toMatchObject({
      ok: true,
      value: {
        mesh: membership.mesh,
        inviter: peer(0),
        addresses: ['/ip4/127.0.0.1/tcp/4001'],
        expiresAtMs: lab.clock.wallMs() + INVITE_MS_DEFAULT,
        capabilities: ['gateway', 'control', 'run', 'store'],
      },
    })
    expect(made.ok && made.value.expiresAt).toBe(new Date(lab.clock.wallMs() + INVITE_MS_DEFAULT).toISOString())
    expect([...membership.current().invites.values()].map((invite) => invite.capabilities)).toEqual([
      ['gateway', 'control', 'run', 'store'],
    ])
  })

  it('[M5] invites no wider than its own capabilities, and not at all without `admit`', async () => {
    const lab = createLab()
    const home = await lab.founder()
    const narrow = await addNode(lab, home, 1, ['admit', 'run'])
    const plain = await addNode(lab, home, 2, ['run'])
    expect(await narrow.mesh.invite({ capabilities: ['run', 'vote'] })).toMatchObject({
      ok: false,
      error: { code: 'forbidden', message: 'This node cannot grant what it does not have: vote.' },
    })
    expect(codeOf(await narrow.mesh.invite({}))).toBe('forbidden')
    expect(codeOf(await narrow.mesh.invite({ capabilities: ['run'] }))).toBe('ok')
    expect(await plain.mesh.invite({ capabilities: ['run'] })).toMatchObject({
      ok: false,
      error: { code: 'forbidden', message: 'This node may not invite: it lacks the capability `admit`.' },
    })
  })

  it.each([0, -1, 1.5, Number.NaN, INVITE_MS_MAX + 1])('[M8] refuses a ticket for %d ms', async (expiresInMs) => {
    const { mesh } = await createLab().founder()
    expect(codeOf(await mesh.invite({ expiresInMs }))).toBe('invalid_input')
  })

  it('[M8] keeps only so many invitations open, and counts no expired ones', async () => {
    const lab = createLab()
    const { mesh } = await lab.founder()
    for (let i = 0; i < OPEN_INVITES_MAX; i++) expect(codeOf(await mesh.invite({ expiresInMs: 1000 }))).toBe('ok')
    expect(codeOf(await mesh.invite({}))).toBe('limit_reached')
    lab.clock.stepWall(1001)
    expect(codeOf(await mesh.invite({}))).toBe('ok')
  })

  it('[M7] removes a member by its name or peer id, ending its feeds where they are', async () => {
    const lab = createLab()
    const home = await lab.founder()
    await addNode(lab, home, 1)
    await addNode(lab, home, 2)
    const cut: FeedCut = { seq: 7, hash: new Uint8Array(32).fill(7) }
    const asked: string[] = []
    const mesh = createMeshService(
      meshDeps(0, home.membership, lab, {
        feedHeads(of) {
          asked.push(of)
          return new Map([
            [meshDoc, cut],
            [machineDoc(of), cut],
            [liveDoc(of, 1), cut],
          ])
        },
      }),
    )
    expect(await mesh.remove('node 1')).toMatchObject({ ok: true, value: { peerId: peer(1), name: 'node 1' } })
    expect(codeOf(await mesh.remove(peer(2)))).toBe('ok')
    expect(asked).toEqual([peer(1), peer(2)])
    expect([...home.membership.current().removed].map(([who, cuts]) => [who, Object.fromEntries(cuts)])).toEqual([
      [peer(1), { mesh: cut, [machineDoc(peer(1))]: cut }],
      [peer(2), { mesh: cut, [machineDoc(peer(2))]: cut }],
    ])
    expect([codeOf(await mesh.remove('node 1')), codeOf(await mesh.remove(peer(2)))]).toEqual([
      'member_not_found',
      'member_not_found',
    ])
  })

  it('[M7] lists what the removed member could read, by what it was allowed to do', async () => {
    const lab = createLab()
    const home = await lab.founder()
    for (const [n, capabilities] of [
      ['1', ['gateway', 'control', 'store', 'admin']],
      ['2', ['run']],
    ] as const) {
      const ticket = await ticketFrom(lab, home.mesh.invite({ capabilities }))
      await join(lab, Number(n), ticket)
    }
    const whats = async (n: number): Promise<readonly string[]> => {
      const removed = await home.mesh.remove(peer(n))
      return removed.ok ? removed.value.couldRead.map(({ what }) => what.split(':')[0]!) : []
    }
    expect([await whats(1), await whats(2)]).toEqual([
      ['the accounts', 'everything in its projects', 'what was shown in terminals that it watched'],
      ['everything in its projects'],
    ])
  })

  it('[M7] does not guess between members of one name, and removes itself only by leaving', async () => {
    const lab = createLab()
    const home = await lab.founder()
    for (const n of [1, 2]) await join(lab, n, await ticketFrom(lab, home.mesh.invite({})))
    // As when both were named so by their own users.
    const nameOf = (who: string): string => (who === peer(0) ? 'founder' : 'twin')
    const mesh = createMeshService(meshDeps(0, home.membership, lab, { nameOf }))
    expect(codeOf(await mesh.remove('twin'))).toBe('invalid_input')
    expect(codeOf(await mesh.remove('founder'))).toBe('invalid_input')
    expect(codeOf(await mesh.remove(peer(1)))).toBe('ok')
    expect(codeOf(await mesh.remove('twin'))).toBe('ok')
  })

  it('[M5] removes nobody without `admin`', async () => {
    const lab = createLab()
    const home = await lab.founder()
    const guest = await addNode(lab, home, 1)
    expect(codeOf(await guest.mesh.remove('founder'))).toBe('forbidden')
    expect(guest.membership.current().members.size).toBe(2)
  })

  it.each<[string, number[], number[], string]>([
    ['the only voter', [1], [], 'forbidden'],
    ['one of three', [0, 1, 2], [], 'ok'],
    ['one of two', [0, 1], [], 'forbidden'],
    ['one of the two that are left of three', [0, 1, 2], [2], 'forbidden'],
    ['one of a set that has no quorum anyway', [1, 2, 3], [2, 3], 'ok'],
    ['one that does not vote', [0], [], 'ok'],
  ])('[L2.7] removes %s only if the votes that remain are a quorum', async (_, voters, gone, answer) => {
    const lab = createLab()
    const home = await lab.founder()
    for (const n of [1, 2, 3]) await addNode(lab, home, n)
    for (const n of gone)
      await home.membership.author(() => ({ ok: true, value: { type: 'remove', peer: peer(n), cuts: {} } }))
    const mesh = createMeshService(meshDeps(0, home.membership, lab, { leases: { voters: () => voters.map(peer) } }))
    expect(codeOf(await mesh.remove(peer(1)))).toBe(answer)
  })

  it('[M20] leaves, once', async () => {
    const lab = createLab()
    const home = await lab.founder()
    const guest = await addNode(lab, home, 1)
    expect(codeOf(await guest.mesh.leave())).toBe('ok')
    expect(codeOf(await guest.mesh.leave())).toBe('member_not_found')
    await home.membership.receive(guest.membership.all())
    expect([...home.membership.current().members.keys()]).toEqual([peer(0)])
  })

  it('shows every member with what is known of it', async () => {
    const lab = createLab()
    const home = await lab.founder()
    await addNode(lab, home, 1, ['run'])
    const seenMs = lab.clock.wallMs() - 5000
    const mesh = createMeshService(
      meshDeps(0, home.membership, lab, {
        presence: {
          state: () => 'online',
          lastSeenWallMs: () => seenMs,
          rttMs: () => 3,
          lastRenewedMonoMs: () => undefined,
          onChange: () => () => undefined,
        },
        connectionOf: () => ({ address: '/ip4/10.0.0.2/tcp/4001' }),
        problemOf: (of) => (of === peer(1) ? 'frozen' : null),
        documents: async () => [{ id: 'mesh', authors: 1, envelopes: 2, pending: 0 }],
        http: () => 'http://127.0.0.1:8000',
        setupCode: () => 'abc',
        problems: () => ['one'],
      }),
    )
    expect(await mesh.status()).toEqual({
      meshId: home.membership.mesh,
      peerId: peer(0),
      name: 'founder',
      http: 'http://127.0.0.1:8000',
      members: [
        {
          peerId: peer(0),
          name: 'founder',
          online: true,
          reachedBy: 'self',
          rttMs: null,
          voter: true,
          capabilities: ['admin', 'admit', 'gateway', 'control', 'run', 'vote', 'store'],
          lastSeenAt: new Date(lab.clock.wallMs()).toISOString(),
          problem: null,
        },
        {
          peerId: peer(1),
          name: 'node 1',
          online: true,
          reachedBy: '/ip4/10.0.0.2/tcp/4001',
          rttMs: 3,
          voter: false,
          capabilities: ['run'],
          lastSeenAt: new Date(seenMs).toISOString(),
          problem: 'frozen',
        },
      ],
      voters: [peer(0)],
      documents: [{ id: 'mesh', authors: 1, envelopes: 2, pending: 0 }],
      setupCode: 'abc',
      problems: ['one'],
    })
    expect(home.mesh.members()[1]).toMatchObject({ online: false, reachedBy: null, rttMs: null, lastSeenAt: null })
    expect(await home.mesh.status()).not.toHaveProperty('setupCode')
  })

  it('tells of changes of the membership and of presence until it is told to stop', async () => {
    const lab = createLab()
    const home = await lab.founder()
    const listeners = new Set<() => void>()
    const base = meshDeps(0, home.membership, lab)
    const mesh = createMeshService({
      ...base,
      presence: {
        ...base.presence,
        onChange(listener) {
          const tell = (): void => listener(peer(1))
          listeners.add(tell)
          return () => listeners.delete(tell)
        },
      },
    })
    let told = 0
    const stop = mesh.onChange(() => told++)
    await mesh.invite({})
    for (const tell of listeners) tell()
    stop()
    await mesh.invite({})
    expect([told, listeners.size]).toEqual([2, 0])
  })

  it('[M20] calls a mesh empty only when nothing would be lost', () => {
    const empty = { members: 1, users: 0, projects: 0 }
    expect(isEmptyMesh(empty)).toBe(true)
    expect(isEmptyMesh({ ...empty, members: 2 })).toBe(false)
    expect(isEmptyMesh({ ...empty, users: 1 })).toBe(false)
    expect(isEmptyMesh({ ...empty, projects: 1 })).toBe(false)
  })
})
