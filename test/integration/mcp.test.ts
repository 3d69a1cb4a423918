import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Actor } from '../../crdt/actor.ts'
import type { PeerId } from '../../crdt/ids.ts'
import type { McpProgram, McpServer } from '../../crdt/mcp.ts'
import { createMcpConnector } from '../../node/adapters/mcp-connector.ts'
import { createSignInFiles } from '../../node/adapters/mcp-sign-in-files.ts'
import type { McpService } from '../../node/services/mcp/mcp-service.ts'
import { startGatewayLab, type GatewayLab } from '../support/gateway-lab.ts'
import { EVERYTHING, processesWith } from '../support/mcp-servers.ts'

const ODD = resolve(import.meta.dirname, '../support/odd-mcp-server.ts')

let lab: GatewayLab
let mcp: McpService
let folder: string
let actor: Actor
const machine = (): string => lab.services.machines.self

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rk-mcp-'))
  lab = await startGatewayLab()
  mcp = lab.services.mcp
  const gateway = lab.services.mesh.members()[0]?.peerId as PeerId
  actor = { kind: 'local', id: 'local', tokenId: `local:${gateway}`, abilities: ['*'], gateway }
})
afterAll(async () => {
  await lab.stop()
  await rm(folder, { recursive: true })
})

let count = 0
/** A server of ours that runs; its notes are in a file that its command line names. */
async function odd(...habits: string[]): Promise<{ name: string; notes: string }> {
  const name = `odd-${++count}`
  const notes = join(folder, name)
  const input = { name, command: process.execPath, args: [ODD, notes, ...habits] }
  expect(await mcp.add(actor, machine(), input)).toMatchObject({ ok: true })
  expect(await mcp.start(actor, machine(), name)).toMatchObject({ ok: true, value: { status: 'running' } })
  return { name, notes }
}
const shown = async (name: string): Promise<McpServer> => {
  const got = await mcp.get(actor, machine(), name)
  if (!got.ok) throw new Error(got.error.message)
  return got.value
}
const call = (name: string, tool: string, signal = new AbortController().signal) =>
  mcp.execute(actor, machine(), { name, tool, args: {} }, signal)
const notesOf = (file: string): Promise<string> => readFile(file, 'utf8').catch(() => '')

describe('a server that runs', () => {
  it('is ended with its children although it does not listen to signals', async () => {
    const { name, notes } = await odd('stubborn')
    expect(processesWith(notes)).toHaveLength(2)
    expect(await mcp.stop(actor, machine(), name)).toMatchObject({ ok: true, value: { status: 'stopped' } })
    expect(processesWith(notes)).toEqual([])
  })

  it('is started again after a crash, and says meanwhile what happened', async () => {
    const { name } = await odd()
    const before = (await shown(name)).lastStartedAt
    expect(await call(name, 'crash')).toMatchObject({ ok: false, error: { code: 'mcp_tool_failed' } })
    await expect.poll(async () => (await shown(name)).problem).toBe('The server ended with exit code 7.')
    expect((await shown(name)).nextTryAt).not.toBeNull()
    await expect.poll(async () => (await shown(name)).status, { timeout: 20_000 }).toBe('running')
    expect((await shown(name)).lastStartedAt).not.toBe(before)
  })

  it('is not started again once it was stopped', async () => {
    const { name, notes } = await odd()
    await call(name, 'crash')
    await expect.poll(async () => (await shown(name)).nextTryAt).not.toBeNull()
    await mcp.stop(actor, machine(), name)
    expect(await shown(name)).toMatchObject({ status: 'stopped', nextTryAt: null, problem: null })
    expect(processesWith(notes)).toEqual([])
  })

  it('has its tools listed again when it says that they have changed', async () => {
    const { name } = await odd()
    await call(name, 'learn')
    const names = async () => {
      const tools = await mcp.tools(actor, machine(), name)
      return tools.ok && tools.value.map((tool) => tool.name)
    }
    await expect.poll(names).toContain('learnt')
    expect((await shown(name)).toolsCount).toBe(6)
  })

  it('keeps the last lines of standard error, in plain text', async () => {
    const { name } = await odd('noisy')
    const { stderr } = await shown(name)
    expect([stderr.length, stderr.at(-1)]).toEqual([20, 'line 199 red'])
  })

  it('answers no more than an answer holds, and says so', async () => {
    const { name } = await odd()
    const big = await call(name, 'big')
    expect(big).toMatchObject({ ok: true, value: { truncated: true, blocks: [], mimeType: 'text/plain' } })
    expect(big.ok && big.value.content.length).toBe(200_000)
    expect(await call(name, 'pictures')).toMatchObject({ ok: true, value: { content: 'aGk=', mimeType: 'image/png' } })
  })

  it('does not hear shells: arguments arrive as they are', async () => {
    const name = 'literal'
    const trace = join(folder, 'trace')
    const args = ['-e', 'console.error(process.argv[1]); process.exit(1)', `$(touch ${trace}); \`touch ${trace}\``]
    await mcp.add(actor, machine(), { name, command: process.execPath, args })
    await mcp.start(actor, machine(), name)
    expect((await shown(name)).stderr).toEqual([args[2]])
    expect(await notesOf(trace)).toBe('')
  })

  it('inherits nothing of the environment of the node but what every program gets', async () => {
    process.env['ROOKERY_TEST_SECRET'] = 'must not be told'
    await mcp.add(actor, machine(), { name: 'env', command: process.execPath, args: [EVERYTHING], env: { OWN: 'yes' } })
    await mcp.start(actor, machine(), 'env')
    const told = await call('env', 'get-env')
    delete process.env['ROOKERY_TEST_SECRET']
    expect(told.ok && JSON.parse(told.value.content)).toMatchObject({ OWN: 'yes', HOME: process.env['HOME'] })
    expect(told.ok && told.value.content).not.toContain('must not be told')
  })
})

describe('a call', () => {
  it('is cancelled on the server when its caller gives up', async () => {
    const { name, notes } = await odd()
    const caller = new AbortController()
    const answer = call(name, 'wait', caller.signal)
    await expect.poll(() => notesOf(notes)).toMatch(/^waiting/)
    caller.abort()
    expect(await answer).toMatchObject({ ok: false, error: { code: 'cancelled' } })
    await expect.poll(() => notesOf(notes)).toMatch(/^cancelled/)
  })

  it('is cancelled on the server when the HTTP client goes away', async () => {
    const { name, notes } = await odd()
    const client = new AbortController()
    const asked = fetch(`${lab.url}/api/machines/${machine()}/mcp/${name}/execute`, {
      method: 'POST',
      headers: { authorization: `Bearer ${lab.token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ tool: 'wait' }),
      signal: client.signal,
    }).catch(() => 'gone')
    await expect.poll(() => notesOf(notes)).toMatch(/^waiting/)
    client.abort()
    expect(await asked).toBe('gone')
    await expect.poll(() => notesOf(notes)).toMatch(/^cancelled/)
  })
})

describe('a server elsewhere', () => {
  it('is asked over streamable HTTP, with its headers, and missed when it is gone', async () => {
    const port = await freePort()
    const server = spawn(process.execPath, [EVERYTHING, 'streamableHttp'], {
      env: { ...process.env, PORT: String(port) },
    })
    await once(server.stderr, 'data')
    const input = { name: 'web', url: `http://127.0.0.1:${port}/mcp`, headers: { 'X-Test': 'one' } }
    expect(await mcp.add(actor, machine(), input)).toMatchObject({ ok: true, value: { transport: 'http' } })
    expect(await mcp.start(actor, machine(), 'web')).toMatchObject({ ok: true, value: { status: 'running' } })
    const sum = await mcp.execute(
      actor,
      machine(),
      { name: 'web', tool: 'get-sum', args: { a: 2, b: 3 } },
      new AbortController().signal,
    )
    expect(sum).toMatchObject({ ok: true, value: { content: 'The sum of 2 and 3 is 5.' } })
    server.kill('SIGKILL')
    await once(server, 'exit')
    expect(await call('web', 'get-env')).toMatchObject({ ok: false, error: { code: 'mcp_tool_failed' } })
    await expect.poll(async () => (await shown('web')).status).toBe('error')
    await mcp.stop(actor, machine(), 'web')
  })

  it('is not followed to another address [A-E1]', async () => {
    const hits: string[] = []
    const server = createServer((request, response) => {
      hits.push(request.url ?? '')
      response.writeHead(307, { location: '/elsewhere' }).end()
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    await mcp.add(actor, machine(), { name: 'moved', url: `http://127.0.0.1:${port}/mcp` })
    expect(await mcp.start(actor, machine(), 'moved')).toMatchObject({ ok: false, error: { code: 'mcp_start_failed' } })
    expect(hits).toEqual(['/mcp'])
    server.close()
  })
})

describe('files of agents', () => {
  it('are found, with their own folder, and run nothing by themselves [A-R1]', async () => {
    const project = await mkdtemp(join(folder, 'repo-'))
    const trace = join(project, 'trace')
    await writeFile(
      join(project, '.mcp.json'),
      JSON.stringify({ mcpServers: { evil: { command: 'touch', args: [trace] } } }),
    )
    const created = await lab.services.projects.create(actor, machine(), { projectPath: project })
    expect(created.ok).toBe(true)
    expect(await shown('evil')).toMatchObject({ isApproved: false, source: join(project, '.mcp.json'), cwd: project })
    expect(await mcp.start(actor, machine(), 'evil')).toMatchObject({ ok: false, error: { code: 'mcp_not_approved' } })
    expect(await notesOf(trace)).toBe('')
  })
})

describe('what a node that was killed has left', () => {
  it('is ended by the next one', async () => {
    const notes = join(folder, 'left')
    const processFile = join(folder, 'running.json')
    const signIns = createSignInFiles(join(folder, 'sign-ins'))
    const options = { environment: process.env, home: folder, processFile, version: '0', signIns }
    const events = { onStderr: () => undefined, onToolsChanged: () => undefined }
    const program: McpProgram = {
      transport: 'stdio',
      command: process.execPath,
      args: [ODD, notes, 'stubborn'],
      env: {},
      cwd: null,
    }
    const { signal } = new AbortController()
    const connection = await createMcpConnector(options).connect(program, { reach: 'public', events, signal })
    expect(processesWith(notes)).toHaveLength(2)
    await createMcpConnector(options).sweep()
    expect(processesWith(notes)).toEqual([])
    await connection.ended
  })
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((done) => server.close(done))
  return port
}
