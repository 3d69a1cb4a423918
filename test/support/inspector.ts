import { once } from 'node:events'
import { WebSocket } from 'ws'
import { eventually, type Json, type RunningNode } from './nodes.ts'

/** Environment of a node to be measured: an inspector on loopback, at a free port. Whoever reaches it owns the node. */
export const INSPECTED = { NODE_OPTIONS: '--inspect=127.0.0.1:0' } as const

const MB = 1024 * 1024

/**
 * What a node started as `INSPECTED` holds after a garbage collection, in MB: objects, and buffers outside of the heap,
 * those that wait in sockets among them. Connects for this one look: a node does not end while a debugger is there.
 */
export async function heldMb(node: RunningNode): Promise<number> {
  const url = await eventually(() => /^Debugger listening on (ws:\S+)$/m.exec(node.stderr)?.[1])
  const socket = new WebSocket(url)
  await once(socket, 'open')
  try {
    await call(socket, 'HeapProfiler.collectGarbage')
    const { usedSize } = await call(socket, 'Runtime.getHeapUsage')
    const { result } = await call(socket, 'Runtime.evaluate', { expression: 'process.memoryUsage().external' })
    return (usedSize + result.value) / MB
  } finally {
    socket.terminate()
  }
}

/** One call at a time, so the next message is its answer: no events were asked for. */
async function call(socket: WebSocket, method: string, params: object = {}): Promise<Json> {
  socket.send(JSON.stringify({ id: 1, method, params }))
  const ended = once(socket, 'close').then(() => {
    throw new Error(`the node ended before it answered ${method}`)
  })
  const [bytes] = await Promise.race([once(socket, 'message'), ended])
  const answer = JSON.parse(bytes.toString('utf8'))
  if (answer.error !== undefined) throw new Error(`${method}: ${answer.error.message}`)
  return answer.result
}
