import { afterEach, beforeEach, expect, it } from 'vitest'
import { createScratch, eventually, joinMesh, seesOnline } from '../support/nodes.ts'
import { IS_LONG } from '../support/long.ts'

let scratch: Awaited<ReturnType<typeof createScratch>>
beforeEach(async () => {
  scratch = await createScratch()
})
afterEach(() => scratch.dispose())

it('[M20] tells the others that it leaves before it goes, also without a gateway', async () => {
  const a = await scratch.start('alpha')
  const args = ['--no-gateway', '--p2p', '/ip4/127.0.0.1/tcp/0']
  const b = await joinMesh(scratch, a, 'beta', { args })
  await Promise.all([seesOnline(a, [a.peerId, b.peerId]), seesOnline(b, [a.peerId, b.peerId])])
  expect((await b.cli('leave')).code).toBe(0)
  const members = await eventually(async () => {
    const { json } = await a.cli('members')
    return json.length === 1 ? json : undefined
  }, 5000)
  expect(members.map(({ name }: { name: string }) => name)).toEqual(['alpha'])
})

it.runIf(IS_LONG)('goes by the name it joined with, until told otherwise', async () => {
  const a = await scratch.start('alpha')
  const b = await joinMesh(scratch, a, 'beta')
  expect((await b.cli('status')).json.name).toBe('beta')
  await b.stop('SIGTERM')
  const again = await scratch.start('beta', { args: ['--http', '127.0.0.1:0', '--name', 'gamma'] })
  expect((await again.cli('status')).json.name).toBe('gamma')
  await eventually(async () => {
    const { json } = await a.cli('members')
    return json.some(({ name }: { name: string }) => name === 'gamma') ? true : undefined
  })
})
