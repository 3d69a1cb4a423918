import { openSync } from 'node:fs'
import { request } from 'node:http'
import { basename, dirname, join } from 'node:path'
import type { Duplex } from 'node:stream'
import type { Result } from '../../crdt/result.ts'
import type { ControlMethodName } from './control-methods.ts'
import { CommandFailure, EXIT } from './exit.ts'
import { hasHungUp } from './hung-up.ts'

/** No node answers on the data directory's socket. */
export class NodeNotRunningError extends Error {
  override readonly name = 'NodeNotRunningError'
}

/** Asks the node that runs on this socket. @throws NodeNotRunningError, and an AbortError once the signal is aborted */
export async function callNode(
  socketPath: string,
  method: ControlMethodName,
  input: object,
  signal?: AbortSignal,
): Promise<Result<unknown>> {
  const body = JSON.stringify(input)
  return await new Promise((resolve, reject) => {
    const options = { socketPath: reachable(socketPath), path: `/${method}`, method: 'POST', ...(signal && { signal }) }
    const call = request(options, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => resolve(JSON.parse(Buffer.concat(chunks).toString('utf8'))))
    })
    call.on('error', (error) => reject(explain(error, socketPath)))
    call.end(body)
  })
}

export type NodeState = 'running' | 'stopped' | 'silent' | 'unknown'

/**
 * Whether a node answers on this socket before `deadline` is aborted. `unknown` is one that cannot be asked, as where its
 * directory is another user's.
 */
export async function nodeState(socketPath: string, deadline: AbortSignal): Promise<NodeState> {
  try {
    await callNode(socketPath, 'voters.view', {}, deadline)
    return 'running'
  } catch (error) {
    if (error instanceof NodeNotRunningError) return 'stopped'
    return error instanceof CommandFailure ? 'unknown' : 'silent'
  }
}

/** Opens the raw byte stream of a session's terminal. @throws NodeNotRunningError */
export async function attachToNode(socketPath: string, path: string): Promise<Duplex> {
  return await new Promise((resolve, reject) => {
    const call = request({
      socketPath: reachable(socketPath),
      path,
      headers: { connection: 'Upgrade', upgrade: 'rookery-session' },
    })
    call.on('upgrade', (_response, socket, head) => {
      if (head.length > 0) socket.unshift(head)
      resolve(socket)
    })
    call.on('response', () => reject(new Error('the node refused to attach')))
    call.on('error', (error) => reject(explain(error, socketPath)))
    call.end()
  })
}

const SOCKET_PATH_BYTES_MAX = 103

/** A path too long for a socket address is reached through a descriptor of its directory (Linux). */
function reachable(socketPath: string): string {
  if (Buffer.byteLength(socketPath) <= SOCKET_PATH_BYTES_MAX) return socketPath
  try {
    return join(`/proc/self/fd/${openSync(dirname(socketPath), 'r')}`, basename(socketPath))
  } catch (cause) {
    throw explain(cause, socketPath)
  }
}

function explain(error: unknown, socketPath: string): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  const dataDir = dirname(socketPath)
  if (code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ENOTDIR')
    return new NodeNotRunningError(
      `No node is running on ${dataDir}. Start it with \`rookery up\`, or name its directory with --data-dir.`,
      { cause: error },
    )
  if (code === 'EACCES' || code === 'EPERM')
    return new CommandFailure(
      `${dataDir} belongs to another user: run this as that user, or name another directory with --data-dir.`,
      EXIT.refused,
      { code: 'forbidden' },
    )
  if (hasHungUp(error))
    return new CommandFailure(
      'The node ended before it had answered. Whether it did what was asked is not known: start it, and look.',
      EXIT.refused,
      { code: 'node_ended' },
    )
  return error
}
