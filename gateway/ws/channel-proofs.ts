import { can } from '../../crdt/actor.ts'
import type { Actor } from '../../crdt/actor.ts'
import { domainError } from '../../crdt/errors.ts'
import { err, ok } from '../../crdt/result.ts'
import type { Result } from '../../crdt/result.ts'
import { channelSignature, CHANNELS_MAX, isSameText, LISTEN_ABILITY, topicOf } from './pusher-frames.ts'
import type { SubscribeData, Topic } from './pusher-frames.ts'
import { TICKET_PREFIX } from './tickets.ts'
import type { TicketBook } from './tickets.ts'

export type ProofDeps = {
  readonly tickets: TicketBook
  readonly appKey: string
  readonly secret: Uint8Array
  readonly authenticate: (token: string, address: string) => Actor | undefined
}

export type ChannelProofs = {
  /** Signs one channel for this socket and remembers for whom. */
  grant(actor: Actor, channel: string): Result<string>
  /** Who subscribes: by our signature, by a ticket for this very session, or by a token. */
  prove(data: SubscribeData, topic: Topic): Actor | undefined
}

/** How one socket shows on whose behalf it subscribes. */
export function createChannelProofs(
  deps: ProofDeps,
  socket: { id: string; address: string; origin: string | null },
): ChannelProofs {
  const grants = new Map<string, Actor>()
  const sign = (channel: string): string => `${deps.appKey}:${channelSignature(deps.secret, socket.id, channel)}`
  return {
    grant(actor, channel) {
      const topic = topicOf(channel)
      if (topic === undefined || !can(actor, LISTEN_ABILITY[topic.kind])) return err(domainError('forbidden'))
      if (!grants.has(channel) && grants.size >= CHANNELS_MAX) return err(domainError('limit_reached'))
      grants.set(channel, actor)
      return ok(sign(channel))
    },
    prove({ auth, channel }, topic) {
      if (typeof auth === 'string') return isSameText(auth, sign(channel)) ? grants.get(channel) : undefined
      const token = auth === undefined ? undefined : 'token' in auth ? auth.token : auth.headers
      if (token === undefined) return undefined
      if (!token.startsWith(TICKET_PREFIX)) return deps.authenticate(token, socket.address)
      if (topic.kind !== 'session') return undefined
      return deps.tickets.redeem(token, { sessionId: topic.id, origin: socket.origin })
    },
  }
}
