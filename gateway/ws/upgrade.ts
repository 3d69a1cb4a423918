import { ServerResponse } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { WebSocketServer } from 'ws'
import type { WebSocket } from 'ws'

/** Larger frames close the socket with 1009. */
export const SOCKET_FRAME_BYTES_MAX = 1024 * 1024

export type Upgrades = {
  /** Completes the handshake of a request that asks for a WebSocket; false when it does not. */
  accept(request: FastifyRequest, reply: FastifyReply, use: (socket: WebSocket) => void): boolean
}

/** Whether Node should hand a request over as an upgrade; others are served as plain requests. */
export const isWebSocketUpgrade = (request: IncomingMessage): boolean =>
  request.method === 'GET' && request.headers.upgrade?.toLowerCase() === 'websocket'

/**
 * Sends upgrade requests through Fastify's router first, so that every hook (the gate above all) decides about them
 * before a single byte of the handshake is answered.
 */
export function routeUpgrades(app: FastifyInstance): Upgrades {
  const wss = new WebSocketServer({
    noServer: true,
    maxPayload: SOCKET_FRAME_BYTES_MAX,
    perMessageDeflate: false,
    clientTracking: false,
  })
  const pending = new WeakMap<IncomingMessage, { socket: Socket; head: Buffer; response: ServerResponse }>()

  app.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // Resets of the peer; without a listener they would end the process.
    socket.on('error', () => socket.destroy())
    if (!(socket instanceof Socket) || !isWebSocketUpgrade(request)) {
      socket.destroy()
      return
    }
    const response = new ServerResponse(request)
    response.shouldKeepAlive = false
    response.assignSocket(socket)
    response.on('finish', () => socket.destroySoon())
    pending.set(request, { socket, head, response })
    app.routing(request, response)
  })

  return {
    accept(request, reply, use) {
      const upgrade = pending.get(request.raw)
      if (upgrade === undefined) return false
      pending.delete(request.raw)
      reply.hijack()
      upgrade.response.detachSocket(upgrade.socket)
      wss.handleUpgrade(request.raw, upgrade.socket, upgrade.head, use)
      return true
    },
  }
}
