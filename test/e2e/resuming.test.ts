import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
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

/** Alpha is the only voter; beta holds what it will have to resume, and is there again after each test. */
let scratch: Awaited<ReturnType<typeof createScratch>>
let voter: RunningNode
let holder: RunningNode
let onVoter: Api
let onHolder: Api
let tokens: { voter: string; holder: string }
let project: string
beforeAll(async () => {
  scratch = await createScratch()
  voter = await scratch.start('alpha')
  holder = await joinMesh(scratch, voter, 'beta')
  await Promise.all([voter, holder].map((node) => seesOnline(node, [voter.peerId, holder.peerId])))
  tokens = { voter: await registerOwner(voter), holder: await eventually(() => login(holder).catch(() => undefined)) }
  onVoter = api(voter, tokens.voter)
  onHolder = api(holder, tokens.holder)
  const folder = join(scratch.path, 'work')
  await mkdir(folder)
  project = (await voter.cli('project', 'add', folder)).json.id
  await eventually(async () => ((await onHolder.get(locksOf())).status === 200 ? true : undefined))
})
afterAll(() => scratch.dispose())

const locksOf = (): string => `/api/projects/${project}/locks`

const restarted = ({ name, dataDir }: RunningNode, config: object): Promise<RunningNode> =>
  scratch.start(name, { dataDir, config, args: ['--http', '127.0.0.1:0'] })

async function holderIsBack(config: object = {}): Promise<void> {
  holder = await restarted(holder, config)
  onHolder = api(holder, tokens.holder)
}

async function createTask(): Promise<string> {
  const { id } = (await onVoter.post(`/api/projects/${project}/tasks`, { title: 'Resume' })).body.data
  await eventually(async () => ((await onHolder.get(`/api/tasks/${id}`)).status === 200 ? true : undefined))
  return id
}

const claim = (client: Api, task: string, instance_id: string) =>
  client.post(`/api/tasks/${task}/claim`, { instance_id })
const lock = (client: Api, path: string, instance_id: string) =>
  client.post(locksOf(), { path, instance_id, duration_minutes: 60 })

it('[L2.11] the agents of a node that was killed hold what they held when it is back, and nobody else did meanwhile', async () => {
  const task = await createTask()
  const claimed = await claim(onHolder, task, 'beta-1')
  const locked = await lock(onHolder, 'src/killed.ts', 'beta-1')
  expect([claimed.status, locked.status]).toEqual([200, 201])
  await holder.stop('SIGKILL')
  expect((await claim(onVoter, task, 'alpha-1')).body.error.code).toBe('TSK_002')
  expect((await lock(onVoter, 'src/killed.ts', 'alpha-1')).body.error.code).toBe('LCK_001')

  await holderIsBack()
  const held = await eventually(async () => {
    const answers = [await claim(onHolder, task, 'beta-1'), await lock(onHolder, 'src/killed.ts', 'beta-1')]
    return answers.every(({ status }) => status < 300) ? answers : undefined
  })
  expect(held.map(({ body }) => (body.data.task ?? body.data).fencing_token)).toEqual([
    claimed.body.data.task.fencing_token,
    locked.body.data.fencing_token,
  ])
  expect((await claim(onVoter, task, 'alpha-1')).body.error.code).toBe('TSK_002')
  expect((await lock(onVoter, 'src/killed.ts', 'alpha-1')).body.error.code).toBe('LCK_001')

  expect((await onHolder.post(`/api/tasks/${task}/complete`, { summary: 'done' })).status).toBe(200)
  const given = await onHolder.post(`${locksOf()}/release`, { path: 'src/killed.ts', instance_id: 'beta-1' })
  expect(given.status).toBe(200)
  expect((await lock(onVoter, 'src/killed.ts', 'alpha-1')).status).toBe(201)
  const notices = await onHolder.get(`/rookery/projects/${project}/lock-notices`)
  expect(notices.body.data).toEqual([])
})

it('[L2.11] what a session held is free at once when it ended while its node was down', async () => {
  const task = await createTask()
  const machine = await eventually(async () => {
    const { body } = await onHolder.get('/api/machines')
    return body.data.find(({ peer_id }: { peer_id: string }) => peer_id === holder.peerId)?.id
  })
  const shell = { agent: 'shell', project_path: scratch.path }
  const session = (await onHolder.post(`/api/machines/${machine}/sessions`, shell)).body.data.session.id
  expect((await claim(onHolder, task, session)).status).toBe(200)
  expect((await lock(onHolder, 'src/ended.ts', session)).status).toBe(201)
  await holder.stop('SIGKILL')
  const sessions = join(holder.dataDir, 'sessions')
  const folder = (await readdir(sessions)).find((name) => name.includes(session))!
  const state = async () => JSON.parse(await readFile(join(sessions, folder, 'state.json'), 'utf8'))
  process.kill((await state()).program.pid, 'SIGKILL')
  await eventually(async () => ((await state()).state.status === 'running' ? undefined : true))

  await holderIsBack()
  await eventually(async () => ((await claim(onVoter, task, 'alpha-1')).status === 200 ? true : undefined))
  expect((await lock(onVoter, 'src/ended.ts', 'alpha-1')).status).toBe(201)
  expect((await onHolder.get(`/rookery/projects/${project}/lock-notices`)).body.data).toEqual([])
})

it('[L2.11] an agent is told what it lost while its node was down for longer than a lease lasts', async () => {
  // Short enough to wait for, long enough for a busy host to renew in time.
  const config = { lease: { ttlMs: 12_000, holdMs: 6000 } }
  for (const node of [voter, holder]) await node.stop()
  voter = await restarted(voter, config)
  onVoter = api(voter, tokens.voter)
  await holderIsBack(config)
  await seesOnline(holder, [voter.peerId])
  const task = await createTask()
  expect((await claim(onHolder, task, 'beta-1')).status).toBe(200)
  expect((await lock(onHolder, 'src/lost.ts', 'beta-1')).status).toBe(201)
  await holder.stop('SIGKILL')
  await eventually(async () => ((await claim(onVoter, task, 'alpha-1')).status === 200 ? true : undefined), 60_000)
  await eventually(async () => ((await lock(onVoter, 'src/lost.ts', 'alpha-1')).status === 201 ? true : undefined))

  await holderIsBack(config)
  const notice = await eventually(async () => {
    const { body } = await onHolder.get(`/rookery/projects/${project}/lock-notices`)
    return body.data?.[0]
  })
  expect(notice).toMatchObject({ why: 'owner-restart', paths: ['src/lost.ts'], instance_id: 'beta-1' })
  await eventually(async () => {
    const { assigned_to } = (await onHolder.get(`/api/tasks/${task}`)).body.data
    return assigned_to === 'alpha-1' ? true : undefined
  })
  expect((await claim(onHolder, task, 'beta-1')).body.error.code).toBe('TSK_002')
  expect((await lock(onHolder, 'src/lost.ts', 'beta-1')).body.error.code).toBe('LCK_001')
})
