import { VIEWER_WINDOW_BYTES } from '../../protocols/session-stream.ts'
import type { FramePipe } from '../ports/session-host.ts'
import type { FrameSocket } from './frame-socket.ts'
import type { Connect } from './host-session.ts'

/** What may wait for whoever iterates: a viewer's window, and room for answers. */
const WAITING_BYTES_MAX = VIEWER_WINDOW_BYTES + 256 * 1024

/** A connection to a session that is kept in this process. Undefined when it takes no more. */
export function connectLocalPipe(accept: (connect: Connect) => boolean): FramePipe | undefined {
  const inbox: Uint8Array[] = []
  let waitingBytes = 0
  let ended: Error | 'closed' | undefined
  let wake: () => void = () => undefined
  let ears: Parameters<Connect>[0] | undefined
  const end = (how: Error | 'closed'): void => {
    if (ended) return
    ended = how
    wake()
    ears?.close()
  }
  const host: FrameSocket = {
    send(frame) {
      if (ended) return
      inbox.push(frame)
      waitingBytes += frame.byteLength
      if (waitingBytes > WAITING_BYTES_MAX) end(new Error('the viewer does not read'))
      wake()
    },
    ready: async () => undefined,
    end: async () => end('closed'),
    destroy: () => end('closed'),
  }
  async function* frames(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const frame = inbox.shift()
      if (frame) {
        waitingBytes -= frame.byteLength
        yield frame
      } else if (ended instanceof Error) throw ended
      else if (ended) return
      else await new Promise<void>((resolve) => (wake = resolve))
    }
  }
  const isTaken = accept((on) => {
    ears = on
    return host
  })
  if (!isTaken) return undefined
  return {
    async send(frame) {
      if (ended) throw new Error('the connection is closed')
      try {
        ears?.frame(frame)
      } catch (error) {
        end(error instanceof Error ? error : new Error('dropped', { cause: error }))
        throw error
      }
    },
    frames: frames(),
    close: async () => end('closed'),
    abort: (reason) => end(reason),
  }
}
