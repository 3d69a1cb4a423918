import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import Fastify from 'fastify'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Clock } from '../../node/ports/clock.ts'
import { isWebSocketUpgrade } from '../ws/upgrade.ts'
import { isBehindProxy } from './config.ts'
import type { GatewayConfig } from './config.ts'
import type { Gate, Speak } from './gate.ts'
import { refuse } from './mount.ts'

/** A body larger than this is no API call. */
export const BODY_BYTES_MAX = 1024 * 1024
export const REQUEST_TIMEOUT_MS = 30_000
const HEADERS_TIMEOUT_MS = 10_000
/** How often Node looks for connections that exceed the timeouts; each time wakes an idle node. */
const TIMEOUT_CHECK_MS = 10_000
/** Idle connections included; a connection costs some 10 kB. */
export const CONNECTIONS_MAX = 4096

/** The path of a skill, each character of it encoded. */
const PARAM_CHARS_MAX = 4096

type OnBadUrl = (error: FastifyError, request: FastifyRequest, reply: FastifyReply) => FastifyReply

/** A Fastify instance that reads JSON only and bounds every body, header, connection and wait. */
export function createApp(config: GatewayConfig, onBadUrl: OnBadUrl): FastifyInstance {
  const server = {
    headersTimeout: HEADERS_TIMEOUT_MS,
    connectionsCheckingInterval: TIMEOUT_CHECK_MS,
    shouldUpgradeCallback: isWebSocketUpgrade,
  }
  const options = {
    logger: false,
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: REQUEST_TIMEOUT_MS,
    // No plugin waits for anything outside: ten seconds (fastify's default) end only starts on a machine that is too busy.
    pluginTimeout: 0,
    forceCloseConnections: true,
    requestIdHeader: false,
    genReqId: requestId,
    trustProxy: isBehindProxy(config) ? [...(config.trustedProxies ?? [])] : false,
    rewriteUrl: withoutDoubleSlashes,
    routerOptions: { maxParamLength: PARAM_CHARS_MAX },
    frameworkErrors: (error: FastifyError, request: FastifyRequest, reply: FastifyReply) => {
      void onBadUrl(error, request, reply)
    },
  } as const
  const app: FastifyInstance =
    config.tls === undefined
      ? Fastify({ ...options, http: server })
      : Fastify({ ...options, https: { ...server, key: config.tls.key, cert: config.tls.cert } })
  app.server.maxConnections = CONNECTIONS_MAX
  app.removeAllContentTypeParsers()
  const parseJson = app.getDefaultJsonParser('error', 'error')
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    // Clients that always name the type also do so when they send nothing.
    if (body === '') return done(null, undefined)
    return parseJson(request, String(body), done)
  })
  return app
}

/** Puts the gate before everything: handlers, bodies, upgrades, static files, unknown routes. */
export function guard(app: FastifyInstance, { gate, speak, clock }: { gate: Gate; speak: Speak; clock: Clock }): void {
  app.decorateRequest('actor', undefined)
  const undeclared: string[] = []
  const routes: { url: string; config?: { gate?: unknown } }[] = []
  app.addHook('onRoute', (route) => {
    routes.push(route)
  })
  // Only now: plugins may declare a route's policy in hooks that run after ours.
  app.addHook('onReady', async () => {
    for (const { url, config } of routes) if (config?.gate === undefined) undeclared.push(url)
    if (undeclared.length > 0) throw new Error(`Routes without a policy: ${undeclared.join(', ')}`)
  })
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ ...SAFE_HEADERS, ...gate.source.corsHeaders(request) })
    const rule = request.routeOptions.config.gate
    const refusal = gate.check(request, reply, rule)
    if (refusal !== undefined) return await refuse(reply, refusal, { speak: rule?.speak ?? speak, clock })
    if (gate.source.isPreflight(request)) return await reply.code(204).send()
    return undefined
  })
}

const SAFE_HEADERS = {
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
}

const REQUEST_ID = /^[\w.:-]{1,128}$/

function requestId(request: IncomingMessage): string {
  const given = request.headers['x-request-id']
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : `req_${randomUUID()}`
}

/** Some clients join their base address and path with two slashes. */
function withoutDoubleSlashes(request: IncomingMessage): string {
  const url = request.url ?? '/'
  const query = url.indexOf('?')
  const path = query === -1 ? url : url.slice(0, query)
  return path.replace(/\/{2,}/g, '/') + (query === -1 ? '' : url.slice(query))
}
