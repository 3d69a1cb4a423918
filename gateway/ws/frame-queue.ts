import type { WebSocket } from 'ws'

/** Frames a socket may have waiting; while there are as many, nothing more is read from it. */
export const FRAMES_WAITING_MAX = 32

/** Works on a socket's frames one after the other, in order. `onBroken` hears of handlers that threw. */
export function createFrameQueue<F>(
  socket: Pick<WebSocket, 'pause' | 'resume'>,
  handle: (frame: F) => Promise<void>,
  onBroken: (error: unknown, frame: F) => void,
): (frame: F) => void {
  let waiting = 0
  let tail = Promise.resolve()
  return (frame) => {
    waiting++
    if (waiting >= FRAMES_WAITING_MAX) socket.pause()
    tail = tail
      .then(() => handle(frame))
      .catch((error: unknown) => onBroken(error, frame))
      .finally(() => {
        waiting--
        if (waiting < FRAMES_WAITING_MAX) socket.resume()
      })
  }
}
