import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import { WebSocket, type ClientOptions } from 'ws'
import { DEFAULT_CAPABILITIES } from '../../crdt/capability.ts'
import { createGateway, type Gateway } from '../../gateway/server.ts'
import type { GatewayConfig } from '../../gateway/http/config.ts'
import { createPrometheusMetrics } from '../../node/adapters/prometheus-metrics.ts'
import { systemClock } from '../../node/adapters/system-clock.ts'
import type { Services } from '../../node/services/services.ts'
import type { RecordedLog } from './log.ts'
import { eventually } from './nodes.ts'
import { startTestServices } from './services.ts'

/** Answers and frames are read as each test pleases; what they must look like is what the tests say. */
// oxlint-disable-next-line typescript/no-explicit-any
export type Json = any

export type Answer = {
  readonly status: number
  readonly headers: Headers
  readonly json: Json
}

export type CallOptions = {
  readonly token?: string | null
  readonly body?: unknown
  readonly headers?: Record<string, string>
}

export type GatewayLab = {
  readonly services: Services
  /** Of node and gateway together. */
  readonly log: RecordedLog
  readonly dataDir: string
  /** `http://127.0.0.1:<port>`. */
  readonly url: string
  readonly host: string
  readonly port: number
  /** The first user's token. */
  readonly token: string
  readonly password: string
  call(method: string, path: string, options?: CallOptions): Promise<Answer>
  /** A token of the first user with just these abilities. */
  tokenWith(abilities: readonly string[]): Promise<{ token: string; id: string }>
  stop(): Promise<void>
}

/** Limits that no test meets by accident; tests of limits set their own. */
const GENEROUS = {
  authentication: 100_000,
  pairing: 100_000,
  api: 100_000,
  websocket: 100_000,
  page: 100_000,
  guess: 100_000,
}

export const FIRST_USER = { name: 'Ada', email: 'ada@example.org', password: 'correct horse battery' }

type LabOptions = {
  /** Not to be registered: there are no users then. */
  readonly register?: boolean
  /** The gateway of a further node in the mesh of this one; its first user is known there, too. */
  readonly besides?: GatewayLab
  /** Configuration of the node. */
  readonly node?: object
}

/** A gateway on a free loopback port over a real node of its own, with its first user signed in. */
export async function startGatewayLab(
  config: Partial<GatewayConfig> = {},
  { register = true, besides, node: more = {} }: LabOptions = {},
): Promise<GatewayLab> {
  const node = await startTestServices({
    ...more,
    ...(besides === undefined ? {} : { name: 'second', ticket: await ticketOf(besides) }),
  })
  const { services, log } = node
  const { gateway, url } = await openGateway(node, { rateLimits: GENEROUS, ...config })
  const token = besides === undefined ? (register ? await registerFirst(services) : 'none') : besides.token
  await eventually(() => token === 'none' || services.accounts.authenticate(token) !== undefined || undefined)
  const call = (method: string, path: string, options: CallOptions = {}): Promise<Answer> =>
    callGateway(url, method, path, { token, ...options })
  const { host, port } = new URL(url)
  return {
    services,
    log,
    dataDir: node.dataDir,
    url,
    host,
    port: Number(port),
    token,
    password: FIRST_USER.password,
    call,
    async tokenWith(abilities) {
      const { json } = await call('POST', '/api/auth/tokens', { body: { name: 'narrow', abilities } })
      return { token: json.data.token, id: json.data.id }
    },
    async stop() {
      await gateway.close()
      await node.stop()
    },
  }
}

/** A further gateway over the services of a node, on a free port, with the limits of a real one. */
export async function openGateway(
  { services, log }: Pick<GatewayLab, 'services' | 'log'>,
  config: Partial<GatewayConfig> = {},
): Promise<{ gateway: Gateway; url: string }> {
  const gateway = createGateway({
    services,
    clock: systemClock,
    log,
    metrics: createPrometheusMetrics(log),
    config: { host: '127.0.0.1', port: 0, version: '0.1.0', ...config },
  })
  return { gateway, url: await gateway.listen() }
}

async function ticketOf({ services }: GatewayLab): Promise<string> {
  // So that machines can be paired at its gateway, too.
  const invited = await services.mesh.invite({ capabilities: [...DEFAULT_CAPABILITIES, 'admit'] })
  if (!invited.ok) throw new Error(`no ticket: ${invited.error.message}`)
  return invited.value.ticket
}

async function registerFirst({ accounts }: Services): Promise<string> {
  const signedIn = await accounts.register({ ...FIRST_USER, setupCode: accounts.setupCode() ?? '' })
  if (!signedIn.ok) throw new Error(`no first user: ${signedIn.error.message}`)
  return signedIn.value.token
}

export async function callGateway(
  url: string,
  method: string,
  path: string,
  { token, body, headers = {} }: CallOptions,
): Promise<Answer> {
  const all = {
    ...(token === undefined || token === null ? {} : { authorization: `Bearer ${token}` }),
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    ...headers,
  }
  const answer = await fetch(`${url}${path}`, {
    method,
    headers: all,
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await answer.text()
  return { status: answer.status, headers: answer.headers, json: text.startsWith('{') ? JSON.parse(text) : text }
}

/** A request whose Host, Origin and other headers are sent exactly as given; `fetch` would not. */
export async function rawCall(
  port: number,
  options: { method?: string; path: string; headers: Record<string, string>; body?: string },
): Promise<{ status: number; headers: Record<string, unknown>; text: string }> {
  const { method = 'GET', path, headers, body = '' } = options
  const outgoing = request({ host: '127.0.0.1', port, method, path, headers, setHost: false })
  outgoing.end(body)
  const [answer] = await once(outgoing, 'response')
  let text = ''
  for await (const chunk of answer.setEncoding('utf8')) text += chunk
  return { status: answer.statusCode, headers: answer.headers, text }
}

/** Sends header lines byte for byte and returns all that is answered. */
export async function rawText(port: number, lines: readonly string[]): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(`${[...lines, 'Connection: close'].join('\r\n')}\r\n\r\n`)
  let text = ''
  for await (const chunk of socket.setEncoding('utf8')) text += String(chunk)
  return text
}

export type TestSocket = {
  readonly socket: WebSocket
  /** Everything received so far. */
  readonly frames: Json[]
  send(frame: object): void
  subscribe(channel: string, auth: unknown, more?: object): void
  /** The first frame, past or future, that fits. Rejects when the socket closes before. */
  seen(fits: (frame: Json) => boolean): Promise<Json>
  event(name: string): Promise<Json>
  closed(): Promise<{ code: number }>
  close(): void
}

/** Opens a socket and resolves once the server has greeted it (or closed it). */
export async function openSocket(
  url: string,
  options: ClientOptions & { path?: string; key?: string } = {},
): Promise<TestSocket> {
  const { path, key = 'rookery', ...rest } = options
  const socket = new WebSocket(`${url.replace('http', 'ws')}${path ?? `/app/${key}?protocol=7`}`, rest)
  const frames: Json[] = []
  let ended: { code: number } | undefined
  const waiting = new Set<() => void>()
  const wake = (): void => {
    for (const look of waiting) look()
  }
  socket.on('message', (data: Buffer) => {
    frames.push(JSON.parse(data.toString()))
    wake()
  })
  socket.on('close', (code) => {
    ended = { code }
    wake()
  })
  const until = <T>(look: () => T | undefined): Promise<T> =>
    new Promise((resolve, reject) => {
      const check = (): void => {
        const found = look()
        if (found !== undefined) resolve(found)
        else if (ended === undefined) return
        else reject(new Error(`the socket closed with ${ended.code}; it received ${JSON.stringify(frames)}`))
        waiting.delete(check)
      }
      waiting.add(check)
      check()
    })
  await once(socket, 'open')
  const made: TestSocket = {
    socket,
    frames,
    send: (frame) => socket.send(JSON.stringify(frame)),
    subscribe: (channel, auth, more = {}) =>
      socket.send(JSON.stringify({ event: 'pusher:subscribe', data: { channel, auth, ...more } })),
    seen: (fits) => until(() => frames.find(fits)),
    event: (name) => until(() => frames.find((frame) => frame.event === name)),
    closed: () => until(() => ended),
    close: () => socket.terminate(),
  }
  await until(() => frames[0] ?? ended)
  return made
}

/** The HTTP status with which an upgrade is refused. */
export async function refusedUpgrade(url: string, options: ClientOptions & { path: string }): Promise<number> {
  const { path, ...rest } = options
  const socket = new WebSocket(`${url.replace('http', 'ws')}${path}`, rest)
  socket.on('error', () => undefined)
  const [, response] = await Promise.race([
    once(socket, 'unexpected-response'),
    once(socket, 'open').then(() => [undefined, { statusCode: 101, resume: () => undefined }]),
  ])
  response.resume()
  socket.terminate()
  return response.statusCode
}
