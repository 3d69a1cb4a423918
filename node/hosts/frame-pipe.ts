import { connect, type Socket } from 'node:net'
import { VIEWER_WINDOW_BYTES } from '../../protocols/session-stream.ts'
import type { FramePipe } from '../ports/session-host.ts'
import { createFrameSocket } from './frame-socket.ts'

/**
 * Frames read ahead of whoever iterates. More than a viewer's window, so that the host can always say why it cuts a
 * stalled viewer off; beyond that the socket is not read.
 */
const READ_AHEAD_BYTES = VIEWER_WINDOW_BYTES + 256 * 1024

/** Connects to the socket of a session host. Rejects when nobody listens there. */
export async function connectFramePipe(path: string): Promise<FramePipe> {
  const socket = connect(path)
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  return createFramePipe(socket)
}

function createFramePipe(socket: Socket): FramePipe {
  const inbox: Uint8Array[] = []
  let inboxBytes = 0
  let ended: Error | 'closed' | undefined
  let wake: () => void = () => undefined
  const wire = createFrameSocket(socket, {
    frame(frame) {
      inbox.push(frame)
      inboxBytes += frame.byteLength
      if (inboxBytes > READ_AHEAD_BYTES) socket.pause()
      wake()
    },
    close() {
      ended ??= 'closed'
      wake()
    },
  })
  async function* frames(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const frame = inbox.shift()
      if (frame) {
        inboxBytes -= frame.byteLength
        if (inboxBytes <= READ_AHEAD_BYTES) socket.resume()
        yield frame
      } else if (ended instanceof Error) throw ended
      else if (ended) return
      else await new Promise<void>((resolve) => (wake = resolve))
    }
  }
  return {
    async send(frame) {
      wire.send(frame)
      await wire.ready()
    },
    frames: frames(),
    async close() {
      ended ??= 'closed'
      wake()
      await wire.end()
      wire.destroy()
    },
    abort(reason) {
      ended ??= reason
      wire.destroy()
      wake()
    },
  }
}
