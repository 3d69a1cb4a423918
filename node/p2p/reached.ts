import { hostOf, isThisHost, scopeOf } from './addresses.ts'

/** Addresses that are not routed in the internet: what answers there is close by, or behind the same tunnel. */
const PRIVATE = /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|f[cd][0-9a-f]{2}:)/i

export type Reached = 'loopback' | 'lan' | 'wan' | 'relay'

/** What kind of way a connection takes, as far as the address at its other end tells. */
export function reachedBy(address: string): Reached {
  if (address.includes('/p2p-circuit')) return 'relay'
  const host = hostOf(address)
  if (host === undefined) return 'wan'
  if (isThisHost(host)) return 'loopback'
  return scopeOf(host) === 'link-local' || PRIVATE.test(host) ? 'lan' : 'wan'
}
