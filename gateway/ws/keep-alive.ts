import type { WebSocket } from 'ws'
import { every } from '../../node/ports/clock.ts'
import type { Cancel, Clock } from '../../node/ports/clock.ts'

/** A socket that answers no ping for this long is dead. */
const PING_PERIOD_MS = 30_000

/** Pings a socket for as long as it answers; then it is terminated. */
export function keepAlive(socket: WebSocket, clock: Clock): Cancel {
  let isAlive = true
  socket.on('pong', () => {
    isAlive = true
  })
  return every(clock, PING_PERIOD_MS, () => {
    if (!isAlive) return socket.terminate()
    isAlive = false
    socket.ping()
  })
}
