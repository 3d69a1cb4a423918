import Echo from 'laravel-echo'
import PusherModule from 'pusher-js'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startGatewayLab, type GatewayLab } from '../support/gateway-lab.ts'

// The package exports the class itself; its types say that it exports a module.
const Pusher = PusherModule as unknown as typeof PusherModule.default

let lab: GatewayLab
beforeAll(async () => {
  lab = await startGatewayLab()
})
afterAll(() => lab.stop())

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

it('works with laravel-echo unmodified: a private channel and its events', async () => {
  const self = lab.services.machines.self
  const body = { name: 'echo', project_path: '/tmp' }
  const project = (await lab.call('POST', `/api/machines/${self}/projects`, { body })).json.data.id
  const echo = new Echo({
    ...options(),
    broadcaster: 'pusher',
    key: 'rookery',
    Pusher: PusherModule,
    authEndpoint: `${lab.url}/broadcasting/auth`,
    bearerToken: lab.token,
  })
  const channel = echo.private(`projects.${project}`)
  await new Promise((resolve, reject) => {
    channel.subscribed(() => resolve(undefined))
    channel.error(reject)
  })
  const heard = new Promise<{ task: { title: string } }>((resolve) => channel.listen('.task:created', resolve))
  const heardDotted = new Promise<{ task: { title: string } }>((resolve) => channel.listen('.task.created', resolve))
  await lab.call('POST', `/api/projects/${project}/tasks`, { body: { title: 'heard' } })
  expect((await heard).task.title).toBe('heard')
  expect((await heardDotted).task.title).toBe('heard')
  echo.disconnect()
})
