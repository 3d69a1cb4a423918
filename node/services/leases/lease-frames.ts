import { MESSAGES_PER_FRAME_MAX, takeFrame } from '../../../protocols/lease/frame.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Channel } from '../../ports/peer-network.ts'

/** Of a peer that does not read; beyond it the channel is given up, and retransmission or expiry takes over. */
export const OUTBOX_MAX = 1024

/** Puts what one event gave reason to say, and what waits for the transport, into as few frames as possible. */
export function createFrameWriter(channel: Channel, clock: Pick<Clock, 'soon'>): (message: Uint8Array) => void {
  const queue: Uint8Array[] = []
  let isWriting = false
  const drain = async (): Promise<void> => {
    if (isWriting) return
    isWriting = true
    try {
      while (queue.length > 0) await channel.send(takeFrame(queue))
      isWriting = false
    } catch (cause) {
      // From here on `isWriting` stays true: nothing more is sent, and whoever reads the channel learns of its end.
      channel.abort(new Error('could not send', { cause }))
    }
  }
  return (message) => {
    if (queue.length >= OUTBOX_MAX) return channel.abort(new Error('the peer does not read'))
    queue.push(message)
    if (queue.length === 1) clock.soon(() => void drain())
    else if (queue.length >= MESSAGES_PER_FRAME_MAX) void drain()
  }
}
