import { CODE_P2P, multiaddr, type Multiaddr } from '@multiformats/multiaddr'
import { decode, encode, type Answer } from 'dns-packet'

/** A node that has answered on the LAN: where it says it is. */
export type LanPeer = { readonly id: string; readonly multiaddrs: readonly Multiaddr[] }

/** More than this of one node are not told, nor read: a dial tries them one after the other. */
const ADDRESSES_MAX = 16
/** One string of a TXT record. */
const TEXT_BYTES_MAX = 255
const SECONDS_KEPT = 120
const ADDRESS = 'dnsaddr='

/** What a packet of multicast DNS means to nodes with this tag; undefined for everything else that is said on a LAN. */
export function readLanPacket(bytes: Buffer, tag: string): 'question' | LanPeer | undefined {
  try {
    const { type, questions = [], answers = [], additionals = [] } = decode(bytes)
    if (type === 'query') return questions.some((asked) => asked.name === tag) ? 'question' : undefined
    return peerIn([...answers, ...additionals], tag)
  } catch {
    return undefined // whatever else is on the LAN: not for us to judge
  }
}

function peerIn(records: readonly Answer[], tag: string): LanPeer | undefined {
  if (!records.some((record) => record.type === 'PTR' && record.name === tag)) return undefined
  const texts = records.flatMap((record) => (record.type === 'TXT' ? textsOf(record.data) : []))
  const addresses = texts.slice(0, ADDRESSES_MAX).map((text) => multiaddr(text))
  const [id, ...others] = new Set(addresses.map(peerOf))
  // Whoever answers for two nodes at once is none of ours.
  if (id === undefined || others.length > 0) return undefined
  return { id, multiaddrs: addresses.map((address) => address.decapsulateCode(CODE_P2P)) }
}

const textsOf = (data: string | Buffer | readonly (string | Buffer)[]): string[] =>
  (typeof data === 'string' || Buffer.isBuffer(data) ? [data] : data)
    .map((text) => text.toString())
    .flatMap((text) => (text.startsWith(ADDRESS) ? [text.slice(ADDRESS.length)] : []))

const peerOf = (address: Multiaddr): string | undefined =>
  address.getComponents().findLast(({ code }) => code === CODE_P2P)?.value

export const lanQuestion = (tag: string): Buffer => encode({ type: 'query', questions: [{ name: tag, type: 'PTR' }] })

/** The addresses end in the peer id. `name` tells this node's answers from others'; it says nothing about the node. */
export function lanAnswer(tag: string, name: string, addresses: readonly Multiaddr[]): Buffer {
  const told = addresses
    .map((address) => `${ADDRESS}${address.toString()}`)
    .filter((text) => Buffer.byteLength(text) <= TEXT_BYTES_MAX)
    .slice(0, ADDRESSES_MAX)
  const record = { class: 'IN', ttl: SECONDS_KEPT } as const
  return encode({
    type: 'response',
    answers: [
      { ...record, name: tag, type: 'PTR', data: `${name}.${tag}` },
      ...told.map((data) => ({ ...record, name: `${name}.${tag}`, type: 'TXT', data }) as const),
    ],
  })
}
