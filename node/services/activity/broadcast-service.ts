import { z } from 'zod'
import { can } from '../../../crdt/actor.ts'
import { domainError } from '../../../crdt/errors.ts'
import { err, ok } from '../../../crdt/result.ts'
import { uuidFromRandom } from '../../../crdt/uuid.ts'
import { createRateLimiter } from '../rate-limit.ts'
import type { Actor } from '../../../crdt/actor.ts'
import type { Broadcast } from '../../../crdt/activity.ts'
import type { ChunkId, PeerId } from '../../../crdt/ids.ts'
import type { Result } from '../../../crdt/result.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import type { Random } from '../../ports/random.ts'
import type { EventHub } from '../event-hub.ts'
import type { ProjectService } from '../projects/project-service.ts'
import type { Rpc } from '../rpc/rpc.ts'
import type { Presence } from '../sync/presence.ts'

export const BROADCAST_CHARS_MAX = 10_000
export const BROADCAST_TYPE_CHARS_MAX = 64

export type SentBroadcast = {
  readonly broadcast: Broadcast
  /** Names of the machines that have told those who follow the project there. */
  readonly reached: readonly string[]
  /** Of those that are members and did not answer, or do not know the project yet. They find it in the context. */
  readonly missed: readonly string[]
  /** The chunk of the context that it is kept as; null where it could not be kept. */
  readonly chunkId: ChunkId | null
}

export type BroadcastService = {
  /**
   * Tells everybody who follows the project now, on whichever gateway, and keeps it in the context for a day for those
   * who do not. Needs `project:write`.
   */
  send(
    actor: Actor,
    projectId: string,
    message: { type: string; content: string; target: string },
  ): Promise<Result<SentBroadcast>>
}

export type BroadcastServiceDeps = {
  readonly projects: Pick<ProjectService, 'get'>
  readonly members: () => Iterable<PeerId>
  readonly presence: Pick<Presence, 'state'>
  readonly nameOf: (peer: PeerId) => string
  readonly self: PeerId
  /** Puts it into the project's context. */
  readonly keep: (broadcast: Broadcast, by: string) => Promise<Result<{ readonly id: ChunkId }>>
  readonly rpc: Rpc
  readonly events: EventHub
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

const METHOD = 'project.broadcast'
/** Whoever has not answered by then does not hold up the others. */
const ANSWER_MS = 3000
/** Of one member per minute: people and agents write them, and all who follow the project get them. */
const PER_MEMBER = { count: 60, perMs: 60_000, keysMax: 1024 } as const

const Message = z.strictObject({
  id: z.uuid(),
  projectId: z.string(),
  type: z.string().min(1).max(BROADCAST_TYPE_CHARS_MAX),
  content: z.string().min(1).max(BROADCAST_CHARS_MAX),
  target: z.string().min(1).max(128),
  createdAt: z.iso.datetime(),
})

export function createBroadcastService(deps: BroadcastServiceDeps): BroadcastService {
  serve(deps)
  return {
    async send(actor, projectId, message) {
      if (!can(actor, 'project:write')) return err(domainError('forbidden'))
      const project = await deps.projects.get(projectId)
      if (!project.ok) return project
      const broadcast: Broadcast = {
        ...message,
        id: uuidFromRandom(deps.random.bytes(16)),
        projectId: project.value.id,
        createdAt: new Date(deps.clock.wallMs()).toISOString(),
      }
      // Here first: what this node refuses is refused.
      const here = await tell(deps, actor, { peer: deps.self, broadcast })
      if (!here.ok) return here
      // Who is told already is told all the same.
      const kept = await deps.keep(broadcast, actor.id)
      if (!kept.ok) deps.log.warn({ code: kept.error.code }, 'a broadcast could not be kept in the context')
      const others = [...deps.members()].filter((peer) => peer !== deps.self)
      const answers = await Promise.all(others.map((peer) => tell(deps, actor, { peer, broadcast })))
      const names = (isReached: boolean): string[] =>
        others.filter((_, i) => answers[i]?.ok === isReached).map((peer) => deps.nameOf(peer))
      const reached = [deps.nameOf(deps.self), ...names(true)]
      return ok({ broadcast, reached, missed: names(false), chunkId: kept.ok ? kept.value.id : null })
    },
  }
}

async function tell(
  deps: BroadcastServiceDeps,
  actor: Actor,
  { peer, broadcast }: { peer: PeerId; broadcast: Broadcast },
): Promise<Result<null>> {
  if (peer !== deps.self && deps.presence.state(peer) === 'gone') return err(domainError('machine_offline'))
  return await deps.rpc.call(peer, METHOD, { actor, input: broadcast, reply: z.null(), timeoutMs: ANSWER_MS })
}

function serve(deps: BroadcastServiceDeps): void {
  const limiter = createRateLimiter(deps.clock, PER_MEMBER)
  deps.rpc.serve({
    name: METHOD,
    input: Message,
    needsRun: false,
    run: async (actor, message, from) => {
      if (!can(actor, 'project:write')) return err(domainError('forbidden'))
      const retryAfterMs = limiter.take(from)
      if (retryAfterMs !== undefined) return err(domainError('rate_limited', { details: { retryAfterMs } }))
      const project = await deps.projects.get(message.projectId)
      if (!project.ok) return project
      const projectId = project.value.id
      deps.events.publish({ type: 'project.broadcast', projectId, broadcast: { ...message, projectId } })
      return ok(null)
    },
  })
}
