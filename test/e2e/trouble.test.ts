import { join } from 'node:path'
import { mkdir } from 'node:fs/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  allTasks,
  api,
  createScratch,
  eventually,
  joinMesh,
  login,
  registerOwner,
  rookery,
  seesOnline,
  type Api,
  type RunningNode,
} from '../support/nodes.ts'

/** Short leases, so that expiry is seen within a test; what is told does not depend on how long. */
const SHORT_LEASES = { lease: { ttlMs: 4000, holdMs: 1000 } }

/** One mesh that goes through all of it: alpha is the only voter, and both are there again after each trouble. */
let scratch: Awaited<ReturnType<typeof createScratch>>
let a: RunningNode
let b: RunningNode
let onA: Api
let onB: Api
let project: string
beforeAll(async () => {
  scratch = await createScratch()
  a = await scratch.start('alpha', { config: SHORT_LEASES })
  b = await joinMesh(scratch, a, 'beta', { config: SHORT_LEASES })
  await seeEachOther()
  const token = await registerOwner(a)
  const folder = join(scratch.path, 'work')
  await mkdir(folder)
  const added = await a.cli('project', 'add', folder)
  expect(added.code).toBe(0)
  project = added.json.id
  onA = api(a, token)
  onB = api(b, await eventually(() => login(b).catch(() => undefined)))
  await eventually(async () => ((await onB.get(`/api/projects/${project}`)).status === 200 ? true : undefined))
})
afterAll(() => scratch.dispose())

const seeEachOther = () => Promise.all([a, b].map((node) => seesOnline(node, [a.peerId, b.peerId])))

/** On the same gateway port, so that its clients go on. */
const again = (node: RunningNode): Promise<RunningNode> =>
  scratch.start(node.name, {
    dataDir: node.dataDir,
    config: SHORT_LEASES,
    args: ['--http', new URL(node.http).host],
  })

/** A task of alpha that beta knows too. */
async function task(title: string): Promise<string> {
  const { id } = (await onA.post(`/api/projects/${project}/tasks`, { title })).body.data
  await eventually(async () => ((await onB.get(`/api/tasks/${id}`)).status === 200 ? true : undefined))
  return id
}

it('says that there is no quorum, and which voter is missing', async () => {
  const id = await task('Alone')
  a.process.kill('SIGSTOP')
  try {
    const answer = await onB.post(`/api/tasks/${id}/claim`, { instance_id: 'beta-1' })
    expect([answer.status, answer.body.error.code]).toEqual([503, 'LCK_002'])
    expect(JSON.stringify(answer.body.error)).toContain('alpha')
  } finally {
    a.process.kill('SIGCONT')
  }
})

it('locks a file without a quorum, says so everywhere, and has it certified when the voter is back', async () => {
  const locks = `/api/projects/${project}/locks`
  a.process.kill('SIGSTOP')
  try {
    const answer = await onB.post(locks, { path: 'src/a.ts', instance_id: 'beta-1' })
    const provisional = { guarantee: 'provisional', missing_voters: ['alpha'], fencing_token: null }
    expect([answer.status, answer.body.data]).toMatchObject([201, { path: 'src/a.ts', ...provisional }])
    const said = await rookery(['lock', 'check', 'src/a.ts', '--project', project, '--data-dir', b.dataDir])
    expect(said.stdout).toContain('provisional: no quorum (alpha unreachable); it is reconciled when')
    const strict = await onB.post(locks, { path: 'src/b.ts', instance_id: 'beta-1', exclusive: true })
    expect([strict.status, strict.body.error.code]).toEqual([503, 'LCK_002'])
  } finally {
    a.process.kill('SIGCONT')
  }
  await eventually(async () => {
    const { body } = await onA.get(locks)
    return body.data[0]?.guarantee === 'certified' ? true : undefined
  })
  expect((await b.cli('lock', 'notices', '--project', project)).json).toEqual([])
})

it('refuses a ticket that is used, damaged, or asked to replace a mesh that is not empty', async () => {
  const { json } = await a.cli('invite')
  const first = await rookery(['join', json.ticket, '--json', '--data-dir', join(scratch.path, 'c')])
  expect(first.code).toBe(0)
  const used = await rookery(['join', json.ticket, '--json', '--data-dir', join(scratch.path, 'd')])
  expect([used.code, used.json.error.code]).toEqual([1, 'ticket_used'])
  const damaged = await rookery([
    'join',
    `${json.ticket.slice(0, -3)}xyz`,
    '--json',
    '--data-dir',
    join(scratch.path, 'e'),
  ])
  expect([damaged.code, damaged.json.error.code]).toEqual([1, 'ticket_invalid'])
  const fresh = await a.cli('invite')
  const full = await rookery(['join', fresh.json.ticket, '--json', '--data-dir', a.dataDir])
  expect([full.code, full.json.error.code]).toEqual([1, 'mesh_not_empty'])
})

it('joins while it runs when its own mesh is still empty, keeping its key', async () => {
  const c = await scratch.start('gamma')
  const { json } = await a.cli('invite')
  const joined = await c.cli('join', json.ticket)
  expect([joined.code, joined.json.mesh_id, joined.json.peer_id]).toEqual([0, a.meshId, c.peerId])
  await seesOnline(c, [a.peerId, c.peerId])
  await c.stop()
})

it('returns a claim whose holder died to the board', async () => {
  const id = await task('Orphan')
  expect((await onB.post(`/api/tasks/${id}/claim`, { instance_id: 'beta-1' })).status).toBe(200)
  await eventually(async () => ((await onA.get(`/api/tasks/${id}`)).body.data.is_claimed ? true : undefined))
  await b.stop('SIGKILL')
  await eventually(async () => ((await onA.get(`/api/tasks/${id}`)).body.data.is_claimed ? undefined : true))
  const taken = await eventually(async () => {
    const answer = await onA.post(`/api/tasks/${id}/claim`, { instance_id: 'alpha-1' })
    return answer.status === 200 ? answer : undefined
  })
  expect(taken.body.data.task.assigned_to).toBe('alpha-1')
  b = await again(b)
  await seeEachOther()
})

it('loses no acknowledged write when a node is killed, and the other goes on', async () => {
  const acknowledged: string[] = []
  const writer = (async () => {
    for (let i = 0; i < 500; i++) {
      const answer = await onA.post(`/api/projects/${project}/tasks`, { title: `Task ${i}` }).catch(() => undefined)
      if (answer?.status !== 201) return
      acknowledged.push(answer.body.data.id)
    }
  })()
  await eventually(() => (acknowledged.length > 100 ? true : undefined))
  await a.stop('SIGKILL')
  await writer
  expect((await onB.get(`/api/projects/${project}/tasks?per_page=1`)).status).toBe(200)
  a = await again(a)
  const here = await allTasks(onA, project)
  expect(acknowledged.filter((id) => !here.has(id))).toEqual([])
  await eventually(async () => {
    const there = await allTasks(onB, project)
    return acknowledged.every((id) => there.has(id)) ? true : undefined
  })
})

it('finds the other node again after both restarted, in any order, with no address given', async () => {
  for (const order of [
    [a, b],
    [b, a],
  ] as const) {
    for (const node of order) await node.cli('down')
    const back: RunningNode[] = []
    for (const node of order)
      back.push(await scratch.start(node.name, { dataDir: node.dataDir, args: ['--http', '127.0.0.1:0'] }))
    await Promise.all(back.map((node) => seesOnline(node, [a.peerId, b.peerId])))
    a = back.find(({ name }) => name === 'alpha')!
    b = back.find(({ name }) => name === 'beta')!
  }
})

it('closes everything a removed member had, and refuses it from then on', async () => {
  const removed = await a.cli('remove', 'beta')
  expect(removed.code).toBe(0)
  await eventually(async () => {
    const { json } = await a.cli('members')
    return json.every((m: { peer_id: string }) => m.peer_id !== b.peerId) ? true : undefined
  })
  // The removed one is not left in the dark.
  const told = await eventually(async () => {
    const { json } = await b.cli('status')
    return json.problems.length > 0 ? json : undefined
  })
  expect(told.problems[0]).toContain('rookery leave')
  expect((await b.cli('leave')).code).toBe(0)
  expect((await b.cli('status')).json.mesh_id).not.toBe(a.meshId)
})
