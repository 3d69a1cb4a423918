import { tmpdir } from 'node:os'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import {
  openSocket,
  refusedUpgrade,
  startGatewayLab,
  type GatewayLab,
  type Json,
  type TestSocket,
} from '../support/gateway-lab.ts'
import { LegacyAgent, type LegacyAgentOptions } from '../support/legacy-agent.ts'
import { eventually } from '../support/nodes.ts'

/** One mesh of two gateways for all: agents connect to the first, unless they are told otherwise. */
let first: GatewayLab
let second: GatewayLab
const agents: LegacyAgent[] = []

beforeAll(async () => {
  first = await startGatewayLab()
  second = await startGatewayLab({}, { besides: first })
})
afterEach(async () => {
  for (const agent of agents.splice(0)) await agent.kill()
})
afterAll(async () => {
  await second.stop()
  await first.stop()
})

let machines = 0

const data = async (lab: GatewayLab, method: string, path: string, body?: unknown): Promise<Json> => {
  const { status, json } = await lab.call(method, path, { ...(body !== undefined && { body }) })
  if (status >= 300) throw new Error(`${method} ${path}: ${status} ${JSON.stringify(json)}`)
  return json.data
}
const refusal = async (lab: GatewayLab, method: string, path: string, body?: unknown): Promise<Json> => {
  const { status, json } = await lab.call(method, path, { ...(body !== undefined && { body }) })
  return [status, json.error?.code]
}

type Registered = { readonly id: string; readonly token: string }

const register = async (lab = first): Promise<Registered> => {
  const { machine, token } = await data(lab, 'POST', '/api/machines', { name: `legacy-${machines++}` })
  return { id: machine.id, token }
}

/** An agent of a machine of its own, connected and introduced, and shown as online by both gateways. */
const connected = async (options: Partial<LegacyAgentOptions> = {}): Promise<{ agent: LegacyAgent; id: string }> => {
  const { id, token } = await register()
  const agent = new LegacyAgent({ url: first.url, token, machineId: id, ...options })
  agents.push(agent)
  await agent.connect()
  agent.introduce()
  await isShownAs(id, 'online')
  return { agent, id }
}

const isShownAs = async (id: string, status: string): Promise<void> => {
  for (const lab of [first, second])
    await eventually(async () => {
      const shown = await lab.call('GET', `/api/machines/${id}`)
      return shown.json.data?.status === status ? true : undefined
    })
}

const create = (lab: GatewayLab, machine: string, body: object = { agent: 'shell' }): Promise<Json> =>
  data(lab, 'POST', `/api/machines/${machine}/sessions`, body)

const outputOf = ({ frames }: Pick<TestSocket, 'frames'>): string =>
  frames.flatMap((frame) => (frame.event === 'session:output' ? [frame.data.data] : [])).join('')
const shows = (socket: TestSocket, text: string) => socket.seen(() => outputOf(socket).includes(text))
const type = (socket: TestSocket, id: string, text: string): void =>
  socket.send({ event: 'client-session:input', channel: `private-session.${id}`, data: { data: text } })

const watch = async (lab: GatewayLab, session: Json, more: object = {}): Promise<TestSocket> => {
  const socket = await openSocket(lab.url)
  socket.subscribe(`private-session.${session.id}`, { token: lab.token }, more)
  await socket.event('pusher_internal:subscription_succeeded')
  return socket
}
const ended = (lab: GatewayLab, id: string): Promise<Json> =>
  eventually(async () => {
    const session = await data(lab, 'GET', `/api/sessions/${id}`)
    return ['completed', 'error', 'terminated'].includes(session.status) ? session : undefined
  })

describe.each([
  ['the gateway its agent is connected to', () => first],
  ['another gateway of the mesh', () => second],
])('a session of a machine without a node, asked of %s', (_name, asked) => {
  it('runs in a terminal at the other end: output with its positions, input, size, exit code', async () => {
    const { agent, id } = await connected()
    const session = await create(asked(), id, {
      agent: 'shell',
      project_path: tmpdir(),
      pty_size: { cols: 90, rows: 30 },
    })
    expect(session).toMatchObject({ status: 'running', machine_id: id, mode: 'interactive', project_path: tmpdir() })
    expect(await agent.told('session:create')).toEqual({
      sessionId: session.id,
      mode: 'bash',
      projectPath: tmpdir(),
      ptySize: { cols: 90, rows: 30 },
    })
    const socket = await watch(asked(), session)
    type(socket, session.id, 'echo h$((1+1))h; stty size\n')
    await shows(socket, 'h2h')
    await shows(socket, '30 90')
    await data(asked(), 'POST', `/api/sessions/${session.id}/resize`, { cols: 100, rows: 50 })
    await agent.told('session:resize', (size) => size.cols === 100)
    await data(asked(), 'POST', `/api/sessions/${session.id}/input`, { data: 'stty size; exit 3\n' })
    await shows(socket, '50 100')
    expect(await socket.event('session:terminated')).toMatchObject({ data: { exit_code: 3 } })
    let next = 0
    for (const { event, data: chunk } of socket.frames)
      if (event === 'session:output') {
        expect(chunk.seq).toBe(next)
        next = chunk.end
      }
    expect(await ended(asked(), session.id)).toMatchObject({ status: 'completed', exit_code: 3 })
    const logs = await data(asked(), 'GET', `/api/sessions/${session.id}/logs`)
    expect(logs.map((entry: Json) => entry.data).join('')).toContain('h2h')
    expect(logs.some((entry: Json) => entry.type === 'input')).toBe(true)
    socket.close()
  })

  it('is ended when it is asked for', async () => {
    const { agent, id } = await connected()
    const session = await create(asked(), id)
    await data(asked(), 'DELETE', `/api/sessions/${session.id}`)
    expect(await ended(asked(), session.id)).toMatchObject({ status: 'terminated' })
    await agent.runsOnly()
    expect(await refusal(asked(), 'DELETE', `/api/sessions/${session.id}`)).toEqual([400, 'SES_002'])
    await data(asked(), 'DELETE', `/api/sessions/${session.id}/logs`)
    expect(await refusal(asked(), 'GET', `/api/sessions/${session.id}`)).toEqual([404, 'SES_001'])
  })
})

describe('sessions of a machine without a node', () => {
  it.each(['interactive', 'headless', 'oneshot'])('start claude as %s with the prompt', async (mode) => {
    const { agent, id } = await connected()
    const session = await create(second, id, { mode, initial_prompt: 'say "hi"' })
    expect(session).toMatchObject({ mode, status: 'running' })
    const told = { sessionId: session.id, mode, initialPrompt: 'say "hi"', ptySize: { cols: 120, rows: 40 } }
    expect(await agent.told('session:create')).toEqual(told)
    const socket = await watch(second, session)
    await shows(socket, `claude as ${mode} is told: say "hi"`)
    socket.close()
  })

  it('are listed and counted with their own machine, not with its gateway', async () => {
    const { id } = await connected()
    const session = await create(second, id)
    const listed = await data(first, 'GET', `/api/machines/${id}/sessions`)
    expect(listed.map((one: Json) => one.id)).toEqual([session.id])
    expect((await data(first, 'GET', `/api/machines/${id}`)).active_sessions_count).toBe(1)
    const { self } = first.services.machines
    expect(await data(second, 'GET', `/api/machines/${self}/sessions`)).toEqual([])
    expect((await data(second, 'GET', `/api/machines/${self}`)).active_sessions_count).toBe(0)
  })

  it('are as many as the agent says and the mesh allows', async () => {
    const { agent, id } = await connected({ maxSessions: 1 })
    await eventually(async () => (await data(second, 'GET', `/api/machines/${id}`)).max_sessions === 1 || undefined)
    await create(second, id)
    expect(await refusal(second, 'POST', `/api/machines/${id}/sessions`, {})).toEqual([409, 'SES_003'])
    expect(agent.received.filter((frame) => frame.type === 'session:create')).toHaveLength(1)
  })

  it('are refused with the words of the agent', async () => {
    const { id } = await connected()
    const path = `/api/machines/${id}/sessions`
    const body = { agent: 'shell', project_path: '/nowhere/at/all' }
    const { status, json } = await second.call('POST', path, { body })
    expect([status, json.error.code]).toEqual([500, 'SES_004'])
    expect(json.error.message).toBe("The session could not be started: can't find directory /nowhere/at/all")
    expect(await data(second, 'GET', path)).toEqual([])
  })

  it.each([
    [{ agent: 'codex' }, 'agent'],
    [{ agent: 'shell', mode: 'oneshot' }, 'mode'],
    [{ agent: 'shell', initial_prompt: 'ls' }, 'initial_prompt'],
    [{ project_path: 'a\0b' }, 'project_path'],
  ])('are refused where an agent could not do it: %j', async (body, field) => {
    const { id } = await connected()
    const { status, json } = await second.call('POST', `/api/machines/${id}/sessions`, { body })
    expect([status, Object.keys(json.error.errors)]).toEqual([422, [field]])
  })

  it('go on over a broken connection, and nothing that was put out meanwhile is lost', async () => {
    const { agent, id } = await connected()
    const session = await create(second, id)
    const socket = await watch(second, session)
    type(socket, session.id, 'echo bef$((1))ore\n')
    await shows(socket, 'bef1ore')
    await data(second, 'POST', `/api/sessions/${session.id}/input`, { data: 'read x; echo mean$((1))while; read y\n' })
    agent.drop()
    expect(await eventually(() => unreachable(session.id))).toEqual([400, 'MCH_002'])
    expect(await data(first, 'GET', `/api/sessions/${session.id}`)).toMatchObject({ status: 'running' })
    await agent.connect()
    await data(second, 'POST', `/api/sessions/${session.id}/input`, { data: 'go\n' })
    await shows(socket, 'mean1while')
    socket.close()
  })

  const unreachable = async (id: string): Promise<Json> => {
    const answer = await refusal(first, 'POST', `/api/sessions/${id}/input`, { data: '' })
    return answer[0] === 200 ? undefined : answer
  }

  it('end with the process of their agent, and say so, when it is back', async () => {
    const { agent, id } = await connected()
    const session = await create(second, id)
    await agent.kill()
    await agent.connect()
    agent.introduce({ agentVersion: '1.4.3' })
    const over = await ended(second, session.id)
    expect(over.status).toBe('error')
    expect(over.problem ?? over.error ?? JSON.stringify(over)).toContain('does not know the session any more')
  })

  it('end on the machine what was ended while it was away', async () => {
    const { agent, id } = await connected()
    const session = await create(second, id)
    agent.drop()
    await eventually(() => unreachable(session.id))
    await data(second, 'DELETE', `/api/sessions/${session.id}`)
    expect(await ended(second, session.id)).toMatchObject({ status: 'terminated' })
    expect(agent.running()).toEqual([session.id])
    await agent.connect()
    await agent.runsOnly()
  })
})

describe('the connection of an agent', () => {
  it('is shown everywhere: online with what it says of its machine, connecting after it broke, by the gateway it is at', async () => {
    const { agent, id } = await connected()
    const shown = await eventually(async () => {
      const machine = await data(second, 'GET', `/api/machines/${id}`)
      return machine.hostname === 'old-laptop' ? machine : undefined
    })
    expect(shown).toMatchObject({
      status: 'online',
      offline_reason: null,
      platform: 'linux',
      arch: 'arm64',
      agent_version: '1.4.2',
      claude_version: '2.1.0',
      claude_path: '/usr/bin/claude',
      peer_id: null,
    })
    expect(await data(second, 'GET', `/api/machines/${id}/environment`)).toMatchObject({ arch: 'arm64' })
    const online = await data(second, 'GET', '/api/machines?status=online&per_page=100')
    expect(online.map((machine: Json) => machine.id)).toContain(id)
    agent.drop()
    await isShownAs(id, 'connecting')
    const reason = (await data(second, 'GET', `/api/machines/${id}`)).offline_reason
    expect(reason).toBe('The connection of its agent to nest has just broken off.')
    expect(await refusal(second, 'POST', `/api/machines/${id}/sessions`, {})).toEqual([400, 'MCH_002'])
  })

  it('is needed: a machine whose agent never came is offline and says so', async () => {
    const { id } = await register()
    const shown = await data(first, 'GET', `/api/machines/${id}`)
    expect([shown.status, shown.offline_reason]).toEqual(['offline', 'Its agent has not connected to any gateway yet.'])
    const { status, json } = await first.call('POST', `/api/machines/${id}/sessions`, { body: {} })
    expect([status, json.error.code]).toEqual([400, 'MCH_002'])
    expect(json.error.message).toBe('The machine is offline. Its agent has not connected to any gateway yet.')
  })

  it('follows from the documented pairing alone, with the code that the agent made', async () => {
    const asked = await fetch(`${first.url}//api/pairing/initiate`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ code: 'QRS-TUV', agent_info: { hostname: 'paired', platform: 'linux', arch: 'x64' } }),
    })
    expect(asked.status).toBe(201)
    await data(second, 'POST', '/api/pairing/QRS-TUV/complete', { allow_legacy: true })
    const polled: Json = await (await fetch(`${first.url}//api/pairing/QRS-TUV`)).json()
    const { token, machine_id: machineId } = polled.data
    const agent = new LegacyAgent({ url: second.url, token, machineId })
    agents.push(agent)
    // What the one gateway has answered may be on its way to the other.
    await eventually(() => agent.connect().catch(() => undefined))
    await isShownAs(machineId, 'online')
    const session = await create(first, machineId)
    expect(agent.running()).toEqual([session.id])
  })

  it('answers pings, and nothing to what it has no use for', async () => {
    const { agent } = await connected()
    for (const type of ['skills:discovered', 'mcp:status', 'commands:list', 'context:sync', 'task:update', 'pong'])
      agent.send(type, { count: 0 })
    agent.send('ping', { timestamp: 1 })
    expect((await agent.told('pong')).timestamp).toBeGreaterThan(1)
    expect(agent.received.filter((frame) => frame.type === 'error')).toEqual([])
  })

  it('is replaced by a second one of the same machine, at the same gateway', async () => {
    const { agent, id } = await connected()
    const session = await create(second, id)
    const former = agent.socket
    const closed = new Promise((resolve) => former.once('close', resolve))
    await agent.connect()
    expect(await closed).toBe(4001)
    const socket = await watch(second, session)
    type(socket, session.id, 'echo sti$((1))ll\n')
    await shows(socket, 'sti1ll')
    socket.close()
  })

  it('is replaced by one to another gateway: there its sessions begin from then on', async () => {
    const { agent, id } = await connected()
    const session = await create(second, id)
    const former = agent.socket
    const closed = new Promise((resolve) => former.once('close', resolve))
    await agent.connect(second.url)
    expect(await closed).toBe(4001)
    const { bridge_peer_id: at } = await data(second, 'GET', `/api/machines/${id}`)
    await eventually(async () => (await data(first, 'GET', `/api/machines/${id}`)).bridge_peer_id === at || undefined)
    const next = await create(first, id)
    const socket = await watch(first, next)
    type(socket, next.id, 'echo he$((1))re\n')
    await shows(socket, 'he1re')
    socket.close()
    // The earlier one stays with the gateway it was begun at, until the agent is back there.
    expect(await refusal(second, 'POST', `/api/sessions/${session.id}/input`, { data: 'x' })).toEqual([400, 'MCH_002'])
    await agent.connect(first.url)
    await eventually(
      async () =>
        (await second.call('POST', `/api/sessions/${session.id}/input`, { body: { data: 'x' } })).status === 200 ||
        undefined,
    )
  })

  it('ends with its token: at once when there is a new one, and for good when the machine is removed', async () => {
    const { agent, id } = await connected()
    const session = await create(second, id)
    const { token } = await data(second, 'POST', `/api/machines/${id}/regenerate-token`)
    expect(await agent.closed()).toEqual({ code: 4009 })
    const path = '/ws/agent'
    const headers = { 'X-Machine-Token': agent.options.token, 'X-Machine-ID': id }
    expect(await refusedUpgrade(first.url, { path, headers })).toBe(401)
    const again = new LegacyAgent({ ...agent.options, token })
    agents.push(again)
    await eventually(async () =>
      (await first.call('GET', '/api/machines', { token })).status === 200 ? true : undefined,
    )
    await again.connect()
    await data(second, 'DELETE', `/api/machines/${id}`)
    expect((await again.closed()).code).toBe(4009)
    expect(await ended(first, session.id)).toMatchObject({ status: 'error' })
    expect(await refusedUpgrade(first.url, { path, headers: { ...headers, 'X-Machine-Token': token } })).toBe(401)
  })

  it('is refused before the handshake to whoever is not the agent of that machine', async () => {
    const { id, token } = await register()
    const other = await register()
    const path = '/ws/agent'
    const asked = (headers: Record<string, string>) => refusedUpgrade(first.url, { path, headers })
    expect(await asked({})).toBe(401)
    expect(await asked({ 'X-Machine-ID': id })).toBe(401)
    expect(await asked({ 'X-Machine-Token': `${token}x`, 'X-Machine-ID': id })).toBe(401)
    expect(await asked({ 'X-Machine-Token': token, 'X-Machine-ID': other.id })).toBe(403)
    expect(await asked({ 'X-Machine-Token': first.token, 'X-Machine-ID': id })).toBe(403)
    expect(await asked({ 'X-Machine-Token': token, 'X-Machine-ID': id, Origin: 'https://evil.example' })).toBe(403)
    expect(await refusedUpgrade(first.url, { path: `${path}?token=${token}` })).toBe(400)
    const plain = await first.call('GET', path, { token })
    expect([plain.status, plain.json.error.code]).toEqual([426, 'REQ_006'])
  })
})

describe('an agent that means no good', () => {
  it.each([
    ['no JSON', 'hello'],
    ['no object', '[]'],
    ['no type', '{"payload":{}}'],
    ['a session that is none', '{"type":"session:output","payload":{"sessionId":"../../etc","data":"x"}}'],
    ['output that is no text', '{"type":"session:output","payload":{"sessionId":null,"data":[1]}}'],
  ])('is told what is wrong with %s', async (_name, text) => {
    const { agent } = await connected()
    agent.sendText(text)
    expect(await agent.told('error')).toMatchObject({ code: 'INVALID_MESSAGE' })
  })

  it('is hung up on when its frames go on making no sense', async () => {
    const { agent } = await connected()
    for (let i = 0; i < 30; i++) agent.sendText('{')
    expect(await agent.closed()).toEqual({ code: 1008 })
  })

  it.each([
    ['bytes', Buffer.from([1, 2, 3]), 1003],
    ['a frame beyond a megabyte', 'x'.repeat(1024 * 1024 + 1), 1009],
  ])('is hung up on for %s', async (_name, frame, code) => {
    const { agent } = await connected()
    agent.sendText(frame)
    expect(await agent.closed()).toEqual({ code })
  })

  it('cannot speak for a session of another machine', async () => {
    const { id } = await connected()
    const session = await create(first, id)
    const { agent: stranger } = await connected()
    stranger.send('session:output', { sessionId: session.id, type: 'output', data: 'forged' })
    stranger.send('session:exited', { sessionId: session.id, exitCode: 0 })
    stranger.send('ping', {})
    await stranger.told('pong')
    expect(await data(first, 'GET', `/api/sessions/${session.id}`)).toMatchObject({ status: 'running' })
    const logs = await data(first, 'GET', `/api/sessions/${session.id}/logs`)
    expect(JSON.stringify(logs)).not.toContain('forged')
  })

  it('may flood a session: who watches gets its newest output, and is told of what is gone', async () => {
    const { agent, id } = await connected()
    const session = await create(second, id)
    const chunk = 'x'.repeat(256 * 1024)
    // More than is read at once.
    for (let i = 0; i < 72; i++) agent.send('session:output', { sessionId: session.id, type: 'output', data: chunk })
    agent.send('session:output', { sessionId: session.id, type: 'output', data: 'the end' })
    const socket = await watch(second, session)
    // More than the newest, looked through with every frame, would keep this process busy, and it holds both gateways.
    const { frames } = socket
    await socket.seen((frame) => frame === frames.at(-1) && outputOf({ frames: frames.slice(-3) }).endsWith('the end'))
    socket.close()
  })
})

it('what an agent cannot do is refused with a reason', async () => {
  const { id } = await connected()
  for (const path of ['skills', 'mcp', 'commands']) {
    const { status, json } = await second.call('GET', `/api/machines/${id}/${path}`)
    expect([path, status, json.error.code]).toEqual([path, 409, 'MCH_007'])
    expect(json.error.message).toContain('its agent runs sessions')
  }
})
