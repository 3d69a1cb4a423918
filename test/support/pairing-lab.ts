import type { Actor } from '../../crdt/actor.ts'
import type { Capability } from '../../crdt/capability.ts'
import { MachineId } from '../../crdt/ids.ts'
import type { Machine } from '../../crdt/machine.ts'
import { err, ok, type Result } from '../../crdt/result.ts'
import { uuidFromRandom } from '../../crdt/uuid.ts'
import { pairingWords } from '../../node/adapters/pairing-words.ts'
import { unknownFacts } from '../../node/services/machines/machine-facts.ts'
import type { PairingService } from '../../node/services/pairing/pairing.ts'
import { createPairingService } from '../../node/services/pairing/pairing-service.ts'
import type { DomainError } from '../../crdt/errors.ts'
import { crypto } from './identity.ts'
import { localActor, SimMesh, type SimNode } from './services-mesh.ts'

export type PairingLab = {
  readonly mesh: SimMesh
  readonly node: SimNode
  readonly pairing: PairingService & { stop(): void }
  /** Whoever owns the node. */
  readonly actor: Actor
  /** Machines that were registered, by name. */
  readonly registered: string[]
  /** While it is set, neither a machine nor an invitation is made. */
  failure: DomainError | undefined
}

/** Pairing at one gateway of a mesh whose clock is the test's. */
export function startPairingLab(mesh = new SimMesh(), n = 1, capabilities?: readonly Capability[]): PairingLab {
  const node = mesh.add(n, capabilities)
  for (const other of mesh.nodes) {
    if (other === node) continue
    other.sees(node.peer, 'online')
    node.sees(other.peer, 'online')
  }
  const registered: string[] = []
  const made = <T>(value: T): Result<T> => (lab.failure ? err(lab.failure) : ok(value))
  const lab: PairingLab = {
    mesh,
    node,
    actor: localActor(node),
    registered,
    failure: undefined,
    pairing: createPairingService({
      self: node.peer,
      rpc: node.rpc,
      membership: node.membership,
      presence: node.presence,
      events: node.events,
      crypto,
      clock: mesh.clock,
      random: node.random,
      nameOf: (peer) => mesh.membership().members.get(peer)?.name ?? peer,
      hasCapability: (peer, capability) => mesh.membership().members.get(peer)?.capabilities.has(capability) ?? false,
      boxSecretKey: node.boxSecretKey,
      tlsFingerprint: () => null,
      wordsOf: pairingWords,
      machines: {
        register: async (_, { name, ...facts }) => {
          const answer = made({ machine: machine(node, name, facts), token: `mn_${registered.length}` })
          if (answer.ok) registered.push(name)
          return answer
        },
      },
      mesh: {
        invite: async () => made({ ticket: 'rook1-for-one', expiresAt: new Date(mesh.clock.wallMs()).toISOString() }),
      },
    }),
  }
  return lab
}

const machine = (node: SimNode, name: string, facts: Partial<Machine>): Machine => ({
  ...unknownFacts(name),
  ...facts,
  id: MachineId.parse(uuidFromRandom(node.random.bytes(16))),
  node: null,
  bridge: null,
  status: 'offline',
  offlineReason: null,
  activeSessions: 0,
  lastSeenAt: null,
  connectedAt: null,
  createdAt: new Date(0).toISOString(),
})
