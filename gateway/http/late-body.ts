import type { IncomingMessage } from 'node:http'
import type { Clock } from '../../node/ports/clock.ts'

/** Nothing that people send by mistake is larger; it is read and forgotten, never kept. */
const BYTES_MAX = 64 * 1024 * 1024
/** Who sends nothing for so long only holds the connection; all of a body has to come within the server's request timeout. */
const PATIENCE_MS = 2000

/**
 * Reads the rest of a body that nobody wants, and forgets it: who still sends when its connection is closed gets a reset
 * in place of the answer (RFC 9112, section 9.6). Resolves when all of it has come, or too much, or nothing for a while.
 */
export async function readToEnd(request: IncomingMessage, clock: Clock): Promise<void> {
  if (request.readableEnded || request.destroyed) return
  const { promise, resolve } = Promise.withResolvers<void>()
  let left = BYTES_MAX
  const onData = (chunk: Buffer): void => {
    left -= chunk.length
    cancel()
    if (left < 0) resolve()
    else cancel = clock.after(PATIENCE_MS, resolve)
  }
  let cancel = clock.after(PATIENCE_MS, resolve)
  request.on('data', onData).once('end', resolve).once('close', resolve)
  await promise
  cancel()
  request.off('data', onData).off('end', resolve).off('close', resolve).pause()
}
