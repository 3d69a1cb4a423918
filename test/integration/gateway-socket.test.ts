import { once } from 'node:events'
import { afterEach, expect, it } from 'vitest'
import type { GatewayConfig } from '../../gateway/http/config.ts'
import { openSocket, startGatewayLab, type GatewayLab, type TestSocket } from '../support/gateway-lab.ts'

const labs: GatewayLab[] = []
const open = async (config: Partial<GatewayConfig> = {}): Promise<GatewayLab> => {
  const lab = await startGatewayLab(config)
  labs.push(lab)
  return lab
}
afterEach(async () => {
  for (const lab of labs.splice(0)) await lab.stop()
})

const newSession = async (lab: GatewayLab, headers: Record<string, string> = {}) => {
  const path = `/api/machines/${lab.services.machines.self}/sessions`
  return (await lab.call('POST', path, { body: { agent: 'shell' }, headers })).json.data
}
const outputOf = (socket: TestSocket, name = 'session:output'): string =>
  socket.frames.flatMap((frame) => (frame.event === name ? [frame.data.data] : [])).join('')
const shows = (socket: TestSocket, text: string, name?: string) =>
  socket.seen(() => outputOf(socket, name).includes(text))
const type = (socket: TestSocket, id: string, data: string): void =>
  socket.send({ event: 'client-session:input', channel: `private-session.${id}`, data: { data } })
const subscribed = (socket: TestSocket, channel: string) =>
  socket.seen((frame) => frame.event === 'pusher_internal:subscription_succeeded' && frame.channel === channel)

it('greets as Pusher does and answers pings', async () => {
  const socket = await openSocket((await open()).url)
  const [hello] = socket.frames
  expect([hello.event, JSON.parse(hello.data)]).toEqual([
    'pusher:connection_established',
    { socket_id: expect.stringMatching(/^\d+\.\d+$/), activity_timeout: 30 },
  ])
  socket.send({ event: 'pusher:ping', data: {} })
  expect(await socket.event('pusher:pong')).toEqual({ event: 'pusher:pong', data: {} })
  socket.close()
})

it.each([
  ['a key it does not know', { key: 'other' }, 4001],
  ['a protocol version it does not speak', { path: '/app/rookery?protocol=3' }, 4007],
])('closes %s with the code that Pusher documents', async (_name, options, code) => {
  const socket = await openSocket((await open()).url, options)
  expect(await socket.closed()).toEqual({ code })
  expect(socket.frames[0]).toMatchObject({ event: 'pusher:error', data: { code } })
})

it('serves the documented terminal example: in-band ticket, output as data.data.data, input as a client event', async () => {
  const lab = await open()
  const { id, websocket_token: token } = await newSession(lab)
  const socket = await openSocket(lab.url, { path: '//app/rookery' })
  socket.subscribe(`private-session.${id}`, { token })
  await subscribed(socket, `private-session.${id}`)
  type(socket, id, 'echo h$((1+1))h\n')
  await shows(socket, 'h2h')
  await shows(socket, 'h2h', 'session.output')
  expect(outputOf(socket, 'session.output')).toBe(outputOf(socket))
  socket.close()
})

it('takes the documented Authorization header inside the frame, and both spellings of a channel', async () => {
  const lab = await open()
  const { id } = await newSession(lab)
  const socket = await openSocket(lab.url)
  const auth = { headers: { Authorization: `Bearer ${lab.token}` } }
  for (const channel of [`private-session.${id}`, `private-sessions.${id}`]) {
    socket.subscribe(channel, auth)
    expect(await subscribed(socket, channel)).toMatchObject({ channel })
  }
  socket.close()
})

it('sends one spelling to a subscriber that asks for one', async () => {
  const lab = await open()
  const { id } = await newSession(lab)
  const socket = await openSocket(lab.url)
  socket.subscribe(`private-session.${id}`, { token: lab.token }, { spelling: 'dot' })
  await subscribed(socket, `private-session.${id}`)
  type(socket, id, 'echo d$((1+1))d\n')
  await shows(socket, 'd2d', 'session.output')
  expect(outputOf(socket, 'session:output')).toBe('')
  socket.close()
})

it('numbers output so that another subscriber goes on from there, without loss or repetition', async () => {
  const lab = await open()
  const { id } = await newSession(lab)
  const first = await openSocket(lab.url)
  first.subscribe(`private-session.${id}`, { token: lab.token }, { spelling: 'colon' })
  await subscribed(first, `private-session.${id}`)
  type(first, id, 'echo one$((1+1))\n')
  await shows(first, 'one2')
  first.close()
  const chunks = first.frames.filter((frame) => frame.event === 'session:output').map((frame) => frame.data)
  const ends = chunks.map((chunk) => chunk.seq + Buffer.byteLength(chunk.data))
  expect(chunks.map((chunk) => chunk.end)).toEqual(ends)
  expect(chunks.map((chunk) => chunk.seq)).toEqual([0, ...ends.slice(0, -1)])

  const second = await openSocket(lab.url)
  second.subscribe(`private-session.${id}`, { token: lab.token }, { spelling: 'colon', from: ends.at(-1) })
  await subscribed(second, `private-session.${id}`)
  type(second, id, 'echo two$((1+1))\n')
  await shows(second, 'two2')
  expect(outputOf(second)).not.toContain('one2')
  second.close()
})

it('tells of the end after the last output, with the exit code, and to those who come later', async () => {
  const lab = await open()
  const { id } = await newSession(lab)
  const socket = await openSocket(lab.url)
  socket.subscribe(`private-session.${id}`, { token: lab.token }, { spelling: 'colon' })
  await subscribed(socket, `private-session.${id}`)
  type(socket, id, 'echo last$((1+1)); exit 3\n')
  const ended = await socket.event('session:terminated')
  expect(ended.data).toMatchObject({ exit_code: 3 })
  expect(socket.frames.findLastIndex((frame) => frame.event === 'session:output')).toBeLessThan(
    socket.frames.indexOf(ended),
  )
  expect(outputOf(socket)).toContain('last2')

  const late = await openSocket(lab.url)
  late.subscribe(`private-session.${id}`, { token: lab.token })
  expect(await late.event('session:terminated')).toBeDefined()
  type(late, id, 'anybody?')
  expect(await late.event('pusher:error')).toMatchObject({ data: { code: 4301 } })
  socket.close()
  late.close()
})

it('terminates by client event, and a second time leaves the record alone', async () => {
  const lab = await open()
  const { id } = await newSession(lab)
  const socket = await openSocket(lab.url)
  const channel = `private-session.${id}`
  socket.subscribe(channel, { token: lab.token })
  await subscribed(socket, channel)
  const machine = `private-machine.${lab.services.machines.self}`
  socket.subscribe(machine, { token: lab.token })
  await subscribed(socket, machine)
  socket.send({ event: 'client-session:resize', channel, data: { cols: 90, rows: 25 } })
  socket.send({ event: 'client-session:terminate', channel, data: {} })
  // The viewer sees the end before the record is written; the machine's channel tells of the record.
  await socket.seen((frame) => frame.event === 'session:terminated' && frame.channel === machine)
  socket.send({ event: 'session:terminate', channel, data: {} })
  socket.subscribe('private-mesh', { token: lab.token })
  await subscribed(socket, 'private-mesh')
  expect((await lab.call('GET', `/api/sessions/${id}`)).json.data.status).toBe('terminated')
  socket.close()
})

it('lets a token without session:write watch but not type', async () => {
  const lab = await open()
  const { id } = await newSession(lab)
  const { token } = await lab.tokenWith(['session:read'])
  const socket = await openSocket(lab.url)
  socket.subscribe(`private-session.${id}`, { token })
  await subscribed(socket, `private-session.${id}`)
  type(socket, id, 'echo no$((1+1))\n')
  expect(await socket.event('pusher:error')).toMatchObject({ data: { code: 4301 } })
  const logs = await lab.call('GET', `/api/sessions/${id}/logs?type=input`)
  expect(logs.json.data).toEqual([])
  socket.close()
})

it('[A-T6] honours a ticket exactly once, for its session and its origin', async () => {
  const lab = await open()
  const { id, websocket_token: token } = await newSession(lab)
  const sockets = await Promise.all(Array.from({ length: 20 }, () => openSocket(lab.url)))
  for (const socket of sockets) socket.subscribe(`private-session.${id}`, { token })
  const verdicts = await Promise.all(
    sockets.map((socket) =>
      socket.seen(({ event }) => /subscription_(succeeded|error)$/.test(event)).then((frame) => frame.event),
    ),
  )
  expect(verdicts.filter((event) => event === 'pusher_internal:subscription_succeeded')).toHaveLength(1)
  for (const socket of sockets) socket.close()

  const other = await newSession(lab)
  const mine = await newSession(lab, { origin: lab.url })
  const socket = await openSocket(lab.url)
  socket.subscribe(`private-session.${id}`, { token: other.websocket_token })
  socket.subscribe(`private-session.${mine.id}`, { token: mine.websocket_token })
  await socket.seen(({ event, channel }) => event === 'pusher:subscription_error' && channel.endsWith(mine.id))
  expect(socket.frames.filter(({ event }) => event === 'pusher:subscription_error')).toHaveLength(2)
  socket.close()
})

it('[A-T3] voids the tickets of a revoked token', async () => {
  const lab = await open()
  const { id } = await newSession(lab)
  const narrow = await lab.tokenWith(['session:read'])
  const attached = await lab.call('POST', `/api/sessions/${id}/attach`, { token: narrow.token })
  await lab.call('DELETE', `/api/auth/tokens/${narrow.id}`)
  const socket = await openSocket(lab.url)
  socket.subscribe(`private-session.${id}`, { token: attached.json.data.websocket_token })
  expect(await socket.event('pusher:subscription_error')).toMatchObject({ data: { status: 401 } })
  socket.close()
})

it.each([
  ['no proof', (_lab: GatewayLab) => undefined, 401],
  ['a wrong token', () => ({ token: 'cn_wrong' }), 401],
  ['a signature made up', () => 'rookery:00', 401],
  [
    'a good token that may not listen',
    async (lab: GatewayLab) => ({ token: (await lab.tokenWith(['task:read'])).token }),
    403,
  ],
])('refuses a subscription with %s, in a way that stock clients report', async (_name, authOf, status) => {
  const lab = await open()
  const { id } = await newSession(lab)
  const socket = await openSocket(lab.url)
  socket.subscribe(`private-session.${id}`, await authOf(lab))
  expect(await socket.event('pusher:subscription_error')).toMatchObject({
    channel: `private-session.${id}`,
    data: { type: 'AuthError', status },
  })
  expect(await socket.event('pusher:error')).toMatchObject({ data: { code: 4009 } })
  socket.close()
})

it('keeps a project in memory as long as a socket is subscribed to it', async () => {
  const lab = await open()
  const body = { name: 'p', project_path: '/tmp' }
  const { json } = await lab.call('POST', `/api/machines/${lab.services.machines.self}/projects`, { body })
  const channel = `private-project.${json.data.id}`
  const { tasks } = lab.services
  const watch = tasks.watch.bind(tasks)
  const released: PromiseWithResolvers<void>[] = []
  Object.assign(tasks, {
    watch: async (projectId: string): ReturnType<typeof watch> => {
      const watched = await watch(projectId)
      const release = Promise.withResolvers<void>()
      released.push(release)
      return watched.ok ? { ...watched, value: () => release.resolve(watched.value()) } : watched
    },
  })
  const socket = await openSocket(lab.url)
  socket.subscribe(channel, { token: lab.token })
  await subscribed(socket, channel)
  expect(released.length).toBe(1)
  socket.send({ event: 'pusher:unsubscribe', data: { channel } })
  await released[0]?.promise
  socket.subscribe(channel, { token: lab.token })
  await socket.seen(() => released.length === 2)
  socket.close()
  await released[1]?.promise
})

it('tells subscribers of a project what happens there, each token only what it may read', async () => {
  const lab = await open()
  const self = lab.services.machines.self
  const body = { name: 'p', project_path: '/tmp' }
  const { json } = await lab.call('POST', `/api/machines/${self}/projects`, { body })
  const project = json.data.id
  const all = await openSocket(lab.url)
  all.subscribe(`private-project.${project}`, { token: lab.token }, { spelling: 'colon' })
  const locksOnly = await openSocket(lab.url)
  const { token } = await lab.tokenWith(['project:read', 'lock:read'])
  locksOnly.subscribe(`private-projects.${project}`, { token }, { spelling: 'colon' })
  await subscribed(all, `private-project.${project}`)
  await subscribed(locksOnly, `private-projects.${project}`)

  const task = (await lab.call('POST', `/api/projects/${project}/tasks`, { body: { title: 't' } })).json.data
  await lab.call('POST', `/api/tasks/${task.id}/claim`, { body: { instance_id: 'i1' } })
  await lab.call('POST', `/api/tasks/${task.id}/release`, { body: { reason: 'later' } })
  await lab.call('POST', `/api/tasks/${task.id}/claim`, { body: { instance_id: 'i1' } })
  await lab.call('POST', `/api/tasks/${task.id}/complete`, { body: { summary: 'done' } })
  const lock = { path: 'a.ts', instance_id: 'i1', reason: 'why' }
  await lab.call('POST', `/api/projects/${project}/locks`, { body: lock })
  await lab.call('POST', `/api/projects/${project}/locks/release`, { body: { path: 'a.ts', instance_id: 'i1' } })

  await all.event('file:unlocked')
  await locksOnly.event('file:unlocked')
  const told = (socket: TestSocket) =>
    socket.frames.map(({ event }) => event).filter((event) => !event.startsWith('pusher'))
  expect(told(all)).toEqual([
    'task:created',
    'task:claimed',
    'task:released',
    'task:claimed',
    'task:completed',
    'file:locked',
    'file:unlocked',
  ])
  expect(told(locksOnly)).toEqual(['file:locked', 'file:unlocked'])
  expect((await all.event('task:claimed')).data).toMatchObject({ task: { id: task.id }, instanceId: 'i1' })
  expect((await all.event('task:released')).data).toMatchObject({ task: { id: task.id }, reason: 'later' })
  expect((await all.event('task:completed')).data).toMatchObject({ task: { id: task.id }, summary: 'done' })
  expect((await all.event('file:locked')).data).toMatchObject({ path: 'a.ts', lockedBy: 'i1', reason: 'why' })
  expect((await all.event('file:unlocked')).data).toEqual({ path: 'a.ts' })
  all.close()
  locksOnly.close()
})

it('[A-D1] bounds sockets that prove nothing, without hurting those that did', async () => {
  const limits = { unauthenticatedMax: 20, unauthenticatedPerAddressMax: 10 }
  const lab = await open({ sockets: limits })
  const honest = await openSocket(lab.url)
  honest.subscribe('private-mesh', { token: lab.token })
  await subscribed(honest, 'private-mesh')
  const crowd = await Promise.all(Array.from({ length: 50 }, () => openSocket(lab.url)))
  const greeted = crowd.filter(({ frames }) => frames[0]?.event === 'pusher:connection_established')
  expect(greeted).toHaveLength(limits.unauthenticatedPerAddressMax)
  for (const socket of crowd.filter((each) => !greeted.includes(each))) {
    expect(await socket.closed()).toEqual({ code: 4100 })
  }
  honest.send({ event: 'pusher:ping' })
  await honest.event('pusher:pong')
  for (const socket of [...crowd, honest]) socket.close()
})

it('closes a socket that subscribes to nothing in time, so that a stock client comes back', async () => {
  const lab = await open({ sockets: { unauthenticatedMs: 50 } })
  expect(await (await openSocket(lab.url)).closed()).toEqual({ code: 4200 })
})

it('[A-D1] closes a socket after too many refused subscriptions, and one that sends too large a frame', async () => {
  const lab = await open()
  const guesser = await openSocket(lab.url)
  for (let i = 0; i < 10; i++) guesser.subscribe('private-mesh', { token: `cn_${i}` })
  expect(await guesser.closed()).toEqual({ code: 4009 })
  const flooder = await openSocket(lab.url)
  flooder.socket.send('x'.repeat(1024 * 1024 + 1))
  expect(await flooder.closed()).toEqual({ code: 1009 })
})

it('[A-D1] closes a viewer that stops reading with 1013, keeps its memory bounded and the session alive', async () => {
  const lab = await open({ sockets: { stalledMs: 300 } })
  const { id } = await newSession(lab)
  const slow = await openSocket(lab.url)
  slow.subscribe(`private-session.${id}`, { token: lab.token })
  await subscribed(slow, `private-session.${id}`)
  slow.socket.pause()
  const before = process.memoryUsage().arrayBuffers
  type(slow, id, 'yes "$(printf %0200d 0)"\n')
  const watcher = await openSocket(lab.url)
  watcher.subscribe('private-mesh', { token: lab.token })
  await subscribed(watcher, 'private-mesh')
  // The close frame lies behind unread output: it comes when reading goes on.
  const closed = once(slow.socket, 'close')
  await untilStalled(lab)
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 * 1024 * 1024)
  slow.socket.resume()
  const [code] = await closed
  expect(code).toBe(1013)
  expect((await lab.call('GET', `/api/sessions/${id}`)).json.data.status).toBe('running')
  watcher.close()
})

/** Resolves when the gateway has one socket less than were opened: the metric tells. */
async function untilStalled(lab: GatewayLab): Promise<void> {
  for (;;) {
    const { json } = await lab.call('GET', '/metrics')
    if (/^rookery_sockets_open 1$/m.test(json)) return
  }
}
