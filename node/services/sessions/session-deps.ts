import type { Actor } from '../../../crdt/actor.ts'
import type { Capability } from '../../../crdt/capability.ts'
import type { PeerId } from '../../../crdt/ids.ts'
import type { Audit } from '../../ports/audit.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import type { MachineProbe } from '../../ports/machine-probe.ts'
import type { PeerNetwork } from '../../ports/peer-network.ts'
import type { Random } from '../../ports/random.ts'
import type { AnySpec, SessionHosts } from '../../ports/session-host.ts'
import type { Documents } from '../feeds/documents.ts'
import type { EventHub } from '../event-hub.ts'
import type { MachineService } from '../machines/machine-service.ts'
import type { Rpc } from '../rpc/rpc.ts'
import type { AgentCommands } from './agent-commands.ts'
import type { MembershipSource } from '../accounts/sealed-accounts.ts'

export type SessionAction =
  | 'session.create'
  | 'session.remove'
  | 'session.erase'
  | 'session.logs'
  | 'session.input'
  | 'session.resize'
  | 'session.attach'

export type SessionServiceDeps = {
  readonly documents: Documents
  readonly membership: MembershipSource
  readonly machines: Pick<MachineService, 'get' | 'sessionNodeOf'>
  readonly rpc: Rpc
  readonly network: PeerNetwork
  readonly hosts: SessionHosts<AnySpec>
  /** How this machine runs its agents, where it is not as usual. */
  readonly agents: AgentCommands
  readonly probe: Pick<MachineProbe, 'agents' | 'account' | 'inspectFolder'>
  readonly hasCapability: (peer: PeerId, capability: Capability) => boolean
  /** This machine's own policy, which has the last word: why it refuses, or undefined. */
  readonly refusal: (request: { action: SessionAction; actor: Actor; from: PeerId }) => string | undefined
  readonly audit: Pick<Audit, 'record'>
  readonly events: EventHub
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}
