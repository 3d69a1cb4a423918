import { expect } from 'vitest'
import type { Json } from '../../support/gateway-lab.ts'
import { data, folder, meets, newProject, newTask, refusal, self, UNKNOWN } from './harness.ts'

const projectsOf = (machine: string): string => `/api/machines/${machine}/projects`

export function projectRequirements(): void {
  meets('POST /api/machines/:machine/projects', 'answers 201 with the project', async () => {
    const body = {
      name: 'My Project',
      project_path: await folder(),
      summary: 'Initial project description',
      architecture: 'MVC',
      conventions: 'PSR-12',
      settings: { maxContextTokens: 8000, taskTimeoutMinutes: 60 },
    }
    const made = await data('POST', projectsOf(self()), { body })
    expect(made).toMatchObject({ ...body, project: body, pending_tasks_count: 0, active_instances_count: 0 })
  })
  meets('POST /api/machines/:machine/projects', 'answers 409 PRJ_002 for a path that is taken', async () => {
    const body = { name: 'One', project_path: await folder() }
    await data('POST', projectsOf(self()), { body })
    expect(await refusal('POST', projectsOf(self()), { body })).toEqual([409, 'PRJ_002'])
  })
  meets('GET /api/machines/:machine/projects', 'lists the projects of a machine', async () => {
    const project = await newProject()
    await newTask(project)
    const listed = await data('GET', `${projectsOf(self())}?per_page=100`)
    expect(listed.find(({ id }: Json) => id === project)).toMatchObject({
      token_usage_percent: 0,
      active_instances_count: 0,
      pending_tasks_count: 1,
    })
    expect(await refusal('GET', projectsOf(UNKNOWN))).toEqual([404, 'MCH_001'])
  })
  meets('GET /api/projects/:id', 'answers the project', async () => {
    const project = await newProject()
    expect(await data('GET', `/api/projects/${project}`)).toMatchObject({ id: project, project: { id: project } })
  })
  meets('GET /api/projects/:id', 'answers 404 PRJ_001 otherwise', async () => {
    expect(await refusal('GET', `/api/projects/${UNKNOWN}`)).toEqual([404, 'PRJ_001'])
    expect(await refusal('GET', '/api/projects/search')).toEqual([404, 'PRJ_001'])
  })
  meets('PATCH /api/projects/:id', 'changes what is given and keeps the rest', async () => {
    const project = await newProject()
    const before = await data('GET', `/api/projects/${project}`)
    const body = { summary: 'Updated', current_focus: 'Implementing auth', recent_changes: 'Added JWT' }
    const after = await data('PATCH', `/api/projects/${project}`, { body })
    expect(after).toEqual({ ...before, ...body, project: { ...before.project, ...body } })
  })
  meets('PATCH /api/projects/:id', 'changes how files are locked, and refuses what is no policy', async () => {
    const project = await newProject()
    const path = `/api/projects/${project}`
    expect((await data('GET', path)).settings).toMatchObject({ lockPolicy: 'local-first', caseFold: false })
    const settings = { lockPolicy: 'strict', caseFold: true }
    expect((await data('PATCH', path, { body: { settings } })).settings).toMatchObject(settings)
    expect(await refusal('PATCH', path, { body: { settings: { lockPolicy: 'lax' } } })).toEqual([422, 'VAL_001'])
  })
  meets('DELETE /api/projects/:id', 'removes the project', async () => {
    const project = await newProject()
    expect(await data('DELETE', `/api/projects/${project}`)).toBe(null)
    expect(await refusal('GET', `/api/projects/${project}`)).toEqual([404, 'PRJ_001'])
  })
}
