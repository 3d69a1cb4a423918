import { expect } from 'vitest'
import { openSocket, type Json } from '../../support/gateway-lab.ts'
import { eventually } from '../../support/nodes.ts'
import { data, example, folder, labs, meets, newProject, newTask, refuses, self, UNKNOWN } from './harness.ts'

const claim = (id: string, instance_id = 'instance_1') =>
  data('POST', `/api/tasks/${id}/claim`, { body: { instance_id } })
const complete = (id: string) => data('POST', `/api/tasks/${id}/complete`, { body: { summary: 'Done' } })
const lock = (project: string, path: string, instance_id = 'instance_1') =>
  data('POST', `/api/projects/${project}/locks`, { body: { path, instance_id } })

const unknown = () => ({ params: { id: UNKNOWN } })
/** A project in which an instance has one task done, works on another and holds a lock. */
async function busy(): Promise<{ id: string; task: Json }> {
  const id = await newProject()
  const [first, task] = [await newTask(id), await newTask(id)]
  await newTask(id)
  await claim(first.id)
  await complete(first.id)
  await claim(task.id)
  await lock(id, 'src/auth.php')
  return { id, task }
}
const some = async () => ({ params: { id: (await busy()).id } })

export function activityRequirements(): void {
  statsRequirements()
  instanceRequirements()
  logRequirements()
  broadcastRequirements()
}

function statsRequirements(): void {
  const stats = 'GET /api/projects/:id/stats'
  example(stats, some)
  refuses(stats, 'PRJ_001', unknown)
  meets(stats, 'counts tasks, instances and locks', async () => {
    const { id } = await busy()
    expect(await data('GET', `/api/projects/${id}/stats`)).toMatchObject({
      active_instances: 1,
      total_tasks: 3,
      completed_tasks: 1,
      pending_tasks: 1,
      in_progress_tasks: 1,
      active_locks: 1,
    })
  })
  meets(stats, 'estimates the tokens of what agents are told', async () => {
    const id = await newProject()
    const told = () => data('GET', `/api/projects/${id}/stats`)
    expect(await told()).toMatchObject({ total_tokens: 0, token_usage_percent: 0 })
    const settings = { maxContextTokens: 1000 }
    await data('PATCH', `/api/projects/${id}`, { body: { summary: 'A word or two. '.repeat(100), settings } })
    const { total_tokens, max_tokens, token_usage_percent } = await told()
    expect(total_tokens).toBeGreaterThan(200)
    expect([max_tokens, token_usage_percent]).toEqual([1000, total_tokens / 10])
    expect(await data('GET', `/api/projects/${id}`)).toMatchObject({ total_tokens, max_tokens, token_usage_percent })
  })
}

function instanceRequirements(): void {
  const instances = 'GET /api/projects/:id/instances'
  example(instances, some)
  refuses(instances, 'PRJ_001', unknown)
  meets(instances, 'knows who holds a claim or a lock, and counts what they have done', async () => {
    const { id, task } = await busy()
    await lock(id, 'src/other.php', 'instance_2')
    const found = await data('GET', `/api/projects/${id}/instances`)
    const [first, second] = found
    expect(first).toMatchObject({
      id: 'instance_1',
      status: 'busy',
      context_usage: null,
      tasks_completed: 1,
      current_task_id: task.id,
    })
    expect(second).toMatchObject({ id: 'instance_2', status: 'idle', tasks_completed: 0, current_task_id: null })
    expect(found).toHaveLength(2)
    await complete(task.id)
    const [after] = await data('GET', `/api/projects/${id}/instances`)
    expect(after).toMatchObject({ id: 'instance_1', status: 'idle', tasks_completed: 2 })
  })
  meets(instances, 'knows sessions in the project folder', async () => {
    const project_path = await folder()
    const { id } = await data('POST', `/api/machines/${self()}/projects`, { body: { project_path } })
    const made = await data('POST', `/api/machines/${self()}/sessions`, { body: { agent: 'shell', project_path } })
    const known = { id: made.id, session_id: made.id, machine_id: self(), status: 'idle' }
    expect(await data('GET', `/api/projects/${id}/instances`)).toMatchObject([known])
    expect((await data('GET', `/api/projects/${id}`)).active_instances_count).toBe(1)
  })
}

function logRequirements(): void {
  const activity = 'GET /api/projects/:id/activity'
  example(activity, some)
  refuses(activity, 'PRJ_001', unknown)
  meets(activity, 'names task and title of what happened to a task', async () => {
    const id = await newProject()
    const task = await newTask(id)
    await claim(task.id)
    await data('POST', `/api/tasks/${task.id}/release`, { body: { reason: 'Blocked' } })
    const about = { task_id: task.id, task_title: task.title }
    expect(await data('GET', `/api/projects/${id}/activity`)).toMatchObject([
      { type: 'task_released', instance_id: 'instance_1', details: { ...about, reason: 'Blocked' } },
      { type: 'task_claimed', instance_id: 'instance_1', details: about },
      { type: 'task_created', instance_id: null, details: about },
    ])
  })
  meets(activity, 'tells the newest first, as many as asked for', async () => {
    const { id } = await busy()
    const all = await data('GET', `/api/projects/${id}/activity`)
    expect(all[0]).toMatchObject({ type: 'file_locked', details: { path: 'src/auth.php' } })
    const times = all.map((one: Json) => one.created_at)
    expect(times).toEqual(times.toSorted().toReversed())
    expect(await data('GET', `/api/projects/${id}/activity?limit=2`)).toEqual(all.slice(0, 2))
  })
}

function broadcastRequirements(): void {
  const broadcast = 'POST /api/projects/:id/broadcast'
  example(broadcast, some, (told) =>
    expect([new Set(told.reached), told.missed]).toEqual([new Set(['nest', 'second']), []]),
  )
  refuses(broadcast, 'PRJ_001', unknown)
  meets(broadcast, 'reaches who follows the project, on every gateway', async () => {
    const id = await newProject()
    for (const lab of labs())
      await eventually(async () => (await lab.call('GET', `/api/projects/${id}`)).status === 200 || undefined)
    const sockets = await Promise.all(labs().map(({ url }) => openSocket(url)))
    for (const socket of sockets) {
      socket.subscribe(`private-project.${id}`, { token: labs()[0].token })
      await socket.event('pusher_internal:subscription_succeeded')
    }
    const body = { type: 'warning', content: 'Leave main alone', target: 'instance_1' }
    await data('POST', `/api/projects/${id}/broadcast`, { body })
    for (const socket of sockets) {
      expect((await socket.event('project:broadcast')).data).toMatchObject(body)
      socket.close()
    }
    const [newest] = await data('GET', `/api/projects/${id}/activity?limit=1`)
    expect(newest).toMatchObject({ type: 'broadcast', details: body })
  })
  meets(broadcast, 'is found in the context by who was not there, for a day', async () => {
    const id = await newProject()
    const body = { content: 'The pipeline is frozen', target: 'instance_1' }
    const told = await data('POST', `/api/projects/${id}/broadcast`, { body })
    const [chunk, ...others] = await data('GET', `/api/projects/${id}/context/chunks?type=broadcast`)
    expect(others).toEqual([])
    expect(chunk).toMatchObject({
      id: told.context_chunk_id,
      type: 'broadcast',
      content: `To instance_1: ${body.content}`,
    })
    const keptMs = Date.parse(chunk.expires_at) - Date.parse(told.created_at)
    expect(Math.round(keptMs / 60_000)).toBe(24 * 60)
    expect((await data('GET', `/api/projects/${id}/context`)).compiled_context).toContain(body.content)
  })
  meets(broadcast, 'takes message for content', async () => {
    const body = { message: 'Hello' }
    const told = await data('POST', `/api/projects/${await newProject()}/broadcast`, { body })
    expect(told).toMatchObject({ type: 'announcement', content: 'Hello', target: 'all' })
  })
}
