import { afterEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { systemClock } from '../../node/adapters/system-clock.ts'
import { systemRandom } from '../../node/adapters/system-random.ts'
import { createPresence } from '../../node/services/sync/presence-service.ts'
import { createRpc } from '../../node/services/rpc/rpc-service.ts'
import { createSync } from '../../node/services/sync/sync-service.ts'
import type { PeerNetworkOptions } from '../../node/p2p/libp2p-network.ts'
import { ok } from '../../crdt/result.ts'
import { hasCapability } from '../../protocols/membership/membership.ts'
import { createManualClock } from '../support/clock.ts'
import { crypto, identity } from '../support/identity.ts'
import { createTestNode, soon, until } from '../support/libp2p-nodes.ts'
import { contentOf, createMembership, createTestReplica, MESH, PROJECT, setKey } from '../support/replicas.ts'
import type { TestMembership } from '../support/replicas.ts'
import { createRecordLog } from '../support/sync-lab.ts'

/** A third of the period of anti-entropy. */
const PASSED_ON_MS = 10_000

const stops: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop()
})

/** A node as the composition root puts it together, with everything that crosses the network. */
async function startNode(n: number, membership: TestMembership, options: Partial<PeerNetworkOptions> = {}) {
  const replica = await createTestReplica(n, membership)
  const { documents, log, store } = replica
  const may = (peer: Parameters<typeof hasCapability>[1], capability: Parameters<typeof hasCapability>[2]): boolean =>
    hasCapability(membership.current(), peer, capability)
  const network = await createTestNode(n, new Set(), {
    mesh: MESH,
    isMember: (peer) => membership.members.has(peer),
    mayOpen: (peer, policy) =>
      policy.who === 'anyone' || policy.capability === undefined || may(peer, policy.capability),
    ...options,
  })
  const shared = { network, clock: systemClock, log }
  const presence = createPresence({
    ...shared,
    mesh: MESH,
    crypto,
    signer: identity(n),
    store,
    members: () => membership.members,
    leases: () => [],
    sessions: () => 0,
  })
  const sync = createSync({
    ...shared,
    feeds: documents,
    membership: createRecordLog(),
    random: systemRandom,
    presence,
    passesOn: () => options.neighbours !== undefined,
    addresses: network,
  })
  const rpc = createRpc({ ...shared, hasCapability: may })
  await network.start()
  sync.start()
  await presence.start()
  const stop = async (): Promise<void> => {
    presence.stop()
    await sync.stop()
    await network.stop()
  }
  stops.push(stop)
  return { ...replica, network, presence, sync, rpc, stop }
}

describe('a mesh over real sockets', () => {
  it('[M16] [M17] replicates, sees who is there, measures the way, and says goodbye', async () => {
    const membership = createMembership(3, ['store'])
    const [a, b, c] = [
      await startNode(0, membership),
      await startNode(1, membership),
      await startNode(2, membership),
    ] as const
    await a.documents.write(PROJECT, undefined, setKey('before', 1))
    await b.network.dialAddresses(a.peer, a.network.addresses(), soon())
    await c.network.dialAddresses(a.peer, a.network.addresses(), soon())
    // b and c know only a: its hints bring them together.
    await until(() => b.network.connected().includes(c.peer))
    await b.documents.write(PROJECT, undefined, setKey('after', 2))
    for (const node of [a, b, c]) {
      await expect.poll(() => contentOf(node)).toEqual({ before: 1, after: 2 })
      await expect.poll(() => [a, b, c].map(({ peer }) => node.presence.state(peer))).toEqual(Array(3).fill('online'))
    }
    await expect.poll(() => a.presence.rttMs(b.peer)).toBeGreaterThan(0)
    await c.stop()
    await expect.poll(() => a.presence.state(c.peer)).toBe('away')
  })

  it('[M17] passes on what is new to those that its author is not connected with, both ways', async () => {
    const membership = createMembership(4, ['store'])
    const chain = [0, 1, 2, 3].map((n) => identity(n).peer)
    const nodes = await Promise.all(
      chain.map((_, n) =>
        startNode(n, membership, {
          neighbours: () => new Set([chain[n - 1], chain[n + 1]].filter((peer) => peer !== undefined)),
          clock: createManualClock(), // nobody stands in for neighbours that are missing
        }),
      ),
    )
    for (const [n, { network }] of nodes.slice(1).entries())
      await network.dialAddresses(chain[n]!, nodes[n]!.network.addresses(), soon())
    const [first, last] = [nodes[0]!, nodes[3]!]
    await until(() => last.network.connected().length === 1)
    await first.documents.write(PROJECT, undefined, setKey('there', 1))
    // Well before anti-entropy would have carried it from one to the next.
    await expect.poll(() => contentOf(last), { timeout: PASSED_ON_MS }).toEqual({ there: 1 })
    await last.documents.write(PROJECT, undefined, setKey('back', 2))
    await expect.poll(() => contentOf(first), { timeout: PASSED_ON_MS }).toEqual({ there: 1, back: 2 })
    // Heard of, though it has no address to reach it at.
    await expect.poll(() => last.presence.state(first.peer), { timeout: PASSED_ON_MS }).toBe('stale')
    expect([first, last].map(({ network }) => network.connected())).toEqual([[chain[1]], [chain[2]]])
  })

  it('[A-M2] stops everything with a member that is removed', async () => {
    const membership = createMembership(2, ['store', 'control', 'run'])
    const [a, b] = [await startNode(0, membership), await startNode(1, membership)] as const
    await b.network.dialAddresses(a.peer, a.network.addresses(), soon())
    a.rpc.serve({ name: 'ping', input: z.null(), run: async () => ok('pong') })
    const actor = { kind: 'local', id: 'local', tokenId: 'local', abilities: ['*'], gateway: b.peer } as const
    const ask = () =>
      b.rpc.call(a.peer, 'ping', { actor: { ...actor, abilities: ['*'] }, input: null, reply: z.string() })
    await until(() => a.network.connected().length === 1)
    await expect(ask()).resolves.toEqual(ok('pong'))
    const removed = membership.members.get(b.peer)
    if (removed === undefined) throw new Error('not a member')
    membership.members.delete(b.peer)
    a.network.membersChanged()
    await until(() => a.network.channelCount === 0 && b.network.connected().length === 0, 2000)
    await expect(ask()).resolves.toMatchObject({ ok: false, error: { code: 'machine_offline' } })
    expect(a.presence.state(b.peer)).toBe('gone')
  })
})
