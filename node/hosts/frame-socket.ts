import type { Socket } from 'node:net'
import { createFrameReader, lengthPrefix, lengthPrefixed } from '../../protocols/session-stream.ts'

/** What one side may have waiting for the other: a viewer's window, and room for answers. */
const WAITING_BYTES_MAX = 1024 * 1024

/** A copy of a small frame costs less than a second piece to write. */
const COPY_BELOW_BYTES = 4096

export type FrameSocket = {
  /** Queues a frame. A peer that lets more than 1 MB pile up is disconnected. */
  send(frame: Uint8Array): void
  /** Resolves when little enough waits; rejects when the connection is gone. */
  ready(): Promise<void>
  /** Closes after what was sent; resolves when the system has taken all of it, or the connection is gone. */
  end(): Promise<void>
  destroy(): void
}

/** Frames over a socket. `onFrame` may throw: then, as for malformed bytes, the connection is dropped. */
export function createFrameSocket(
  socket: Socket,
  on: { readonly frame: (frame: Uint8Array) => void; readonly close: () => void },
): FrameSocket {
  const read = createFrameReader()
  socket.on('data', (chunk: Buffer) => {
    try {
      for (const frame of read(chunk)) if (!socket.destroyed) on.frame(frame)
    } catch (error) {
      socket.destroy(error instanceof Error ? error : new Error('dropped', { cause: error }))
    }
  })
  socket.on('error', () => undefined) // `close` follows
  socket.once('close', on.close)
  return {
    send(frame) {
      if (socket.destroyed || socket.writableEnded) return
      if (frame.byteLength < COPY_BELOW_BYTES) socket.write(lengthPrefixed(frame))
      else writeTogether(socket, lengthPrefix(frame), frame)
      if (socket.writableLength > WAITING_BYTES_MAX) socket.destroy(new Error('the other side does not read'))
    },
    async ready() {
      if (socket.destroyed || socket.writableEnded) throw new Error('the connection is closed')
      if (!socket.writableNeedDrain) return
      const settled = Promise.withResolvers<void>()
      const onClose = (): void => settled.reject(new Error('the connection is closed'))
      socket.once('drain', settled.resolve).once('close', onClose)
      try {
        await settled.promise
      } finally {
        socket.off('drain', settled.resolve).off('close', onClose)
      }
    },
    async end() {
      if (socket.destroyed) return
      const settled = Promise.withResolvers<void>()
      socket.once('finish', settled.resolve).once('close', settled.resolve)
      socket.end()
      await settled.promise
    },
    destroy: () => void socket.destroy(),
  }
}

function writeTogether(socket: Socket, ...pieces: Uint8Array[]): void {
  socket.cork()
  for (const piece of pieces) socket.write(piece)
  socket.uncork()
}
