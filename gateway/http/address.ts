/**
 * The key under which a client address is counted. All of loopback is one client; an IPv4 address written as IPv6 is
 * the IPv4 address; of IPv6 the /64 counts, since one customer usually has a whole one.
 */
export function addressKey(address: string): string {
  const bare = (address.split('%')[0] ?? address).toLowerCase()
  const v4 = mappedIpv4(bare)
  if (v4 !== undefined) return v4.startsWith('127.') ? 'loopback' : v4
  const groups = expandIpv6(bare)
  if (groups.every((group, i) => group === (i === 7 ? 1 : 0))) return 'loopback'
  return `${groups
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(':')}::/64`
}

export const isLoopbackAddress = (address: string): boolean => addressKey(address) === 'loopback'

const DOTTED = /^\d{1,3}(\.\d{1,3}){3}$/

function mappedIpv4(address: string): string | undefined {
  if (DOTTED.test(address)) return address
  const groups = expandIpv6(address)
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff
  if (!isMapped) return undefined
  const [high = 0, low = 0] = groups.slice(6)
  return [high >> 8, high & 255, low >> 8, low & 255].join('.')
}

/** Eight 16-bit groups of an IPv6 address; whatever is unreadable counts as zero. */
function expandIpv6(address: string): number[] {
  const lastColon = address.lastIndexOf(':')
  const tail = address.slice(lastColon + 1)
  const text = DOTTED.test(tail) ? `${address.slice(0, lastColon + 1)}${dottedAsGroups(tail)}` : address
  const [before = '', after] = text.split('::')
  const head = before === '' ? [] : before.split(':')
  const rest = after === undefined || after === '' ? [] : after.split(':')
  const zeros = after === undefined ? 0 : Math.max(0, 8 - head.length - rest.length)
  const groups = [...head, ...Array<string>(zeros).fill('0'), ...rest].map((group) => Number.parseInt(group, 16) || 0)
  return [...groups, ...Array<number>(8).fill(0)].slice(0, 8)
}

function dottedAsGroups(dotted: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = dotted.split('.').map(Number)
  return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
}
