import { expect } from 'vitest'
import type { Json } from '../../support/gateway-lab.ts'
import { call, data, meets, newProject, newTask, refusal, theLab, UNKNOWN } from './harness.ts'

const claim = (id: string, instance_id = 'instance_1') =>
  data('POST', `/api/tasks/${id}/claim`, { body: { instance_id } })
const anotherToken = async () => (await theLab().tokenWith(['task:read', 'task:claim'])).token

export function taskRequirements(): void {
  const list = 'GET /api/projects/:project/tasks'
  meets(list, 'lists tasks', async () => {
    const project = await newProject()
    const task = await newTask(project)
    expect(await data('GET', `/api/projects/${project}/tasks`)).toEqual([task.task])
    expect(await refusal('GET', `/api/projects/${UNKNOWN}/tasks`)).toEqual([404, 'PRJ_001'])
  })
  meets(list, 'filters by status and priority', async () => {
    const project = await newProject()
    const high = await newTask(project, { priority: 'high' })
    const claimed = await newTask(project, { priority: 'low' })
    await claim(claimed.id)
    const ids = async (query: string) =>
      (await data('GET', `/api/projects/${project}/tasks?${query}`)).map((task: Json) => task.id)
    expect(await ids('priority=high')).toEqual([high.id])
    expect(await ids('status=in_progress')).toEqual([claimed.id])
    expect(await refusal('GET', `/api/projects/${project}/tasks?priority=urgent`)).toEqual([422, 'VAL_001'])
  })
  meets(list, 'pages', async () => {
    const project = await newProject()
    for (let i = 0; i < 3; i++) await newTask(project)
    const { json } = await call('GET', `/api/projects/${project}/tasks?per_page=2&page=2`)
    expect(json.data).toHaveLength(1)
    expect(json.meta.pagination).toEqual({ current_page: 2, last_page: 2, per_page: 2, total: 3 })
    expect(await refusal('GET', `/api/projects/${project}/tasks?per_page=101`)).toEqual([422, 'VAL_001'])
  })
  const create = 'POST /api/projects/:project/tasks'
  meets(create, 'answers 201 with the task', async () => {
    const project = await newProject()
    const body = {
      title: 'Implement authentication',
      description: 'Add JWT-based authentication system',
      priority: 'high',
      files: ['auth.php', 'User.php'],
      dependencies: [],
      estimated_tokens: 2000,
    }
    const facts = { ...body, status: 'pending', assigned_to: null, is_claimed: false, is_blocked: false }
    expect(await data('POST', `/api/projects/${project}/tasks`, { body })).toMatchObject({ ...facts, task: facts })
  })
  meets(create, 'refuses unknown fields and priorities, naming them', async () => {
    const body = { title: 'x', priority: 'urgent', titel: 'y' }
    const { status, json } = await call('POST', `/api/projects/${await newProject()}/tasks`, { body })
    expect([status, Object.keys(json.error.errors).toSorted()]).toEqual([422, ['priority', 'titel']])
    expect(json.error.details).toEqual(json.error.errors)
  })
  nextRequirements()
  oneTaskRequirements()
  claimRequirements()
}

function nextRequirements(): void {
  const next = 'GET /api/projects/:project/tasks/next-available'
  meets(next, 'answers the unblocked task of the highest priority', async () => {
    const project = await newProject()
    const low = await newTask(project, { priority: 'low' })
    await newTask(project, { priority: 'critical', dependencies: [low.id] })
    const high = await newTask(project, { priority: 'high' })
    expect((await data('GET', `/api/projects/${project}/tasks/next-available`)).id).toBe(high.id)
  })
  meets(next, 'answers null when there is none', async () => {
    expect(await data('GET', `/api/projects/${await newProject()}/tasks/next-available`)).toBe(null)
  })
  const claimNext = 'POST /api/projects/:project/tasks/claim-next'
  meets(claimNext, 'claims the next task in one step', async () => {
    const project = await newProject()
    const task = await newTask(project)
    const body = { instance_id: 'instance_7' }
    expect(await data('POST', `/api/projects/${project}/tasks/claim-next`, { body })).toMatchObject({
      id: task.id,
      assigned_to: 'instance_7',
      fencing_token: expect.any(Number),
    })
  })
  meets(claimNext, 'answers null when there is none', async () => {
    const body = { instance_id: 'instance_7' }
    expect(await data('POST', `/api/projects/${await newProject()}/tasks/claim-next`, { body })).toBe(null)
  })
}

function oneTaskRequirements(): void {
  meets('GET /api/tasks/:id', 'answers the task, nested and flat', async () => {
    const { id, task } = await newTask(await newProject())
    expect(await data('GET', `/api/tasks/${id}`)).toEqual({ ...task, task })
  })
  meets('GET /api/tasks/:id', 'answers 404 TSK_001 otherwise', async () => {
    expect(await refusal('GET', `/api/tasks/${UNKNOWN}`)).toEqual([404, 'TSK_001'])
    expect(await refusal('GET', '/api/tasks/1')).toEqual([404, 'TSK_001'])
  })
  meets('PATCH /api/tasks/:id', 'changes what is given and keeps the rest', async () => {
    const { id, task } = await newTask(await newProject(), { description: 'kept' })
    const changed = { ...task, title: 'New title', priority: 'critical' }
    const body = { title: 'New title', priority: 'critical' }
    expect(await data('PATCH', `/api/tasks/${id}`, { body })).toEqual({ ...changed, task: changed })
  })
  meets('DELETE /api/tasks/:id', 'removes the task', async () => {
    const { id } = await newTask(await newProject())
    expect(await data('DELETE', `/api/tasks/${id}`)).toBe(null)
    expect(await refusal('GET', `/api/tasks/${id}`)).toEqual([404, 'TSK_001'])
  })
}

function claimRequirements(): void {
  meets('POST /api/tasks/:id/claim', 'answers the task and "Task claimed successfully"', async () => {
    const { id } = await newTask(await newProject())
    const facts = { id, assigned_to: 'instance_1', is_claimed: true, status: 'in_progress' }
    expect(await claim(id)).toMatchObject({ ...facts, task: facts, message: 'Task claimed successfully' })
  })
  meets('POST /api/tasks/:id/claim', 'answers 409 TSK_002 to the second, with the holder', async () => {
    const { id } = await newTask(await newProject())
    await claim(id)
    const { status, json } = await call('POST', `/api/tasks/${id}/claim`, { body: { instance_id: 'instance_2' } })
    expect([status, json.error.code, json.error.details.holder.instance_id]).toEqual([409, 'TSK_002', 'instance_1'])
  })
  meets('POST /api/tasks/:id/claim', 'says that the claim is certified', async () => {
    const { id, guarantee } = await newTask(await newProject())
    expect([guarantee, (await claim(id)).guarantee]).toEqual([null, 'certified'])
    expect((await data('GET', `/api/tasks/${id}`)).task.guarantee).toBe('certified')
  })
  meets('POST /api/tasks/:id/claim', 'takes assigned_to for instance_id', async () => {
    const { id } = await newTask(await newProject())
    const claimed = await data('POST', `/api/tasks/${id}/claim`, { body: { assigned_to: 'instance_3' } })
    expect(claimed.assigned_to).toBe('instance_3')
  })
  const release = 'POST /api/tasks/:id/release'
  meets(release, 'gives the task back', async () => {
    const { id } = await newTask(await newProject())
    await claim(id)
    const body = { reason: 'Blocked by dependency' }
    const facts = { status: 'pending', is_claimed: false, assigned_to: null }
    expect(await data('POST', `/api/tasks/${id}/release`, { body })).toMatchObject(facts)
  })
  meets(release, 'answers 403 TSK_003 to another token', async () => {
    const { id } = await newTask(await newProject())
    await claim(id)
    const options = { token: await anotherToken(), body: { reason: 'mine now', instance_id: 'instance_1' } }
    expect(await refusal('POST', `/api/tasks/${id}/release`, options)).toEqual([403, 'TSK_003'])
  })
  meets(release, 'lets another token release with the fencing token', async () => {
    const { id } = await newTask(await newProject())
    const { fencing_token } = await claim(id)
    const options = { token: await anotherToken(), body: { reason: 'handed over', fencing_token } }
    expect(await data('POST', `/api/tasks/${id}/release`, options)).toMatchObject({ status: 'pending' })
  })
  completeRequirements()
}

function completeRequirements(): void {
  const complete = 'POST /api/tasks/:id/complete'
  meets(complete, 'completes the task with summary and files', async () => {
    const { id } = await newTask(await newProject())
    await claim(id)
    const body = { summary: 'Implemented JWT auth', files_modified: ['auth.php'] }
    expect(await data('POST', `/api/tasks/${id}/complete`, { body })).toMatchObject({
      status: 'completed',
      completion_summary: 'Implemented JWT auth',
      files_modified: ['auth.php'],
      completed_at: expect.any(String),
    })
  })
  meets(complete, 'answers 403 TSK_003 to another token', async () => {
    const { id } = await newTask(await newProject())
    await claim(id)
    const options = { token: await anotherToken(), body: { summary: 'not mine' } }
    expect(await refusal('POST', `/api/tasks/${id}/complete`, options)).toEqual([403, 'TSK_003'])
  })
  meets(complete, 'takes completion_summary for summary', async () => {
    const { id } = await newTask(await newProject())
    await claim(id)
    const done = await data('POST', `/api/tasks/${id}/complete`, { body: { completion_summary: 'Done' } })
    expect(done.completion_summary).toBe('Done')
  })
}
