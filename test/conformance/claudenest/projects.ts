import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect } from 'vitest'
import type { Json } from '../../support/gateway-lab.ts'
import {
  data,
  example,
  folder,
  meets,
  newProject,
  newTask,
  otherMachine,
  refusal,
  refuses,
  self,
  UNKNOWN,
} from './harness.ts'

const projectsOf = (machine: string): string => `/api/machines/${machine}/projects`
const some = async () => ({ params: { id: await newProject() } })
const unknown = () => ({ params: { id: UNKNOWN } })
const ofMachine = () => ({ params: { machine: self() } })
const elsewhere = () => ({ params: { machine: UNKNOWN } })

export function projectRequirements(): void {
  const list = 'GET /api/machines/:machine/projects'
  example(list, async () => {
    await newProject()
    return ofMachine()
  })
  refuses(list, 'MCH_001', elsewhere)
  meets(list, 'counts the tasks that wait and the instances that work', async () => {
    const project = await newProject()
    await newTask(project)
    const { id } = await newTask(project)
    await data('POST', `/api/tasks/${id}/claim`, { body: { instance_id: 'instance_1' } })
    const listed = await data('GET', `${projectsOf(self())}?per_page=100`)
    expect(listed.find((one: Json) => one.id === project)).toMatchObject({
      token_usage_percent: 0,
      active_instances_count: 1,
      pending_tasks_count: 1,
    })
  })
  createRequirements()
  const get = 'GET /api/projects/:id'
  example(get, some)
  refuses(get, 'PRJ_001', () => ({ params: { id: 'search' } }))
  changeRequirements()
}

function createRequirements(): void {
  const create = 'POST /api/machines/:machine/projects'
  example(create, async () => ({ ...ofMachine(), body: { project_path: await folder() } }))
  refuses(create, 'MCH_001', elsewhere)
  refuses(create, 'PRJ_002', async () => {
    const body = { name: 'One', project_path: await folder() }
    await data('POST', projectsOf(self()), { body })
    return { ...ofMachine(), body }
  })
  meets(create, 'keeps all it was given', async () => {
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
    expect(await data('GET', `/api/projects/${made.id}`)).toMatchObject(body)
  })
  meets(create, 'makes one project of a repository on two machines', async () => {
    const [here, there] = [await folder(), await folder()]
    const git = (...args: string[]) => promisify(execFile)('git', args)
    await git('-C', here, 'init', '-q')
    const author = ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.org']
    await git('-C', here, ...author, 'commit', '-q', '--allow-empty', '-m', 'Begin')
    await git('clone', '-q', here, there)
    const first = await data('POST', projectsOf(self()), { body: { project_path: here } })
    const second = await data('POST', projectsOf(otherMachine()), { body: { project_path: there } })
    expect([second.id, second.project_path]).toEqual([first.id, there])
    const paths = Object.values((await data('GET', `/api/projects/${first.id}`)).paths)
    expect(new Set(paths)).toEqual(new Set([here, there]))
  })
}

function changeRequirements(): void {
  const patch = 'PATCH /api/projects/:id'
  example(patch, some)
  refuses(patch, 'PRJ_001', unknown)
  meets(patch, 'changes what is given and keeps the rest', async () => {
    const project = await newProject()
    const before = await data('GET', `/api/projects/${project}`)
    const body = { summary: 'Updated', current_focus: 'Implementing auth', recent_changes: 'Added JWT' }
    const after = await data('PATCH', `/api/projects/${project}`, { body })
    expect(after).toEqual({ ...before, ...body, project: { ...before.project, ...body } })
  })
  meets(patch, 'changes how files are locked, and refuses what is no policy', async () => {
    const path = `/api/projects/${await newProject()}`
    expect((await data('GET', path)).settings).toMatchObject({ lockPolicy: 'local-first', caseFold: false })
    const settings = { lockPolicy: 'strict', caseFold: true }
    expect((await data('PATCH', path, { body: { settings } })).settings).toMatchObject(settings)
    expect(await refusal('PATCH', path, { body: { settings: { lockPolicy: 'lax' } } })).toEqual([422, 'VAL_001'])
  })
  const remove = 'DELETE /api/projects/:id'
  example(remove, some)
  refuses(remove, 'PRJ_001', unknown)
  meets(remove, 'removes the project', async () => {
    const project = await newProject()
    await data('DELETE', `/api/projects/${project}`)
    expect(await refusal('GET', `/api/projects/${project}`)).toEqual([404, 'PRJ_001'])
  })
}
