import type { FastifyInstance } from 'fastify'
import { Counter, Gauge, Histogram } from 'prom-client'
import type { Registry } from 'prom-client'
import type { Speak } from './gate.ts'

/** Serves `/metrics` from the registry and counts what passes through the gateway. Labels are route patterns. */
export function mountMetrics(app: FastifyInstance, registry: Registry, { speak }: { speak: Speak }): void {
  const labelNames = ['method', 'route', 'status'] as const
  const requests = new Counter({
    name: 'rookery_http_requests_total',
    help: 'Requests answered, by route.',
    labelNames,
    registers: [registry],
  })
  const duration = new Histogram({
    name: 'rookery_http_request_seconds',
    help: 'Time from the request line to the end of the answer.',
    labelNames: ['method', 'route'],
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10],
    registers: [registry],
  })
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'none'
    const { method } = request
    requests.inc({ method, route, status: String(reply.statusCode) })
    duration.observe({ method, route }, reply.elapsedTime / 1000)
  })
  app.get(
    '/metrics',
    { config: { gate: { policy: { ability: 'machine:read' }, group: 'probe', speak, openToLoopback: true } } },
    async (_request, reply) => reply.type(registry.contentType).send(await registry.metrics()),
  )
}

/** Reports the number of open sockets whenever metrics are read. */
export function gaugeSockets(registry: Registry, size: () => number): void {
  // The registry keeps the gauge; nobody needs to hold it.
  void new Gauge({
    name: 'rookery_sockets_open',
    help: 'WebSockets now open.',
    registers: [registry],
    collect() {
      this.set(size())
    },
  })
}
