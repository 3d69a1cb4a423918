import { can } from '../../crdt/actor.ts'
import type { Actor } from '../../crdt/actor.ts'
import { domainError } from '../../crdt/errors.ts'
import { err, ok } from '../../crdt/result.ts'
import type { Result } from '../../crdt/result.ts'
import type { SessionService, SessionViewer } from '../../node/services/sessions/session-service.ts'
import { InputData, ResizeData } from './pusher-frames.ts'
import type { ClientEvent } from './pusher-frames.ts'

export type EventTarget = {
  readonly sessionId: string
  readonly actor: Actor
  /** Absent once the session is over. */
  readonly viewer: SessionViewer | undefined
}

/** Carries out what a subscriber asks of its session. */
export async function actOnSession(
  sessions: SessionService,
  { sessionId, actor, viewer }: EventTarget,
  { event, data }: { event: ClientEvent; data: unknown },
): Promise<Result<unknown>> {
  if (!can(actor, 'session:write')) return err(domainError('forbidden'))
  if (event === 'terminate') return await terminate(sessions, actor, sessionId)
  if (viewer === undefined) return err(domainError('session_ended'))
  if (event === 'input') {
    const input = InputData.safeParse(data)
    if (!input.success) return err(domainError('invalid_input'))
    return ok(await viewer.input(new TextEncoder().encode(input.data.data)))
  }
  const size = ResizeData.safeParse(data)
  return size.success ? ok(await viewer.resize(size.data)) : err(domainError('invalid_input'))
}

/** Whoever ends what has just ended by itself has what they wanted. */
async function terminate(sessions: SessionService, actor: Actor, id: string): Promise<Result<unknown>> {
  const removed = await sessions.remove(actor, id)
  return !removed.ok && removed.error.code === 'session_ended' ? ok(null) : removed
}
