import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import {
  api,
  createScratch,
  eventually,
  joinMesh,
  login,
  registerOwner,
  seesOnline,
  type Api,
  type RunningNode,
} from '../support/nodes.ts'
import { IS_LONG } from '../support/long.ts'

let scratch: Awaited<ReturnType<typeof createScratch>>
beforeEach(async () => {
  scratch = await createScratch()
})
afterEach(() => scratch.dispose())

type Pair = {
  readonly voter: RunningNode
  readonly holder: RunningNode
  readonly onVoter: Api
  readonly tokenAtHolder: string
  readonly project: string
}

async function pair(config: object): Promise<Pair> {
  const voter = await scratch.start('alpha', { config })
  const holder = await joinMesh(scratch, voter, 'beta', { config })
  await Promise.all([voter, holder].map((node) => seesOnline(node, [voter.peerId, holder.peerId])))
  const onVoter = api(voter, await registerOwner(voter))
  const folder = join(scratch.path, 'work')
  await mkdir(folder)
  const project = (await voter.cli('project', 'add', folder)).json.id
  const tokenAtHolder = await eventually(() => login(holder).catch(() => undefined))
  await eventually(async () =>
    (await api(holder, tokenAtHolder).get(locksOf(project))).status === 200 ? true : undefined,
  )
  return { voter, holder, onVoter, tokenAtHolder, project }
}

const locksOf = (project: string): string => `/api/projects/${project}/locks`
const again = (node: RunningNode, config: object): Promise<RunningNode> =>
  scratch.start(node.name, { dataDir: node.dataDir, config, args: ['--http', '127.0.0.1:0'] })

async function createTask(client: Api, project: string, other: Api): Promise<string> {
  const { id } = (await client.post(`/api/projects/${project}/tasks`, { title: 'Resume' })).body.data
  await eventually(async () => ((await other.get(`/api/tasks/${id}`)).status === 200 ? true : undefined))
  return id
}

const claim = (client: Api, task: string, instance_id: string) =>
  client.post(`/api/tasks/${task}/claim`, { instance_id })
const lock = (client: Api, project: string, instance_id: string) =>
  client.post(locksOf(project), { path: 'src/a.ts', instance_id, duration_minutes: 60 })

it('[L2.11] the agents of a node that was killed hold what they held when it is back, and nobody else did meanwhile', async () => {
  const { holder, onVoter, tokenAtHolder, project } = await pair({})
  const before = api(holder, tokenAtHolder)
  const task = await createTask(onVoter, project, before)
  const claimed = await claim(before, task, 'beta-1')
  const locked = await lock(before, project, 'beta-1')
  expect([claimed.status, locked.status]).toEqual([200, 201])
  await holder.stop('SIGKILL')
  expect((await claim(onVoter, task, 'alpha-1')).body.error.code).toBe('TSK_002')
  expect((await lock(onVoter, project, 'alpha-1')).body.error.code).toBe('LCK_001')

  const back = api(await again(holder, {}), tokenAtHolder)
  const held = await eventually(async () => {
    const answers = [await claim(back, task, 'beta-1'), await lock(back, project, 'beta-1')]
    return answers.every(({ status }) => status < 300) ? answers : undefined
  })
  expect(held.map(({ body }) => (body.data.task ?? body.data).fencing_token)).toEqual([
    claimed.body.data.task.fencing_token,
    locked.body.data.fencing_token,
  ])
  expect((await claim(onVoter, task, 'alpha-1')).body.error.code).toBe('TSK_002')
  expect((await lock(onVoter, project, 'alpha-1')).body.error.code).toBe('LCK_001')

  expect((await back.post(`/api/tasks/${task}/complete`, { summary: 'done' })).status).toBe(200)
  const given = await back.post(`${locksOf(project)}/release`, { path: 'src/a.ts', instance_id: 'beta-1' })
  expect(given.status).toBe(200)
  expect((await lock(onVoter, project, 'alpha-1')).status).toBe(201)
  const notices = await back.get(`/rookery/projects/${project}/lock-notices`)
  expect(notices.body.data).toEqual([])
})

it.runIf(IS_LONG)('[L2.11] what a session held is free at once when it ended while its node was down', async () => {
  const { holder, onVoter, tokenAtHolder, project } = await pair({})
  const before = api(holder, tokenAtHolder)
  const task = await createTask(onVoter, project, before)
  const machine = await eventually(async () => {
    const { body } = await before.get('/api/machines')
    return body.data.find(({ peer_id }: { peer_id: string }) => peer_id === holder.peerId)?.id
  })
  const shell = { agent: 'shell', project_path: scratch.path }
  const session = (await before.post(`/api/machines/${machine}/sessions`, shell)).body.data.session.id
  expect((await claim(before, task, session)).status).toBe(200)
  expect((await lock(before, project, session)).status).toBe(201)
  await holder.stop('SIGKILL')
  const sessions = join(holder.dataDir, 'sessions')
  const folder = (await readdir(sessions)).find((name) => name.includes(session))!
  const state = async () => JSON.parse(await readFile(join(sessions, folder, 'state.json'), 'utf8'))
  process.kill((await state()).program.pid, 'SIGKILL')
  await eventually(async () => ((await state()).state.status === 'running' ? undefined : true))

  const back = api(await again(holder, {}), tokenAtHolder)
  await eventually(async () => ((await claim(onVoter, task, 'alpha-1')).status === 200 ? true : undefined))
  expect((await lock(onVoter, project, 'alpha-1')).status).toBe(201)
  expect((await back.get(`/rookery/projects/${project}/lock-notices`)).body.data).toEqual([])
})

it.runIf(IS_LONG)(
  '[L2.11] an agent is told what it lost while its node was down for longer than a lease lasts',
  async () => {
    // Short enough to wait for, long enough for a busy host to renew in time.
    const config = { lease: { ttlMs: 12_000, holdMs: 6000 } }
    const { holder, onVoter, tokenAtHolder, project } = await pair(config)
    const before = api(holder, tokenAtHolder)
    const task = await createTask(onVoter, project, before)
    expect((await claim(before, task, 'beta-1')).status).toBe(200)
    expect((await lock(before, project, 'beta-1')).status).toBe(201)
    await holder.stop('SIGKILL')
    const theirs = await eventually(async () => {
      const answers = [await claim(onVoter, task, 'alpha-1'), await lock(onVoter, project, 'alpha-1')]
      return answers.every(({ status }) => status < 300) ? answers : undefined
    }, 60_000)
    expect(theirs).toHaveLength(2)

    const back = api(await again(holder, config), tokenAtHolder)
    const notice = await eventually(async () => {
      const { body } = await back.get(`/rookery/projects/${project}/lock-notices`)
      return body.data?.[0]
    })
    expect(notice).toMatchObject({ why: 'owner-restart', paths: ['src/a.ts'], instance_id: 'beta-1' })
    await eventually(async () => {
      const { assigned_to } = (await back.get(`/api/tasks/${task}`)).body.data
      return assigned_to === 'alpha-1' ? true : undefined
    })
    expect((await claim(back, task, 'beta-1')).body.error.code).toBe('TSK_002')
    expect((await lock(back, project, 'beta-1')).body.error.code).toBe('LCK_001')
  },
)
