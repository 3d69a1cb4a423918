import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { openSocket, type Answer, type Json } from '../../support/gateway-lab.ts'
import { EVERYTHING, FILESYSTEM, MEMORY, processesWith } from '../../support/mcp-servers.ts'
import { call, data, example, folder, fresh, labs, meets, refusal, refuses, self, theLab, UNKNOWN } from './harness.ts'

const servers = (): string => `/api/machines/${self()}/mcp`
const at = (name: string, what = ''): string => `${servers()}/${name}${what && `/${what}`}`

/** On the machine itself, whichever gateway is asked. */
const approve = (name: string, body: object = {}): Promise<Answer> =>
  call('POST', at(name, 'approve'), { body }, labs()[0])

const define = (name: string, more: object = {}): Promise<Json> =>
  // Each is another program: what was approved once may run.
  data('POST', servers(), { body: { name, command: process.execPath, args: [MEMORY, name], ...more } })

/** Makes a folder a project; the machine learns of it a moment later where another gateway was asked. */
async function share(path: string): Promise<void> {
  const { id } = await data('POST', `/api/machines/${self()}/projects`, { body: { project_path: path } })
  await expect.poll(async () => (await labs()[0].call('GET', `/api/projects/${id}`)).status).toBe(200)
}

/** A server that may run. */
async function newServer(more: object = {}): Promise<string> {
  const name = fresh('server')
  await define(name, more)
  expect((await approve(name)).status).toBe(200)
  return name
}

async function runningServer(more: object = {}): Promise<string> {
  const name = await newServer(more)
  expect((await data('POST', at(name, 'start'))).status).toBe('running')
  return name
}

/** A server is a process: where what becomes of it does not matter, one serves all. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => (made ??= make())
}
const stopped = once(newServer)
const everything = once(() => runningServer({ args: [EVERYTHING] }))
const files = once(async () => {
  const path = await folder()
  await writeFile(join(path, 'file.txt'), 'File contents...')
  return { path, name: await runningServer({ args: [FILESYSTEM, path] }) }
})

const ofMachine = () => ({ params: { machine: self() } })
const named = (name: string) => ({ params: { machine: self(), name } })

/** Every route of a machine knows no others, and one that has no node cannot be asked. */
function refusesMachines(route: string, body: Record<string, unknown> = {}): void {
  const of = (machine: string) => ({ params: { machine, name: 'some' }, body })
  refuses(route, 'MCH_001', () => of(UNKNOWN))
  refuses(route, 'MCH_002', async () =>
    of((await data('POST', '/api/machines', { body: { name: 'away' } })).machine.id),
  )
}

function refusesServers(route: string, body: Record<string, unknown> = {}): void {
  refusesMachines(route, body)
  refuses(route, 'MCP_001', () => ({ ...named('unknown'), body }))
}

const execute = (name: string, tool: string, more: object = {}): Promise<Answer> =>
  call('POST', at(name, 'execute'), { body: { tool, ...more } })

export function mcpRequirements(): void {
  readRequirements()
  addRequirements()
  changeRequirements()
  startRequirements()
  toolRequirements()
  executeRequirements()
  approveRequirements()
}

function readRequirements(): void {
  const list = 'GET /api/machines/:machine/mcp'
  example(list, async () => {
    await files()
    return ofMachine()
  })
  refusesMachines(list)
  meets(list, 'pages', async () => {
    await stopped()
    await files()
    const { json } = await call('GET', `${servers()}?per_page=1&page=2`)
    expect([json.data.length, json.meta.pagination.per_page]).toEqual([1, 1])
    expect((await call('GET', servers())).json.meta.pagination.per_page).toBe(50)
  })
  meets(list, 'lists what agents have in their files, and runs none of it', async () => {
    const path = await folder()
    const trace = join(path, 'trace')
    const file = join(path, '.mcp.json')
    const name = fresh('found')
    await writeFile(file, JSON.stringify({ mcpServers: { [name]: { command: 'touch', args: [trace] } } }))
    await share(path)
    const found = (await data('GET', `${servers()}?per_page=100`)).find((one: Json) => one.name === name)
    expect(found).toMatchObject({ source: file, is_approved: false, status: 'stopped', cwd: path })
    expect(await refusal('POST', at(name, 'start'))).toEqual([403, 'MCP_004'])
    expect(await refusal('PATCH', at(name), { body: { args: [] } })).toEqual([409, 'MCP_007'])
    expect(await refusal('DELETE', at(name))).toEqual([409, 'MCP_007'])
    expect(processesWith(trace)).toEqual([])
  })
  const get = 'GET /api/machines/:machine/mcp/:name'
  example(get, async () => named((await files()).name))
  refusesServers(get)
  meets(get, 'shows no secret', async () => {
    const secret = 'top-secret-4711'
    const name = await newServer({ env: { KEY: secret } })
    const web = await newServer({
      command: undefined,
      args: undefined,
      url: `https://example.org/mcp?key=${secret}`,
      headers: { Authorization: secret },
    })
    const [local, remote] = [await call('GET', at(name)), await call('GET', at(web))]
    expect(local.json.data.env).toEqual({ KEY: '***' })
    expect([remote.json.data.headers, remote.json.data.url]).toEqual([
      { Authorization: '***' },
      'https://example.org/mcp?key=***',
    ])
    const told = [local, remote, await call('GET', servers())].map(({ json }) => JSON.stringify(json))
    expect(told.filter((text) => text.includes(secret))).toEqual([])
  })
  meets(get, 'says why a server has failed', async () => {
    const name = await newServer({ args: ['-e', 'console.error("no such key"); process.exit(3)'] })
    const { json } = await call('POST', at(name, 'start'))
    expect(json.error.message).toContain('exit code 3')
    expect(await data('GET', at(name))).toMatchObject({
      status: 'error',
      problem: 'The server ended with exit code 3.',
      stderr: ['no such key'],
      tools_count: 0,
      next_try_at: null,
    })
  })
}

function addRequirements(): void {
  const add = 'POST /api/machines/:machine/mcp'
  // The example's program would be fetched from elsewhere.
  example(
    add,
    () => ({ ...ofMachine(), body: { auto_start: false } }),
    (made) => expect([made.server.id, made.transport, made.env]).toEqual([made.id, 'stdio', { HTTP_PROXY: '***' }]),
  )
  refusesMachines(add)
  meets(add, 'takes a name once', async () => {
    const name = await stopped()
    expect(await refusal('POST', servers(), { body: { name, command: 'node' } })).toEqual([409, 'MCP_005'])
    expect(await refusal('POST', servers(), { body: { name: 'all-tools', command: 'node' } })).toEqual([422, 'VAL_001'])
  })
  meets(add, 'refuses variables of loaders and interpreters', async () => {
    for (const variable of ['LD_PRELOAD', 'NODE_OPTIONS', 'BASH_ENV', 'GIT_SSH_COMMAND', 'npm_config_node_options']) {
      const body = { name: fresh('loader'), command: 'node', env: { [variable]: 'x' } }
      const { status, json } = await call('POST', servers(), { body })
      expect([status, Object.keys(json.error.errors)]).toEqual([422, [`env.${variable}`]])
    }
  })
  meets(add, 'refuses a command that only a shell would understand', async () => {
    for (const command of ['node; touch /tmp/x', 'node && true', '$(id)', './server', 'a b']) {
      const { status, json } = await call('POST', servers(), { body: { name: fresh('shell'), command } })
      expect([status, Object.keys(json.error.errors)]).toEqual([422, ['command']])
    }
  })
  meets(add, 'takes env_vars for env', async () => {
    expect((await define(fresh('alias'), { env_vars: { KEY: 'x' } })).env).toEqual({ KEY: '***' })
  })
  meets(add, 'starts what is to start by itself', async () => {
    const name = await newServer({ auto_start: true })
    await expect.poll(async () => (await data('GET', at(name))).status, { timeout: 30_000 }).toBe('running')
  })
}

function changeRequirements(): void {
  const update = 'PATCH /api/machines/:machine/mcp/:name'
  example(update, async () => named(await newServer()))
  refusesServers(update)
  meets(update, 'changes what is given and keeps the rest, secrets too', async () => {
    const args = ['-e', 'console.error(process.env.A, process.env.B)']
    const name = await newServer({ args, env: { A: 'one', B: 'two' } })
    const body = { display_name: 'Renamed', env: { A: '***', B: 'three' } }
    expect(await data('PATCH', at(name), { body })).toMatchObject({ display_name: 'Renamed', args })
    await approve(name)
    await call('POST', at(name, 'start'))
    expect((await data('GET', at(name))).stderr).toEqual(['one three'])
  })
  meets(update, 'stops a server that runs something else now', async () => {
    const path = await folder()
    const name = await runningServer({ args: [FILESYSTEM, path] })
    const { json } = await call('PATCH', at(name), { body: { args: [MEMORY, name] } })
    expect(processesWith(path)).toEqual([])
    // Whoever changes it at the machine means it to run there.
    const isHere = theLab() === labs()[0]
    expect([json.data.is_approved, json.data.status]).toEqual(isHere ? [true, 'starting'] : [false, 'stopped'])
    expect(await refusal('POST', at(name, 'start'))).toEqual(isHere ? [200, undefined] : [403, 'MCP_004'])
  })
  const remove = 'DELETE /api/machines/:machine/mcp/:name'
  example(remove, async () => named(await newServer()))
  refusesServers(remove)
  meets(remove, 'stops the server', async () => {
    const path = await folder()
    const name = await runningServer({ args: [FILESYSTEM, path] })
    expect(await data('DELETE', at(name))).toBe(null)
    expect([await refusal('GET', at(name)), processesWith(path)]).toEqual([[404, 'MCP_001'], []])
  })
}

function startRequirements(): void {
  const start = 'POST /api/machines/:machine/mcp/:name/start'
  example(
    start,
    async () => named(await newServer()),
    (started) => expect([started.status, started.tools_count]).toEqual(['running', 9]),
  )
  refusesServers(start)
  refuses(start, 'MCP_002', async () => named(await newServer({ command: '/no/such/program', args: [] })))
  meets(start, 'leaves a server alone that runs', async () => {
    const { name } = await files()
    const before = (await data('GET', at(name))).last_started_at
    expect((await data('POST', at(name, 'start'))).last_started_at).toBe(before)
  })
  meets(start, 'refuses what was not approved on the machine, and what has changed since', async () => {
    const path = await folder()
    const file = join(path, '.mcp.json')
    const name = fresh('repo')
    const write = (args: string[]) =>
      writeFile(file, JSON.stringify({ mcpServers: { [name]: { command: process.execPath, args } } }))
    await write([MEMORY])
    await share(path)
    expect(await refusal('POST', at(name, 'start'))).toEqual([403, 'MCP_004'])
    expect(await refusal('POST', at(name, 'execute'), { body: { tool: 'read_graph' } })).toEqual([403, 'MCP_004'])
    await approve(name)
    expect((await data('POST', at(name, 'start'))).status).toBe('running')
    await write([MEMORY, 'something else'])
    expect(await refusal('POST', at(name, 'execute'), { body: { tool: 'read_graph' } })).toEqual([403, 'MCP_004'])
    expect(await refusal('POST', at(name, 'start'))).toEqual([403, 'MCP_004'])
  })
  meets(start, 'tells those who follow the machine', async () => {
    const name = await newServer()
    const socket = await openSocket(theLab().url)
    socket.subscribe(`private-machine.${self()}`, { token: theLab().token }, { spelling: 'colon' })
    await socket.event('pusher_internal:subscription_succeeded')
    const told = (status: string) =>
      socket.seen((one) => one.event === 'mcp:status' && one.data.name === name && one.data.status === status)
    await data('POST', at(name, 'start'))
    expect((await told('running')).data).toMatchObject({ machine_id: self(), tools_count: 9, transport: 'stdio' })
    await data('POST', at(name, 'stop'))
    expect((await told('stopped')).data.tools_count).toBe(0)
    socket.close()
  })
  const stop = 'POST /api/machines/:machine/mcp/:name/stop'
  example(
    stop,
    async () => named(await stopped()),
    (done) => expect(done.status).toBe('stopped'),
  )
  refusesServers(stop)
  meets(stop, 'leaves no process behind', async () => {
    const path = await folder()
    const name = await runningServer({ args: [FILESYSTEM, path] })
    expect(processesWith(path)).toHaveLength(1)
    expect((await data('POST', at(name, 'stop'))).status).toBe('stopped')
    expect(processesWith(path)).toEqual([])
  })
}

function toolRequirements(): void {
  const tools = 'GET /api/machines/:machine/mcp/:name/tools'
  example(
    tools,
    async () => named((await files()).name),
    (listed) =>
      expect(listed.find((tool: Json) => tool.name === 'read_file').parameters).toMatchObject({
        type: 'object',
        properties: { path: { type: 'string' } },
        required: ['path'],
      }),
  )
  refusesServers(tools)
  meets(tools, 'has nothing to tell of a server that does not run', async () => {
    expect(await refusal('GET', at(await stopped(), 'tools'))).toEqual([409, 'MCP_006'])
  })
  const all = 'GET /api/machines/:machine/mcp/all-tools'
  example(all, async () => {
    await files()
    return ofMachine()
  })
  refusesMachines(all)
  meets(all, 'says which server has which tool', async () => {
    const [{ name }, other] = [await files(), await everything()]
    const listed = await data('GET', at('all-tools'))
    const has = (server: string, tool: string) => listed.some((one: Json) => one.server === server && one.name === tool)
    expect([has(name, 'read_file'), has(other, 'echo'), has(name, 'echo')]).toEqual([true, true, false])
    const theirs = await data('GET', at(name, 'tools'))
    expect(listed.filter((one: Json) => one.server === name)).toEqual(
      theirs.map((tool: Json) => ({ server: name, ...tool })),
    )
  })
}

function executeRequirements(): void {
  const run = 'POST /api/machines/:machine/mcp/:name/execute'
  const read = async (file: string) => {
    const { path, name } = await files()
    return { ...named(name), body: { parameters: { path: join(path, file) } } }
  }
  example(
    run,
    () => read('file.txt'),
    (answer) =>
      expect([answer.content, answer.mimeType, answer.truncated]).toEqual(['File contents...', 'text/plain', false]),
  )
  refusesServers(run)
  refuses(run, 'MCP_003', () => read('missing.txt'))
  meets(run, 'refuses arguments that the tool does not take', async () => {
    const { status, json } = await execute((await files()).name, 'read_file', { parameters: { path: 7 } })
    expect([status, json.error.code, json.error.errors]).toEqual([
      422,
      'VAL_001',
      { 'parameters.path': ['Must be string.'] },
    ])
    expect((await execute((await files()).name, 'read_file')).json.error.errors).toEqual({
      'parameters.path': ['Is required.'],
    })
  })
  meets(run, 'refuses a tool that the server does not have', async () => {
    const { status, json } = await execute((await files()).name, 'format_disk')
    expect([status, json.error.code, Object.keys(json.error.errors)]).toEqual([422, 'VAL_001', ['tool']])
  })
  meets(run, 'takes params, arguments and args for parameters', async () => {
    for (const alias of ['params', 'arguments', 'args']) {
      const { json } = await execute(await everything(), 'echo', { [alias]: { message: alias } })
      expect(json.data.content).toBe(`Echo: ${alias}`)
    }
  })
  meets(run, 'gives up after timeout_ms', async () => {
    const more = { parameters: { duration: 600, steps: 1 }, timeout_ms: 50 }
    const { status, json } = await execute(await everything(), 'trigger-long-running-operation', more)
    expect([status, json.error.code, json.error.message]).toEqual([
      500,
      'MCP_003',
      'The tool did not answer within 0.05 s.',
    ])
  })
  meets(run, 'needs a server that runs', async () => {
    const { status, json } = await execute(await stopped(), 'read_graph')
    expect([status, json.error.code]).toEqual([409, 'MCP_006'])
  })
}

function approveRequirements(): void {
  const approval = 'POST /api/machines/:machine/mcp/:name/approve'
  const here = (name: string) => ({ ...named(name), gateway: labs()[0] })
  example(approval, async () => here(await stopped()))
  refusesMachines(approval)
  refuses(approval, 'MCP_001', () => here('unknown'))
  meets(approval, 'is for one definition only', async () => {
    const name = await newServer()
    const { fingerprint } = await data('GET', at(name))
    expect((await approve(name, { fingerprint })).status).toBe(200)
    await data('PATCH', at(name), { body: { args: [MEMORY, 'changed'] } })
    const { status, json } = await approve(name, { fingerprint })
    expect([status, json.error.code]).toEqual([403, 'MCP_004'])
  })
  meets(approval, 'is done on the machine itself', async () => {
    const name = fresh('pending')
    const isHere = theLab() === labs()[0]
    expect((await define(name)).is_approved).toBe(isHere)
    expect(await refusal('POST', at(name, 'approve'))).toEqual(isHere ? [200, undefined] : [403, 'MCH_005'])
    // Who may define servers may not let them run.
    const { token } = await theLab().tokenWith(['mcp:read', 'mcp:write', 'mcp:execute'])
    expect(
      (await call('POST', servers(), { token, body: { name: fresh('untrusted'), command: 'node' } })).json.data
        .is_approved,
    ).toBe(false)
    expect(await refusal('POST', at(name, 'approve'), { token })).toEqual([403, 'AUTH_006'])
  })
}
