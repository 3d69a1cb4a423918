import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { callNode } from '../../../node/cli/control-client.ts'
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
  const context = (): never => {
    throw new Error('the node is moving to another mesh')
  }
  const server = await serveControl(path, { context, attach: async () => undefined, log: createRecordedLog(), ...deps })
  servers.push(server)
  return { path, server }
}

it('answers a command that comes while the node moves to another mesh, and stays up', async () => {
  const { path } = await serve()
  for (let i = 0; i < 2; i++) {
    const answer = await callNode(path, 'mesh.status', {})
    expect(answer).toMatchObject({ ok: false, error: { code: 'internal' } })
  }
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
