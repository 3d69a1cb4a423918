import { randomBytes, randomInt } from 'node:crypto'
import type { WebSocket } from 'ws'
import type { Actor } from '../../crdt/actor.ts'
import { domainError } from '../../crdt/errors.ts'
import { err } from '../../crdt/result.ts'
import type { Result } from '../../crdt/result.ts'
import type { Clock } from '../../node/ports/clock.ts'
import type { SocketLimits } from '../http/config.ts'
import { createDoorkeeper } from './doorkeeper.ts'
import { keepAlive } from './keep-alive.ts'
import { Connection } from './pusher-connection.ts'
import type { ConnectionDeps } from './pusher-connection.ts'
import { errorFrame, PUSHER_CODES } from './pusher-frames.ts'

export type PusherOptions = Omit<ConnectionDeps, 'onAuthenticated' | 'secret' | 'stalledMs'> & {
  readonly limits: SocketLimits
}

export type Upgraded = {
  /** As rate limits count it. */
  readonly address: string
  readonly origin: string | null
  readonly key: string
  readonly protocol: string | undefined
}

export type PusherServer = {
  accept(socket: WebSocket, from: Upgraded): void
  /** The answer of `/broadcasting/auth`: a signature for one socket of this gateway and one channel. */
  authorize(actor: Actor, request: { socketId: string; channel: string }): Result<string>
  /** Sockets now open. */
  readonly size: () => number
  close(): void
}

const CLOSE_GRACE_MS = 1000

/** Pusher protocol versions that differ in nothing we use. */
const PROTOCOLS: ReadonlySet<string> = new Set(['4', '5', '6', '7'])

/** Serves the Pusher protocol: who may come in, events to subscribers, and the end of revoked tokens' sockets. */
export function createPusherServer(options: PusherOptions): PusherServer {
  const { services, limits } = options
  const connections = new Map<string, Connection>()
  const doorkeeper = createDoorkeeper(limits)
  const deps = { ...options, secret: randomBytes(32), stalledMs: limits.stalledMs }
  const stopEvents = services.events.subscribe((event) => {
    for (const connection of connections.values()) connection.deliver(event)
  })
  const stopRevocations = services.accounts.onRevoked((tokenId) => {
    options.tickets.revoke(tokenId)
    for (const connection of connections.values()) {
      if (connection.actsFor(tokenId)) connection.close(PUSHER_CODES.unauthorized, 'The token was revoked')
    }
  })

  const serve = (socket: WebSocket, from: Upgraded): void => {
    const visit = doorkeeper.enter(from.address)
    if (visit === undefined) {
      return turnAway(socket, options.clock, [PUSHER_CODES.overCapacity, 'Too many sockets that subscribed to nothing'])
    }
    const onAuthenticated = (connection: Connection): boolean => {
      cancelDeadline()
      if (visit.prove()) return true
      connection.close(PUSHER_CODES.overCapacity, 'Too many sockets')
      return false
    }
    const { address, origin } = from
    const connection = new Connection({ ...deps, onAuthenticated }, socket, { id: newId(connections), address, origin })
    // 42xx: a stock client that merely idles comes back at once.
    const cancelDeadline = options.clock.after(limits.unauthenticatedMs, () =>
      connection.close(PUSHER_CODES.reconnect, 'Nothing was subscribed in time'),
    )
    const cancelPing = keepAlive(socket, options.clock)
    connections.set(connection.id, connection)
    socket.on('close', () => {
      connections.delete(connection.id)
      visit.leave()
      cancelDeadline()
      cancelPing()
    })
    connection.start()
  }

  return {
    accept(socket, from) {
      socket.on('error', (error) => options.log.debug({ err: error }, 'a socket failed'))
      const refusal = refusalOf(from, options.appKey)
      if (refusal === undefined) serve(socket, from)
      else turnAway(socket, options.clock, refusal)
    },
    authorize(actor, { socketId, channel }) {
      const connection = connections.get(socketId)
      return connection?.authorize(actor, channel) ?? err(domainError('forbidden', { message: 'No such socket here.' }))
    },
    size: () => [...connections.values()].filter(({ isOpen }) => isOpen).length,
    close() {
      stopEvents()
      stopRevocations()
      for (const connection of connections.values()) connection.close(PUSHER_CODES.reconnect, 'The gateway is stopping')
    },
  }
}

type CloseReason = readonly [code: number, reason: string]

function refusalOf({ key, protocol }: Upgraded, appKey: string): CloseReason | undefined {
  if (key !== appKey) return [PUSHER_CODES.noSuchApp, 'There is no app with this key']
  const isSpoken = protocol === undefined || PROTOCOLS.has(protocol)
  return isSpoken ? undefined : [PUSHER_CODES.protocolVersion, 'Only protocol versions 4 to 7 are spoken here']
}

function turnAway(socket: WebSocket, clock: Clock, [code, reason]: CloseReason): void {
  socket.send(errorFrame(code, reason))
  socket.close(code, reason)
  clock.after(CLOSE_GRACE_MS, () => socket.terminate())
}

/** Two numbers with a dot, as Pusher's own. It need not be unguessable: a signature for it also takes a token. */
function newId(taken: ReadonlyMap<string, unknown>): string {
  const id = `${randomInt(1_000_000_000)}.${randomInt(1_000_000_000)}`
  return taken.has(id) ? newId(taken) : id
}
