import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
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
import { freePort } from '../bench/server-process.ts'
import type { Endpoint } from './gateway-client.ts'
import { startLinkProxy, type LinkProxy } from './link-proxy.ts'

const NAMES = ['alpha', 'beta', 'gamma', 'delta', 'epsilon'] as const
const PRELOAD = pathToFileURL(resolve(import.meta.dirname, 'dial-through-proxy.ts')).href
/** Small enough to be filled at once, large enough for a long run. */
const DISK_MB = 96

export type ChaosTimings = { readonly ttlMs: number; readonly holdMs: number }

/** One machine of the mesh, whatever process runs on it at the moment. */
export type ChaosMember = {
  readonly name: string
  readonly dataDir: string
  /** Whether its data lies on a small disk of its own. */
  readonly hasOwnDisk: boolean
  node(): RunningNode
  endpoint(): Endpoint
  /** Resolves when no fault keeps the process from running. */
  isUp(): Promise<void>
  kill(): Promise<void>
  restart(): Promise<void>
  /** What its processes have logged. */
  log(): string
}

export type Cluster = {
  readonly members: readonly ChaosMember[]
  readonly proxy: LinkProxy
  readonly project: string
  dispose(): Promise<void>
}

type Scratch = Awaited<ReturnType<typeof createScratch>>

/** Real nodes that all vote, on loopback, linked through the proxy. */
export async function startCluster(size: 3 | 5, timings: ChaosTimings): Promise<Cluster> {
  const scratch = await createScratch()
  const ports = new Map<number, string>()
  const proxy = await startLinkProxy((port) => ports.get(port))
  const disks: string[] = []
  const members: Member[] = []
  const dispose = async (): Promise<void> => {
    for (const member of members) await member.kill()
    for (const disk of disks) spawnSync('umount', ['-l', disk])
    await scratch.dispose()
    await proxy.close()
  }
  try {
    for (const name of NAMES.slice(0, size)) {
      const dataDir = join(scratch.path, name)
      // The founder keeps the large disk.
      if (members.length > 0 && (await mountDisk(dataDir))) disks.push(dataDir)
      const port = await freePort()
      ports.set(port, name)
      const options = optionsOf({ name, dataDir, port, proxyPort: proxy.port, timings })
      const [founder] = members
      const node = founder ? await joinMesh(scratch, founder.node(), name, options) : await scratch.start(name, options)
      members.push(new Member(scratch, node, { options, hasOwnDisk: disks.includes(dataDir) }))
    }
    const project = await assemble(members, scratch.path)
    return { members, proxy, project, dispose }
  } catch (error) {
    await dispose()
    throw error
  }
}

function optionsOf(given: {
  name: string
  dataDir: string
  port: number
  proxyPort: number
  timings: ChaosTimings
}): NodeOptions {
  return {
    name: given.name,
    dataDir: given.dataDir,
    config: { lease: given.timings },
    args: ['--http', '127.0.0.1:0', '--p2p', `/ip4/127.0.0.1/tcp/${given.port}`],
    env: {
      NODE_OPTIONS: `--import ${PRELOAD}`,
      ROOKERY_CHAOS_NODE: given.name,
      ROOKERY_CHAOS_PROXY_PORT: String(given.proxyPort),
    },
  }
}

async function mountDisk(path: string): Promise<boolean> {
  await mkdir(path, { mode: 0o700 })
  return spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MB}m,mode=0700`, 'tmpfs', path]).status === 0
}

/** All see each other, all vote, all know the user and the project. */
async function assemble(members: readonly Member[], path: string): Promise<string> {
  const nodes = members.map((member) => member.node())
  const peers = nodes.map(({ peerId }) => peerId)
  await Promise.all(nodes.map((node) => seesOnline(node, peers)))
  const [founder] = members
  if (!founder) throw new Error('a mesh has a founder')
  founder.token = await registerOwner(founder.node())
  for (const member of members)
    if (member !== founder) member.token = await eventually(() => login(member.node()).catch(() => undefined))
  const folder = join(path, 'work')
  await mkdir(folder)
  const project: string = (await founder.node().cli('project', 'add', folder)).json.id
  const voters = await founder.node().cli('voters', 'set', ...peers)
  if (voters.code !== 0) throw new Error(`not all of them vote: ${voters.stderr}`)
  for (const node of nodes) {
    await eventually(async () => ((await node.cli('status')).json.epoch === voters.json.epoch ? true : undefined))
    await eventually(async () => {
      const { json } = await node.cli('project', 'list')
      return json.some(({ id }: { id: string }) => id === project) ? true : undefined
    })
  }
  return project
}

class Member implements ChaosMember {
  readonly name: string
  readonly dataDir: string
  readonly hasOwnDisk: boolean
  token = ''
  readonly #scratch: Scratch
  readonly #options: NodeOptions
  #node: RunningNode
  readonly #earlier: RunningNode[] = []
  #starting: Promise<void> = Promise.resolve()
  #started: () => void = () => undefined

  constructor(
    scratch: Scratch,
    node: RunningNode,
    { options, hasOwnDisk }: { options: NodeOptions; hasOwnDisk: boolean },
  ) {
    this.name = options.name
    this.dataDir = options.dataDir
    this.hasOwnDisk = hasOwnDisk
    this.#scratch = scratch
    this.#options = options
    this.#node = node
  }

  node(): RunningNode {
    return this.#node
  }

  endpoint(): Endpoint {
    return { http: this.#node.http, token: this.token }
  }

  isUp(): Promise<void> {
    return this.#starting
  }

  async kill(): Promise<void> {
    const { promise, resolve: started } = Promise.withResolvers<void>()
    this.#starting = promise
    this.#started = started
    await this.#node.stop('SIGKILL')
  }

  async restart(): Promise<void> {
    this.#earlier.push(this.#node)
    this.#node = await this.#scratch.start(this.name, this.#options)
    this.#started()
  }

  log(): string {
    return [...this.#earlier, this.#node].map(({ stderr }) => stderr).join('')
  }
}

const fillerOf = ({ dataDir }: ChaosMember): string => join(dataDir, 'filler')

/** Fills a member's own disk to the last byte. */
export function fillDisk(member: ChaosMember): void {
  spawnSync('dd', ['if=/dev/zero', `of=${fillerOf(member)}`, 'bs=64k'], { stdio: 'ignore' }) // ends when there is no room
}

export const makeRoom = (member: ChaosMember): void => rmSync(fillerOf(member), { force: true })
