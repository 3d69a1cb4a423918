import { z } from 'zod'
import { MachineId } from '../../../crdt/ids.ts'
import { ok } from '../../../crdt/result.ts'
import { none } from '../../http/dialect.ts'
import { ACROSS_MESH, pageFields, pageOf } from './inputs.ts'
import { route } from './deps.ts'
import { WireEnvironment, wireEnvironment, WireMachine, wireMachine } from './wire.ts'

const short = z.string().trim().min(1).max(255)
const capabilities = z.array(z.string().min(1).max(64)).max(64)
const maxSessions = z.int().min(1).max(1000)

const byId = { params: z.strictObject({ id: MachineId }), missing: 'machine_not_found', query: none.query } as const
const MachineReply = WireMachine.extend({ machine: WireMachine })
const flatMachine = (machine: Parameters<typeof wireMachine>[0]) => ({
  data: { ...wireMachine(machine), machine: wireMachine(machine) },
})

export const machineRoutes = [
  route({
    doc: '4.1 List machines',
    method: 'GET',
    path: '/api/machines',
    policy: { ability: 'machine:read' },
    params: none.params,
    query: z.object({
      search: z.string().max(200).exactOptional(),
      status: z.enum(['online', 'offline', 'connecting']).exactOptional(),
      ...pageFields(15),
    }),
    body: none.body,
    reply: z.array(WireMachine),
    run: async ({ services }, { query }) => {
      const filter = {
        ...(query.search === undefined ? {} : { search: query.search }),
        ...(query.status === undefined ? {} : { status: query.status }),
      }
      return ok(await services.machines.list(filter, pageOf(query)))
    },
    toWire: (page) => ({ data: page.items.map(wireMachine), page }),
  }),
  route({
    doc: '4.2 Register machine',
    method: 'POST',
    path: '/api/machines',
    policy: { ability: 'machine:write' },
    errors: ['limit_reached'],
    status: 201,
    params: none.params,
    query: none.query,
    body: z.strictObject({
      name: short,
      platform: short.exactOptional(),
      hostname: short.exactOptional(),
      arch: short.exactOptional(),
      node_version: short.exactOptional(),
      agent_version: short.exactOptional(),
      claude_version: short.nullable().exactOptional(),
      claude_path: z.string().min(1).max(4096).nullable().exactOptional(),
      capabilities: capabilities.exactOptional(),
      max_sessions: maxSessions.exactOptional(),
    }),
    reply: z.strictObject({ machine: WireMachine, token: z.string() }),
    run: ({ services }, { actor, body }) =>
      services.machines.register(actor, {
        name: body.name,
        ...(body.platform === undefined ? {} : { platform: body.platform }),
        ...(body.hostname === undefined ? {} : { hostname: body.hostname }),
        ...(body.arch === undefined ? {} : { arch: body.arch }),
        ...(body.node_version === undefined ? {} : { nodeVersion: body.node_version }),
        ...(body.agent_version === undefined ? {} : { rookeryVersion: body.agent_version }),
        ...(body.claude_version === undefined ? {} : { claudeVersion: body.claude_version }),
        ...(body.claude_path === undefined ? {} : { claudePath: body.claude_path }),
        ...(body.capabilities === undefined ? {} : { capabilities: body.capabilities }),
        ...(body.max_sessions === undefined ? {} : { maxSessions: body.max_sessions }),
      }),
    toWire: ({ machine, token }) => ({ data: { machine: wireMachine(machine), token } }),
  }),
  route({
    doc: '4.3 Get machine',
    method: 'GET',
    path: '/api/machines/:id',
    policy: { ability: 'machine:read' },
    ...byId,
    body: none.body,
    reply: MachineReply,
    run: ({ services }, { params }) => services.machines.get(params.id),
    toWire: flatMachine,
  }),
  route({
    doc: '4.4 Update machine',
    method: 'PATCH',
    path: '/api/machines/:id',
    policy: { ability: 'machine:write' },
    ...byId,
    body: z.strictObject({
      name: short.exactOptional(),
      max_sessions: maxSessions.exactOptional(),
      capabilities: capabilities.exactOptional(),
    }),
    reply: MachineReply,
    run: ({ services }, { actor, params, body }) =>
      services.machines.update(actor, params.id, {
        ...(body.name === undefined ? {} : { name: body.name }),
        ...(body.max_sessions === undefined ? {} : { maxSessions: body.max_sessions }),
        ...(body.capabilities === undefined ? {} : { capabilities: body.capabilities }),
      }),
    toWire: flatMachine,
  }),
  route({
    doc: '4.5 Delete machine',
    method: 'DELETE',
    path: '/api/machines/:id',
    policy: { ability: 'machine:write' },
    errors: ['member_not_found'],
    ...byId,
    body: none.body,
    reply: z.null(),
    run: ({ services }, { actor, params }) => services.machines.remove(actor, params.id),
    toWire: () => ({ data: null }),
  }),
  route({
    doc: '4.6 Regenerate token',
    method: 'POST',
    path: '/api/machines/:id/regenerate-token',
    policy: { ability: 'machine:write' },
    ...byId,
    body: none.body,
    reply: z.strictObject({ token: z.string() }),
    run: ({ services }, { actor, params }) => services.machines.regenerateToken(actor, params.id),
    toWire: ({ token }) => ({ data: { token } }),
  }),
  route({
    doc: '4.7 Get environment',
    method: 'GET',
    path: '/api/machines/:id/environment',
    policy: { ability: 'machine:read' },
    errors: ACROSS_MESH,
    ...byId,
    body: none.body,
    reply: WireEnvironment,
    run: ({ services }, { params }) => services.machines.environment(params.id),
    toWire: (facts) => ({ data: wireEnvironment(facts) }),
  }),
  route({
    doc: '4.8 Wake-on-LAN',
    method: 'POST',
    path: '/api/machines/:id/wake',
    policy: { ability: 'machine:write' },
    errors: ['wake_unsupported', 'machine_awake', 'wake_unreachable', ...ACROSS_MESH],
    ...byId,
    body: none.body,
    reply: z.strictObject({ message: z.string(), machine: WireMachine }),
    run: ({ services }, { actor, params }) => services.wake.wake(actor, params.id),
    toWire: ({ machine }) => ({ data: { message: 'Wake-on-LAN signal sent', machine: wireMachine(machine) } }),
  }),
]
