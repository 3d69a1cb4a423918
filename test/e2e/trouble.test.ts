import { join } from 'node:path'
import { mkdir } from 'node:fs/promises'
import { afterEach, beforeEach, expect, it } from 'vitest'
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
  type RunningNode,
} from '../support/nodes.ts'
import { IS_LONG } from '../support/long.ts'

/** Short leases, so that expiry is seen within a test; what is told does not depend on how long. */
const SHORT_LEASES = { lease: { ttlMs: 4000, holdMs: 1000 } }

let scratch: Awaited<ReturnType<typeof createScratch>>
beforeEach(async () => {
  scratch = await createScratch()
})
afterEach(() => scratch.dispose())

async function pair(): Promise<{ a: RunningNode; b: RunningNode; project: string; tokenA: string }> {
  const a = await scratch.start('alpha', { config: SHORT_LEASES })
  const b = await joinMesh(scratch, a, 'beta', { config: SHORT_LEASES })
  await Promise.all([seesOnline(a, [a.peerId, b.peerId]), seesOnline(b, [a.peerId, b.peerId])])
  const tokenA = await registerOwner(a)
  const folder = join(scratch.path, 'work')
  await mkdir(folder)
  const added = await a.cli('project', 'add', folder)
  expect(added.code).toBe(0)
  return { a, b, project: added.json.id, tokenA }
}

it.runIf(IS_LONG)('finds the other node again after both restarted, in any order, with no address given', async () => {
  const { a, b } = await pair()
  for (const order of [
    [a, b],
    [b, a],
  ] as const) {
    for (const node of order) await node.cli('down')
    const again: RunningNode[] = []
    for (const node of order)
      again.push(await scratch.start(node.name, { dataDir: node.dataDir, args: ['--http', '127.0.0.1:0'] }))
    await Promise.all(again.map((node) => seesOnline(node, [a.peerId, b.peerId])))
    for (const node of again) await node.stop()
  }
})

it('loses no acknowledged write when a node is killed, and the other goes on', async () => {
  const { a, b, project, tokenA } = await pair()
  const onA = api(a, tokenA)
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
  const onB = api(b, await login(b))
  expect((await onB.get(`/api/projects/${project}/tasks?per_page=1`)).status).toBe(200)
  const again = await scratch.start('alpha', { dataDir: a.dataDir, args: ['--http', '127.0.0.1:0'] })
  const onAgain = api(again, tokenA)
  const here = await allTasks(onAgain, project)
  expect(acknowledged.filter((id) => !here.has(id))).toEqual([])
  await eventually(async () => {
    const there = await allTasks(onB, project)
    return acknowledged.every((id) => there.has(id)) ? true : undefined
  })
})

it.runIf(IS_LONG)('returns a claim whose holder died to the board', async () => {
  const { a, b, project, tokenA } = await pair()
  const onA = api(a, tokenA)
  const task = (await onA.post(`/api/projects/${project}/tasks`, { title: 'Orphan' })).body.data.id
  const onB = api(b, await eventually(() => login(b).catch(() => undefined)))
  await eventually(async () => ((await onB.get(`/api/tasks/${task}`)).status === 200 ? true : undefined))
  expect((await onB.post(`/api/tasks/${task}/claim`, { instance_id: 'beta-1' })).status).toBe(200)
  await eventually(async () => ((await onA.get(`/api/tasks/${task}`)).body.data.is_claimed ? true : undefined))
  await b.stop('SIGKILL')
  await eventually(async () => ((await onA.get(`/api/tasks/${task}`)).body.data.is_claimed ? undefined : true))
  const taken = await eventually(async () => {
    const answer = await onA.post(`/api/tasks/${task}/claim`, { instance_id: 'alpha-1' })
    return answer.status === 200 ? answer : undefined
  })
  expect(taken.body.data.task.assigned_to).toBe('alpha-1')
})

it('says that there is no quorum, and which voter is missing', async () => {
  const { a, b, project, tokenA } = await pair()
  const task = (await api(a, tokenA).post(`/api/projects/${project}/tasks`, { title: 'Alone' })).body.data.id
  const onB = api(b, await eventually(() => login(b).catch(() => undefined)))
  await eventually(async () => ((await onB.get(`/api/tasks/${task}`)).status === 200 ? true : undefined))
  a.process.kill('SIGSTOP')
  try {
    const answer = await onB.post(`/api/tasks/${task}/claim`, { instance_id: 'beta-1' })
    expect([answer.status, answer.body.error.code]).toEqual([503, 'LCK_002'])
    expect(JSON.stringify(answer.body.error)).toContain('alpha')
  } finally {
    a.process.kill('SIGCONT')
  }
})

it('locks a file without a quorum, says so everywhere, and has it certified when the voter is back', async () => {
  const { a, b, project } = await pair()
  const onB = api(b, await eventually(() => login(b).catch(() => undefined)))
  const locks = `/api/projects/${project}/locks`
  await eventually(async () => ((await onB.get(locks)).status === 200 ? true : undefined))
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
    const { json } = await a.cli('lock', 'list', '--project', project)
    return json[0]?.guarantee === 'certified' ? true : undefined
  })
  expect((await b.cli('lock', 'notices', '--project', project)).json).toEqual([])
})

it.runIf(IS_LONG)('closes everything a removed member had, and refuses it from then on', async () => {
  const { a, b } = await pair()
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

it('refuses a ticket that is used, damaged, or asked to replace a mesh that is not empty', async () => {
  const { a } = await pair()
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
  const a = await scratch.start('alpha')
  const b = await scratch.start('beta')
  const { json } = await a.cli('invite')
  const joined = await b.cli('join', json.ticket)
  expect([joined.code, joined.json.mesh_id, joined.json.peer_id]).toEqual([0, a.meshId, b.peerId])
  await seesOnline(b, [a.peerId, b.peerId])
})
