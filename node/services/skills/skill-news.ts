import { z } from 'zod'
import { can, type Actor } from '../../../crdt/actor.ts'
import { domainError } from '../../../crdt/errors.ts'
import { ProjectId } from '../../../crdt/ids.ts'
import { machineIdOf } from '../../../crdt/machine-id.ts'
import { err, ok } from '../../../crdt/result.ts'
import type { Cancel } from '../../ports/clock.ts'
import { createRateLimiter } from '../rate-limit.ts'
import type { SkillServiceDeps } from './skill-deps.ts'

const METHOD = 'skill.changed'
/** An agent that writes many skills is told of to other machines this often. */
const TELL_EVERY_MS = 2000
const ANSWER_MS = 3000
const PROJECTS_MAX = 500
/** Of one member per minute; twice what an honest one sends. */
const PER_MEMBER = { count: 60, perMs: 60_000, keysMax: 1024 } as const

const News = z.strictObject({ projects: z.array(ProjectId).max(PROJECTS_MAX) })

export type SkillNews = {
  /** Skills changed on this machine: tells those who listen here at once, and the members that are connected soon. */
  tell(projects: readonly ProjectId[]): void
  stop(): void
}

/**
 * News of skills is told once and kept nowhere: that something changed, not what. Whoever was away meanwhile looks
 * anyway.
 */
export function createSkillNews(deps: SkillServiceDeps): SkillNews {
  const { self, rpc, events, clock, connected, log } = deps
  serve(deps)
  const waiting = new Set<ProjectId>()
  let later: Cancel | undefined
  let toldAtMs = -Infinity
  const actor: Actor = {
    kind: 'machine',
    id: machineIdOf(self),
    tokenId: `local:${self}`,
    abilities: ['skill:read'],
    gateway: self,
  }
  const tellOthers = (): void => {
    later = undefined
    toldAtMs = clock.monoMs()
    const input = { projects: [...waiting].slice(0, PROJECTS_MAX) }
    waiting.clear()
    for (const peer of connected())
      rpc.call(peer, METHOD, { actor, input, reply: z.null(), timeoutMs: ANSWER_MS }).then(
        (told) => told.ok || log.debug({ peer, code: told.error.code }, 'a member was not told that skills changed'),
        (error: unknown) => log.debug({ peer, error: String(error) }, 'a member was not told that skills changed'),
      )
  }
  return {
    tell(projects) {
      events.publish({ type: 'skills.changed', machineId: machineIdOf(self), projectIds: projects })
      for (const id of projects) waiting.add(id)
      later ??= clock.after(Math.max(0, toldAtMs + TELL_EVERY_MS - clock.monoMs()), tellOthers)
    },
    stop: () => later?.(),
  }
}

/** A member tells of its own machine only. */
function serve({ rpc, clock, events }: SkillServiceDeps): void {
  const limiter = createRateLimiter(clock, PER_MEMBER)
  rpc.serve({
    name: METHOD,
    input: News,
    needsRun: false,
    run: async (actor, { projects }, from) => {
      if (!can(actor, 'skill:read')) return err(domainError('forbidden'))
      const retryAfterMs = limiter.take(from)
      if (retryAfterMs !== undefined) return err(domainError('rate_limited', { details: { retryAfterMs } }))
      events.publish({ type: 'skills.changed', machineId: machineIdOf(from), projectIds: projects })
      return ok(null)
    },
  })
}
