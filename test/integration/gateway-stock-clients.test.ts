import { existsSync, mkdirSync } from 'node:fs'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { join } from 'node:path'
import Echo from 'laravel-echo'
import PusherModule from 'pusher-js'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { RING_BYTES } from '../../node/hosts/output-ring.ts'
import { startGatewayLab, type GatewayLab, type Json } from '../support/gateway-lab.ts'
import { eventually } from '../support/nodes.ts'

// The package exports the class itself; its types say that it exports a module.
const Pusher = PusherModule as unknown as typeof PusherModule.default

let lab: GatewayLab
let cable: Awaited<ReturnType<typeof startCable>>
beforeAll(async () => {
  cable = await startCable()
  lab = await startGatewayLab({ hosts: [`127.0.0.1:${cable.port}`] })
})
afterAll(async () => {
  await lab.stop()
  cable.end()
})

const newSession = async (): Promise<string> => {
  const path = `/api/machines/${lab.services.machines.self}/sessions`
  return (await lab.call('POST', path, { body: { agent: 'shell' } })).json.data.id
}

/** Options that any Pusher application sets for a server of its own. */
const options = () => ({
  wsHost: '127.0.0.1',
  wsPort: lab.port,
  forceTLS: false,
  enabledTransports: ['ws' as const],
  cluster: 'mt1',
  disableStats: true,
})

it('works with pusher-js unmodified: connect, authenticate, receive, type, unsubscribe', async () => {
  const id = await newSession()
  const pusher = new Pusher('rookery', {
    ...options(),
    channelAuthorization: {
      transport: 'ajax',
      endpoint: `${lab.url}/broadcasting/auth`,
      headers: { Authorization: `Bearer ${lab.token}` },
    },
  })
  const channel = pusher.subscribe(`private-session.${id}`)
  await new Promise((resolve, reject) => {
    channel.bind('pusher:subscription_succeeded', resolve)
    channel.bind('pusher:subscription_error', reject)
  })
  let output = ''
  const shown = new Promise<void>((resolve) => {
    channel.bind('session:output', ({ data }: { data: string }) => {
      output += data
      if (output.includes('pusher-2')) resolve()
    })
  })
  expect(channel.trigger('client-session:input', { data: 'echo pusher-$((1+1))\n' })).toBe(true)
  await shown
  channel.unsubscribe()
  pusher.disconnect()
  expect(output.split('pusher-2')).toHaveLength(2)
})

it('reports a refused channel to pusher-js as an authorisation error', async () => {
  const id = await newSession()
  const { token } = await lab.tokenWith(['task:read'])
  const pusher = new Pusher('rookery', {
    ...options(),
    channelAuthorization: {
      transport: 'ajax',
      endpoint: `${lab.url}/broadcasting/auth`,
      headers: { Authorization: `Bearer ${token}` },
    },
  })
  const refused = await new Promise<{ status: number }>((resolve) => {
    pusher.subscribe(`private-session.${id}`).bind('pusher:subscription_error', resolve)
  })
  expect(refused.status).toBe(403)
  pusher.disconnect()
})

/** An Echo as an application makes it; through another port where one is given. */
const newEcho = (port = lab.port) =>
  new Echo({
    ...options(),
    wsPort: port,
    broadcaster: 'pusher',
    key: 'rookery',
    Pusher: PusherModule,
    authEndpoint: `${lab.url}/broadcasting/auth`,
    bearerToken: lab.token,
  })
type EchoChannel = ReturnType<ReturnType<typeof newEcho>['private']>

const subscribed = (channel: EchoChannel): Promise<void> =>
  new Promise((resolve, reject) => {
    channel.subscribed(() => resolve())
    channel.error(reject)
  })
const heard = (channel: EchoChannel, event: string): Promise<Json> =>
  new Promise((resolve) => channel.listen(event, resolve))

const ofProject = async (path: string, body: object = {}): Promise<Json> =>
  (await lab.call('POST', path, { body })).json.data
async function newProject(name: string): Promise<string> {
  const path = join(lab.dataDir, name)
  mkdirSync(path)
  return (await ofProject(`/api/machines/${lab.services.machines.self}/projects`, { name, project_path: path })).id
}
const type = (id: string, text: string) => lab.call('POST', `/api/sessions/${id}/input`, { body: { data: text } })

/** The output of a session, put together as a client does that may be given a part of it twice. */
function outputOf(channel: EchoChannel) {
  let next = 0
  let text = ''
  const waiting = new Set<() => void>()
  channel.listen('.session:output', ({ data, seq, end }: { data: string; seq: number; end: number }) => {
    if (seq > next) throw new Error(`bytes ${next} to ${seq} are missing`)
    if (end <= next) return
    // What is shown here is ASCII: a byte is a character.
    text += data.slice(next - seq)
    next = end
    for (const look of waiting) look()
  })
  return {
    text: () => text,
    shows: (what: string): Promise<void> =>
      new Promise((resolve) => {
        const look = (): void => {
          if (text.includes(what) && waiting.delete(look)) resolve()
        }
        waiting.add(look)
        look()
      }),
  }
}

/** A way to the gateway that can be cut; the gateway has to know it as a host of its own. */
async function startCable() {
  const ends = new Set<Socket>()
  let isOpen = true
  const server = createServer((near) => {
    const far = connect(lab.port, '127.0.0.1')
    if (!isOpen) far.destroy()
    for (const end of [near, far]) {
      ends.add(end)
      end
        .on('error', () => undefined)
        .on('close', () => {
          near.destroy()
          far.destroy()
        })
    }
    near.pipe(far).pipe(near)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const cut = (): void => {
    for (const end of ends) end.destroy()
  }
  return {
    port: (server.address() as AddressInfo).port,
    cut,
    /** For good, until it is opened again. */
    close() {
      isOpen = false
      cut()
    },
    open: () => void (isOpen = true),
    end: () => server.close(),
  }
}

it('tells laravel-echo of what happens to tasks, under both spellings', async () => {
  const project = await newProject('echo')
  const echo = newEcho()
  const channel = echo.private(`projects.${project}`)
  await subscribed(channel)
  const [created, dotted] = [heard(channel, '.task:created'), heard(channel, '.task.created')]
  const [claimed, released, completed] = ['claimed', 'released', 'completed'].map((event) =>
    heard(channel, `.task:${event}`),
  )
  const { id } = await ofProject(`/api/projects/${project}/tasks`, { title: 'heard' })
  expect([(await created).task.title, (await dotted).task.title]).toEqual(['heard', 'heard'])
  await ofProject(`/api/tasks/${id}/claim`, { instance_id: 'i1' })
  expect(await claimed).toMatchObject({ task: { id }, instanceId: 'i1' })
  await ofProject(`/api/tasks/${id}/release`, { reason: 'lunch', instance_id: 'i1' })
  expect(await released).toMatchObject({ task: { id }, reason: 'lunch' })
  await ofProject(`/api/tasks/${id}/claim`, { instance_id: 'i1' })
  await ofProject(`/api/tasks/${id}/complete`, { summary: 'done', instance_id: 'i1' })
  expect(await completed).toMatchObject({ task: { id, status: 'completed' }, summary: 'done' })
  echo.disconnect()
})

it('gives laravel-echo every byte of a terminal although its connection breaks, and later events again', async () => {
  const [id, project] = [await newSession(), await newProject('broken')]
  const echo = newEcho(cable.port)
  const [terminal, board] = [echo.private(`sessions.${id}`), echo.private(`projects.${project}`)]
  const output = outputOf(terminal)
  await Promise.all([subscribed(terminal), subscribed(board)])
  await type(id, 'echo before-$((1+1))\n')
  await output.shows('before-2')
  let again = 0
  const back = new Promise<void>((resolve) => {
    for (const channel of [terminal, board]) channel.subscribed(() => void (++again === 2 && resolve()))
  })
  cable.cut()
  await type(id, 'echo meanwhile-$((1+2)); seq 1 2000; echo after-$((1+3))\n')
  await back
  await output.shows('after-4')
  const numbers = Array.from({ length: 2000 }, (_, i) => `${i + 1}\r\n`).join('')
  expect(output.text()).toContain(`meanwhile-3\r\n${numbers}after-4`)
  expect(output.text().split('before-2')).toHaveLength(2)
  const created = heard(board, '.task:created')
  await ofProject(`/api/projects/${project}/tasks`, { title: 'after the break' })
  expect((await created).task.title).toBe('after the break')
  echo.disconnect()
})

it('lets laravel-echo see which bytes of a terminal are gone when it comes back too late', async () => {
  const id = await newSession()
  const echo = newEcho(cable.port)
  const channel = echo.private(`sessions.${id}`)
  const output = outputOf(channel)
  await subscribed(channel)
  await type(id, 'stty -echo; echo before-$((1+1))\n')
  await output.shows('before-2')
  channel.stopListening('.session:output')
  // Nobody lets it in until the terminal has said more than is kept.
  cable.close()
  const done = join(lab.dataDir, 'flooded')
  await type(id, `head -c ${2 * RING_BYTES} /dev/zero | tr '\\0' x; touch ${done}\n`)
  await eventually(() => existsSync(done) || undefined)
  const first = heard(channel, '.session:output')
  cable.open()
  const { seq, end, data } = await first
  expect([seq > RING_BYTES / 2, end - seq, data.slice(-5)]).toEqual([true, data.length, 'xxxxx'])
  echo.disconnect()
})
