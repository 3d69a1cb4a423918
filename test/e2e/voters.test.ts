import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  api,
  createScratch,
  eventually,
  joinMesh,
  registerOwner,
  seesOnline,
  type Api,
  type RunningNode,
} from '../support/nodes.ts'

let scratch: Awaited<ReturnType<typeof createScratch>>
let nodes: [RunningNode, RunningNode, RunningNode]
let client: Api
let project: string

beforeAll(async () => {
  scratch = await createScratch()
  const a = await scratch.start('a')
  const b = await joinMesh(scratch, a, 'b')
  const c = await joinMesh(scratch, a, 'c')
  nodes = [a, b, c]
  const peers = nodes.map(({ peerId }) => peerId)
  for (const node of nodes) await seesOnline(node, peers)
  client = api(a, await registerOwner(a))
  const { json } = await a.cli('project', 'add', scratch.path)
  project = json.id
})
afterAll(() => scratch.dispose())

async function claimOne(title: string): Promise<number> {
  const { body } = await client.post(`/api/projects/${project}/tasks`, { title })
  const claimed = await client.post(`/api/tasks/${body.data.id}/claim`, { instance_id: title })
  return claimed.status
}

it('[L2.7] three machines vote once they are named, and claims succeed while one of them is down', async () => {
  const [a, , c] = nodes
  expect(await claimOne('before')).toBe(200)
  const set = await a.cli('voters', 'set', 'a', 'b', 'c')
  expect([set.code, set.stderr]).toEqual([0, expect.any(String)])
  const { json } = await a.cli('voters')
  expect([json.epoch, json.quorum]).toEqual([2, 2])
  await c.stop('SIGKILL')
  expect(await eventually(async () => ((await claimOne('after')) === 200 ? 'claimed' : undefined))).toBe('claimed')
})
