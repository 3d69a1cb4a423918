import { z } from 'zod'
import { GUARANTEES } from '../../../crdt/guarantee.ts'
import { ProjectId } from '../../../crdt/ids.ts'
import type { LockNotice } from '../../../crdt/lock.ts'
import type { Services } from '../../../node/services/services.ts'
import { none, routesFor } from '../../http/dialect.ts'

const { route } = routesFor<{ readonly services: Services; readonly version: string }>()

export const WireNotice = z.strictObject({
  id: z.string(),
  project_id: z.string(),
  why: z.enum(['yield', 'owner-restart']),
  paths: z.array(z.string()),
  instance_id: z.string(),
  locked_at: z.string(),
  ended_at: z.string(),
  conflict: z
    .strictObject({
      path: z.string(),
      instance_id: z.string(),
      since: z.string(),
      guarantee: z.enum(GUARANTEES),
    })
    .nullable(),
  advice: z.string(),
})

/** A notice as every surface tells it. */
export const wireNotice = ({ conflict, ...notice }: LockNotice): z.infer<typeof WireNotice> => ({
  id: notice.id,
  project_id: notice.projectId,
  why: notice.why,
  paths: [...notice.paths],
  instance_id: notice.instanceId,
  locked_at: notice.lockedAt,
  ended_at: notice.endedAt,
  conflict: conflict && {
    path: conflict.path,
    instance_id: conflict.instanceId,
    since: conflict.since,
    guarantee: conflict.guarantee,
  },
  advice: conflict
    ? `Your work is kept; coordinate with ${conflict.instanceId} before you push.`
    : 'Your work is kept; lock the path again before you go on.',
})

const ofProject = { missing: 'project_not_found', query: none.query } as const

/** What became of locks that were lost without having been given back; no documented API tells of that. */
export const noticeRoutes = [
  route({
    doc: 'Notices of lost locks',
    method: 'GET',
    path: '/rookery/projects/:project/lock-notices',
    policy: { ability: 'lock:read' },
    ...ofProject,
    params: z.strictObject({ project: ProjectId }),
    body: none.body,
    reply: z.array(WireNotice),
    run: ({ services }, { params }) => services.locks.notices(params.project),
    toWire: (notices) => ({ data: notices.map(wireNotice) }),
  }),
  route({
    doc: 'Dismiss a notice, for everybody',
    method: 'DELETE',
    path: '/rookery/projects/:project/lock-notices/:notice',
    policy: { ability: 'lock:write' },
    ...ofProject,
    params: z.strictObject({ project: ProjectId, notice: z.string().max(64) }),
    body: none.body,
    reply: z.null(),
    run: ({ services }, { actor, params }) => services.locks.dismissNotice(actor, params.project, params.notice),
    toWire: () => ({ data: null }),
  }),
]
