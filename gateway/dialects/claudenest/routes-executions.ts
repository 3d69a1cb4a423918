import { z } from 'zod'
import { ExecutionId, MachineId } from '../../../crdt/ids.ts'
import { none } from '../../http/dialect.ts'
import { route } from './deps.ts'
import { ACROSS_MESH, pageFields, pageOf } from './inputs.ts'
import { WireLog, wireLog } from './wire.ts'
import { WireExecution, wireExecution } from './wire-commands.ts'

const LOGS_MAX = 10_000

const byId = {
  params: z.strictObject({ id: ExecutionId }),
  missing: 'execution_not_found',
} as const

/** What became of executions: the document starts them and has no word for the rest. */
export const executionRoutes = [
  route({
    doc: '12.6 List executions (beyond the document)',
    method: 'GET',
    path: '/api/machines/:machine/executions',
    policy: { ability: 'command:read' },
    params: z.strictObject({ machine: MachineId }),
    missing: 'machine_not_found',
    query: z.object(pageFields(50)),
    body: none.body,
    reply: z.array(WireExecution),
    run: ({ services }, { params, query }) => services.commands.executions(params.machine, pageOf(query)),
    toWire: (page, { nowMs }) => ({ data: page.items.map((one) => wireExecution(one, nowMs)), page }),
  }),
  route({
    doc: '12.6 Get execution (beyond the document)',
    method: 'GET',
    path: '/api/executions/:id',
    policy: { ability: 'command:read' },
    ...byId,
    query: none.query,
    body: none.body,
    reply: WireExecution,
    run: ({ services }, { params }) => services.commands.execution(params.id),
    toWire: (execution, { nowMs }) => ({ data: wireExecution(execution, nowMs) }),
  }),
  route({
    doc: '12.6 Get output of an execution (beyond the document)',
    method: 'GET',
    path: '/api/executions/:id/logs',
    policy: { ability: 'command:read' },
    errors: ACROSS_MESH,
    ...byId,
    query: z.object({
      limit: z.coerce.number().int().min(1).max(LOGS_MAX).default(1000),
      type: z.enum(['output', 'error']).exactOptional(),
    }),
    body: none.body,
    reply: z.array(WireLog),
    run: ({ services }, { actor, params, query }) =>
      services.commands.logs(actor, params.id, {
        limit: query.limit,
        ...(query.type === undefined ? {} : { type: query.type }),
      }),
    toWire: (entries) => ({ data: entries.map(wireLog) }),
  }),
  route({
    doc: '12.6 Cancel execution (beyond the document)',
    method: 'POST',
    path: '/api/executions/:id/cancel',
    policy: { ability: 'command:run' },
    errors: ACROSS_MESH,
    ...byId,
    query: none.query,
    body: none.body,
    reply: WireExecution,
    run: ({ services }, { actor, params }) => services.commands.cancel(actor, params.id),
    toWire: (execution, { nowMs }) => ({ data: wireExecution(execution, nowMs) }),
  }),
]
