import { z } from 'zod'
import { decodeCanonical, encodeCanonical, MalformedError } from '../../protocols/codec.ts'
import type { Channel, ProtocolOptions } from '../ports/peer-network.ts'

/*
 * Members tell each other where they can be dialled. Not libp2p's identify: that one answers strangers too, and its
 * only hook for refusing them (`use`) is broken in libp2p 3.3, which then runs the handler on outbound streams.
 */

export const INTRODUCTION_PROTOCOL = '/rookery/id/1'

const ADDRESSES_MAX = 32
const INTRODUCTION_BYTES_MAX = 16 * 1024

export const INTRODUCTION_OPTIONS: ProtocolOptions = {
  policy: { who: 'member' },
  frameBytesMax: INTRODUCTION_BYTES_MAX,
  channelsPerPeerMax: 4,
}

/** Unknown fields are ignored: later versions add some. */
const Introduction = z.object({
  v: z.int().min(1),
  /** Name and version of the program. */
  agent: z.string().max(128),
  addresses: z.array(z.string().max(256)).max(ADDRESSES_MAX),
})
export type Introduction = z.infer<typeof Introduction>

export function encodeIntroduction(introduction: Omit<Introduction, 'v'>): Uint8Array {
  return encodeCanonical({ v: 1, agent: introduction.agent, addresses: introduction.addresses.slice(0, ADDRESSES_MAX) })
}

/** @throws MalformedError when the peer says something else */
export async function readIntroduction(channel: Channel): Promise<Introduction> {
  for await (const frame of channel.frames) return decodeCanonical(Introduction, frame, INTRODUCTION_BYTES_MAX)
  throw new MalformedError('the peer hung up without introducing itself')
}
