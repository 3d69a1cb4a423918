import { takeFrame } from '../../../protocols/lease/frame.ts'
import type { Channel } from '../../ports/peer-network.ts'

/** Of a peer that does not read; beyond it the channel is given up, and retransmission or expiry takes over. */
export const OUTBOX_MAX = 1024

/** Puts encoded messages of one tick, and those that wait for the transport, into as few frames as possible. */
export function createFrameWriter(channel: Channel): (message: Uint8Array) => void {
  const queue: Uint8Array[] = []
  let isWriting = false
  const drain = async (): Promise<void> => {
    await Promise.resolve()
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
    if (isWriting) return
    isWriting = true
    void drain()
  }
}
