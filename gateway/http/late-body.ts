import type { IncomingMessage } from 'node:http'
import type { Clock } from '../../node/ports/clock.ts'

/** Nothing that people send by mistake is larger; it is read and forgotten, never kept. */
const BYTES_MAX = 64 * 1024 * 1024
/** Long enough for a slow line to send a few MB; no longer than a client that only wants to hold a connection deserves. */
const PATIENCE_MS = 2000

/**
 * Reads the rest of a body that nobody wants, and forgets it: who still sends when its connection is closed gets a reset
 * in place of the answer (RFC 9112, section 9.6). Resolves when all of it has come, or too much, or it takes too long.
 */
export async function readToEnd(request: IncomingMessage, clock: Clock): Promise<void> {
  if (request.readableEnded || request.destroyed) return
  const { promise, resolve } = Promise.withResolvers<void>()
  let left = BYTES_MAX
  const onData = (chunk: Buffer): void => {
    left -= chunk.length
    if (left < 0) resolve()
  }
  const cancel = clock.after(PATIENCE_MS, resolve)
  request.on('data', onData).once('end', resolve).once('close', resolve)
  await promise
  cancel()
  request.off('data', onData).off('end', resolve).off('close', resolve).pause()
}
