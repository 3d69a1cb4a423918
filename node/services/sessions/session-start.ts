import type { Actor } from '../../../crdt/actor.ts'
import { domainError, invalidField } from '../../../crdt/errors.ts'
import { machineDoc, SessionId, type MachineId } from '../../../crdt/ids.ts'
import { readMachineFacts } from '../../../crdt/machine-document.ts'
import { machineIdOf } from '../../../crdt/machine-id.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import { PTY_COLS, PTY_ROWS, type Session } from '../../../crdt/session.ts'
import { uuidFromRandom } from '../../../crdt/uuid.ts'
import { AGENTS_FOLDER, type AnySpec, type BridgedSpec, type SessionSpec } from '../../ports/session-host.ts'
import { commandOf } from './session-command.ts'
import type { SessionServiceDeps } from './session-deps.ts'
import { sessionOf, type SessionIndex } from './session-index.ts'
import type { Changed, CreateSession } from './session-target.ts'

/** Live sessions of a machine that has not been told otherwise. */
const SESSIONS_MAX_DEFAULT = 10

/** Agents without a node run these two. */
const BRIDGED_AGENTS = ['claude', 'shell']

type Started = Result<{ session: Session } & Changed>

/** Starts sessions of this machine, and of machines whose agents are connected to it. */
export function createStarter(deps: SessionServiceDeps, index: SessionIndex) {
  const { hosts, network, membership } = deps
  /** Being started, with their machine (undefined: this one): they count, or many at once would pass the limit. */
  const starting = new Map<SessionId, MachineId | undefined>()
  const liveOn = (machine: MachineId | undefined): number => {
    const running = hosts.list().filter(({ spec, state }) => state.status === 'running' && machineOf(spec) === machine)
    const begun = [...starting].filter(([, on]) => on === machine)
    return new Set([...running.map(({ spec }) => spec.id), ...begun.map(([id]) => id)]).size
  }
  const start = async (id: SessionId, actor: Actor, input: CreateSession): Promise<Started> => {
    const spec = await specOf(deps, actor, { ...input, id })
    if (!spec.ok) return spec
    const started = await hosts.start(spec.value)
    if (!started.ok) return started
    const { gateway } = started.value.spec
    // One that was removed meanwhile: what ended its sessions did not find this one.
    if (gateway !== network.self && !membership.current().members.has(gateway)) {
      await hosts.remove(id)
      return err(domainError('forbidden'))
    }
    const position = await index.publish()
    if (position.ok) {
      const owner = { peer: network.self, machineId: machineIdOf(network.self) }
      return ok({ session: sessionOf(hosts.get(id) ?? started.value, owner), position: position.value })
    }
    await hosts.remove(id) // a session that nobody can see must not run
    return position
  }
  return async (actor: Actor, input: CreateSession): Promise<Started> => {
    const { machine } = input
    const allowed = await sessionsMax(deps, machine)
    if (!allowed.ok) return allowed
    if (liveOn(machine) >= allowed.value) return err(domainError('session_limit'))
    const id = SessionId.parse(uuidFromRandom(deps.random.bytes(16)))
    starting.set(id, machine)
    try {
      return await start(id, actor, input)
    } finally {
      starting.delete(id)
    }
  }
}

const machineOf = (spec: AnySpec): MachineId | undefined => ('machine' in spec ? spec.machine : undefined)

async function sessionsMax(
  { documents, machines, network }: SessionServiceDeps,
  id: MachineId | undefined,
): Promise<Result<number>> {
  if (id === undefined)
    return ok(documents.readOpen(machineDoc(network.self), readMachineFacts)?.maxSessions ?? SESSIONS_MAX_DEFAULT)
  const machine = await machines.get(id)
  return machine.ok ? ok(machine.value.maxSessions) : machine
}

async function specOf(
  deps: SessionServiceDeps,
  actor: Actor,
  input: CreateSession & { readonly id: SessionId },
): Promise<Result<AnySpec>> {
  const settled = {
    id: input.id,
    mode: input.mode,
    size: input.ptySize ?? { cols: PTY_COLS.default, rows: PTY_ROWS.default },
    createdAt: new Date(deps.clock.wallMs()).toISOString(),
    createdBy: actor.id,
    gateway: actor.gateway,
  }
  if (input.initialPrompt?.includes('\0')) return err(invalidField('initial_prompt', 'Must not contain NUL.'))
  if (input.projectPath?.includes('\0')) return err(invalidField('project_path', 'Must not contain NUL.'))
  const { machine } = input
  const prepared = machine ? prepareBridged(machine, input) : await prepareOwn(deps, settled.id, input)
  return prepared.ok ? ok({ ...settled, ...prepared.value }) : prepared
}

type Prepared<S extends AnySpec> = Result<Omit<S, 'id' | 'mode' | 'size' | 'createdAt' | 'createdBy' | 'gateway'>>

/** What cannot be looked at from here (folders, programs) its agent says. */
function prepareBridged(machine: MachineId, input: CreateSession): Prepared<BridgedSpec> {
  const { mode, agent = 'claude', projectPath = AGENTS_FOLDER, initialPrompt = null } = input
  if (!BRIDGED_AGENTS.includes(agent))
    return err(invalidField('agent', `Agents of machines without a node run ${BRIDGED_AGENTS.join(' and ')} only.`))
  if (agent === 'shell' && mode !== 'interactive')
    return err(invalidField('mode', 'A shell is interactive on a machine without a node.'))
  if (agent === 'shell' && initialPrompt !== null)
    return err(invalidField('initial_prompt', 'A shell on a machine without a node takes none: type it.'))
  return ok({ machine, agent, projectPath, prompt: initialPrompt })
}

async function prepareOwn(
  { probe, agents }: SessionServiceDeps,
  id: SessionId,
  { mode, agent, initialPrompt, projectPath: asked }: CreateSession,
): Promise<Prepared<SessionSpec>> {
  const { shell, home } = probe.account()
  const projectPath = asked ?? home
  if (!projectPath.startsWith('/')) return err(invalidField('project_path', 'Must be an absolute path on the machine.'))
  const folder = await probe.inspectFolder(projectPath)
  if (!folder.exists) return err(invalidField('project_path', `${projectPath} does not exist on the machine.`))
  if (!folder.isDirectory) return err(invalidField('project_path', `${projectPath} is not a directory.`))
  const installed = await probe.agents()
  const command = commandOf({ id, mode, agent, prompt: initialPrompt, installed, configured: agents, shell })
  return command.ok ? ok({ projectPath, ...command.value }) : command
}
