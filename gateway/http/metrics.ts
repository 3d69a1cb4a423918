import type { FastifyInstance } from 'fastify'
import type { Metrics, MetricsPage } from '../../node/ports/metrics.ts'
import type { Speak } from './gate.ts'

/** Serves the node's metrics at `/metrics` and counts what passes through the gateway. Labels are route patterns. */
export function mountMetrics(
  app: FastifyInstance,
  metrics: Metrics & MetricsPage,
  { speak, sockets }: { speak: Speak; sockets: () => number },
): void {
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'none'
    const { method } = request
    metrics.count('rookery_http_requests_total', { method, route, status: String(reply.statusCode) })
    metrics.observe('rookery_http_request_duration_seconds', { method, route }, reply.elapsedTime / 1000)
  })
  const cancel = metrics.onLook('rookery_sockets_open', () => [[sockets(), {}]])
  app.addHook('onClose', async () => cancel())
  app.get(
    '/metrics',
    { config: { gate: { policy: { ability: 'machine:read' }, group: 'probe', speak, openToLoopback: true } } },
    async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()),
  )
}
