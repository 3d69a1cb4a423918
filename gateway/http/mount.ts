import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { domainError } from '../../crdt/errors.ts'
import type { Clock } from '../../node/ports/clock.ts'
import type { Log } from '../../node/ports/log.ts'
import { StorageError, UnreadableError } from '../../node/services/feeds/documents.ts'
import { addressKey } from './address.ts'
import type { Dialect, Envelope, Meta, Route } from './dialect.ts'
import { readToEnd } from './late-body.ts'
import { httpError } from './refusal.ts'
import type { Refusal } from './refusal.ts'
import type { Speak } from './gate.ts'

export type MountOptions = { readonly clock: Clock; readonly log: Log; readonly prefix: string }

/** Serves a dialect's table as an encapsulated scope: its validation, envelope, errors and rate limits. */
export function mountDialect<D>(app: FastifyInstance, dialect: Dialect<D>, deps: D, options: MountOptions): void {
  const { clock, log, prefix } = options
  app.register(
    async (scope) => {
      scope.setErrorHandler(async (error: FastifyError, request, reply) => {
        // The connection is closed after it.
        if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') await readToEnd(request.raw, clock)
        return refuse(reply, refusalOf(error, request, log), { speak: dialect.failure, clock })
      })
      for (const route of dialect.routes) {
        const config = { gate: { policy: route.policy, group: route.group ?? 'api', speak: dialect.failure } }
        const answer = async (request: FastifyRequest, reply: FastifyReply, params: unknown): Promise<FastifyReply> =>
          send(reply, await answerOf(dialect, route, { deps, request, reply, params, clock }))
        scope.route({
          method: route.method,
          url: route.path,
          config,
          handler: (request, reply) => answer(request, reply, request.params),
        })
        const loose = looseUrl(route)
        if (loose === undefined) continue
        scope.route({
          method: route.method,
          url: loose.url,
          config,
          handler: async (request, reply) => {
            const params = loose.paramsOf(request.params)
            return params === undefined ? reply.callNotFound() : await answer(request, reply, params)
          },
        })
      }
    },
    { prefix },
  )
}

type Loose = { readonly url: string; readonly paramsOf: (params: unknown) => object | undefined }

/** Catches what a parameter with slashes in it makes of the path; what follows the parameter has to follow there, too. */
function looseUrl({ path, slashes }: { path: string; slashes?: string }): Loose | undefined {
  if (slashes === undefined) return undefined
  const [before = '', after = ''] = path.split(`:${slashes}`)
  return {
    url: `${before}*`,
    paramsOf(params) {
      const { '*': rest = '', ...others } = params as Record<string, string>
      return rest.endsWith(after) ? { ...others, [slashes]: rest.slice(0, rest.length - after.length) } : undefined
    },
  }
}

type Asked<D> = {
  readonly deps: D
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  readonly params: unknown
  readonly clock: Clock
}

async function answerOf<D>(
  dialect: Dialect<D>,
  route: Route<D>,
  { deps, request, reply, params, clock }: Asked<D>,
): Promise<Envelope> {
  const done = await route.handle(deps, {
    params,
    query: request.query,
    body: request.body,
    actor: request.actor,
    header: (name) => single(request.headers[name]),
    origin: request.headers.origin ?? null,
    address: addressKey(request.ip),
    nowMs: clock.wallMs(),
    signal: goneSignal(reply),
  })
  const meta = metaOf(request, clock)
  if (!done.ok) return dialect.failure(done.error, meta)
  reply.headers(done.value.headers ?? {})
  return dialect.success(done.value, done.value.isPending ? 202 : (route.status ?? 200), meta)
}

function goneSignal({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController()
  raw.once('close', () => {
    if (!raw.writableFinished) gone.abort(new Error('whoever asked has gone away'))
  })
  return gone.signal
}

const single = (value: string | string[] | undefined): string | undefined => (Array.isArray(value) ? value[0] : value)

export const metaOf = (request: FastifyRequest, clock: Clock): Meta => ({
  timestamp: new Date(clock.wallMs()).toISOString(),
  requestId: request.id,
})

/** Answers with a refusal in a dialect's words. */
export function refuse(
  reply: FastifyReply,
  refusal: Refusal,
  { speak, clock }: { speak: Speak; clock: Clock },
): FastifyReply {
  for (const [name, value] of Object.entries(refusal.headers ?? {})) reply.header(name, value)
  return send(reply, speak(refusal, metaOf(reply.request, clock)))
}

function send(reply: FastifyReply, { status, body }: Envelope): FastifyReply {
  return reply.code(status).type('application/json; charset=utf-8').send(JSON.stringify(body))
}

/** What went wrong before or inside a handler. Only what is known to be harmless is told; the rest goes to the log. */
export function refusalOf(error: FastifyError, request: FastifyRequest, log: Log): Refusal {
  if (error instanceof UnreadableError) {
    log.error({ err: error, requestId: request.id }, 'what is stored cannot be read')
    return domainError('internal')
  }
  if (error instanceof StorageError) {
    log.error({ err: error, requestId: request.id }, 'the disk refused a write')
    return domainError('storage_failed')
  }
  switch (error.code) {
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return httpError('media_type')
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return domainError('too_large')
    case 'FST_ERR_BAD_URL':
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return httpError('route_not_found')
  }
  if (error.statusCode !== undefined && error.statusCode < 500) {
    const refusal = httpError('malformed_request')
    return { ...refusal, details: { fields: { body: [`The body is not valid JSON: ${error.message}`] } } }
  }
  log.error(
    { err: error, requestId: request.id, method: request.method, route: request.routeOptions.url },
    'a request failed inside',
  )
  return domainError('internal')
}

/** The methods that a table serves at a path, for 405 answers. */
export function methodsAt(routes: readonly Pick<Route<unknown>, 'method' | 'path'>[], path: string): string[] {
  const segments = path.split('/')
  const matches = (pattern: string): boolean => {
    const parts = pattern.split('/')
    return parts.length === segments.length && parts.every((part, i) => part.startsWith(':') || part === segments[i])
  }
  return [...new Set(routes.filter((route) => matches(route.path)).map((route) => route.method))]
}
