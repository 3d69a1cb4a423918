import { createMemoryNetwork } from '../support/memory-network.ts'
import { createTestNode, peerOf, soon, until } from '../support/libp2p-nodes.ts'
import { describePeerNetwork } from './peer-network.ts'

describePeerNetwork('in memory', async () => {
  const network = createMemoryNetwork()
  const a = network.join(peerOf(1))
  const b = network.join(peerOf(2), (_from, { policy }) => !('capability' in policy))
  return {
    a,
    b,
    start: async () => network.connect(a.self, b.self),
    disconnect: async () => network.disconnect(a.self, b.self),
    stop: async () => undefined,
  }
})

describePeerNetwork('libp2p', async () => {
  const members = new Set([peerOf(1), peerOf(2)])
  const a = await createTestNode(1, members)
  const b = await createTestNode(2, members, { mayOpen: (_peer, policy) => !('capability' in policy) })
  return {
    a,
    b,
    async start() {
      await Promise.all([a.start(), b.start()])
      await a.dialAddresses(b.self, b.addresses(), soon())
      await until(() => b.connected().length === 1)
    },
    disconnect: () => b.stop(),
    async stop() {
      await Promise.all([a.stop(), b.stop()])
    },
  }
})
