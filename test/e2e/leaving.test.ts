import { afterAll, beforeAll, expect, it } from 'vitest'
import { createScratch, eventually, joinMesh, seesOnline, type RunningNode } from '../support/nodes.ts'

const WITHOUT_GATEWAY = ['--no-gateway', '--p2p', '/ip4/127.0.0.1/tcp/0']

let scratch: Awaited<ReturnType<typeof createScratch>>
let a: RunningNode
let b: RunningNode
beforeAll(async () => {
  scratch = await createScratch()
  a = await scratch.start('alpha')
  b = await joinMesh(scratch, a, 'beta')
})
afterAll(() => scratch.dispose())

const namesOnA = async (): Promise<string[]> => (await a.cli('members')).json.map(({ name }: { name: string }) => name)

it('goes by the name it joined with, until told otherwise', async () => {
  expect((await b.cli('status')).json.name).toBe('beta')
  await b.stop('SIGTERM')
  b = await scratch.start('beta', { args: [...WITHOUT_GATEWAY, '--name', 'gamma'] })
  expect((await b.cli('status')).json.name).toBe('gamma')
  await eventually(async () => ((await namesOnA()).includes('gamma') ? true : undefined))
})

it('[M20] tells the others that it leaves before it goes, also without a gateway', async () => {
  await Promise.all([a, b].map((node) => seesOnline(node, [a.peerId, b.peerId])))
  expect((await b.cli('leave')).code).toBe(0)
  const names = await eventually(async () => {
    const found = await namesOnA()
    return found.length === 1 ? found : undefined
  }, 5000)
  expect(names).toEqual(['alpha'])
})
