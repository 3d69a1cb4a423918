import { z } from 'zod'
import { TARGET_ALL } from '../../../crdt/activity.ts'
import { ProjectId } from '../../../crdt/ids.ts'
import { ACTIVITIES_KEPT_MAX } from '../../../node/services/activity/activity-log.ts'
import { BROADCAST_CHARS_MAX, BROADCAST_TYPE_CHARS_MAX } from '../../../node/services/activity/broadcast-service.ts'
import { none } from '../../http/dialect.ts'
import { route } from './deps.ts'
import { instanceId } from './inputs.ts'
import {
  WireActivity,
  wireActivity,
  WireBroadcast,
  wireBroadcast,
  WireInstance,
  wireInstance,
  WireStats,
  wireStats,
} from './wire-activity.ts'

const byId = { params: z.strictObject({ id: ProjectId }), missing: 'project_not_found' } as const
const names = z.array(z.string())

export const activityRoutes = [
  route({
    doc: '6.6 Get project stats',
    method: 'GET',
    path: '/api/projects/:id/stats',
    policy: { ability: 'project:read' },
    ...byId,
    query: none.query,
    body: none.body,
    reply: WireStats,
    run: ({ services }, { params }) => services.overview.stats(params.id),
    toWire: (stats) => ({ data: wireStats(stats) }),
  }),
  route({
    doc: '6.7 Get instances',
    method: 'GET',
    path: '/api/projects/:id/instances',
    policy: { ability: 'project:read' },
    ...byId,
    query: none.query,
    body: none.body,
    reply: z.array(WireInstance),
    run: ({ services }, { params }) => services.overview.instances(params.id),
    toWire: (instances, { nowMs }) => ({ data: instances.map((instance) => wireInstance(instance, nowMs)) }),
  }),
  route({
    doc: '6.8 Get activity log',
    method: 'GET',
    path: '/api/projects/:id/activity',
    policy: { ability: 'project:read' },
    ...byId,
    query: z.object({ limit: z.coerce.number().int().min(1).max(ACTIVITIES_KEPT_MAX).default(50) }),
    body: none.body,
    reply: z.array(WireActivity),
    run: ({ services }, { params, query }) => services.activity.list(params.id, query.limit),
    toWire: (activities) => ({ data: activities.map(wireActivity) }),
  }),
  route({
    doc: '6.9 Broadcast message',
    method: 'POST',
    path: '/api/projects/:id/broadcast',
    policy: { ability: 'project:write' },
    ...byId,
    query: none.query,
    body: z.strictObject({
      type: z.string().trim().min(1).max(BROADCAST_TYPE_CHARS_MAX).default('announcement'),
      content: z.string().trim().min(1).max(BROADCAST_CHARS_MAX),
      target: instanceId.default(TARGET_ALL),
    }),
    aliases: { message: 'content' },
    reply: WireBroadcast.extend({ reached: names, missed: names, context_chunk_id: z.string().nullable() }),
    run: ({ services }, { actor, params, body }) => services.broadcasts.send(actor, params.id, body),
    toWire: ({ broadcast, reached, missed, chunkId }) => ({
      data: { ...wireBroadcast(broadcast), reached: [...reached], missed: [...missed], context_chunk_id: chunkId },
    }),
  }),
]
