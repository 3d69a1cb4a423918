import { systemClock } from '../../node/adapters/system-clock.ts'
import { createLibp2pNode, type Libp2pNode } from '../../node/p2p/libp2p-node.ts'
import type { MemberView } from '../../node/p2p/member-components.ts'
import { createPeerNetwork } from '../../node/p2p/network.ts'
import type { Libp2pNetwork, PeerNetworkOptions } from '../../node/p2p/libp2p-network.ts'
import { relayPolicies, reservationsOf } from '../../node/p2p/relay.ts'
import type { MeshId, PeerId } from '../../crdt/ids.ts'
import { crypto, identity } from './identity.ts'
import { createRecordedLog } from './log.ts'

export const testMesh = 'a'.repeat(64) as MeshId

/** The key seed behind `identity(n)`. */
export const seedOf = (n: number): Uint8Array => crypto.sha256(new TextEncoder().encode(`test identity ${n}`))
export const peerOf = (n: number): PeerId => identity(n).peer

export const soon = (): AbortSignal => AbortSignal.timeout(10_000)

/** A real node on a free port of loopback; nobody but the given numbers is a member. Not started. */
export async function createTestNode(
  n: number,
  members: ReadonlySet<PeerId>,
  options: Partial<PeerNetworkOptions> = {},
): Promise<Libp2pNetwork> {
  return await createPeerNetwork({
    seed: seedOf(n),
    mesh: testMesh,
    listen: ['/ip4/127.0.0.1/tcp/0'],
    log: createRecordedLog(),
    clock: systemClock,
    mdns: false,
    isMember: (peer) => members.has(peer),
    mayOpen: () => true,
    knownAddresses: { load: async () => new Map(), save: async () => undefined },
    ...options,
  })
}

/** A libp2p that asks whom it likes for what it likes, and thinks everybody a member. Not started. */
export async function createRawNode(n: number, view: Partial<MemberView> = {}): Promise<Libp2pNode> {
  const raw: Libp2pNode = await createLibp2pNode({
    seed: seedOf(n),
    mesh: testMesh,
    listen: [],
    agent: 'raw',
    gater: {},
    lan: undefined,
    view: {
      isMember: () => true,
      mayOpen: () => true,
      addressesOf: () => [],
      policies: relayPolicies(
        () => true,
        (relay) => reservationsOf(raw.relayTransport).hasReservation(relay),
      ),
      ...view,
    },
  })
  return raw
}

/** Resolves once the condition holds; looks again whenever the event loop is idle for a moment. */
export async function until(condition: () => boolean, withinMs = 10_000): Promise<void> {
  const deadline = performance.now() + withinMs
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${condition.toString()}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
