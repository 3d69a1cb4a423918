import { z } from 'zod'
import { MachineId, ProjectId } from '../../../crdt/ids.ts'
import type { PeerId } from '../../../crdt/ids.ts'
import { BRIEF_CHARS_MAX, ProjectFields } from '../../../crdt/project-document.ts'
import type { Project } from '../../../crdt/project.ts'
import { ok } from '../../../crdt/result.ts'
import type { Result } from '../../../crdt/result.ts'
import type { Services } from '../../../node/services/services.ts'
import { none } from '../../http/dialect.ts'
import { BY_NODE, pageFields, pageOf } from './inputs.ts'
import { route } from './deps.ts'
import { WireProject, wireProject } from './wire.ts'
import type { ProjectView } from './wire.ts'

const fields = ProjectFields.shape
const name = fields.name.exactOptional()
const prose = z.string().max(BRIEF_CHARS_MAX)
const settings = z.strictObject({
  maxContextTokens: fields['settings.maxContextTokens'].exactOptional(),
  taskTimeoutMinutes: fields['settings.taskTimeoutMinutes'].exactOptional(),
  lockPolicy: fields['settings.lockPolicy'].exactOptional(),
  caseFold: fields['settings.caseFold'].exactOptional(),
})

const ofMachine = { params: z.strictObject({ machine: MachineId }), missing: 'machine_not_found' } as const
const byId = { params: z.strictObject({ id: ProjectId }), missing: 'project_not_found', query: none.query } as const

const ProjectReply = WireProject.extend({ project: WireProject })
const flatProject = (view: ProjectView) => ({ data: { ...wireProject(view), project: wireProject(view) } })

async function viewProject(services: Services, project: Project, on?: PeerId): Promise<Result<ProjectView>> {
  const summary = await services.overview.summary(project)
  if (!summary.ok) return summary
  const path = (on === undefined ? undefined : project.paths[on]) ?? Object.values(project.paths)[0] ?? null
  return ok({ project, path, summary: summary.value })
}

async function peerOf(services: Services, machineId: string): Promise<PeerId | undefined> {
  const node = await services.machines.nodeOf(machineId)
  return node.ok ? node.value.peer : undefined
}

async function viewOf(services: Services, found: Result<Project>): Promise<Result<ProjectView>> {
  if (!found.ok) return found
  return await viewProject(services, found.value, await peerOf(services, services.machines.self))
}

export const projectRoutes = [
  route({
    doc: '6.1 List projects',
    method: 'GET',
    path: '/api/machines/:machine/projects',
    policy: { ability: 'project:read' },
    ...ofMachine,
    query: z.object(pageFields(20)),
    body: none.body,
    reply: z.array(WireProject),
    run: async ({ services }, { params, query }) => {
      const listed = await services.projects.list(params.machine, pageOf(query))
      if (!listed.ok) return listed
      const peer = await peerOf(services, params.machine)
      const views: ProjectView[] = []
      for (const project of listed.value.items) {
        const view = await viewProject(services, project, peer)
        if (!view.ok) return view
        views.push(view.value)
      }
      return ok({ ...listed.value, items: views })
    },
    toWire: (page) => ({ data: page.items.map(wireProject), page }),
  }),
  route({
    doc: '6.2 Create project',
    method: 'POST',
    path: '/api/machines/:machine/projects',
    policy: { ability: 'project:write' },
    errors: ['project_exists', ...BY_NODE],
    status: 201,
    ...ofMachine,
    query: none.query,
    body: z.strictObject({
      name,
      project_path: z.string().min(1).max(4096),
      summary: prose.exactOptional(),
      architecture: prose.exactOptional(),
      conventions: prose.exactOptional(),
      settings: settings.exactOptional(),
    }),
    reply: ProjectReply,
    run: async ({ services }, { actor, params, body }) => {
      const { project_path: projectPath, ...rest } = body
      const created = await services.projects.create(actor, params.machine, { ...rest, projectPath })
      if (!created.ok) return created
      return await viewProject(services, created.value, await peerOf(services, params.machine))
    },
    toWire: flatProject,
  }),
  route({
    doc: '6.3 Get project',
    method: 'GET',
    path: '/api/projects/:id',
    policy: { ability: 'project:read' },
    ...byId,
    body: none.body,
    reply: ProjectReply,
    run: async ({ services }, { params }) => await viewOf(services, await services.projects.get(params.id)),
    toWire: flatProject,
  }),
  route({
    doc: '6.4 Update project',
    method: 'PATCH',
    path: '/api/projects/:id',
    policy: { ability: 'project:write' },
    ...byId,
    body: z.strictObject({
      name,
      summary: prose.exactOptional(),
      architecture: prose.exactOptional(),
      conventions: prose.exactOptional(),
      current_focus: prose.exactOptional(),
      recent_changes: prose.exactOptional(),
      settings: settings.exactOptional(),
    }),
    reply: ProjectReply,
    run: async ({ services }, { actor, params, body }) => {
      const { current_focus: focus, recent_changes: changes, ...rest } = body
      const updated = await services.projects.update(actor, params.id, {
        ...rest,
        ...(focus === undefined ? {} : { currentFocus: focus }),
        ...(changes === undefined ? {} : { recentChanges: changes }),
      })
      return await viewOf(services, updated)
    },
    toWire: flatProject,
  }),
  route({
    doc: '6.5 Delete project',
    method: 'DELETE',
    path: '/api/projects/:id',
    policy: { ability: 'project:write' },
    ...byId,
    body: none.body,
    reply: z.null(),
    run: ({ services }, { actor, params }) => services.projects.remove(actor, params.id),
    toWire: () => ({ data: null }),
  }),
]
