import { resolve } from 'node:path'
import { callNode } from '../../node/cli/control-client.ts'
import type { ControlMethodName } from '../../node/cli/control-methods.ts'
import type { MemberView } from '../../node/services/membership/mesh-service.ts'
import { createScratch, OWNER, rookery, type Json, type NodeOptions, type RunningNode } from '../support/nodes.ts'
import { Lab, type Host, type Segment } from './lab.ts'

/** Goal of everything that gets a mesh back together without anybody doing anything. */
export const WHOLE_WITHIN_MS = 30_000
/** Each start would compile the program anew: every host has a home of its own. */
const COMPILED = '/run/lab/compiled'
const FETCH = resolve(import.meta.dirname, 'fetch-once.ts')

type Scratch = Awaited<ReturnType<typeof createScratch>>

/** A host with its node, whatever process that is at the moment. */
export class Machine {
  readonly host: Host
  readonly #scratch: Scratch
  #node: RunningNode | undefined

  constructor(host: Host, scratch: Scratch) {
    this.host = host
    this.#scratch = scratch
  }

  get name(): string {
    return this.host.name
  }

  get dataDir(): string {
    return `${this.#scratch.path}/${this.name}`
  }

  get node(): RunningNode {
    if (this.#node === undefined) throw new Error(`no node has been started on ${this.name}`)
    return this.#node
  }

  async start(): Promise<void> {
    this.#node = await this.#scratch.start(this.name, this.#options())
  }

  /** Joins the mesh of another one by a ticket, then runs. */
  async join(inviter: Machine, options: readonly string[] = []): Promise<void> {
    const { json } = await inviter.node.cli('invite', ...options)
    const args = ['join', json.ticket, '--name', this.name, '--json', '--data-dir', this.dataDir]
    const joined = await rookery(args, { within: this.host.within })
    if (joined.code !== 0) throw new Error(`${this.name} could not join: ${joined.stderr}`)
    await this.start()
  }

  /** Asks the node over its control socket, which the network has no part in. */
  async ask(method: ControlMethodName, input: object = {}): Promise<Json> {
    const answer = await this.tryAsking(method, input)
    if (!answer.ok) throw new Error(`${method} on ${this.name}: ${JSON.stringify(answer.error)}`)
    return answer.value
  }

  async tryAsking(method: ControlMethodName, input: object = {}): Promise<Json> {
    return await callNode(`${this.dataDir}/control.sock`, method, input)
  }

  async members(): Promise<readonly MemberView[]> {
    return (await this.ask('mesh.status')).members
  }

  /** Calls this host's own gateway, from this host: nobody else can reach it. */
  async http(method: string, path: string, options: { token?: string; body?: object } = {}): Promise<Json> {
    const request = JSON.stringify({ method, url: new URL(path, this.node.http).href, ...options })
    return JSON.parse(await this.host.execAsync(process.execPath, FETCH, request))
  }

  #options(): Partial<NodeOptions> {
    return {
      within: this.host.within,
      mdns: true,
      args: ['--http', '127.0.0.1:0'],
      env: { NODE_COMPILE_CACHE: COMPILED },
    }
  }
}

export type World = {
  readonly lab: Lab
  machine(name: string, segment: Segment): Machine
  dispose(): Promise<void>
}

/** An empty laboratory; `dispose` ends all nodes and takes down the wiring. */
export async function createWorld(): Promise<World> {
  const lab = new Lab()
  const scratch = await createScratch()
  return {
    lab,
    machine: (name, segment) => new Machine(lab.host(name, segment), scratch),
    async dispose() {
      await scratch.dispose()
      lab.dispose()
    },
  }
}

/** Starts the first, lets the others join it one after the other, and waits until all see each other. */
export async function assemble(machines: readonly Machine[], options: readonly string[] = []): Promise<void> {
  const [founder, ...others] = machines
  await founder?.start()
  for (const machine of others) if (founder) await machine.join(founder, options)
  await until(() => isWhole(machines), 'all members see each other', 60_000)
}

/** Whether each of them sees all of them online. */
export async function isWhole(machines: readonly Machine[]): Promise<boolean> {
  const names = machines.map(({ name }) => name)
  const views = await Promise.all(machines.map((machine) => machine.members()))
  return views.every((members) => {
    const online = new Set(members.flatMap((member) => (member.online ? [member.name] : [])))
    return names.every((name) => online.has(name))
  })
}

/** Who does not see whom, for messages. */
export async function gaps(machines: readonly Machine[]): Promise<string> {
  const views = await Promise.all(
    machines.map(async (machine) => {
      const away = (await machine.members()).filter(({ online }) => !online)
      return away.map(({ name }) => `${machine.name} does not see ${name}`)
    }),
  )
  return views.flat().join(', ')
}

const LOOK_EVERY_MS = 100

/** @throws when it has not become true in time, with what `explain` says then */
export async function until(
  isTrue: () => Promise<boolean> | boolean,
  what: string,
  withinMs: number,
  explain: () => Promise<string> = async () => '',
): Promise<number> {
  const start = performance.now()
  while (!(await isTrue())) {
    if (performance.now() - start > withinMs)
      throw new Error(`not within ${withinMs / 1000} s: ${what}. ${await explain()}`)
    await new Promise((done) => setTimeout(done, LOOK_EVERY_MS))
  }
  return performance.now() - start
}

/** Prints a figure that was measured. */
export function report(what: string, ms: number, goalMs?: number): void {
  const goal = goalMs === undefined ? '' : ` (goal ${goalMs / 1000} s)`
  console.log(`measured: ${what}: ${(ms / 1000).toFixed(1)} s${goal}`)
}

/** Measures until the mesh is whole; one that takes longer than the goal is a failure. */
export async function measureWhole(
  what: string,
  machines: readonly Machine[],
  isReally: () => Promise<boolean> = async () => true,
): Promise<void> {
  const isDone = async (): Promise<boolean> => (await isWhole(machines)) && (await isReally())
  const ms = await until(isDone, what, WHOLE_WITHIN_MS, () => gaps(machines))
  report(what, ms, WHOLE_WITHIN_MS)
}

/** Registers the first user on this machine's gateway and signs them in on every other. */
export async function signIn(machines: readonly Machine[]): Promise<Map<Machine, string>> {
  const [first, ...others] = machines
  if (first === undefined) return new Map()
  const registered = await first.http('POST', '/api/auth/register', {
    body: { ...OWNER, password_confirmation: OWNER.password, setup_code: first.node.setupCode },
  })
  const tokens = new Map<Machine, string>([[first, registered.body.data.token]])
  for (const machine of others) {
    const login = async (): Promise<boolean> => {
      const { status, body } = await machine.http('POST', '/api/auth/login', {
        body: { email: OWNER.email, password: OWNER.password },
      })
      if (status === 200) tokens.set(machine, body.data.token)
      return status === 200
    }
    await until(login, `the user is known on ${machine.name}`, WHOLE_WITHIN_MS)
  }
  return tokens
}
