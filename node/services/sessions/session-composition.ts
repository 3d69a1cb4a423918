import { z } from 'zod'
import { can, type Actor } from '../../../crdt/actor.ts'
import { domainError, invalidField, type DomainError } from '../../../crdt/errors.ts'
import type { PeerId } from '../../../crdt/ids.ts'
import { paginate } from '../../../crdt/page.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import { hasEnded, PTY_COLS, PTY_ROWS, type PtySize, type Session, type SessionInput } from '../../../crdt/session.ts'
import { INPUT_BYTES_MAX, Size } from '../../../protocols/session-stream.ts'
import type { Cancel } from '../../ports/clock.ts'
import { reachedWithin } from '../claims/claim-reached.ts'
import type { FeedPosition } from '../feeds/documents.ts'
import { openHere, openThere, serveTerminals, watchedSessions, type Attach, type Watched } from './session-attach.ts'
import type { SessionAction, SessionServiceDeps } from './session-deps.ts'
import { watchSessions, type SessionDirectory } from './session-directory.ts'
import { createSessionIndex, type SessionIndex } from './session-index.ts'
import type { SessionService, SessionViewer } from './session-service.ts'
import { ChangeReply, CreateReply, LogsReply, serveSessions } from './session-target.ts'
import { createViewer } from './session-viewer.ts'

/** Starting a process on a busy machine. */
const CREATE_MS = 30_000
/** Ending one that resists. */
const REMOVE_MS = 20_000
const LOG_LIMIT_MAX = 10_000

export type Sessions = SessionService & {
  /** Stops following; the sessions go on. The session hosts are closed by whoever made them. */
  stop(): void
}

/**
 * Sessions of every machine of the mesh. Finds the sessions that an earlier process of this node left running, and
 * serves those of this machine to the others. To be called once per node, after the documents are ready.
 */
export async function createSessionService(deps: SessionServiceDeps): Promise<Sessions> {
  await deps.hosts.recover()
  const directory = await watchSessions(deps)
  const index = createSessionIndex({ ...deps, self: deps.network.self })
  const recovered = await index.publish()
  if (!recovered.ok) deps.log.error({ code: recovered.error.code }, 'the index of sessions could not be written')
  const target = serveSessions(deps, index)
  const watched = watchedSessions(deps, target)
  serveTerminals(deps, watched)
  const context: Context = { deps, directory, watched }
  const stopWatching = endSessionsOfFormerMembers(deps)
  return {
    list: async (machineId, { status }, page) => {
      const sessions = directory.all().filter((session) => session.machineId === machineId)
      if (sessions.length === 0) {
        const machine = await deps.machines.get(machineId)
        if (!machine.ok) return machine
      }
      const wanted = sessions.filter((session) => status === undefined || session.status === status)
      return ok(paginate(wanted.toSorted(newestFirst), page))
    },
    create: (actor, machineId, input) => create(context, actor, { machineId, input }),
    get: async (id) => found(directory, id),
    remove: (actor, id) => remove(context, actor, id),
    erase: (actor, id) => erase(context, actor, id),
    logs: (actor, id, filter) => logs(context, actor, { id, ...filter }),
    input: (actor, id, data) => input(context, actor, { id, data }),
    resize: (actor, id, size) => resize(context, actor, { id, size }),
    attach: (actor, id, options) => attach(context, { actor, id, ...options }),
    stop: () => stopAll(directory, index, stopWatching),
  }
}

type Context = {
  readonly deps: SessionServiceDeps
  readonly directory: SessionDirectory
  readonly watched: Watched
}

async function create(
  context: Context,
  actor: Actor,
  { machineId, input }: { machineId: string; input: SessionInput },
): Promise<Result<Session>> {
  if (!can(actor, 'session:write')) return err(domainError('forbidden'))
  const problem = input.ptySize && sizeProblem(input.ptySize)
  if (problem) return err(problem)
  const machine = await context.deps.machines.sessionNodeOf(machineId)
  if (!machine.ok) return machine
  const reply = await context.deps.rpc.call(machine.value.peer, 'session.create' satisfies SessionAction, {
    actor,
    input: { ...input, ...(machine.value.isBridged && { machine: machine.value.machineId }) },
    reply: CreateReply,
    timeoutMs: CREATE_MS,
  })
  if (!reply.ok) return reply
  await caughtUp(context, machine.value.peer, reply.value.position)
  return ok(reply.value.session)
}

async function remove(context: Context, actor: Actor, id: string): Promise<Result<null>> {
  const session = authorised(context, actor, id)
  if (!session.ok) return session
  if (hasEnded(session.value.status)) return err(domainError('session_ended'))
  return await change(context, session.value, { actor, method: 'session.remove', input: {}, timeoutMs: REMOVE_MS })
}

async function erase(context: Context, actor: Actor, id: string): Promise<Result<null>> {
  const session = authorised(context, actor, id)
  if (!session.ok) return session
  if (!hasEnded(session.value.status)) return err(domainError('session_running'))
  return await change(context, session.value, { actor, method: 'session.erase', input: {}, timeoutMs: REMOVE_MS })
}

async function resize(
  context: Context,
  actor: Actor,
  { id, size }: { id: string; size: PtySize },
): Promise<Result<null>> {
  const session = authorised(context, actor, id)
  if (!session.ok) return session
  const problem = sizeProblem(size)
  if (problem) return err(problem)
  if (hasEnded(session.value.status)) return err(domainError('session_ended'))
  return await change(context, session.value, { actor, method: 'session.resize', input: { size } })
}

async function input(
  context: Context,
  actor: Actor,
  { id, data }: { id: string; data: string },
): Promise<Result<null>> {
  const session = authorised(context, actor, id)
  if (!session.ok) return session
  if (hasEnded(session.value.status)) return err(domainError('session_ended'))
  if (new TextEncoder().encode(data).byteLength > INPUT_BYTES_MAX)
    return err(invalidField('data', `At most ${INPUT_BYTES_MAX} bytes at once.`))
  const reply = { actor, input: { id: session.value.id, data }, reply: z.null() }
  return await context.deps.rpc.call(session.value.node, 'session.input' satisfies SessionAction, reply)
}

async function logs(
  { deps, directory }: Context,
  actor: Actor,
  { id, limit, type }: { id: string } & Parameters<SessionService['logs']>[2],
): ReturnType<SessionService['logs']> {
  if (!can(actor, 'session:read')) return err(domainError('forbidden'))
  const session = found(directory, id)
  if (!session.ok) return session
  if (!Number.isInteger(limit) || limit < 1) return err(invalidField('limit', 'Must be a whole number from 1 on.'))
  const question = { id: session.value.id, limit: Math.min(limit, LOG_LIMIT_MAX), ...(type && { type }) }
  const request = { actor, input: question, reply: LogsReply }
  return await deps.rpc.call(session.value.node, 'session.logs' satisfies SessionAction, request)
}

async function attach(
  { deps, directory, watched }: Context,
  { id, fromSeq, ...request }: Omit<Attach, 'id'> & { id: string; fromSeq?: number },
): Promise<Result<SessionViewer>> {
  const { actor, signal } = request
  if (!can(actor, 'session:read')) return err(domainError('forbidden'))
  if (signal.aborted) return err(domainError('cancelled'))
  if (fromSeq !== undefined && !(Number.isSafeInteger(fromSeq) && fromSeq >= 0))
    return err(invalidField('from_seq', 'Must be a whole number from 0 on.'))
  const session = found(directory, id)
  if (!session.ok) return session
  if (hasEnded(session.value.status)) return err(domainError('session_ended'))
  const { self } = deps.network
  const way = { ...request, id: session.value.id }
  const pipe =
    session.value.node === self
      ? await openHere(deps, watched, { ...way, from: self })
      : await openThere(deps, { peer: session.value.node, protocol: watched.protocol }, way)
  if (!pipe.ok) return pipe
  const viewer = createViewer(pipe.value, fromSeq === undefined ? { signal } : { signal, fromSeq })
  if (can(actor, 'session:write')) return ok(viewer)
  return ok({ ...viewer, input: async () => undefined, resize: async () => undefined })
}

type Change = { actor: Actor; method: SessionAction; input: object; timeoutMs?: number }

async function change(context: Context, session: Session, { method, ...request }: Change): Promise<Result<null>> {
  const asked = { ...request, input: { id: session.id, ...request.input }, reply: ChangeReply }
  const reply = await context.deps.rpc.call(session.node, method, asked)
  if (!reply.ok) return reply
  await caughtUp(context, session.node, reply.value.position)
  return ok(null)
}

/** So that whoever asks this node next finds what it was just told. Not more than a courtesy: it is bounded. */
async function caughtUp({ deps, directory }: Context, peer: PeerId, position: FeedPosition | null): Promise<void> {
  if (!position) return
  await reachedWithin(deps, position)
  directory.refresh(peer)
}

function authorised({ directory }: Context, actor: Actor, id: string): Result<Session> {
  return can(actor, 'session:write') ? found(directory, id) : err(domainError('forbidden'))
}

function found(directory: SessionDirectory, id: string): Result<Session> {
  const session = directory.find(id)
  return session ? ok(session) : err(domainError('session_not_found'))
}

function sizeProblem(size: PtySize): DomainError | undefined {
  const parsed = Size.safeParse({ cols: size.cols, rows: size.rows })
  if (parsed.success) return undefined
  const fields = new Set(parsed.error.issues.map((issue) => String(issue.path[0])))
  const range = (limits: { min: number; max: number }): string[] => [`Must be from ${limits.min} to ${limits.max}.`]
  return domainError('invalid_input', {
    details: {
      fields: {
        ...(fields.has('cols') && { cols: range(PTY_COLS) }),
        ...(fields.has('rows') && { rows: range(PTY_ROWS) }),
      },
    },
  })
}

/** What a removed member started must not go on: its users have no say here any more. */
function endSessionsOfFormerMembers({ membership, hosts, network, log }: SessionServiceDeps): Cancel {
  const endThem = (): void => {
    const { members } = membership.current()
    for (const { spec, state } of hosts.list())
      if (state.status === 'running' && spec.gateway !== network.self && !members.has(spec.gateway))
        hosts.kill(spec.id).catch((error: unknown) => log.error({ err: error, session: spec.id }, 'could not be ended'))
  }
  endThem()
  return membership.onChange(endThem)
}

function stopAll(directory: SessionDirectory, index: SessionIndex, stopWatching: Cancel): void {
  stopWatching()
  index.close()
  directory.close()
}

const newestFirst = (a: Session, b: Session): number =>
  b.createdAt.localeCompare(a.createdAt) || b.id.localeCompare(a.id)
