import { isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import {
  CODE_DNS,
  CODE_DNS4,
  CODE_DNS6,
  CODE_IP4,
  CODE_IP6,
  CODE_P2P,
  CODE_TCP,
  multiaddr,
} from '@multiformats/multiaddr'
import type { Multiaddr } from '@multiformats/multiaddr'

/** Longer ones are not addresses anybody dials. */
const ADDRESS_CHARS_MAX = 256

const HOST_CODES: ReadonlySet<number> = new Set([CODE_IP4, CODE_IP6, CODE_DNS, CODE_DNS4, CODE_DNS6])

/** Where an address points to, as far as its text tells. */
export type AddressScope = 'loopback' | 'link-local' | 'elsewhere'

/** A TCP address without its peer id, or undefined for anything that cannot be dialled by TCP. */
export function normaliseAddress(text: string): string | undefined {
  const parsed = parse(text)
  if (parsed === undefined) return undefined
  const [host, tcp, ...rest] = parsed.decapsulateCode(CODE_P2P).getComponents()
  if (host === undefined || !HOST_CODES.has(host.code) || host.value === undefined) return undefined
  if (tcp?.code !== CODE_TCP || Number(tcp.value) < 1 || rest.length > 0) return undefined
  if (host.value === '0.0.0.0' || host.value === '::') return undefined
  return `/${host.name}/${host.value}/tcp/${tcp.value}`
}

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

/** True for loopback and for the addresses of this host's own interfaces. */
export function isThisHost(host: string): boolean {
  return scopeOf(host) === 'loopback' || ownHosts().includes(host)
}

/** The addresses of this host's interfaces; a change of the list is a change of network. */
export function ownHosts(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .map((address) => address.address)
    .toSorted()
}

/**
 * Which of the addresses that somebody else told us may be dialled. On another host's word, loopback and link-local
 * addresses would make us connect to our own machine or to whatever happens to be on our link; a teller on this very
 * host means the same loopback as we do. Names are not accepted: they may resolve to anything.
 */
export function acceptHints(addresses: readonly string[], teller: { readonly onThisHost: boolean }): string[] {
  return addresses.flatMap((text) => {
    const address = normaliseAddress(text)
    const host = address === undefined ? undefined : hostOf(address)
    if (address === undefined || host === undefined || isIP(host) === 0) return []
    const scope = scopeOf(host)
    return scope === 'elsewhere' || (scope === 'loopback' && teller.onThisHost) ? [address] : []
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
