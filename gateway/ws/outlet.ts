import type { Clock } from '../../node/ports/clock.ts'
import { CLOSE_TOO_SLOW } from './pusher-frames.ts'

/** Unsent bytes a socket may pile up with events nobody can slow down. */
export const OUTLET_BYTES_MAX = 1024 * 1024

/** After a close frame the other side has this long to answer it. */
const CLOSE_GRACE_MS = 1000
/** A slow reader finds the reason behind what it has not read yet, so it gets longer; what waits for it is bounded. */
const SLOW_GRACE_MS = 30_000

/** What an outlet needs of a WebSocket. */
export type OutletSocket = {
  readonly OPEN: 1
  readonly CLOSED: 3
  readonly readyState: 0 | 1 | 2 | 3
  readonly bufferedAmount: number
  send(text: string, sent: (error?: Error | null) => void): void
  close(code: number, reason: string): void
  terminate(): void
}

/** The sending half of a socket: everything that leaves goes through here and is bounded here. */
export type Outlet = {
  /** Sends without waiting. A socket whose reader fell too far behind is closed instead. */
  push(text: string): void
  /** Resolves true once the text has left the process, false when the socket is gone or its reader stalls. */
  flush(text: string): Promise<boolean>
  close(code: number, reason: string): void
}

export function createOutlet(socket: OutletSocket, clock: Clock, stalledMs: number): Outlet {
  const close = (code: number, reason: string): void => {
    if (socket.readyState === socket.CLOSED) return
    socket.close(code, reason)
    clock.after(code === CLOSE_TOO_SLOW ? SLOW_GRACE_MS : CLOSE_GRACE_MS, () => socket.terminate())
  }
  return {
    close,
    push(text) {
      if (socket.readyState !== socket.OPEN) return
      if (socket.bufferedAmount > OUTLET_BYTES_MAX) close(CLOSE_TOO_SLOW, 'Reading too slowly')
      else socket.send(text, () => undefined)
    },
    flush(text) {
      if (socket.readyState !== socket.OPEN) return Promise.resolve(false)
      return new Promise((resolve) => {
        const cancel = clock.after(stalledMs, () => close(CLOSE_TOO_SLOW, 'Reading too slowly'))
        socket.send(text, (error) => {
          cancel()
          resolve(error === undefined || error === null)
        })
      })
    },
  }
}
