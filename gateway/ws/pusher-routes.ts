import { parse as parseForm } from 'node:querystring'
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { domainError } from '../../crdt/errors.ts'
import type { Clock } from '../../node/ports/clock.ts'
import { addressKey } from '../http/address.ts'
import type { Speak } from '../http/gate.ts'
import { refuse } from '../http/mount.ts'
import { httpError, unauthenticated } from '../http/refusal.ts'
import { fieldErrors } from '../http/validation.ts'
import { CHANNEL_CHARS_MAX } from './pusher-frames.ts'
import type { PusherServer } from './pusher.ts'
import type { Upgrades } from './upgrade.ts'

const AuthBody = z.object({ socket_id: z.string().max(64), channel_name: z.string().max(CHANNEL_CHARS_MAX) })
const Key = z.object({ key: z.string().max(100) })
const Query = z.object({ protocol: z.string().max(10).optional() })

/** `GET /app/{key}` and `POST /broadcasting/auth`, whose bodies and answers are Pusher's and not the dialect's. */
export function mountPusher(
  app: FastifyInstance,
  pusher: PusherServer,
  { upgrades, speak, clock }: { upgrades: Upgrades; speak: Speak; clock: Clock },
): void {
  app.register(async (scope) => {
    scope.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) => {
      done(null, { ...parseForm(String(body)) })
    })
    scope.get(
      '/app/:key',
      { config: { gate: { policy: 'public', group: 'websocket', speak } } },
      async (request, reply) => {
        const origin = request.headers.origin ?? null
        const { key } = Key.parse(request.params)
        const { protocol } = Query.catch({}).parse(request.query)
        const from = { address: addressKey(request.ip), origin, key, protocol }
        const isUpgrade = upgrades.accept(request, reply, (socket) => pusher.accept(socket, from))
        return isUpgrade ? reply : refuse(reply, httpError('upgrade_required', UPGRADE), { speak, clock })
      },
    )
    scope.post(
      '/broadcasting/auth',
      { config: { gate: { policy: 'authenticated', group: 'api', speak } } },
      async (request, reply) => {
        if (request.actor === undefined) return refuse(reply, unauthenticated(), { speak, clock })
        const body = AuthBody.safeParse(request.body, { reportInput: true })
        if (!body.success) {
          const fields = fieldErrors(body.error)
          return refuse(reply, domainError('invalid_input', { details: { fields } }), { speak, clock })
        }
        const { socket_id: socketId, channel_name: channel } = body.data
        const signed = pusher.authorize(request.actor, { socketId, channel })
        return signed.ok ? { auth: signed.value } : refuse(reply, signed.error, { speak, clock })
      },
    )
  })
}

const UPGRADE = { connection: 'Upgrade', upgrade: 'websocket' }
