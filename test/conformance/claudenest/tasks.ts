import { expect } from 'vitest'
import type { Json } from '../../support/gateway-lab.ts'
import { call, data, example, meets, newProject, newTask, refusal, refuses, theLab, UNKNOWN } from './harness.ts'

const claim = (id: string, instance_id = 'instance_1') =>
  data('POST', `/api/tasks/${id}/claim`, { body: { instance_id } })
const anotherToken = async () => (await theLab().tokenWith(['task:read', 'task:claim'])).token
const tasksOf = (project: string): string => `/api/projects/${project}/tasks`

const inProject = async () => ({ params: { project: await newProject() } })
const nowhere = () => ({ params: { project: UNKNOWN } })
const some = async () => ({ params: { id: (await newTask(await newProject())).id } })
const unknown = () => ({ params: { id: UNKNOWN } })
async function claimed(): Promise<{ params: { id: string } }> {
  const task = await some()
  await claim(task.params.id)
  return task
}

export function taskRequirements(): void {
  listRequirements()
  createRequirements()
  nextRequirements()
  oneTaskRequirements()
  dependencyRequirements()
  claimRequirements()
  releaseRequirements()
  completeRequirements()
}

function listRequirements(): void {
  const list = 'GET /api/projects/:project/tasks'
  example(list, async () => {
    const project = await newProject()
    await newTask(project)
    return { params: { project } }
  })
  refuses(list, 'PRJ_001', nowhere)
  meets(list, 'lists in the order of work', async () => {
    const project = await newProject()
    for (const priority of ['low', 'high', 'critical', 'medium', 'high'])
      await newTask(project, { priority, description: priority })
    const order = (await data('GET', tasksOf(project))).map((task: Json) => [task.priority, task.created_at])
    expect(order.map(([priority]: Json) => priority)).toEqual(['critical', 'high', 'high', 'medium', 'low'])
    expect(order[1][1] <= order[2][1]).toBe(true)
  })
  meets(list, 'filters by status and priority', async () => {
    const project = await newProject()
    const [low, high] = [await newTask(project, { priority: 'low' }), await newTask(project, { priority: 'high' })]
    await claim(low.id)
    const ids = async (query: string) => (await data('GET', `${tasksOf(project)}?${query}`)).map((t: Json) => t.id)
    expect(await ids('status=in_progress')).toEqual([low.id])
    expect(await ids('priority=high')).toEqual([high.id])
    expect(await ids('status=pending&priority=low')).toEqual([])
    expect(await refusal('GET', `${tasksOf(project)}?status=asleep`)).toEqual([422, 'VAL_001'])
    expect(await refusal('GET', `${tasksOf(project)}?priority=urgent`)).toEqual([422, 'VAL_001'])
  })
  meets(list, 'pages', async () => {
    const project = await newProject()
    for (let n = 0; n < 3; n++) await newTask(project)
    const { json } = await call('GET', `${tasksOf(project)}?per_page=2&page=2`)
    expect(json.data).toHaveLength(1)
    expect(json.meta.pagination).toEqual({ current_page: 2, last_page: 2, per_page: 2, total: 3 })
  })
}

function createRequirements(): void {
  const create = 'POST /api/projects/:project/tasks'
  example(create, inProject)
  refuses(create, 'PRJ_001', nowhere)
  meets(create, 'keeps all it was given', async () => {
    const project = await newProject()
    const first = await newTask(project)
    const body = {
      title: 'Implement authentication',
      description: 'Add JWT-based authentication system',
      priority: 'high',
      files: ['auth.php', 'User.php'],
      dependencies: [first.id],
      estimated_tokens: 2000,
    }
    const facts = { ...body, status: 'pending', is_claimed: false, is_blocked: true, assigned_to: null }
    const { id } = await data('POST', tasksOf(project), { body })
    expect(await data('GET', `/api/tasks/${id}`)).toMatchObject({ ...facts, task: facts })
  })
  meets(create, 'refuses unknown fields and priorities, naming them', async () => {
    const body = { title: 'x', priority: 'urgent', titel: 'y' }
    const { status, json } = await call('POST', tasksOf(await newProject()), { body })
    expect([status, Object.keys(json.error.errors).toSorted()]).toEqual([422, ['priority', 'titel']])
    expect(json.error.details).toEqual(json.error.errors)
  })
  meets(create, 'refuses unknown dependencies', async () => {
    const elsewhere = await newTask(await newProject())
    const body = { title: 'x', dependencies: [elsewhere.id, UNKNOWN, 'later'] }
    const { status, json } = await call('POST', tasksOf(await newProject()), { body })
    expect([status, json.error.errors]).toEqual([
      422,
      { dependencies: [`No task of this project has the id ${elsewhere.id}, ${UNKNOWN}, later.`] },
    ])
  })
}

function nextRequirements(): void {
  const next = 'GET /api/projects/:project/tasks/next-available'
  const nextOf = (project: string) => data('GET', `${tasksOf(project)}/next-available`)
  example(next, async () => {
    const project = await newProject()
    await newTask(project)
    return { params: { project } }
  })
  refuses(next, 'PRJ_001', nowhere)
  meets(next, 'answers the most urgent task that waits for no other, the oldest of them', async () => {
    const project = await newProject()
    const low = await newTask(project, { priority: 'low' })
    await newTask(project, { priority: 'critical', dependencies: [low.id] })
    const high = await newTask(project, { priority: 'high' })
    await newTask(project, { priority: 'high' })
    expect((await nextOf(project)).id).toBe(high.id)
  })
  meets(next, 'answers null when there is none', async () => {
    expect(await nextOf(await newProject())).toBe(null)
  })
  meets(next, 'claims nothing', async () => {
    const project = await newProject()
    const { id } = await newTask(project)
    expect((await nextOf(project)).is_claimed).toBe(false)
    expect([(await nextOf(project)).id, (await data('GET', `/api/tasks/${id}`)).status]).toEqual([id, 'pending'])
  })
  claimNextRequirements()
}

function claimNextRequirements(): void {
  const claimNext = 'POST /api/projects/:project/tasks/claim-next'
  const claimNextOf = (project: string, instance_id: string) =>
    data('POST', `${tasksOf(project)}/claim-next`, { body: { instance_id } })
  example(claimNext, async () => {
    const project = await newProject()
    await newTask(project)
    return { params: { project } }
  })
  refuses(claimNext, 'PRJ_001', nowhere)
  meets(claimNext, 'claims the next task in one step', async () => {
    const project = await newProject()
    const task = await newTask(project)
    expect(await claimNextOf(project, 'instance_7')).toMatchObject({
      id: task.id,
      assigned_to: 'instance_7',
      fencing_token: expect.any(Number),
    })
  })
  meets(claimNext, 'answers null when there is none', async () => {
    expect(await claimNextOf(await newProject(), 'instance_7')).toBe(null)
  })
  meets(claimNext, 'gives each task to one of many', async () => {
    const project = await newProject()
    const ids = [await newTask(project), await newTask(project), await newTask(project)].map(({ id }) => id)
    const won = await Promise.all([1, 2, 3, 4].map((n) => claimNextOf(project, `instance_${n}`)))
    expect(won.filter((task) => task === null)).toHaveLength(1)
    expect(new Set(won.map((task) => task?.id))).toEqual(new Set([...ids, undefined]))
  })
}

function oneTaskRequirements(): void {
  const get = 'GET /api/tasks/:id'
  example(get, some)
  refuses(get, 'TSK_001', () => ({ params: { id: '1' } }))
  meets(get, 'is the same flat and nested', async () => {
    const { id, task } = await newTask(await newProject())
    expect(await data('GET', `/api/tasks/${id}`)).toEqual({ ...task, task })
  })
  const remove = 'DELETE /api/tasks/:id'
  example(remove, some)
  refuses(remove, 'TSK_001', unknown)
  meets(remove, 'removes the task', async () => {
    const { id } = await newTask(await newProject())
    await data('DELETE', `/api/tasks/${id}`)
    expect(await refusal('GET', `/api/tasks/${id}`)).toEqual([404, 'TSK_001'])
  })
}

function dependencyRequirements(): void {
  const patch = 'PATCH /api/tasks/:id'
  example(patch, async () => ({ ...(await some()), body: { title: 'New title' } }))
  refuses(patch, 'TSK_001', () => ({ ...unknown(), body: { title: 'New title' } }))
  meets(patch, 'changes what is given and keeps the rest', async () => {
    const { id, task } = await newTask(await newProject(), { description: 'kept' })
    const changed = { ...task, title: 'New title', priority: 'critical' }
    const body = { title: 'New title', priority: 'critical' }
    expect(await data('PATCH', `/api/tasks/${id}`, { body })).toEqual({ ...changed, task: changed })
  })
  meets(patch, 'refuses a circle of dependencies, and unknown ones', async () => {
    const project = await newProject()
    const first = await newTask(project)
    const second = await newTask(project, { dependencies: [first.id] })
    const third = await newTask(project, { dependencies: [second.id] })
    const problems = async (dependencies: readonly string[]) =>
      (await call('PATCH', `/api/tasks/${first.id}`, { body: { dependencies } })).json.error.errors
    const circle = { dependencies: ['The task would wait for itself.'] }
    expect([await problems([third.id]), await problems([first.id])]).toEqual([circle, circle])
    expect(await problems([UNKNOWN])).toEqual({ dependencies: [`No task of this project has the id ${UNKNOWN}.`] })
    expect((await data('GET', `/api/tasks/${first.id}`)).dependencies).toEqual([])
  })
}

function claimRequirements(): void {
  const route = 'POST /api/tasks/:id/claim'
  example(route, some)
  refuses(route, 'TSK_001', unknown)
  refuses(route, 'TSK_002', async () => ({ ...(await claimed()), body: { instance_id: 'instance_2' } }))
  meets(route, 'answers the task flat, too', async () => {
    const { id } = await newTask(await newProject())
    const facts = { id, assigned_to: 'instance_1', is_claimed: true, status: 'in_progress' }
    expect(await claim(id)).toMatchObject({ ...facts, task: facts })
  })
  meets(route, 'names the holder to the second', async () => {
    const { id } = (await claimed()).params
    const { json } = await call('POST', `/api/tasks/${id}/claim`, { body: { instance_id: 'instance_2' } })
    expect(json.error.details.holder).toMatchObject({ instance_id: 'instance_1', expires_at: expect.any(String) })
  })
  meets(route, 'says that the claim is certified', async () => {
    const { id, guarantee } = await newTask(await newProject())
    expect([guarantee, (await claim(id)).guarantee]).toEqual([null, 'certified'])
    expect((await data('GET', `/api/tasks/${id}`)).task.guarantee).toBe('certified')
  })
  meets(route, 'takes assigned_to for instance_id', async () => {
    const { id } = await newTask(await newProject())
    const done = await data('POST', `/api/tasks/${id}/claim`, { body: { assigned_to: 'instance_3' } })
    expect(done.assigned_to).toBe('instance_3')
  })
}

function releaseRequirements(): void {
  const route = 'POST /api/tasks/:id/release'
  example(route, claimed)
  refuses(route, 'TSK_001', unknown)
  refuses(route, 'TSK_003', async () => ({
    ...(await claimed()),
    token: await anotherToken(),
    body: { instance_id: 'instance_1' },
  }))
  meets(route, 'gives the task back', async () => {
    const { id } = (await claimed()).params
    const body = { reason: 'Blocked by dependency' }
    const facts = { status: 'pending', is_claimed: false, assigned_to: null }
    expect(await data('POST', `/api/tasks/${id}/release`, { body })).toMatchObject(facts)
    expect(await refusal('POST', `/api/tasks/${id}/release`, { body })).toEqual([403, 'TSK_003'])
  })
  meets(route, 'lets another token release with the fencing token', async () => {
    const { id } = await newTask(await newProject())
    const { fencing_token } = await claim(id)
    const options = { token: await anotherToken(), body: { reason: 'handed over', fencing_token } }
    expect(await data('POST', `/api/tasks/${id}/release`, options)).toMatchObject({ status: 'pending' })
  })
}

function completeRequirements(): void {
  const route = 'POST /api/tasks/:id/complete'
  example(route, claimed)
  refuses(route, 'TSK_001', unknown)
  refuses(route, 'TSK_003', async () => ({ ...(await claimed()), token: await anotherToken() }))
  meets(route, 'completes the task with summary and files', async () => {
    const { id } = (await claimed()).params
    const body = { summary: 'Implemented JWT auth', files_modified: ['auth.php'] }
    expect(await data('POST', `/api/tasks/${id}/complete`, { body })).toMatchObject({
      status: 'completed',
      completion_summary: 'Implemented JWT auth',
      files_modified: ['auth.php'],
      completed_at: expect.any(String),
    })
  })
  meets(route, 'takes completion_summary for summary', async () => {
    const { id } = (await claimed()).params
    const done = await data('POST', `/api/tasks/${id}/complete`, { body: { completion_summary: 'Done' } })
    expect(done.completion_summary).toBe('Done')
  })
  meets(route, 'lets the tasks go on that waited for it', async () => {
    const project = await newProject()
    const first = await newTask(project)
    const second = await newTask(project, { dependencies: [first.id] })
    await claim(first.id)
    await data('POST', `/api/tasks/${first.id}/complete`, { body: { summary: 'Done' } })
    expect((await data('GET', `/api/tasks/${second.id}`)).is_blocked).toBe(false)
    expect((await data('GET', `${tasksOf(project)}/next-available`)).id).toBe(second.id)
  })
}
