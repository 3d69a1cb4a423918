import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Actor } from '../../crdt/actor.ts'
import type { Capability } from '../../crdt/capability.ts'
import { domainError } from '../../crdt/errors.ts'
import type { CommandInput } from '../../crdt/command.ts'
import { ProjectId } from '../../crdt/ids.ts'
import { machineIdOf } from '../../crdt/machine-id.ts'
import { DEFAULT_PROJECT_SETTINGS, type Project } from '../../crdt/project.ts'
import { err, ok } from '../../crdt/result.ts'
import { createCommandFinder } from '../../node/adapters/commands/command-finder.ts'
import { systemClock } from '../../node/adapters/system-clock.ts'
import type { AuditEntry } from '../../node/ports/audit.ts'
import type { SessionHosts } from '../../node/ports/session-host.ts'
import { createCommandService, type Commands } from '../../node/services/commands/command-composition.ts'
import type { ExecutionLimits } from '../../node/services/commands/command-deps.ts'
import { createRpc } from '../../node/services/rpc/rpc-service.ts'
import { crypto } from './identity.ts'
import { createMemoryNetwork, type MemoryNetwork } from './memory-network.ts'
import { localActor, SimMesh, type SimNode } from './services-mesh.ts'
import { createSessionLab, testEnvironment, type SessionLab } from './session-lab.ts'

export type CommandNode = {
  readonly node: SimNode
  readonly commands: Commands
  readonly hosts: SessionHosts
  readonly machineId: string
  readonly actor: Actor
  readonly audited: AuditEntry[]
  /** The machine's own policy, as a test sets it. */
  policy: { refuses: string | undefined }
}

export type CommandMesh = {
  readonly mesh: SimMesh
  readonly network: MemoryNetwork
  readonly nodes: readonly [CommandNode, CommandNode]
  /** The folder of a project on the second machine. */
  readonly folder: string
  /** The process of the second node dies and comes back, with the same documents, facts and hosts. */
  crash(): Promise<CommandNode>
  end(): Promise<void>
}

/** Two nodes with real programs and folders, and rpc on a network in memory. Node 1 runs commands for node 0. */
export async function createCommandMesh(limits: Partial<ExecutionLimits> = {}): Promise<CommandMesh> {
  const mesh = new SimMesh()
  const network = createMemoryNetwork()
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'rk-commands-')))
  const parts = [1, 2].map((n) => ({
    node: mesh.add(n),
    lab: createSessionLab({ killGraceMs: 300 }),
    facts: new Map<string, Uint8Array>(),
  }))
  const start = async ({ node, lab, facts }: (typeof parts)[number]): Promise<CommandNode> => {
    const port = network.join(node.peer)
    const { documents, membership, events, log, random, peer } = node
    const audited: AuditEntry[] = []
    const policy: CommandNode['policy'] = { refuses: undefined }
    const hasCapability = (of: typeof peer, capability: Capability): boolean =>
      mesh.membership().members.get(of)?.capabilities.has(capability) ?? false
    const rpc = createRpc({ network: port, clock: systemClock, log, hasCapability })
    const hosts = lab.open(testEnvironment)
    const commands = await createCommandService({
      self: peer,
      documents,
      membership,
      machines: {
        nodeOf: async (id) => {
          const found = mesh.nodes.find((each) => machineIdOf(each.peer) === id)
          return found
            ? ok({ machineId: machineIdOf(found.peer), peer: found.peer })
            : err(domainError('machine_not_found'))
        },
      },
      projects: { all: async () => [projectIn(folder, parts[1]?.node ?? node)] },
      rpc,
      network: port,
      hosts,
      finder: createCommandFinder(testEnvironment),
      probe: { account: () => ({ shell: '/bin/sh', home: tmpdir() }) },
      store: {
        getFact: async (key) => facts.get(key),
        putFact: async (key, value) => void facts.set(key, value),
      },
      limits: { concurrent: 2, timeLimitMs: 60_000, ...limits },
      hasCapability,
      refusal: () => policy.refuses,
      audit: { record: async (entry) => void audited.push(entry) },
      events,
      crypto,
      clock: systemClock,
      random,
      log,
    })
    const actor: Actor = { ...localActor(node), kind: 'user', id: `user of ${node.member.name}`, tokenId: 'token' }
    return { node, commands, hosts, machineId: machineIdOf(peer), actor, audited, policy }
  }
  const [first, second] = await Promise.all(parts.map(start))
  const nodes: [CommandNode, CommandNode] = [first!, second!]
  const connect = (): void => network.connect(first!.node.peer, second!.node.peer)
  connect()
  return {
    mesh,
    network,
    nodes,
    folder,
    async crash() {
      nodes[1].commands.stop()
      await nodes[1].hosts.close()
      network.disconnect(nodes[0].node.peer, nodes[1].node.peer)
      nodes[1] = await start(parts[1]!)
      connect()
      return nodes[1]
    },
    async end() {
      for (const { commands } of nodes) {
        await commands.endAll()
        commands.stop()
      }
      await Promise.all(nodes.map(({ hosts }) => hosts.close()))
      await Promise.all(parts.map(({ lab }: { lab: SessionLab }) => lab.end()))
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function projectIn(folder: string, { peer }: SimNode): Project {
  return {
    id: ProjectId.parse('00000000-0000-4000-8000-00000000000a'),
    name: 'project',
    summary: '',
    architecture: '',
    conventions: '',
    currentFocus: '',
    recentChanges: '',
    settings: DEFAULT_PROJECT_SETTINGS,
    repository: null,
    paths: { [peer]: folder },
    createdAt: '2026-11-01T00:00:00.000Z',
    createdBy: 'user-1',
  }
}

/** A command that a shell reads. */
export const shell = (name: string, line: string): CommandInput => ({
  name,
  type: 'shell',
  description: '',
  line,
  isDangerous: false,
  arguments: [],
  options: [],
  folder: null,
})

export const writeScripts = (folder: string, scripts: Readonly<Record<string, string>>): void =>
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ scripts }))
