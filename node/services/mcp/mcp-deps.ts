import type { Actor } from '../../../crdt/actor.ts'
import type { PeerId } from '../../../crdt/ids.ts'
import type { Audit } from '../../ports/audit.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import type { McpConnector } from '../../ports/mcp-connector.ts'
import type { McpDefinitions } from '../../ports/mcp-definitions.ts'
import type { McpDiscovery } from '../../ports/mcp-discovery.ts'
import type { McpSignIns } from '../../ports/mcp-sign-ins.ts'
import type { Random } from '../../ports/random.ts'
import type { MembershipSource } from '../accounts/sealed-accounts.ts'
import type { EventHub } from '../event-hub.ts'
import type { Documents } from '../feeds/documents.ts'
import type { MachineService } from '../machines/machine-service.ts'
import type { Rpc } from '../rpc/rpc.ts'

export type McpAction =
  | 'mcp.list'
  | 'mcp.get'
  | 'mcp.tools'
  | 'mcp.allTools'
  | 'mcp.add'
  | 'mcp.update'
  | 'mcp.remove'
  | 'mcp.start'
  | 'mcp.stop'
  | 'mcp.execute'
  | 'mcp.approve'
  | 'mcp.signIn'
  | 'mcp.finishSignIn'
  | 'mcp.signOut'

export type McpDeps = {
  readonly self: PeerId
  readonly documents: Documents
  readonly membership: MembershipSource
  readonly machines: Pick<MachineService, 'nodeOf'>
  readonly rpc: Rpc
  readonly events: EventHub
  readonly audit: Pick<Audit, 'record'>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly definitions: McpDefinitions
  readonly connector: McpConnector
  readonly signIns: McpSignIns
  /** Undefined: the files of agents are left alone. */
  readonly discovery: McpDiscovery | undefined
  /** Folders of projects on this machine. */
  readonly folders: () => Promise<readonly string[]>
  /** Servers that may run at once. */
  readonly runningMax: number
  /** This machine's own policy, which has the last word: why it refuses, or undefined. */
  readonly refusal: (request: { action: McpAction; actor: Actor; from: PeerId }) => string | undefined
}
