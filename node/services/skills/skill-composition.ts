import type { z } from 'zod'
import { can, type Actor } from '../../../crdt/actor.ts'
import { domainError } from '../../../crdt/errors.ts'
import { err, type Result } from '../../../crdt/result.ts'
import type { SkillServiceDeps } from './skill-deps.ts'
import { createSkillIndex } from './skill-index.ts'
import { createSkillNews } from './skill-news.ts'
import type { SkillService } from './skill-service.ts'
import { BulkReply, GetReply, ListReply, RemoveReply, serveSkills, ToggleReply } from './skill-target.ts'

/** Reading thousands of files for the first time, on a disk that is busy; less than an HTTP request may take. */
const ANSWER_MS = 25_000

export type Skills = SkillService & {
  stop(): void
}

/** Skills of every machine of the mesh; serves those of this machine to the others and tells of their changes. */
export function createSkillService(deps: SkillServiceDeps): Skills {
  const news = createSkillNews(deps)
  const index = createSkillIndex({ ...deps, onChange: (projects) => news.tell(projects) })
  serveSkills(deps, index)
  const ask = async <R extends z.ZodType>(
    { actor, machineId, reply }: { actor: Actor; machineId: string; reply: R },
    method: `skill.${string}`,
    input: object,
  ): Promise<Result<z.infer<R>>> => {
    const isReading = method === 'skill.list' || method === 'skill.get'
    if (!can(actor, isReading ? 'skill:read' : 'skill:write')) return err(domainError('forbidden'))
    const machine = await deps.machines.nodeOf(machineId)
    if (!machine.ok) return machine
    return await deps.rpc.call(machine.value.peer, method, { actor, input, reply, timeoutMs: ANSWER_MS })
  }
  return {
    list: (actor, machineId, filter, page) =>
      ask({ actor, machineId, reply: ListReply }, 'skill.list', { filter, ...page }),
    get: (actor, machineId, path) => ask({ actor, machineId, reply: GetReply }, 'skill.get', { path }),
    save: (actor, machineId, { path, ...change }) =>
      ask({ actor, machineId, reply: GetReply }, 'skill.save', { path, change }),
    change: (actor, machineId, path, change) =>
      ask({ actor, machineId, reply: GetReply }, 'skill.change', { path, change }),
    toggle: (actor, machineId, path) => ask({ actor, machineId, reply: ToggleReply }, 'skill.toggle', { path }),
    bulk: (actor, machineId, updates) => ask({ actor, machineId, reply: BulkReply }, 'skill.bulk', { updates }),
    remove: (actor, machineId, path) => ask({ actor, machineId, reply: RemoveReply }, 'skill.remove', { path }),
    stop() {
      index.stop()
      news.stop()
    },
  }
}
