import { mkdir } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  api,
  createScratch,
  eventually,
  joinMesh,
  login,
  OWNER,
  registerOwner,
  seesOnline,
  type Api,
  type RunningNode,
} from '../support/nodes.ts'

const ROUNDS = 200

/** Two real nodes in processes of their own, joined by a ticket; the story of the README from the outside. */
describe('a mesh of two machines', () => {
  let scratch: Awaited<ReturnType<typeof createScratch>>
  let a: RunningNode
  let b: RunningNode
  let onA: Api
  let onB: Api
  let project: string

  beforeAll(async () => {
    scratch = await createScratch()
    a = await scratch.start('alpha')
    b = await joinMesh(scratch, a, 'beta')
    await Promise.all([seesOnline(a, [a.peerId, b.peerId]), seesOnline(b, [a.peerId, b.peerId])])
    onA = api(a, await registerOwner(a))
    onB = api(b, await eventually(() => login(b).catch(() => undefined)))
    const folder = join(scratch.path, 'work')
    await mkdir(folder)
    const machines = await onA.get('/api/machines')
    const alpha = machines.body.data.find((m: { name: string }) => m.name === 'alpha')
    const created = await onA.post(`/api/machines/${alpha.id}/projects`, { name: 'Work', project_path: folder })
    expect(created.status).toBe(201)
    project = created.body.data.id
  })
  afterAll(() => scratch.dispose())

  it('is one mesh with the same members on both sides', async () => {
    const [left, right] = await Promise.all([a.cli('members'), b.cli('members')])
    const peers = (list: { peer_id: string }[]): string[] => list.map(({ peer_id }) => peer_id).toSorted()
    expect(peers(left.json)).toEqual([a.peerId, b.peerId].toSorted())
    expect(peers(right.json)).toEqual(peers(left.json))
    expect(b.meshId).toBe(a.meshId)
  })

  it('shows on either side how the other machine is reached', async () => {
    const [left, right] = await Promise.all([a.cli('peers'), b.cli('peers')])
    const there = { how: 'this machine', via: null, agent: expect.stringMatching(/^rookery\//), failed: [] }
    expect([left.json, right.json]).toEqual([
      [expect.objectContaining({ ...there, peer_id: b.peerId, name: 'beta' })],
      [expect.objectContaining({ ...there, peer_id: a.peerId, name: 'alpha' })],
    ])
  })

  it('shows a task made on one gateway on the other', async () => {
    const made = await onA.post(`/api/projects/${project}/tasks`, { title: 'Write the README', priority: 'high' })
    expect(made.status).toBe(201)
    const seen = await eventually(async () => {
      const { body } = await onB.get(`/api/projects/${project}/tasks`)
      return body.data.find((t: { id: string }) => t.id === made.body.data.id)
    })
    expect(seen).toMatchObject({ title: 'Write the README', priority: 'high', status: 'pending', is_claimed: false })
  })

  it('signs the same user in on the other gateway', async () => {
    const me = await onB.get('/api/auth/me')
    expect(me.body.data.user).toMatchObject({ name: OWNER.name, email: OWNER.email })
  })

  it(`has one winner in each of ${ROUNDS} rounds of two gateways claiming one task`, async () => {
    const wins = { alpha: 0, beta: 0 }
    for (let round = 0; round < ROUNDS; round++) {
      const task = (await onA.post(`/api/projects/${project}/tasks`, { title: `Race ${round}` })).body.data.id
      await eventually(async () => ((await onB.get(`/api/tasks/${task}`)).status === 200 ? true : undefined))
      const [left, right] = await Promise.all([
        onA.post(`/api/tasks/${task}/claim`, { instance_id: 'alpha-1' }),
        onB.post(`/api/tasks/${task}/claim`, { instance_id: 'beta-1' }),
      ])
      const [winner, loser] = left.status === 200 ? [left, right] : [right, left]
      expect([winner.status, loser.status, loser.body.error?.code]).toEqual([200, 409, 'TSK_002'])
      const holder = winner.body.data.task.assigned_to
      wins[holder === 'alpha-1' ? 'alpha' : 'beta']++
      const agreed = await eventually(async () => {
        const seen = await Promise.all([onA.get(`/api/tasks/${task}`), onB.get(`/api/tasks/${task}`)])
        return seen.every(({ body }) => body.data.assigned_to === holder) ? holder : undefined
      })
      expect(agreed).toBe(holder)
    }
    expect(wins.alpha + wins.beta).toBe(ROUNDS)
  })

  it(`has one winner in each of ${ROUNDS} rounds of two gateways locking one file`, async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const path = `src/race-${round}.ts`
      const lock = (client: Api, instance: string) =>
        client.post(`/api/projects/${project}/locks`, {
          path,
          instance_id: instance,
          reason: 'race',
          duration_minutes: 5,
        })
      const [left, right] = await Promise.all([lock(onA, 'alpha-1'), lock(onB, 'beta-1')])
      const [winner, loser] = left.status === 201 ? [left, right] : [right, left]
      expect([winner.status, loser.status, loser.body.error?.code]).toEqual([201, 409, 'LCK_001'])
      expect(loser.body.error.details.holder).toMatchObject({ instance_id: winner.body.data.locked_by })
      expect(Date.parse(loser.body.error.details.holder.expires_at)).toBeGreaterThan(Date.now())
    }
  })

  it('lets only the claimer complete a task, through either gateway', async () => {
    const task = (await onA.post(`/api/projects/${project}/tasks`, { title: 'Only mine' })).body.data.id
    const claimed = await onA.post(`/api/tasks/${task}/claim`, { instance_id: 'alpha-1' })
    expect(claimed.status).toBe(200)
    await eventually(async () => ((await onB.get(`/api/tasks/${task}`)).body.data?.is_claimed ? true : undefined))
    const stranger = await onB.post(`/api/tasks/${task}/complete`, { summary: 'not mine', files_modified: [] })
    expect([stranger.status, stranger.body.error.code]).toEqual([403, 'TSK_003'])
    const proven = await onB.post(`/api/tasks/${task}/complete`, {
      summary: 'done elsewhere',
      files_modified: ['a.ts'],
      fencing_token: claimed.body.data.task.fencing_token,
    })
    expect(proven.status).toBe(200)
    expect(proven.body.data.task).toMatchObject({ status: 'completed' })
  })

  it('tells a machine of the same name, and what its user holds, from the first', async () => {
    const c = await joinMesh(scratch, a, 'alpha', { dataDir: join(scratch.path, 'clone') })
    await seesOnline(c, [a.peerId, b.peerId, c.peerId])
    const members = (await c.cli('members')).json.map(({ name }: { name: string }) => name)
    expect(members).toEqual(['alpha', 'beta', 'alpha-2'])
    for (const node of [a, c]) {
      const { id } = (await a.cli('task', 'add', `For ${node.peerId}`, '--project', project)).json
      await eventually(async () => {
        const { json } = await node.cli('task', 'list', '--project', project)
        return json.some((task: { id: string }) => task.id === id) ? true : undefined
      })
      const { code, json } = await node.cli('task', 'claim', id)
      expect([code, json.assigned_to]).toEqual([0, `${userInfo().username}@${node === a ? 'alpha' : 'alpha-2'}`])
    }
  })
})
