import type { RateGroup } from './rate-limit.ts'

/** What the composition root decides about the gateway; everything else has a safe default. */
export type GatewayConfig = {
  readonly host: string
  /** 0: any free port. */
  readonly port: number
  /**
   * `Host` headers that are served, port included (`rookery.lan:8000`). The address listened on, `localhost` and
   * `127.0.0.1` with the port are always among them.
   */
  readonly hosts?: readonly string[]
  /** Where people reach this gateway (`https://board.example`), if not at the address listened on. Served like the hosts. */
  readonly publicUrl?: string
  /** Further origins (`https://board.example`) whose pages may call this gateway. Exact; there is no wildcard. */
  readonly corsOrigins?: readonly string[]
  /** PEM texts. */
  readonly tls?: { readonly key: string; readonly cert: string }
  /** Addresses or CIDRs of reverse proxies whose `X-Forwarded-For` is believed. Non-empty means "behind a proxy". */
  readonly trustedProxies?: readonly string[]
  /** The `{key}` of `/app/{key}`. Public: it names the application and proves nothing. */
  readonly appKey?: string
  readonly version: string
  /** Replaces single limits, in requests per minute. */
  readonly rateLimits?: Partial<Record<RateGroup, number>>
  readonly sockets?: Partial<SocketLimits>
}

export type SocketLimits = {
  /** Sockets that have proved nothing yet, over all addresses. */
  readonly unauthenticatedMax: number
  readonly unauthenticatedPerAddressMax: number
  readonly authenticatedMax: number
  /** How long a socket may go without a first successful subscription. */
  readonly unauthenticatedMs: number
  /** How long a viewer may read nothing while output waits for it. */
  readonly stalledMs: number
}

export const DEFAULT_APP_KEY = 'rookery'

/** A socket costs some 30 kB; at these numbers all of them together stay below 50 MB. */
export const DEFAULT_SOCKET_LIMITS: SocketLimits = {
  unauthenticatedMax: 256,
  unauthenticatedPerAddressMax: 32,
  authenticatedMax: 1024,
  unauthenticatedMs: 30_000,
  stalledMs: 10_000,
}

const LOOPBACK_HOSTS: ReadonlySet<string> = new Set(['127.0.0.1', '::1', 'localhost'])

export const isBehindProxy = (config: GatewayConfig): boolean => (config.trustedProxies?.length ?? 0) > 0

/**
 * Why the gateway must not listen as configured, or undefined when it may. Plain HTTP leaves the machine only behind a
 * proxy: otherwise passwords and tokens would cross the network readable.
 */
export function checkBinding(config: GatewayConfig): string | undefined {
  if (LOOPBACK_HOSTS.has(config.host) || config.tls !== undefined || isBehindProxy(config)) return undefined
  return (
    `Refusing to listen on ${config.host}: without TLS, passwords and tokens would cross the network in the clear. ` +
    'Serve TLS (`--tls auto`), or name your reverse proxy as a trusted proxy (http.trustedProxies), or listen on 127.0.0.1.'
  )
}

const bracketed = (host: string): string => (host.includes(':') ? `[${host}]` : host)

/** The `Host` headers and `Origin`s that are served once the port is known. */
export function allowedNames(config: GatewayConfig, port: number): { hosts: Set<string>; origins: Set<string> } {
  const outside = config.publicUrl === undefined ? undefined : new URL(config.publicUrl)
  const schemes = isBehindProxy(config) ? ['http', 'https'] : [config.tls === undefined ? 'http' : 'https']
  const own = ['localhost', '127.0.0.1', ...(config.host === '0.0.0.0' ? [] : [bracketed(config.host)])]
  const names = [
    ...own.map((host) => `${host}:${port}`),
    ...(config.hosts ?? []),
    ...(outside ? [outside.host] : []),
  ].map((name) => name.toLowerCase())
  const defaultPort = config.tls === undefined ? ':80' : ':443'
  const hosts = new Set(names.flatMap((name) => (name.endsWith(defaultPort) ? [name, withoutPort(name)] : [name])))
  const origins = new Set([...hosts].flatMap((host) => schemes.map((scheme) => `${scheme}://${host}`)))
  if (outside) origins.add(outside.origin)
  return { hosts, origins }
}

/** True when browsers reach this gateway over TLS, whoever ends that. */
export const isReachedSecurely = ({ tls, publicUrl }: GatewayConfig): boolean =>
  tls !== undefined || publicUrl?.startsWith('https:') === true

const ANY_ADDRESS: ReadonlySet<string> = new Set(['0.0.0.0', '::'])

/**
 * The address at which a connection came in, as a `Host` and an `Origin`: a gateway that listens on all addresses answers
 * to it, whatever network the machine is on. Undefined otherwise. No name can be bent to it: it is a bare address.
 */
export function ownName(
  config: GatewayConfig,
  { localAddress, localPort }: { readonly localAddress?: string; readonly localPort?: number },
): { host: string; origin: string } | undefined {
  if (!ANY_ADDRESS.has(config.host) || localAddress === undefined) return undefined
  const [scheme, defaultPort] = config.tls === undefined ? ['http', 80] : ['https', 443]
  const address = bracketed(localAddress.replace(/^::ffff:(?=\d+\.)/i, '').toLowerCase())
  const host = localPort === defaultPort ? address : `${address}:${localPort}`
  return { host, origin: `${scheme}://${host}` }
}

const withoutPort = (name: string): string => name.slice(0, name.lastIndexOf(':'))
