import { createHash } from 'node:crypto'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { circuitRelayTransport, type CircuitRelayTransportComponents } from '@libp2p/circuit-relay-v2'
import { serviceDependencies, type ConnectionGater, type Libp2p, type Transport } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p, type Libp2pOptions } from 'libp2p'
import type { MeshId } from '../../crdt/ids.ts'
import { LanDiscovery, type LanDiscoveryOptions } from './lan-discovery.ts'
import { memberComponents, type MemberComponents, type MemberView, type RealComponents } from './member-components.ts'
import { quietNoise } from './quiet-noise.ts'

const STREAM_WINDOW_FIRST_BYTES = 256 * 1024
/** Below libp2p's read buffer of 4 MB: a paused stream must fill up the sender's window, not overflow and be reset. */
const STREAM_WINDOW_MAX_BYTES = 1024 * 1024
/** All protocols together; each has its own, smaller limit. */
const STREAMS_PER_CONNECTION_MAX = 512
const HANDSHAKE_MS = 5000
const DIAL_MS = 15_000
/** A host that is off swallows packets: the next address should not wait for long. */
const ADDRESS_DIAL_MS = 4000
/** Our own gate is tighter and drops the right ones; libp2p's limits would refuse honest peers during a flood. */
const CONNECTIONS_MAX = 2048
const INBOUND_PER_SECOND_MAX = 1_000_000
const PENDING_MAX = 2048
/** Members that come in through one relay at the same time. */
const RELAYED_PER_RELAY_MAX = 64

export type Libp2pNodeOptions = {
  readonly seed: Uint8Array
  readonly mesh: MeshId
  readonly listen: readonly string[]
  readonly agent: string
  readonly gater: ConnectionGater
  /** What packages of libp2p get to see of the mesh. */
  readonly view: MemberView
  /** Undefined switches multicast off. */
  readonly lan: Pick<LanDiscoveryOptions, 'clock' | 'onPeer' | 'isMissing'> | undefined
}

export type Libp2pNode = {
  readonly node: Libp2p
  /** libp2p itself. */
  readonly components: RealComponents
  /** What its packages are given. */
  readonly members: MemberComponents
  readonly relayTransport: Transport
  readonly policies: MemberView['policies']
}

/**
 * A libp2p host that only nodes of the same mesh can shake hands with: the mesh id is the Noise prologue. Made, not
 * started.
 */
export async function createLibp2pNode(options: Libp2pNodeOptions): Promise<Libp2pNode> {
  const parts: Partial<Libp2pNode> = {}
  const node = await createLibp2p({
    ...(await fixedOptions(options)),
    transports: [
      tcp({ dialOpts: { noDelay: true }, listenOpts: { noDelay: true } }),
      (inner) => {
        const real = inner as RealComponents
        const members = memberComponents(real, options.view)
        const relayTransport = relayTransportOf(members.components)
        Object.assign(parts, { components: real, members, relayTransport })
        return relayTransport
      },
    ],
  })
  const { components, members, relayTransport } = parts
  if (!components || !members || !relayTransport) throw new Error('libp2p did not make its transports')
  return { node, components, members, relayTransport, policies: options.view.policies }
}

/** It asks for `identify` to find relays with. Ours are chosen from the members that introduced themselves. */
function relayTransportOf(components: CircuitRelayTransportComponents): Transport {
  const transport = circuitRelayTransport({ maxInboundStopStreams: RELAYED_PER_RELAY_MAX })(components)
  return Object.defineProperty(transport, serviceDependencies, { value: [] })
}

async function fixedOptions(options: Libp2pNodeOptions) {
  const { lan } = options
  return {
    start: false,
    privateKey: await generateKeyPairFromSeed('Ed25519', options.seed),
    nodeInfo: { name: 'rookery', userAgent: options.agent },
    addresses: { listen: [...options.listen] },
    connectionEncrypters: [quietNoise({ prologueBytes: Buffer.from(options.mesh, 'hex') })],
    streamMuxers: [
      yamux({
        enableKeepAlive: false,
        maxInboundStreams: STREAMS_PER_CONNECTION_MAX,
        maxOutboundStreams: STREAMS_PER_CONNECTION_MAX,
        streamOptions: {
          initialStreamWindowSize: STREAM_WINDOW_FIRST_BYTES,
          maxStreamWindowSize: STREAM_WINDOW_MAX_BYTES,
        },
      }),
    ],
    connectionGater: options.gater,
    connectionManager: {
      maxConnections: CONNECTIONS_MAX,
      inboundConnectionThreshold: INBOUND_PER_SECOND_MAX,
      maxIncomingPendingConnections: PENDING_MAX,
      inboundUpgradeTimeout: HANDSHAKE_MS,
      inboundStreamProtocolNegotiationTimeout: HANDSHAKE_MS,
      outboundStreamProtocolNegotiationTimeout: HANDSHAKE_MS,
      dialTimeout: DIAL_MS,
      addressDialTimeout: ADDRESS_DIAL_MS,
      reconnectRetries: 0,
    },
    // We look ourselves whether a connection is alive: libp2p asks each, also when something has just come over it.
    connectionMonitor: { enabled: false },
    services:
      lan === undefined
        ? {}
        : {
            lan: ({ addressManager, logger }) => {
              const log = logger.forComponent('rookery:lan')
              return new LanDiscovery({
                tag: serviceTag(options.mesh),
                addresses: () => addressManager.getAddresses(),
                ...lan,
                onProblem: (error) => log.error('%e', error),
              })
            },
          },
  } satisfies Libp2pOptions
}

/** Distinguishes meshes on one LAN without telling the mesh id, which is what lets a stranger shake hands. */
function serviceTag(mesh: MeshId): string {
  const hash = createHash('sha256').update(`rookery/mdns/1/${mesh}`).digest('hex')
  return `_rookery-${hash.slice(0, 16)}._udp.local`
}
