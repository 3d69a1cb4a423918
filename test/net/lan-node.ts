import { multiaddr } from '@multiformats/multiaddr'
import { systemClock } from '../../node/adapters/system-clock.ts'
import { LanDiscovery } from '../../node/p2p/lan-discovery.ts'

/** Looks for others on the LANs of the host it runs on, and prints the peer id of each that answers, once. */
const [tag = '', peer = ''] = process.argv.slice(2)
const found = new Set<string>([peer])
const discovery = new LanDiscovery({
  tag,
  clock: systemClock,
  isMissing: () => true,
  addresses: () => [multiaddr(`/ip4/127.0.0.1/tcp/1/p2p/${peer}`)],
  onPeer: ({ id }) => {
    if (!found.has(id)) process.stdout.write(`${id}\n`)
    found.add(id)
  },
  onProblem: (error) => process.stderr.write(`${String(error)}\n`),
})
await discovery.start()
