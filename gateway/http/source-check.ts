import type { FastifyRequest } from 'fastify'
import { httpError } from './refusal.ts'
import type { Refusal } from './refusal.ts'

export type SourceOptions = {
  readonly corsOrigins: readonly string[]
  /** Known only once the port is. */
  readonly names: () => { readonly hosts: ReadonlySet<string>; readonly origins: ReadonlySet<string> }
  /** What a connection may call us beside these. */
  readonly ownName: (socket: FastifyRequest['raw']['socket']) => { host: string; origin: string } | undefined
}

export type SourceCheck = {
  /** Why a request must not come from where it comes from: Host, then Origin, then Sec-Fetch-Site. */
  readonly refusal: (request: FastifyRequest) => Refusal | undefined
  /** CORS headers for a configured origin, none for others. */
  readonly corsHeaders: (request: FastifyRequest) => Readonly<Record<string, string>>
  readonly isPreflight: (request: FastifyRequest) => boolean
}

export function createSourceCheck({ corsOrigins, names, ownName }: SourceOptions): SourceCheck {
  const cors = new Set(corsOrigins)
  const corsOrigin = ({ headers: { origin } }: FastifyRequest): string | undefined =>
    origin !== undefined && cors.has(origin) ? origin : undefined
  return {
    refusal(request) {
      if (!(request.raw.url ?? '').startsWith('/')) return httpError('bad_request_target')
      const { hosts, origins } = names()
      const host = (request.headers.host ?? '').toLowerCase()
      const own = hosts.has(host) ? undefined : ownName(request.raw.socket)
      if (headerCount(request, 'host') !== 1 || !(hosts.has(host) || host === own?.host))
        return httpError('host_refused')
      const { origin } = request.headers
      const isKnownOrigin = origin === undefined || origins.has(origin) || origin === own?.origin || cors.has(origin)
      if (!isKnownOrigin || headerCount(request, 'origin') > 1) return httpError('origin_refused')
      if (isForeignFetch(request) && corsOrigin(request) === undefined) return httpError('fetch_site_refused')
      return undefined
    },
    corsHeaders(request) {
      const origin = corsOrigin(request)
      return origin === undefined ? {} : { ...CORS_HEADERS, 'access-control-allow-origin': origin, vary: 'Origin' }
    },
    isPreflight: (request) =>
      request.method === 'OPTIONS' &&
      corsOrigin(request) !== undefined &&
      request.headers['access-control-request-method'] !== undefined,
  }
}

const CORS_HEADERS = {
  'cross-origin-resource-policy': 'cross-origin',
  'access-control-allow-methods': 'GET, POST, PUT, PATCH, DELETE',
  'access-control-allow-headers': 'Authorization, Content-Type, X-Request-ID, X-Setup-Code',
  'access-control-expose-headers': 'X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, Retry-After',
  'access-control-max-age': '600',
}

function headerCount(request: FastifyRequest, name: string): number {
  return request.raw.rawHeaders.filter((header, i) => i % 2 === 0 && header.toLowerCase() === name).length
}

/** A request that another site's page makes, other than by sending the person here. */
function isForeignFetch({ headers, method }: FastifyRequest): boolean {
  const site = headers['sec-fetch-site']
  if (site !== 'cross-site' && site !== 'same-site') return false
  const isNavigation = headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document'
  return !(isNavigation && method === 'GET')
}
