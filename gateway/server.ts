import { Server as TlsServer } from 'node:tls'
import type { FastifyError, FastifyInstance } from 'fastify'
import type { Clock } from '../node/ports/clock.ts'
import type { Log } from '../node/ports/log.ts'
import type { Metrics, MetricsPage } from '../node/ports/metrics.ts'
import type { Services } from '../node/services/services.ts'
import { WIRE_ERRORS } from './dialects/claudenest/errors.ts'
import { agentFrame, readAgentFrame } from './dialects/claudenest/agent-wire.ts'
import { translate } from './dialects/claudenest/events.ts'
import { claudenest } from './dialects/claudenest/routes.ts'
import { rookeryDialect } from './dialects/rookery/routes.ts'
import { createApp, guard } from './http/app.ts'
import {
  allowedNames,
  checkBinding,
  DEFAULT_APP_KEY,
  DEFAULT_SOCKET_LIMITS,
  isBehindProxy,
  isReachedSecurely,
  ownName,
} from './http/config.ts'
import type { GatewayConfig } from './http/config.ts'
import { mountDocs } from './http/docs.ts'
import { mountFirstPage } from './http/first-page.ts'
import { createGate } from './http/gate.ts'
import { mountMetrics } from './http/metrics.ts'
import { methodsAt, mountDialect, refusalOf, refuse } from './http/mount.ts'
import { openApi } from './http/openapi.ts'
import { httpError } from './http/refusal.ts'
import { createAgentServer } from './ws/agent-server.ts'
import type { AgentServer } from './ws/agent-server.ts'
import { mountAgents } from './ws/agent-routes.ts'
import { createPusherServer } from './ws/pusher.ts'
import type { PusherServer } from './ws/pusher.ts'
import { mountPusher } from './ws/pusher-routes.ts'
import { createTicketBook } from './ws/tickets.ts'
import type { TicketBook } from './ws/tickets.ts'
import { routeUpgrades } from './ws/upgrade.ts'

export type GatewayDeps = {
  readonly services: Services
  readonly config: GatewayConfig
  readonly clock: Clock
  readonly log: Log
  /** Of the whole node: `/metrics` shows them all. */
  readonly metrics: Metrics & MetricsPage
}

export type Gateway = {
  /** Serves from now on. Resolves with the base address (`http://127.0.0.1:8000`). @throws when it may not or cannot. */
  listen(): Promise<string>
  /** Connections from now on get this certificate. PEM texts. */
  useCertificate(tls: { readonly key: string; readonly cert: string }): void
  /** Tells sockets to come back later, then closes every connection. Never hangs on an idle client. */
  close(): Promise<void>
}

/** A gateway over the services of a node. Nothing listens before `listen`. */
export function createGateway(deps: GatewayDeps): Gateway {
  const { services, config, clock, log } = deps
  let names: ReturnType<typeof allowedNames> = { hosts: new Set(), origins: new Set() }
  const gate = createGate({
    accounts: services.accounts,
    clock,
    rateLimits: config.rateLimits ?? {},
    corsOrigins: config.corsOrigins ?? [],
    names: () => names,
    ownName: (socket) => ownName(config, socket),
    isBehindProxy: isBehindProxy(config),
  })
  const speak = claudenest.failure
  const app = createApp(config, (error, request, reply) => {
    const refusal = gate.source.refusal(request) ?? refusalOf(error, request, log)
    return refuse(reply, refusal, { speak, clock })
  })
  guard(app, { gate, speak, clock })
  const tickets = createTicketBook(clock)
  const pusher = createPusherServer({
    services,
    tickets,
    clock,
    log,
    appKey: config.appKey ?? DEFAULT_APP_KEY,
    words: { translate, problem: (error) => WIRE_ERRORS[error.code] },
    limits: { ...DEFAULT_SOCKET_LIMITS, ...config.sockets },
    authenticate: gate.authenticate,
  })
  const agents = createAgentServer({
    services,
    clock,
    log,
    words: { read: readAgentFrame, frame: agentFrame },
  })
  mountAll(app, { deps, tickets, pusher, agents })
  return {
    async listen() {
      const problem = checkBinding(config)
      if (problem !== undefined) throw new Error(problem)
      app.server.once('listening', () => {
        names = allowedNames(config, portOf(app))
      })
      return await app.listen({ host: config.host, port: config.port })
    },
    useCertificate({ key, cert }) {
      if (!(app.server instanceof TlsServer)) throw new Error('a gateway without TLS has no certificate')
      app.server.setSecureContext({ key, cert })
    },
    async close() {
      pusher.close()
      agents.close()
      await app.close()
    },
  }
}

type Mounted = {
  readonly deps: GatewayDeps
  readonly tickets: TicketBook
  readonly pusher: PusherServer
  readonly agents: AgentServer
}

function mountAll(app: FastifyInstance, { deps, tickets, pusher, agents }: Mounted): void {
  const { services, config, clock, log, metrics } = deps
  const { version } = config
  const speak = claudenest.failure
  const rookery = rookeryDialect(claudenest)
  mountMetrics(app, metrics, { speak, sockets: () => pusher.size() + agents.size() })
  for (const prefix of ['', '/claudenest']) {
    mountDialect(
      app,
      claudenest,
      { services, tickets, version, isSecure: isReachedSecurely(config) },
      { clock, log, prefix },
    )
  }
  mountDialect(app, rookery, { services, version }, { clock, log, prefix: '' })
  const upgrades = routeUpgrades(app)
  mountPusher(app, pusher, { upgrades, speak, clock })
  mountAgents(app, agents, { machines: services.machines, upgrades, speak, clock })
  mountFirstPage(app, { appKey: config.appKey ?? DEFAULT_APP_KEY, speak })
  const rows = [...claudenest.routes, ...rookery.routes]
  mountDocs(app, openApi({ title: 'Rookery', version }, rows, WIRE_ERRORS), speak)
  app.setErrorHandler((error: FastifyError, request, reply) =>
    refuse(reply, refusalOf(error, request, log), { speak, clock }),
  )
  app.setNotFoundHandler((request, reply) => {
    const path = (request.url.split('?')[0] ?? '/').replace(/^\/claudenest(?=\/)/, '')
    const allow = methodsAt(rows, path).join(', ')
    const refusal = allow === '' ? httpError('route_not_found') : httpError('method_not_allowed', { allow })
    return refuse(reply, refusal, { speak, clock })
  })
}

function portOf(app: FastifyInstance): number {
  const address = app.server.address()
  if (address === null || typeof address === 'string') throw new Error('The gateway listens on no port')
  return address.port
}
