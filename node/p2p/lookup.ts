import { createHash } from 'node:crypto'
import { kadDHT, passthroughMapper, type KadDHT } from '@libp2p/kad-dht'
import { start, stop, type Connection } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { type MeshId, PeerId } from '../../crdt/ids.ts'
import type { Log } from '../ports/log.ts'
import { isRelayed } from './addresses.ts'
import type { MemberComponents, StreamPolicy } from './member-components.ts'

/** Members asked per lookup, and of how many others each tells: a mesh that is fully connected has no more. */
const BUCKET_SIZE = 20
/** At once; each is a message to a member that is connected already. */
const ASKED_AT_ONCE = 5
/** Requests of one member that may wait here for their answers. */
const REQUESTS_PER_PEER_MAX = 8
/** Who is looked for. */
const REQUEST_BYTES_MAX = 1024
/** So many members, with as many addresses as one has in an address book, take half of it. */
const ANSWER_BYTES_MAX = 32 * 1024
/** For connected members to answer. */
const LOOKUP_MS = 5000
/** The table fills as members introduce themselves; a query for ourselves only repeats that. */
const QUERY_SELF_MS = 60 * 60_000
/** How often it marks the closest members as worth keeping, in a peer store that keeps no marks. */
const MARK_CLOSEST_MS = 24 * 60 * 60_000

/** Not the mesh id itself, which is what lets a stranger shake hands. */
export const lookupProtocol = (mesh: MeshId): string =>
  `/rookery/${createHash('sha256').update(`rookery/kad/1/${mesh}`).digest('hex').slice(0, 16)}/kad/1`

export type Found = { readonly addresses: readonly string[]; readonly teller: PeerId }

/** A member that is where none of its addresses lead any more is looked up among the others. */
export type Lookup = {
  readonly protocol: string
  start(): Promise<void>
  stop(): Promise<void>
  /** A member serves lookups too. */
  introduced(connection: Connection): void
  /** What connected members know, each on its own word. Never rejects. */
  find(peer: PeerId, signal: AbortSignal): Promise<readonly Found[]>
}

export const lookupPolicies = (
  mesh: MeshId,
  isMember: (peer: PeerId) => boolean,
): Readonly<Record<string, StreamPolicy>> => ({
  [lookupProtocol(mesh)]: {
    may: (peer, { remoteAddr }) => isMember(peer) && !isRelayed(remoteAddr),
    requestBytesMax: REQUEST_BYTES_MAX,
    answerBytesMax: ANSWER_BYTES_MAX,
  },
})

/** A Kademlia table of this mesh's members only, which answers where somebody is, from our address book, and nothing else. */
export function createLookup(mesh: MeshId, members: MemberComponents, log: Log): Lookup {
  const protocol = lookupProtocol(mesh)
  const dht = kadDHT({
    protocol,
    clientMode: false,
    kBucketSize: BUCKET_SIZE,
    alpha: ASKED_AT_ONCE,
    allowQueryWithZeroPeers: true,
    maxInboundStreams: REQUESTS_PER_PEER_MAX,
    querySelfInterval: QUERY_SELF_MS,
    // Private addresses are what a mesh consists of; who hears them checks them as any other hint.
    peerInfoMapper: passthroughMapper,
  })(members.components)
  keepNothing(dht)
  markNobody(dht)
  return {
    protocol,
    start: () => start(dht),
    stop: () => stop(dht),
    introduced: (connection) => members.introduced([protocol], connection),
    async find(peer, signal) {
      const found: Found[] = []
      try {
        const limit = AbortSignal.any([signal, AbortSignal.timeout(LOOKUP_MS)])
        for await (const event of dht.findPeer(peerIdFromString(peer), { signal: limit, useCache: false })) {
          if (event.name !== 'FINAL_PEER') continue
          const teller = PeerId.safeParse(event.from.toString())
          const addresses = event.peer.multiaddrs.map((address) => address.toString())
          if (teller.success) found.push({ addresses, teller: teller.data })
        }
      } catch (error) {
        log.debug({ peer, error: String(error) }, 'member could not be looked up')
      }
      return found
    },
  }
}

const WHERE_IS = 'FIND_NODE'

/** Members may ask where others are; they may not leave values or claims about content here. */
function keepNothing(dht: KadDHT): void {
  const handlers = handlersOf(dht)
  for (const type of Object.keys(handlers)) if (type !== WHERE_IS) delete handlers[type]
}

/** @throws when this is not the DHT as we know it: it must not start with more than it should serve */
function handlersOf(dht: KadDHT): Record<string, unknown> {
  const handlers = partOf(partOf(dht, 'rpc'), 'handlers')
  if (!(WHERE_IS in handlers)) throw new Error('the DHT does not have the handlers it is known to have')
  return handlers
}

/** Its timer of five seconds would wake an idle node for nothing, and has no setting. */
function markNobody(dht: KadDHT): void {
  partOf(partOf(dht, 'routingTable'), 'closestPeerTagger').refreshInterval = MARK_CLOSEST_MS
}

/** @throws when there is none: this is not the DHT as we know it */
function partOf(whole: object, name: string): Record<string, unknown> {
  const part: unknown = Reflect.get(whole, name)
  if (!isRecord(part)) throw new Error(`the DHT does not have the ${name} it is known to have`)
  return part
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null
