import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, request } from 'node:http'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { domainError } from '../../../crdt/errors.ts'
import { err } from '../../../crdt/result.ts'
import type { ControlContext } from '../../../node/cli/control-method.ts'
import type { Services } from '../../../node/services/services.ts'
import { attachToNode, callNode } from '../../../node/cli/control-client.ts'
import { serveControl, type ControlServer, type ControlServerDeps } from '../../../node/cli/control-server.ts'
import { createRecordedLog } from '../../support/log.ts'

let folder: string
let servers: ControlServer[]
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rookery-control-'))
  servers = []
})
afterEach(async () => {
  for (const server of servers) await server.close()
  await rm(folder, { recursive: true, force: true })
})

async function serve(deps: Partial<ControlServerDeps> = {}): Promise<{ path: string; server: ControlServer }> {
  const path = join(folder, 'control.sock')
  const server = await serveControl(path, {
    context: () => undefined,
    attach: async () => undefined,
    backup: async () => undefined,
    log: createRecordedLog(),
    ...deps,
  })
  servers.push(server)
  return { path, server }
}

it('says to a command that comes while the node moves to another mesh to try again, and stays up', async () => {
  const log = createRecordedLog()
  const { path } = await serve({ log })
  for (let i = 0; i < 2; i++) {
    const answer = await callNode(path, 'mesh.status', {})
    const message = expect.stringMatching(/changing its mesh.*nothing was done.*Try again/)
    expect(answer).toMatchObject({ ok: false, error: { code: 'machine_offline', message } })
  }
  expect(log.lines).toEqual([])
})

it('closes while a terminal is attached, and hangs up on it', async () => {
  const { path, server } = await serve({
    attach: async (_id, socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: rookery-session\r\n\r\n')
      await once(socket, 'close')
    },
  })
  const asked = request({
    socketPath: path,
    path: '/session/1',
    headers: { connection: 'upgrade', upgrade: 'rookery-session' },
  })
  asked.end()
  const [, terminal] = await once(asked, 'upgrade')
  const hungUp = once(terminal, 'close')
  terminal.resume()
  servers.length = 0
  await server.close()
  await hungUp
})

it('logs nothing when a command is given up while it is served', async () => {
  const log = createRecordedLog()
  const served = Promise.withResolvers<void>()
  const { path, server } = await serve({
    log,
    backup: async (socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: rookery-backup\r\n\r\n')
      const endless = Readable.from({
        [Symbol.asyncIterator]: () => ({ next: async () => ({ value: Buffer.alloc(65536) }) }),
      })
      await pipeline(endless, socket).finally(served.resolve)
    },
  })
  const socket = await attachToNode(path, '/backup')
  await once(socket, 'readable')
  socket.destroy()
  await served.promise
  servers.length = 0
  await server.close()
  expect(log.lines.filter(({ level }) => level === 'error')).toEqual([])
})

it('says to whoever asked that the node has ended meanwhile', async () => {
  const path = join(folder, 'control.sock')
  const node = createServer((request) => request.socket.destroy()).listen(path)
  await once(node, 'listening')
  await expect(callNode(path, 'mesh.status', {})).rejects.toMatchObject({ name: 'CommandFailure', code: 'node_ended' })
  node.close()
})

it('tells a command that takes its time when whoever asked has gone away', async () => {
  const asking = Promise.withResolvers<AbortSignal>()
  const set: Services['electorate']['set'] = async (_, signal) => {
    if (signal) asking.resolve(signal)
    await new Promise((done) => signal?.addEventListener('abort', done))
    return err(domainError('cancelled'))
  }
  const services = { electorate: { set } } as unknown as Services
  const { path } = await serve({ context: () => ({ services }) as ControlContext })
  const asked = request({ socketPath: path, path: '/voters.set', method: 'POST' })
  asked.on('error', () => undefined)
  asked.end(JSON.stringify({ members: ['beta'] }))
  const signal = await asking.promise
  const told = once(signal, 'abort')
  expect(signal.aborted).toBe(false)
  asked.destroy()
  await told
})

it.each([
  ['no voter', { members: [] }],
  ['more voters than a set can name', { members: Array.from({ length: 64 }, (_, i) => `m${i}`) }],
  ['no reason to force', { members: ['m'], force: { reason: '' } }],
  ['a reason that moves the cursor', { members: ['m'], force: { reason: '\u001b[2J' } }],
])('refuses a change of voters with %s', async (_, input) => {
  const { path } = await serve()
  expect(await callNode(path, 'voters.set', input)).toMatchObject({ ok: false, error: { code: 'invalid_input' } })
})
