import type { AccountService } from './accounts/account-service.ts'
import type { ActivityService } from './activity/activity-service.ts'
import type { BroadcastService } from './activity/broadcast-service.ts'
import type { BridgeService } from './bridge/bridge-service.ts'
import type { CommandService } from './commands/command-service.ts'
import type { ContextService } from './context/context-service.ts'
import type { EventHub } from './event-hub.ts'
import type { VoterService } from './leases/voter-service.ts'
import type { LockService } from './locks/lock-service.ts'
import type { MachineService } from './machines/machine-service.ts'
import type { WakeService } from './machines/wake-service.ts'
import type { McpService } from './mcp/mcp-service.ts'
import type { MeshService } from './membership/mesh-service.ts'
import type { PeersService } from './membership/peers-service.ts'
import type { RecoveryService } from './membership/recovery-service.ts'
import type { PairingService } from './pairing/pairing.ts'
import type { ProjectOverview } from './projects/project-overview.ts'
import type { ProjectService } from './projects/project-service.ts'
import type { SessionService } from './sessions/session-service.ts'
import type { SkillService } from './skills/skill-service.ts'
import type { TaskService } from './tasks/task-service.ts'
import type { ElectorateService } from './voters/electorate-service.ts'

/** The one API that every surface (HTTP dialects, WebSocket, CLI, page) calls. */
export type Services = {
  readonly accounts: AccountService
  readonly machines: MachineService
  readonly wake: WakeService
  readonly projects: ProjectService
  /** What is going on in a project: numbers, and who is at work. */
  readonly overview: ProjectOverview
  /** What happened in a project lately. */
  readonly activity: ActivityService
  readonly broadcasts: BroadcastService
  readonly tasks: TaskService
  readonly locks: LockService
  /** What everybody who works on a project should know. */
  readonly context: ContextService
  readonly sessions: SessionService
  /** Machines without a node, whose agents are connected to this gateway. */
  readonly bridge: BridgeService
  /** What can be run on each machine, and what has been. */
  readonly commands: CommandService
  readonly mcp: McpService
  /** What agents on a machine can be told to do. */
  readonly skills: SkillService
  readonly mesh: MeshService
  /** How a machine that nobody knows becomes one of the mesh. */
  readonly pairing: PairingService
  /** How this node reaches the other members. */
  readonly peers: PeersService
  readonly recovery: RecoveryService
  readonly voters: VoterService
  /** The voters among the machines that could vote, and who should. */
  readonly electorate: ElectorateService
  readonly events: EventHub
}
