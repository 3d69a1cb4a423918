import type { Actor } from '../../../crdt/actor.ts'
import type { Capability } from '../../../crdt/capability.ts'
import type { PeerId } from '../../../crdt/ids.ts'
import type { Crypto } from '../../../protocols/crypto.ts'
import type { Audit } from '../../ports/audit.ts'
import type { Clock } from '../../ports/clock.ts'
import type { CommandFinder } from '../../ports/command-finder.ts'
import type { FeedStore } from '../../ports/feed-store.ts'
import type { Log } from '../../ports/log.ts'
import type { MachineProbe } from '../../ports/machine-probe.ts'
import type { PeerNetwork } from '../../ports/peer-network.ts'
import type { Random } from '../../ports/random.ts'
import type { SessionHosts } from '../../ports/session-host.ts'
import type { MembershipSource } from '../accounts/sealed-accounts.ts'
import type { EventHub } from '../event-hub.ts'
import type { Documents } from '../feeds/documents.ts'
import type { MachineService } from '../machines/machine-service.ts'
import type { ProjectService } from '../projects/project-service.ts'
import type { Rpc } from '../rpc/rpc.ts'

/** What a machine is asked about its commands; each has an ability and is subject to the machine's own policy. */
export type CommandAction =
  | 'command.list'
  | 'command.get'
  | 'command.register'
  | 'command.remove'
  | 'command.clear'
  | 'command.execute'
  | 'command.cancel'
  | 'command.logs'
  | 'command.attach'

export type ExecutionLimits = {
  /** Executions at once; further ones wait. */
  readonly concurrent: number
  /** Then an execution is ended. */
  readonly timeLimitMs: number
}

export type CommandServiceDeps = {
  readonly self: PeerId
  readonly documents: Documents
  readonly membership: MembershipSource
  readonly machines: Pick<MachineService, 'nodeOf'>
  readonly projects: Pick<ProjectService, 'all'>
  readonly rpc: Rpc
  readonly network: PeerNetwork
  /** Of executions only: they are apart from those of sessions, since they end with this node. */
  readonly hosts: SessionHosts
  readonly finder: CommandFinder
  readonly probe: Pick<MachineProbe, 'account'>
  readonly store: Pick<FeedStore, 'getFact' | 'putFact'>
  readonly limits: ExecutionLimits
  readonly hasCapability: (peer: PeerId, capability: Capability) => boolean
  /** This machine's own policy, which has the last word: why it refuses, or undefined. */
  readonly refusal: (request: { action: CommandAction; actor: Actor; from: PeerId }) => string | undefined
  readonly audit: Pick<Audit, 'record'>
  readonly events: EventHub
  readonly crypto: Crypto
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}
