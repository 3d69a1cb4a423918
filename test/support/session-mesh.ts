import type { Actor } from '../../crdt/actor.ts'
import { domainError } from '../../crdt/errors.ts'
import { machineDoc } from '../../crdt/ids.ts'
import { writeMachineFacts } from '../../crdt/machine-document.ts'
import type { Machine } from '../../crdt/machine.ts'
import { machineIdOf } from '../../crdt/machine-id.ts'
import { err, ok } from '../../crdt/result.ts'
import { createMachineProbe } from '../../node/adapters/machine-probe.ts'
import type { AuditEntry } from '../../node/ports/audit.ts'
import type { PeerNetwork } from '../../node/ports/peer-network.ts'
import type { SessionHosts } from '../../node/ports/session-host.ts'
import { createRpc } from '../../node/services/rpc/rpc-service.ts'
import type { AgentCommands } from '../../node/services/sessions/agent-commands.ts'
import { createSessionService, type Sessions } from '../../node/services/sessions/session-composition.ts'
import { unknownFacts } from '../../node/services/machines/machine-facts.ts'
import { createMemoryNetwork, type MemoryNetwork } from './memory-network.ts'
import { ALL_CAPABILITIES, localActor, SimMesh, type SimNode } from './services-mesh.ts'
import { createSessionLab, testEnvironment, type SessionLab } from './session-lab.ts'

export type SessionNode = {
  readonly node: SimNode
  readonly lab: SessionLab
  readonly hosts: SessionHosts
  readonly sessions: Sessions
  readonly network: PeerNetwork
  readonly machineId: string
  readonly actor: Actor
  readonly audited: AuditEntry[]
  /** The machine's own policy, as a test sets it. */
  policy: { refuses: string | undefined }
}

const machineOf = ({ peer, member }: SimNode): Machine => ({
  ...unknownFacts(member.name),
  id: machineIdOf(peer),
  node: peer,
  bridge: null,
  status: 'online',
  offlineReason: null,
  activeSessions: 0,
  lastSeenAt: null,
  connectedAt: null,
  createdAt: '2027-01-15T08:00:00.000Z',
})

export type SessionMesh = {
  readonly mesh: SimMesh
  readonly network: MemoryNetwork
  readonly nodes: readonly [SessionNode, SessionNode]
  /** The node goes and comes back in a new process, with the same documents and hosts. */
  restart(index: 0 | 1): Promise<SessionNode>
  end(): Promise<void>
}

/** Two nodes with real terminals and rpc on a network in memory. Node 1 runs sessions for node 0. */
export async function createSessionMesh(
  options: {
    environment?: Record<string, string>
    maxSessions?: number
    capabilities?: typeof ALL_CAPABILITIES
    agents?: AgentCommands
  } = {},
): Promise<SessionMesh> {
  const mesh = new SimMesh()
  const network = createMemoryNetwork()
  const parts = [1, 2].map((n) => ({
    node: mesh.add(n, n === 2 ? (options.capabilities ?? ALL_CAPABILITIES) : ALL_CAPABILITIES),
    lab: createSessionLab({ killGraceMs: 300 }),
  }))
  const start = async ({ node, lab }: (typeof parts)[number]): Promise<SessionNode> => {
    const port = network.join(node.peer)
    const { clock } = mesh
    const { documents, membership, events, log, random } = node
    const audited: AuditEntry[] = []
    const policy: SessionNode['policy'] = { refuses: undefined }
    const hasCapability = (peer: typeof node.peer, capability: (typeof ALL_CAPABILITIES)[number]): boolean =>
      mesh.membership().members.get(peer)?.capabilities.has(capability) ?? false
    const rpc = createRpc({
      network: port,
      clock,
      log,
      hasCapability,
      onRequest: (from, action, actor, refused) =>
        void audited.push({ action, actor, from, outcome: refused === undefined ? 'allowed' : 'denied' }),
    })
    if (options.maxSessions !== undefined)
      await documents.write(machineDoc(node.peer), undefined, (state) =>
        writeMachineFacts(state, { ...unknownFacts('n'), maxSessions: options.maxSessions ?? 0 }),
      )
    const hosts = lab.open({ ...testEnvironment, ...options.environment })
    const sessions = await createSessionService({
      documents,
      membership,
      machines: {
        get: async (id) => {
          const found = mesh.nodes.find(({ peer }) => machineIdOf(peer) === id)
          return found ? ok(machineOf(found)) : err(domainError('machine_not_found'))
        },
        sessionNodeOf: async (id) => {
          const found = mesh.nodes.find(({ peer }) => machineIdOf(peer) === id)
          return found
            ? ok({ machineId: machineIdOf(found.peer), peer: found.peer, isBridged: false })
            : err(domainError('machine_not_found'))
        },
      },
      rpc,
      network: port,
      hosts,
      probe: createMachineProbe({ ...testEnvironment, ...options.environment }, options.agents),
      agents: options.agents ?? {},
      hasCapability,
      refusal: () => policy.refuses,
      audit: { record: async (entry) => void audited.push(entry) },
      events,
      clock,
      random,
      log,
    })
    const machineId = machineIdOf(node.peer)
    const actor: Actor = { ...localActor(node), kind: 'user', id: `user of ${node.member.name}`, tokenId: 'token' }
    return { node, lab, hosts, sessions, network: port, machineId, actor, audited, policy }
  }
  const [first, second] = await Promise.all(parts.map(start))
  const nodes: [SessionNode, SessionNode] = [first!, second!]
  network.connect(first!.node.peer, second!.node.peer)
  return {
    mesh,
    network,
    nodes,
    async restart(index) {
      const { node, lab, hosts, sessions } = nodes[index]
      sessions.stop()
      await hosts.close()
      network.disconnect(nodes[0].node.peer, nodes[1].node.peer)
      nodes[index] = await start({ node, lab })
      network.connect(nodes[0].node.peer, nodes[1].node.peer)
      network.connect(nodes[1].node.peer, nodes[0].node.peer)
      return nodes[index]
    },
    async end() {
      for (const { sessions, hosts, lab } of nodes) {
        sessions.stop()
        await hosts.close()
        await lab.end()
      }
    },
  }
}
