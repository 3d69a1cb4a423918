import { open, rm, chmod, type FileHandle } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { basename, dirname, join } from 'node:path'
import type { Duplex } from 'node:stream'
import type { z } from 'zod'
import { DOMAIN_ERRORS, domainError, type DomainError } from '../../crdt/errors.ts'
import { err, type Result } from '../../crdt/result.ts'
import type { Log } from '../ports/log.ts'
import type { ControlContext, ControlMethod } from './control-method.ts'
import { CONTROL_METHODS } from './control-methods.ts'
import { hasHungUp } from './hung-up.ts'

/** A bulk of tasks or a long prompt fits; nobody has a reason to send more. */
const CONTROL_BODY_BYTES_MAX = 4 * 1024 * 1024

/** `sockaddr_un.sun_path` holds 108 bytes on Linux, 104 on macOS. */
const SOCKET_PATH_BYTES_MAX = 103

export type ControlServerDeps = {
  /** Asked for every command; undefined while the node moves from one mesh to another. */
  readonly context: () => ControlContext | undefined
  readonly attach: (what: Attached, socket: Duplex) => Promise<void>
  /** Writes a backup to the socket and ends it. */
  readonly backup: (socket: Duplex) => Promise<void>
  readonly log: Log
}

/** What a command watches; anything but an execution is a session. */
export type Attached = { readonly kind: string; readonly id: string }

export type ControlServer = { close(): Promise<void> }

/**
 * Serves the command line over HTTP on a unix socket that only this user can open (mode 0600 in a 0700 directory).
 * `attach` gets the raw socket of an upgrade request to `/session/<id>` or `/execution/<id>`, `backup` that of one to `/backup`.
 */
export async function serveControl(socketPath: string, deps: ControlServerDeps): Promise<ControlServer> {
  const { context, attach, backup, log } = deps
  const server = createServer((request, response) => void answer(request, response, context, log))
  const attached = new Set<Duplex>()
  server.on('upgrade', (request, socket) => {
    attached.add(socket)
    socket.once('close', () => attached.delete(socket))
    const url = new URL(request.url ?? '/', 'http://node')
    socket.on('error', (error) => log.debug({ err: error }, 'who used a command has gone away'))
    const [kind = '', id = ''] = url.pathname.slice(1).split('/')
    const use = kind === 'backup' ? backup(socket) : attach({ kind, id }, socket)
    use.catch((error: unknown) => {
      // A command that its user gives up (Ctrl-C) is nothing that went wrong here.
      if (!hasHungUp(error)) log.error({ err: error, path: url.pathname }, 'a command failed')
      socket.destroy()
    })
  })
  const bound = await bind(server, socketPath)
  return {
    async close() {
      server.closeAllConnections()
      // Upgraded sockets are the server's no more, yet it waits for their end.
      for (const socket of attached) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
      await bound?.close()
      await rm(socketPath, { force: true })
    },
  }
}

/** Binds, through a descriptor of the directory where the path is too long for a socket address. */
async function bind(server: Server, socketPath: string): Promise<FileHandle | undefined> {
  await rm(socketPath, { force: true })
  const directory =
    Buffer.byteLength(socketPath) > SOCKET_PATH_BYTES_MAX ? await open(dirname(socketPath), 'r') : undefined
  const address = directory ? join(`/proc/self/fd/${directory.fd}`, basename(socketPath)) : socketPath
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(address, resolve)
  })
  await chmod(socketPath, 0o600)
  return directory
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  context: ControlServerDeps['context'],
  log: Log,
): Promise<void> {
  const gone = new AbortController()
  response.once('close', () => gone.abort(new Error('whoever asked has gone away')))
  const result = await run(request, context, gone.signal).catch((error: unknown): Result<unknown> => {
    log.error({ err: error, method: request.url }, 'a command failed')
    return err(domainError('internal'))
  })
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify(result))
}

async function run(
  request: IncomingMessage,
  contextNow: ControlServerDeps['context'],
  signal: AbortSignal,
): Promise<Result<unknown>> {
  const name = (request.url ?? '').slice(1)
  const method: ControlMethod | undefined = Object.hasOwn(CONTROL_METHODS, name)
    ? CONTROL_METHODS[name as keyof typeof CONTROL_METHODS]
    : undefined
  if (!method)
    return err(
      domainError('invalid_input', {
        message: `The running node does not know the command ${name}: it may be older than this program. Restart it.`,
      }),
    )
  const input = method.input.safeParse(JSON.parse(await readBody(request)))
  if (!input.success) return err(invalidInput(input.error))
  const context = contextNow()
  return context ? await method.run(context, input.data, signal) : err(moving())
}

const moving = (): DomainError =>
  domainError('machine_offline', {
    message: 'This node is just changing its mesh, or starting anew in it; nothing was done. Try again in a moment.',
  })

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    size += chunk.length
    if (size > CONTROL_BODY_BYTES_MAX) throw new Error('a command is larger than the limit')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8') || '{}'
}

function invalidInput(error: z.ZodError): DomainError {
  const fields: Record<string, string[]> = {}
  for (const issue of error.issues) (fields[issue.path.join('.') || 'input'] ??= []).push(issue.message)
  const lines = Object.entries(fields).map(([field, problems]) => `${field}: ${problems.join('; ')}`)
  return domainError('invalid_input', {
    message: `${DOMAIN_ERRORS.invalid_input.message} ${lines.join(' · ')}`,
    details: { fields },
  })
}
