import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile, mkdir } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'

const PROGRAM = resolve(import.meta.dirname, '../../scripts/rookery')

/** The program, where it runs behind another one that leads it to a host of its own. */
function commandLine(args: readonly string[], within: readonly string[] = []): [string, string[]] {
  const [file = PROGRAM, ...rest] = [...within, PROGRAM, ...args]
  return [file, rest]
}

/** Whatever JSON holds: the assertions are what looks at it. */
export type Json = ReturnType<typeof JSON.parse>

export type Cli = { readonly code: number; readonly stdout: string; readonly stderr: string; readonly json: Json }

/** Runs the real program and returns what it printed; `json` is the last line of standard output. */
export async function rookery(
  args: readonly string[],
  options: { input?: string; cwd?: string; within?: readonly string[] } = {},
): Promise<Cli> {
  const [file, argv] = commandLine(args, options.within)
  const child = spawn(file, argv, { stdio: ['pipe', 'pipe', 'pipe'], cwd: options.cwd ?? process.cwd() })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  child.stdin.end(options.input ?? '')
  const [code] = await once(child, 'close')
  const last = stdout.trim().split('\n').at(-1) ?? ''
  let json: Json
  try {
    json = JSON.parse(last)
  } catch {
    json = undefined // not asked for
  }
  return { code, stdout, stderr, json }
}

export type NodeOptions = {
  readonly dataDir: string
  readonly name: string
  /** Written to config.json before the start. */
  readonly config?: object
  readonly args?: readonly string[]
  /** Beside what the tests run with themselves. */
  readonly env?: Readonly<Record<string, string>>
  /** Look for members by multicast; tests on loopback would find each other's. */
  readonly mdns?: boolean
  /** A command that runs the rest of its line on another host. */
  readonly within?: readonly string[]
}

/** The races send more than the documented 1000 requests a minute; the limits have tests of their own. */
const UNLIMITED = { authentication: 1_000_000, pairing: 1_000_000, api: 1_000_000, websocket: 1_000_000 }

/** Of all nodes: in a home of its own each would compile everything anew, which takes longer than all that it does. */
const COMPILED = process.env.NODE_COMPILE_CACHE ?? join(homedir(), '.cache/rookery/compiled')

/** A home of its own beside the data directory: what programs keep there is no part of the node's data. */
async function homeFor(dataDir: string): Promise<string> {
  const home = `${dataDir}.home`
  await mkdir(home, { recursive: true })
  return home
}

/** A real node in a process of its own, on loopback and free ports. */
export class RunningNode {
  readonly dataDir: string
  readonly name: string
  readonly process: ChildProcess
  readonly http: string
  readonly setupCode: string | undefined
  readonly peerId: string
  readonly meshId: string
  stderr = ''

  private constructor(options: NodeOptions, child: ChildProcess, ready: Json) {
    this.dataDir = options.dataDir
    this.name = options.name
    this.process = child
    this.http = ready.http
    this.setupCode = ready.setup_code
    this.peerId = ready.peer_id
    this.meshId = ready.mesh_id
  }

  static async start(options: NodeOptions): Promise<RunningNode> {
    const named = existsSync(options.dataDir) ? [] : ['--name', options.name] // later it goes by the name it has
    await mkdir(options.dataDir, { recursive: true, mode: 0o700 })
    const config = { ...options.config, http: { rateLimits: UNLIMITED } }
    await writeFile(join(options.dataDir, 'config.json'), JSON.stringify(config), { mode: 0o600 })
    const args = ['up', '--json', '--data-dir', options.dataDir, ...named, ...(options.mdns ? [] : ['--no-mdns'])]
    const listen = options.args ?? ['--http', '127.0.0.1:0', '--p2p', '/ip4/127.0.0.1/tcp/0']
    // A shell that reads no start-up files: those of whoever runs the tests are no part of what is tested.
    const home = await homeFor(options.dataDir)
    const env = { ...process.env, SHELL: '/bin/sh', HOME: home, NODE_COMPILE_CACHE: COMPILED, ...options.env }
    const [file, argv] = commandLine([...args, ...listen], options.within)
    const child = spawn(file, argv, { stdio: ['ignore', 'pipe', 'pipe'], env })
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    const ready = await new Promise((resolve, reject) => {
      createInterface({ input: child.stdout }).once('line', (line) => {
        const ready = JSON.parse(line)
        if (ready.error === undefined) resolve(ready)
      })
      child.once('exit', (code) =>
        reject(new Error(`${options.name} ended with ${code} before it was ready:\n${stderr}`)),
      )
    })
    const node = new RunningNode(options, child, ready)
    child.stderr.on('data', (text: string) => (node.stderr += text))
    node.stderr = stderr
    return node
  }

  /** A command against this node. */
  cli(...args: string[]): Promise<Cli> {
    return rookery([...args, '--json', '--data-dir', this.dataDir])
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return this.process.exitCode
    const exited = once(this.process, 'exit')
    this.process.kill(signal)
    const [code] = await exited
    return code
  }
}

export type Api = {
  get(path: string): Promise<Answer>
  post(path: string, body?: object): Promise<Answer>
  patch(path: string, body: object): Promise<Answer>
  delete(path: string): Promise<Answer>
}
export type Answer = { readonly status: number; readonly body: Json; readonly headers: Headers }

/** A client of a node's documented API. */
export function api(node: { http: string }, token?: string): Api {
  const send = async (method: string, path: string, body?: object): Promise<Answer> => {
    const response = await fetch(new URL(path, node.http), {
      method,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    return { status: response.status, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) }
  }
  return {
    get: (path) => send('GET', path),
    post: (path, body = {}) => send('POST', path, body),
    patch: (path, body) => send('PATCH', path, body),
    delete: (path) => send('DELETE', path),
  }
}

/** Resolves with the first answer that is not undefined. The deadline only guards against a hang. */
export async function eventually<T>(look: () => Promise<T | undefined> | T | undefined, withinMs = 30_000): Promise<T> {
  const end = performance.now() + withinMs
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    if (performance.now() > end) throw new Error(`did not happen within ${withinMs} ms`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** A scratch directory that is removed, with every node started in it, by `dispose`. */
export async function createScratch(): Promise<{
  path: string
  start: (name: string, options?: Partial<NodeOptions>) => Promise<RunningNode>
  dispose: () => Promise<void>
}> {
  const path = await mkdtemp(join(tmpdir(), 'rookery-e2e-'))
  const started: RunningNode[] = []
  return {
    path,
    async start(name, options = {}) {
      const node = await RunningNode.start({ dataDir: join(path, name), name, ...options })
      started.push(node)
      return node
    },
    async dispose() {
      for (const node of started) {
        if (node.process.exitCode === null && node.process.signalCode === null)
          await node.cli('down', '--kill-sessions').catch(() => undefined)
        await node.stop('SIGKILL')
      }
      await rm(path, { recursive: true, force: true })
    },
  }
}

export const OWNER = { name: 'Ada Lovelace', email: 'ada@example.com', password: 'correct horse battery' }

/** Registers the mesh's first user on this node and returns its token. */
export async function registerOwner(node: RunningNode): Promise<string> {
  const answer = await api(node).post('/api/auth/register', {
    ...OWNER,
    password_confirmation: OWNER.password,
    setup_code: node.setupCode,
  })
  if (answer.status !== 201) throw new Error(`registering failed: ${JSON.stringify(answer.body)}`)
  return answer.body.data.token
}

export async function login(node: RunningNode): Promise<string> {
  const answer = await api(node).post('/api/auth/login', { email: OWNER.email, password: OWNER.password })
  if (answer.status !== 200) throw new Error(`signing in failed: ${JSON.stringify(answer.body)}`)
  return answer.body.data.token
}

/** Adds B to A's mesh with a ticket and starts it. */
export async function joinMesh(
  scratch: Awaited<ReturnType<typeof createScratch>>,
  inviter: RunningNode,
  name: string,
  options: Partial<NodeOptions> = {},
): Promise<RunningNode> {
  const { dataDir = join(scratch.path, name) } = options
  const { json } = await inviter.cli('invite')
  const joined = await rookery(['join', json.ticket, '--name', name, '--json', '--data-dir', dataDir])
  if (joined.code !== 0) throw new Error(`joining failed: ${joined.stderr}`)
  return await scratch.start(name, options)
}

/** Resolves when this node lists all these members as online. */
export async function seesOnline(node: RunningNode, peers: readonly string[]): Promise<void> {
  await eventually(async () => {
    const { json } = await node.cli('status')
    const online = new Set(
      json?.members?.flatMap((m: { peer_id: string; online: boolean }) => (m.online ? [m.peer_id] : [])),
    )
    return peers.every((peer) => online.has(peer)) ? true : undefined
  })
}

/** Ids of all tasks of a project, page by page. */
export async function allTasks(client: Api, project: string): Promise<Set<string>> {
  const all = new Set<string>()
  for (let page = 1, last = 1; page <= last; page++) {
    const { body } = await client.get(`/api/projects/${project}/tasks?per_page=100&page=${page}`)
    for (const { id } of body.data) all.add(id)
    last = body.meta.pagination.last_page
  }
  return all
}
