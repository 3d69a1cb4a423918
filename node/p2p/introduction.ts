import { z } from 'zod'
import { PeerId } from '../../crdt/ids.ts'
import { decodeCanonical, encodeCanonical, MalformedError } from '../../protocols/codec.ts'
import { PRINTABLE } from '../../protocols/membership/records.ts'
import type { Channel, ProtocolOptions } from '../ports/peer-network.ts'

/*
 * Members tell each other where they can be dialled. Not libp2p's identify: that one answers strangers too, and its
 * only hook for refusing them (`use`) is broken in libp2p 3.3, which then runs the handler on outbound streams.
 */

export const INTRODUCTION_PROTOCOL = '/rookery/id/1'

const ADDRESSES_MAX = 32
/** Protocols of libp2p packages; there are two. */
const PROTOCOLS_MAX = 16
/** Members of whom something new is passed on at once; the rest is told by the regular exchange. */
const OTHERS_MAX = 12
const OTHERS_ADDRESSES_MAX = 12
const INTRODUCTION_BYTES_MAX = 16 * 1024

export const INTRODUCTION_OPTIONS: ProtocolOptions = {
  policy: { who: 'member' },
  frameBytesMax: INTRODUCTION_BYTES_MAX,
  channelsPerPeerMax: 4,
}

const Address = z.string().max(256)

/** Unknown fields are ignored, missing ones are those of an earlier version. */
const Introduction = z.object({
  v: z.int().min(1),
  /** Name and version of the program; printed on terminals. */
  agent: z.string().max(128).regex(PRINTABLE),
  addresses: z.array(Address).max(ADDRESSES_MAX),
  /** The address this node sees the other one at: what its NAT makes of it. */
  observed: Address.optional(),
  /** Protocols of libp2p packages that this node serves: whether it relays, and whether it can be asked for others. */
  protocols: z.array(z.string().max(128)).max(PROTOCOLS_MAX).default([]),
  /** Members that this node has just heard new addresses of. */
  others: z
    .array(z.tuple([PeerId, z.array(Address).max(OTHERS_ADDRESSES_MAX)]))
    .max(OTHERS_MAX)
    .default([]),
})
export type Introduction = z.infer<typeof Introduction>

/** New addresses of other members. */
export type News = readonly (readonly [peer: PeerId, addresses: readonly string[]])[]

/** What a node says of itself. */
export type Own = {
  readonly agent: string
  readonly addresses: readonly string[]
  readonly observed: string | undefined
  readonly protocols: readonly string[]
}

export function encodeIntroduction({ agent, addresses, observed, protocols }: Own, others: News): Uint8Array {
  return encodeCanonical({
    v: 1,
    agent,
    addresses: addresses.slice(0, ADDRESSES_MAX),
    ...(observed === undefined ? {} : { observed }),
    protocols: [...protocols],
    others: others.slice(0, OTHERS_MAX).map(([peer, theirs]) => [peer, theirs.slice(0, OTHERS_ADDRESSES_MAX)]),
  })
}

/** @throws MalformedError when the peer says something else */
export async function readIntroduction(channel: Channel): Promise<Introduction> {
  for await (const frame of channel.frames) return decodeCanonical(Introduction, frame, INTRODUCTION_BYTES_MAX)
  throw new MalformedError('the peer hung up without introducing itself')
}
