import { z } from 'zod'
import { can, type Ability, type Actor } from '../../../crdt/actor.ts'
import { domainError, invalidField, type DomainError } from '../../../crdt/errors.ts'
import { BridgedMachineId, DocId, PeerId, SessionId } from '../../../crdt/ids.ts'
import { SessionRecord } from '../../../crdt/machine-document.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import { PROMPT_CHARS_MAX, SESSION_MODES } from '../../../crdt/session.ts'
import { INPUT_BYTES_MAX, Size } from '../../../protocols/session-stream.ts'
import type { AnySpec, HostedSession } from '../../ports/session-host.ts'
import type { FeedPosition } from '../feeds/documents.ts'
import type { SessionAction, SessionServiceDeps } from './session-deps.ts'
import type { SessionIndex } from './session-index.ts'
import { createStarter } from './session-start.ts'

/** Text of log entries in one answer: an answer between nodes is at most 1 MB. */
const LOGS_BYTES_MAX = 512 * 1024
const PATH_CHARS_MAX = 4096

export const CreateSession = z.strictObject({
  mode: z.enum(SESSION_MODES),
  agent: z.string().min(1).max(64).optional(),
  projectPath: z.string().min(1).max(PATH_CHARS_MAX).optional(),
  initialPrompt: z.string().min(1).max(PROMPT_CHARS_MAX).optional(),
  ptySize: Size.optional(),
  /** On which machine, when that has no node and its agent is connected to this gateway. */
  machine: BridgedMachineId.optional(),
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

export type Changed = { readonly position: FeedPosition | null }

/** What this machine does with its own sessions when asked, by itself or by another member. */
export type SessionTarget = {
  /** Whether an actor may do this here, by ability and by the machine's own policy. */
  admit(action: SessionAction, actor: Actor, from: PeerId): DomainError | undefined
  /** @errors session_not_found, session_ended */
  live(id: SessionId): Result<HostedSession<AnySpec>>
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
    const { spec } = live.value
    if ('program' in spec && !spec.program.acceptsInput)
      return err(invalidField('data', 'This session takes no input: its agent works through its prompt alone.'))
    return await hosts.input(input.id, new TextEncoder().encode(input.data))
  })
  serve('session.logs', LogsRequest, async (_, { id, limit, type }) => {
    if (!hosts.get(id)) return err(domainError('session_not_found'))
    return ok(await hosts.logs(id, { limit, bytesMax: LOGS_BYTES_MAX, ...(type && { type }) }))
  })
  return target
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
