import { createEventHub } from '../../node/services/event-hub.ts'
import type { MeshService } from '../../node/services/mesh-service.ts'
import type { Services } from '../../node/services/services.ts'
import { MeshId } from '../../crdt/ids.ts'
import { domainError } from '../../crdt/errors.ts'
import { err } from '../../crdt/result.ts'
import { createMemoryAccounts } from './gateway-accounts.ts'
import { createMemoryLocks, createMemoryMachines, createMemoryProjects, createMemoryTasks } from './gateway-boards.ts'
import { createMemoryTerminals } from './gateway-terminals.ts'
import { identity } from './identity.ts'
import { createRecordedLog } from './log.ts'

export type TestServices = {
  readonly services: Services
  stop(): Promise<void>
}

/** The services behind a gateway under test. */
export async function startTestServices(): Promise<TestServices> {
  const events = createEventHub(createRecordedLog())
  const machines = createMemoryMachines()
  const projects = createMemoryProjects(machines, events)
  const sessions = createMemoryTerminals(machines, events)
  const services: Services = {
    accounts: createMemoryAccounts(),
    machines,
    projects,
    tasks: createMemoryTasks(projects, events),
    locks: createMemoryLocks(projects, events),
    sessions,
    mesh: createMemoryMesh(),
    events,
  }
  return { services, stop: () => sessions.end() }
}

function createMemoryMesh(): MeshService {
  const self = identity(1).peer
  const member = {
    peerId: self,
    name: 'nest',
    online: true,
    reachedBy: 'self',
    rttMs: null,
    voter: true,
    capabilities: ['admin', 'gateway', 'vote'],
    lastSeenAt: null,
    problem: null,
  } as const
  const notHere = async () => err(domainError('forbidden'))
  return {
    status: async () => ({
      meshId: MeshId.parse('a'.repeat(64)),
      peerId: self,
      name: 'nest',
      http: null,
      members: [member],
      voters: [self],
      documents: [],
      problems: [],
    }),
    members: () => [member],
    invite: notHere,
    remove: notHere,
    leave: notHere,
    onChange: () => () => undefined,
  }
}
