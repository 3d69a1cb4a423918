import type { Capability } from '../../crdt/capability.ts'
import type { PeerId } from '../../crdt/ids.ts'
import { createCommandFinder } from '../adapters/commands/command-finder.ts'
import type { MachineProbe } from '../ports/machine-probe.ts'
import { createAgentBridge } from '../services/bridge/agent-bridge.ts'
import type { BridgeService } from '../services/bridge/bridge-service.ts'
import { createCommandService, type Commands } from '../services/commands/command-composition.ts'
import type { CommandAction } from '../services/commands/command-deps.ts'
import type { Machines } from '../services/machines/machine-service.ts'
import type { Projects } from '../services/projects/project-service.ts'
import type { Rpc } from '../services/rpc/rpc.ts'
import type { Services } from '../services/services.ts'
import { createSessionService, type Sessions } from '../services/sessions/session-composition.ts'
import type { Cleanup, MeshCore, MeshNodeDeps } from './mesh-core.ts'

type Around = Pick<Services, 'events'> & {
  readonly rpc: Rpc
  readonly probe: MachineProbe
  readonly machines: Machines
  readonly projects: Projects
  readonly may: (peer: PeerId, capability: Capability) => boolean
}

const NO_REMOTE_SESSIONS = 'This machine takes no sessions from others (sessions.remote).'
const NO_REMOTE_COMMANDS = 'This machine runs no commands for others (commands.remote).'
const NO_REMOTE_REGISTRATION = 'Commands of this machine are registered on it only (sessions.remote).'

/** What runs on machines, this one and those that it bridges: terminals and agents, and commands; with what this machine lets others do. */
export async function openPrograms(
  { config, audit }: MeshNodeDeps,
  core: MeshCore,
  { may, ...around }: Around,
  cleanup: Cleanup,
): Promise<{ sessions: Sessions; commands: Commands; bridge: BridgeService }> {
  const { means, self, bridgedHosts, commandHosts, contacts } = core
  const shared = { ...core, ...means, ...around, audit, hasCapability: may }
  const sessions = await createSessionService({
    ...shared,
    agents: config.sessions.agents,
    refusal: ({ from }) =>
      from === self ? undefined : config.sessions.remote ? contacts.refusal(from) : NO_REMOTE_SESSIONS,
  })
  cleanup.push(() => sessions.stop())
  /** What is registered may be any program, so it takes as much as a session; what is listed is no secret of members. */
  const policyOf = (action: CommandAction): string | undefined => {
    if (action === 'command.list' || action === 'command.get') return undefined
    if (action === 'command.register' && !config.sessions.remote) return NO_REMOTE_REGISTRATION
    return config.commands.remote ? undefined : NO_REMOTE_COMMANDS
  }
  const commands = await createCommandService({
    ...shared,
    hosts: commandHosts,
    finder: createCommandFinder(process.env),
    limits: config.commands,
    refusal: ({ action, from }) => (from === self ? undefined : (policyOf(action) ?? contacts.refusal(from))),
  })
  cleanup.push(() => commands.stop())
  const bridge = createAgentBridge({ ...shared, sessions, hosts: bridgedHosts })
  cleanup.push(() => bridge.stop())
  return { sessions, commands, bridge }
}
