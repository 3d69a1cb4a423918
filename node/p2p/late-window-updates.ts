import type { Stream } from '@libp2p/interface'

/** What yamux has of a stream beyond the interface. */
type Windowed = {
  sendWindowUpdate(): void
  readonly recvWindow: number
  readonly recvWindowCapacity: number
}

/**
 * Lets the other side know of room in the receive window only when half of it is used up, as other implementations of
 * yamux do. This one answers every message with an update of its own: one more packet to encrypt, to send and to wake the
 * sender with. To be called once the stream is open, since the updates before carry its handshake. A stream of another
 * muxer is left as it is.
 */
export function updateWindowLate(stream: Stream): void {
  if (!isWindowed(stream)) return
  const sendWindowUpdate = stream.sendWindowUpdate.bind(stream)
  stream.sendWindowUpdate = () => {
    if (stream.recvWindowCapacity <= stream.recvWindow / 2) sendWindowUpdate()
  }
}

const isWindowed = (stream: object): stream is Windowed =>
  'sendWindowUpdate' in stream &&
  typeof stream.sendWindowUpdate === 'function' &&
  'recvWindow' in stream &&
  typeof stream.recvWindow === 'number' &&
  'recvWindowCapacity' in stream &&
  typeof stream.recvWindowCapacity === 'number'
