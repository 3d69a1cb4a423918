import { Socket } from 'node:net'
import type { MultiaddrConnection } from '@libp2p/interface'

/**
 * Makes everything that is written to the connection's TCP socket within one tick one system call. The transport writes
 * every buffer by itself (length, ciphertext, window update), which costs more than the encryption. A transport without
 * a socket is left as it is.
 */
export function coalesceWrites(maConn: MultiaddrConnection): void {
  const socket: unknown = 'socket' in maConn ? maConn.socket : undefined
  if (!(socket instanceof Socket)) return
  let isCorked = false
  const corkForThisTick = (): void => {
    if (isCorked) return
    isCorked = true
    socket.cork()
    process.nextTick(() => {
      isCorked = false
      socket.uncork()
    })
  }
  // oxlint-disable-next-line typescript/unbound-method -- the proxy passes `this` on
  socket.write = new Proxy(socket.write, {
    apply(write, self, args) {
      corkForThisTick()
      return Reflect.apply(write, self, args)
    },
  })
}
