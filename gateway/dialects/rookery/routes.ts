import { z } from 'zod'
import { CAPABILITIES } from '../../../crdt/capability.ts'
import type { MachineId } from '../../../crdt/ids.ts'
import { machineIdOf } from '../../../crdt/machine-id.ts'
import type { Project } from '../../../crdt/project.ts'
import { ok } from '../../../crdt/result.ts'
import type { MemberView, MeshStatus } from '../../../node/services/membership/mesh-service.ts'
import type { Services } from '../../../node/services/services.ts'
import type { ElectorateView } from '../../../node/services/voters/electorate-service.ts'
import { none, routesFor } from '../../http/dialect.ts'
import type { Dialect } from '../../http/dialect.ts'
import { noticeRoutes } from './notices.ts'
import { preferenceRoutes } from './preferences.ts'
import { signInRoutes } from './sign-in.ts'

const { route } = routesFor<{ readonly services: Services; readonly version: string }>()

const WireMember = z.strictObject({
  peer_id: z.string(),
  machine_id: z.string(),
  name: z.string(),
  online: z.boolean(),
  reached_by: z.string().nullable(),
  rtt_ms: z.number().nullable(),
  voter: z.boolean(),
  capabilities: z.array(z.enum(CAPABILITIES)),
  last_seen_at: z.string().nullable(),
  problem: z.string().nullable(),
  /** It is not there, and has said where a packet would wake it. */
  wakeable: z.boolean(),
})

const wireMember = (member: MemberView, wakeable: ReadonlySet<MachineId>): z.infer<typeof WireMember> => ({
  peer_id: member.peerId,
  machine_id: machineIdOf(member.peerId),
  name: member.name,
  online: member.online,
  reached_by: member.reachedBy,
  rtt_ms: member.rttMs,
  voter: member.voter,
  capabilities: [...member.capabilities],
  last_seen_at: member.lastSeenAt,
  problem: member.problem,
  wakeable: wakeable.has(machineIdOf(member.peerId)),
})

const WireStatus = z.strictObject({
  version: z.string(),
  mesh_id: z.string(),
  peer_id: z.string(),
  machine_id: z.string(),
  name: z.string(),
  http: z.string().nullable(),
  members: z.array(WireMember),
  voters: z.array(z.string()),
  /** Grows with every change of the voters. */
  epoch: z.int(),
  /** So many voters must agree to a claim. */
  quorum: z.int(),
  problems: z.array(z.string()),
})

type StatusFacts = {
  readonly status: MeshStatus
  readonly electorate: ElectorateView
  readonly machineId: string
  readonly wakeable: ReadonlySet<MachineId>
  readonly version: string
}

/** The setup code stays out: it is for the terminal that started the node. */
const wireStatus = (facts: StatusFacts): z.infer<typeof WireStatus> => ({
  version: facts.version,
  mesh_id: facts.status.meshId,
  peer_id: facts.status.peerId,
  machine_id: facts.machineId,
  name: facts.status.name,
  http: facts.status.http,
  members: facts.status.members.map((member) => wireMember(member, facts.wakeable)),
  voters: [...facts.status.voters],
  epoch: facts.electorate.epoch,
  quorum: facts.electorate.quorum,
  problems: [...facts.status.problems, ...facts.electorate.problems],
})

const WireProject = z.strictObject({
  id: z.string(),
  name: z.string(),
  paths: z.record(z.string(), z.string()),
  created_at: z.string(),
})

const wireProject = (project: Project): z.infer<typeof WireProject> => ({
  id: project.id,
  name: project.name,
  paths: { ...project.paths },
  created_at: project.createdAt,
})

/**
 * What the first page needs and no documented API offers: the mesh as this node sees it, and the projects of all
 * machines. Spoken in the envelope of the dialect that the page uses otherwise.
 */
export const rookeryDialect = (
  voice: Pick<Dialect<unknown>, 'success' | 'failure'>,
): Dialect<{ readonly services: Services; readonly version: string }> => ({
  name: 'rookery',
  title: 'Rookery: status',
  success: voice.success,
  failure: voice.failure,
  routes: [
    route({
      doc: 'Mesh status',
      method: 'GET',
      path: '/rookery/status',
      policy: { ability: 'machine:read' },
      ...none,
      reply: WireStatus,
      run: async ({ services, version }) =>
        ok({
          status: await services.mesh.status(),
          electorate: services.electorate.view(),
          machineId: services.machines.self,
          wakeable: await services.wake.wakeable(),
          version,
        }),
      toWire: (facts) => ({ data: wireStatus(facts) }),
    }),
    route({
      doc: 'Projects of every machine',
      method: 'GET',
      path: '/rookery/projects',
      policy: { ability: 'project:read' },
      ...none,
      reply: z.array(WireProject),
      run: async ({ services }) => ok(await services.projects.all()),
      toWire: (projects) => ({ data: projects.map(wireProject) }),
    }),
    ...signInRoutes,
    ...preferenceRoutes,
    ...noticeRoutes,
  ],
})
