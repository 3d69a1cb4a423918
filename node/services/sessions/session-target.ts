import { z } from 'zod'
import { can, type Ability, type Actor } from '../../../crdt/actor.ts'
import { domainError, invalidField, type DomainError } from '../../../crdt/errors.ts'
import { DocId, machineDoc, PeerId, SessionId } from '../../../crdt/ids.ts'
import { machineIdOf } from '../../../crdt/machine-id.ts'
import { readMachineFacts, SessionRecord } from '../../../crdt/machine-document.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import { PROMPT_CHARS_MAX, PTY_COLS, PTY_ROWS, SESSION_MODES, type Session } from '../../../crdt/session.ts'
import { uuidFromRandom } from '../../../crdt/uuid.ts'
import { INPUT_BYTES_MAX, Size } from '../../../protocols/session-stream.ts'
import type { HostedSession } from '../../ports/session-host.ts'
import type { FeedPosition } from '../feeds/documents.ts'
import { commandOf } from './session-command.ts'
import type { SessionAction, SessionServiceDeps } from './session-deps.ts'
import { sessionOf, type SessionIndex } from './session-index.ts'

/** Live sessions of a machine that has not been told otherwise. */
export const SESSIONS_MAX_DEFAULT = 10
/** Text of log entries in one answer: an answer between nodes is at most 1 MB. */
const LOGS_BYTES_MAX = 512 * 1024
const PATH_CHARS_MAX = 4096

export const CreateSession = z.strictObject({
  mode: z.enum(SESSION_MODES),
  agent: z.string().min(1).max(64).optional(),
  projectPath: z.string().min(1).max(PATH_CHARS_MAX).optional(),
  initialPrompt: z.string().min(1).max(PROMPT_CHARS_MAX).optional(),
  ptySize: Size.optional(),
})
export type CreateSession = z.infer<typeof CreateSession>

export const LogsRequest = z.strictObject({
  id: SessionId,
  limit: z.int().min(1).max(10_000),
  type: z.enum(['input', 'output', 'error']).optional(),
})

export const Position = z.object({ doc: DocId, author: PeerId, seq: z.int().min(0) }).nullable()
export const CreateReply = z.object({ session: SessionRecord, position: Position })
export const ChangeReply = z.object({ position: Position })
export const LogsReply = z.array(
  z.object({
    id: z.string(),
    type: z.enum(['input', 'output', 'error']),
    data: z.string(),
    createdAt: z.string(),
    metadata: z.record(z.string(), z.unknown()),
  }),
)

type Changed = { readonly position: FeedPosition | null }

/** What this machine does with its own sessions when asked, by itself or by another member. */
export type SessionTarget = {
  /** Whether an actor may do this here, by ability and by the machine's own policy. */
  admit(action: SessionAction, actor: Actor, from: PeerId): DomainError | undefined
  /** @errors session_not_found, session_ended */
  live(id: SessionId): Result<HostedSession>
}

const ABILITY: Readonly<Record<SessionAction, Ability>> = {
  'session.create': 'session:write',
  'session.remove': 'session:write',
  'session.erase': 'session:write',
  'session.input': 'session:write',
  'session.resize': 'session:write',
  'session.logs': 'session:read',
  'session.attach': 'session:read',
}

/** Serves `session.*`. The capability of the caller and the audit of what is let through are the rpc's business. */
export function serveSessions(deps: SessionServiceDeps, index: SessionIndex): SessionTarget {
  const { hosts, rpc, refusal, audit } = deps
  const target: SessionTarget = {
    admit(action, actor, from) {
      if (!can(actor, ABILITY[action])) return domainError('forbidden')
      const message = refusal({ action, actor, from })
      return message === undefined ? undefined : domainError('machine_refused', { message })
    },
    live(id) {
      const hosted = hosts.get(id)
      if (!hosted) return err(domainError('session_not_found'))
      return hosted.state.status === 'running' ? ok(hosted) : err(domainError('session_ended'))
    },
  }
  const serve = <I extends z.ZodType, O>(
    name: SessionAction,
    input: I,
    run: (actor: Actor, input: z.infer<I>) => Promise<Result<O>>,
  ): void =>
    rpc.serve({
      name,
      input,
      run: async (actor, parsed, from) => {
        const refused = target.admit(name, actor, from)
        if (!refused) return await run(actor, parsed)
        await audit.record({ action: name, actor, from, outcome: 'denied' })
        return err(refused)
      },
    })
  const create = createStarter(deps, index)
  serve('session.create', CreateSession, create)
  const change = { hosts, index, target }
  serve('session.remove', z.strictObject({ id: SessionId }), (_, { id }) => remove(change, id))
  serve('session.erase', z.strictObject({ id: SessionId }), (_, { id }) => erase(change, id))
  serve('session.resize', z.strictObject({ id: SessionId, size: Size }), async (_, { id, size }) => {
    const live = target.live(id)
    if (!live.ok) return live
    const resized = await hosts.resize(id, size)
    return resized.ok ? await published(index) : resized
  })
  serve('session.input', z.strictObject({ id: SessionId, data: z.string().max(INPUT_BYTES_MAX) }), async (_, input) => {
    const live = target.live(input.id)
    if (!live.ok) return live
    if (!live.value.spec.program.acceptsInput)
      return err(invalidField('data', 'This session takes no input: its agent works through its prompt alone.'))
    return await hosts.input(input.id, new TextEncoder().encode(input.data))
  })
  serve('session.logs', LogsRequest, async (_, { id, limit, type }) => {
    if (!hosts.get(id)) return err(domainError('session_not_found'))
    return ok(await hosts.logs(id, { limit, bytesMax: LOGS_BYTES_MAX, ...(type && { type }) }))
  })
  return target
}

function createStarter(deps: SessionServiceDeps, index: SessionIndex) {
  const { documents, hosts, network, clock, random } = deps
  /** Being started: they count, or many at once would pass the limit. */
  let starting = 0
  const isFull = (): boolean => {
    const running = hosts.list().filter(({ state }) => state.status === 'running').length
    const facts = documents.readOpen(machineDoc(network.self), readMachineFacts)
    return running + starting >= (facts?.maxSessions ?? SESSIONS_MAX_DEFAULT)
  }
  const start = async (actor: Actor, input: CreateSession): Promise<Result<{ session: Session } & Changed>> => {
    const id = SessionId.parse(uuidFromRandom(random.bytes(16)))
    const prepared = await prepare(deps, id, input)
    if (!prepared.ok) return prepared
    const started = await hosts.start({
      ...prepared.value,
      id,
      mode: input.mode,
      size: input.ptySize ?? { cols: PTY_COLS.default, rows: PTY_ROWS.default },
      createdAt: new Date(clock.wallMs()).toISOString(),
      createdBy: actor.id,
      gateway: actor.gateway,
    })
    if (!started.ok) return started
    const position = await index.publish()
    if (position.ok) {
      const hosted = hosts.get(started.value.spec.id) ?? started.value
      const owner = { peer: network.self, machineId: machineIdOf(network.self) }
      return ok({ session: sessionOf(hosted, owner), position: position.value })
    }
    await hosts.remove(started.value.spec.id) // a session that nobody can see must not run
    return position
  }
  return async (actor: Actor, input: CreateSession): Promise<Result<{ session: Session } & Changed>> => {
    if (isFull()) return err(domainError('session_limit'))
    starting++
    try {
      return await start(actor, input)
    } finally {
      starting--
    }
  }
}

async function prepare({ probe, agents }: SessionServiceDeps, id: SessionId, input: CreateSession) {
  const { shell, home } = probe.account()
  const projectPath = input.projectPath ?? home
  if (!projectPath.startsWith('/') || projectPath.includes('\0'))
    return err(invalidField('project_path', 'Must be an absolute path on the machine.'))
  const folder = await probe.inspectFolder(projectPath)
  if (!folder.exists) return err(invalidField('project_path', `${projectPath} does not exist on the machine.`))
  if (!folder.isDirectory) return err(invalidField('project_path', `${projectPath} is not a directory.`))
  const { mode, agent, initialPrompt } = input
  if (initialPrompt?.includes('\0')) return err(invalidField('initial_prompt', 'Must not contain NUL.'))
  const installed = await probe.agents()
  const command = commandOf({ id, mode, agent, prompt: initialPrompt, installed, configured: agents, shell })
  return command.ok ? ok({ projectPath, ...command.value }) : command
}

type Change = Pick<SessionServiceDeps, 'hosts'> & { readonly index: SessionIndex; readonly target: SessionTarget }

async function remove({ hosts, index, target }: Change, id: SessionId): Promise<Result<Changed>> {
  const live = target.live(id)
  if (!live.ok) return live
  await hosts.kill(id)
  return await published(index)
}

async function erase({ hosts, index, target }: Change, id: SessionId): Promise<Result<Changed>> {
  const live = target.live(id)
  if (live.ok) return err(domainError('session_running'))
  if (live.error.code !== 'session_ended') return live
  await hosts.remove(id)
  return await published(index)
}

async function published(index: SessionIndex): Promise<Result<Changed>> {
  const position = await index.publish()
  return position.ok ? ok({ position: position.value }) : position
}
