import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import type { Speak } from './gate.ts'

const DOCS_CSP =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
  "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** The OpenAPI document at `/docs/json`, made when somebody asks for it, and a page to read it at `/docs`. */
export function mountDocs(app: FastifyInstance, document: () => Record<string, unknown>, speak: Speak): void {
  app.register(async (scope) => {
    // The plugins declare no policies of their own.
    scope.addHook('onRoute', (route) => {
      route.config = { ...route.config, gate: { policy: 'public', group: 'page', speak } }
    })
    await scope.register(swagger, {
      openapi: { openapi: '3.1.0' },
      transformObject: document,
    })
    await scope.register(swaggerUi, { routePrefix: '/docs', staticCSP: DOCS_CSP })
  })
}
