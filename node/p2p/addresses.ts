import { isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import {
  CODE_DNS,
  CODE_DNS4,
  CODE_DNS6,
  CODE_IP4,
  CODE_IP6,
  CODE_P2P,
  CODE_P2P_CIRCUIT,
  CODE_TCP,
  multiaddr,
} from '@multiformats/multiaddr'
import type { Multiaddr } from '@multiformats/multiaddr'
import { PeerId } from '../../crdt/ids.ts'

/** Longer ones are not addresses anybody dials. */
export const ADDRESS_CHARS_MAX = 256

const HOST_CODES: ReadonlySet<number> = new Set([CODE_IP4, CODE_IP6, CODE_DNS, CODE_DNS4, CODE_DNS6])

/** Whoever connects to these connects to itself. */
const UNSPECIFIED: ReadonlySet<string> = new Set(['0.0.0.0', '::'])

/** Where an address points to, as far as its text tells. */
export type AddressScope = 'loopback' | 'link-local' | 'elsewhere'

/**
 * A TCP address without its peer id, or the way through a relay as `/p2p/<relay>/p2p-circuit`: where the relay is found is
 * its own affair. Undefined for anything else.
 */
export function normaliseAddress(text: string): string | undefined {
  const parsed = parse(text)
  if (parsed === undefined) return undefined
  if (isRelayed(parsed)) return normaliseRelayed(parsed)
  const [host, tcp, ...rest] = parsed.decapsulateCode(CODE_P2P).getComponents()
  if (host === undefined || !HOST_CODES.has(host.code) || host.value === undefined) return undefined
  if (tcp?.code !== CODE_TCP || Number(tcp.value) < 1 || rest.length > 0) return undefined
  if (UNSPECIFIED.has(withoutMapping(host.value))) return undefined
  return `/${host.name}/${host.value}/tcp/${tcp.value}`
}

function normaliseRelayed(address: Multiaddr): string | undefined {
  const parts = address.getComponents()
  const at = parts.findIndex(({ code }) => code === CODE_P2P_CIRCUIT)
  const relay = PeerId.safeParse(parts[at - 1]?.value)
  const isTarget = parts.slice(at + 1).every(({ code }, index) => code === CODE_P2P && index === 0)
  return relay.success && parts[at - 1]?.code === CODE_P2P && isTarget ? circuitThrough(relay.data) : undefined
}

export const circuitThrough = (relay: PeerId): string => `/p2p/${relay}/p2p-circuit`

/** The member that an address of the form `/p2p/<relay>/p2p-circuit` leads through. */
export function relayOf(address: string): PeerId | undefined {
  const relay = PeerId.safeParse(/^\/p2p\/([^/]+)\/p2p-circuit$/.exec(address)?.[1])
  return relay.success ? relay.data : undefined
}

/** True when somebody else carries what is sent there. */
export const isRelayed = (address: Multiaddr): boolean =>
  address.getComponents().some(({ code }) => code === CODE_P2P_CIRCUIT)

/** The IP address or name in a multiaddr, IPv4-mapped ones as IPv4. */
export function hostOf(address: Multiaddr | string): string | undefined {
  const parsed = typeof address === 'string' ? parse(address) : address
  const host = parsed?.getComponents().find((component) => HOST_CODES.has(component.code))?.value
  return host === undefined ? undefined : withoutMapping(host)
}

function withoutMapping(host: string): string {
  const [, high, low] = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/i.exec(host) ?? []
  if (high === undefined || low === undefined) return host.replace(/^::ffff:(?=\d+\.)/i, '')
  const bits = Number.parseInt(high, 16) * 65_536 + Number.parseInt(low, 16)
  return [24, 16, 8, 0].map((shift) => (bits >>> shift) & 255).join('.')
}

export function scopeOf(host: string): AddressScope {
  if (/^127\.|^::1$|^localhost$/i.test(host)) return 'loopback'
  if (/^169\.254\.|^fe[89ab][0-9a-f]:/i.test(host)) return 'link-local'
  return 'elsewhere'
}

/** An IP address that means the same host from everywhere: not private, not a carrier's NAT or a VPN (100.64/10). */
export function isPublic(host: string): boolean {
  if (isIP(host) === 0 || scopeOf(host) !== 'elsewhere') return false
  if (isIP(host) === 6) return /^[23][0-9a-f]{0,3}:/i.test(host) && !/^2001:0?db8:/i.test(host)
  return !/^(0|10|22[4-9]|2[3-5]\d|192\.168|172\.(1[6-9]|2\d|3[01])|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7]))\./.test(host)
}

/** True for loopback and for the addresses of this host's own interfaces. */
export function isThisHost(host: string): boolean {
  return scopeOf(host) === 'loopback' || ownHosts().includes(host)
}

/** The addresses of this host's interfaces, always in the same order. */
export function ownHosts(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .map((address) => address.address)
    .toSorted()
}

/** What is known of whoever tells an address. */
export type Teller = {
  readonly onThisHost: boolean
  /** Whether we would let this peer carry what we send: a member, other than the one that is to be reached. */
  readonly mayRelay?: (relay: PeerId) => boolean
}

/**
 * Which of the addresses that somebody else told us may be dialled. On another host's word, loopback and link-local
 * addresses would make us connect to our own machine or to whatever happens to be on our link; a teller on this very
 * host means the same loopback as we do. Names are not accepted: they may resolve to anything. Relays are members.
 */
export function acceptHints(addresses: readonly string[], teller: Teller): string[] {
  return addresses.flatMap((text) => {
    const address = normaliseAddress(text)
    if (address === undefined) return []
    const relay = relayOf(address)
    if (relay !== undefined) return teller.mayRelay?.(relay) === true ? [address] : []
    const host = hostOf(address)
    if (host === undefined || isIP(host) === 0) return []
    const scope = scopeOf(host)
    return scope === 'elsewhere' || (scope === 'loopback' && teller.onThisHost) ? [address] : []
  })
}

/**
 * Which of the addresses that one answer by multicast gave may be dialled; anybody on the LAN can give one. It reaches this
 * link only, so link-local is fine; loopback is, when the packet came from this host. No names here either.
 */
export function acceptLanHints(addresses: readonly Multiaddr[], from: string): string[] {
  const onThisHost = isThisHost(from)
  return addresses.flatMap((address) => {
    const host = hostOf(address)
    if (host === undefined || isIP(host) === 0) return []
    return scopeOf(host) !== 'loopback' || onThisHost ? [address.toString()] : []
  })
}

function parse(text: string): Multiaddr | undefined {
  if (text.length > ADDRESS_CHARS_MAX) return undefined
  try {
    return multiaddr(text)
  } catch {
    return undefined // not a multiaddr: nothing to dial
  }
}
