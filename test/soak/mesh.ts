import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../bench/server-process.ts'
import type { Endpoint } from '../chaos/gateway-client.ts'
import {
  createScratch,
  eventually,
  joinMesh,
  login,
  registerOwner,
  seesOnline,
  type NodeOptions,
  type RunningNode,
} from '../support/nodes.ts'

const NAMES = ['alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta', 'eta'] as const
export const NODES_MAX = NAMES.length

/** One machine, whatever process runs on it at the moment. */
export class SoakMember {
  readonly name: string
  token = ''
  /** Runs from the start to the end: its memory tells of leaks. */
  readonly isSteady: boolean
  #node: RunningNode
  /** What its processes have logged. */
  #logged = ''
  readonly #start: () => Promise<RunningNode>

  constructor(node: RunningNode, { isSteady, start }: { isSteady: boolean; start: () => Promise<RunningNode> }) {
    this.name = node.name
    this.isSteady = isSteady
    this.#node = node
    this.#start = start
  }

  get node(): RunningNode {
    return this.#node
  }

  get endpoint(): Endpoint {
    return { http: this.#node.http, token: this.token }
  }

  get log(): string {
    return this.#logged + this.#node.stderr
  }

  async restart(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    await this.#node.stop(signal)
    this.#logged += this.#node.stderr
    this.#node = await this.#start()
  }
}

export type SoakMesh = {
  readonly members: readonly SoakMember[]
  readonly project: string
  /** A machine that joins, is met, and is removed again. */
  visit(name: string): Promise<void>
  dispose(): Promise<void>
}

/** Real nodes on loopback; the first three vote, the first two are never restarted. */
export async function startSoakMesh(size: number): Promise<SoakMesh> {
  const scratch = await createScratch()
  const members: SoakMember[] = []
  try {
    for (const name of NAMES.slice(0, size)) members.push(await addMember(scratch, name, members))
    const [founder] = members
    if (!founder) throw new Error('a mesh has a founder')
    const project = await assemble(founder, members, scratch.path)
    return {
      members,
      project,
      visit: (name) => visit(scratch, founder.node, name),
      dispose: () => scratch.dispose(),
    }
  } catch (error) {
    await scratch.dispose()
    throw error
  }
}

type Scratch = Awaited<ReturnType<typeof createScratch>>

async function addMember(scratch: Scratch, name: string, members: readonly SoakMember[]): Promise<SoakMember> {
  const port = await freePort()
  const options: Partial<NodeOptions> = { args: ['--http', '127.0.0.1:0', '--p2p', `/ip4/127.0.0.1/tcp/${port}`] }
  const [founder] = members
  const node = founder ? await joinMesh(scratch, founder.node, name, options) : await scratch.start(name, options)
  return new SoakMember(node, { isSteady: members.length < 2, start: () => scratch.start(name, options) })
}

async function assemble(founder: SoakMember, members: readonly SoakMember[], path: string): Promise<string> {
  const peers = members.map(({ node }) => node.peerId)
  await Promise.all(members.map(({ node }) => seesOnline(node, peers)))
  founder.token = await registerOwner(founder.node)
  for (const member of members)
    if (member !== founder) member.token = await eventually(() => login(member.node).catch(() => undefined))
  const folder = join(path, 'work')
  await mkdir(folder)
  const project: string = (await founder.node.cli('project', 'add', folder)).json.id
  const voters = await founder.node.cli('voters', 'set', ...peers.slice(0, 3))
  if (voters.code !== 0) throw new Error(`three could not be made voters: ${voters.stderr}`)
  return project
}

async function visit(scratch: Scratch, host: RunningNode, name: string): Promise<void> {
  const guest = await joinMesh(scratch, host, name)
  await seesOnline(host, [guest.peerId])
  const removed = await host.cli('remove', guest.peerId)
  if (removed.code !== 0) throw new Error(`${name} could not be removed: ${removed.stderr}`)
  await guest.stop('SIGKILL')
  await rm(guest.dataDir, { recursive: true, force: true })
}
