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
import { connectionsBetween } from '../support/processes.ts'
import { IS_LONG } from '../support/long.ts'

/** Longer than two heartbeats, or a member that is there would seem to be gone. */
const STALE_AFTER_MS = 15_000

/** Four nodes on a busy machine. */
const SETUP_MS = 300_000

let scratch: Awaited<ReturnType<typeof createScratch>>
let [alpha, beta, gamma, delta]: RunningNode[] = []
let onBeta: Api

beforeAll(async () => {
  scratch = await createScratch()
  alpha = await scratch.start('alpha')
  beta = await joinMesh(scratch, alpha, 'beta')
  gamma = await joinMesh(scratch, alpha, 'gamma', { config: { sessions: { staleAfterMs: STALE_AFTER_MS } } })
  delta = await joinMesh(scratch, alpha, 'delta')
  await registerOwner(alpha)
  const token = await eventually(() => login(beta!).catch(() => undefined))
  onBeta = api(beta, token)
  const all = [alpha, beta, gamma, delta]
  const peers = all.map(({ peerId }) => peerId)
  await Promise.all(all.map((node) => seesOnline(node, peers)))
}, SETUP_MS)
afterAll(() => scratch.dispose())

const pid = (node: RunningNode | undefined): number => node!.process.pid!

async function machineOf(name: string): Promise<string> {
  return await eventually(async () => {
    const { body } = await onBeta.get('/api/machines')
    return body.data.find((m: { name: string }) => m.name === name)?.id
  })
}

it('[M7] [A-M2] closes the connections of a removed member on every node, and lists what it could read', async () => {
  const others = [alpha, beta, gamma]
  for (const node of others) await eventually(() => (connectionsBetween(pid(node), pid(delta)) > 0 ? true : undefined))
  const removing = alpha!.cli('remove', 'delta')
  const startMs = performance.now()
  const left = (): RunningNode[] =>
    others.filter((node) => connectionsBetween(pid(node), pid(delta)) > 0) as RunningNode[]
  await eventually(() => (left().length === 0 ? true : undefined))
  const closedMs = performance.now() - startMs
  const { code, json } = await removing
  process.stderr.write(`from the command to the last closed connection on three nodes: ${Math.round(closedMs)} ms\n`)
  expect(code).toBe(0)
  expect(json.could_read.map(({ what }: { what: string }) => what.split(':')[0])).toEqual([
    'the accounts',
    'everything in its projects',
    'what was shown in terminals that it watched',
  ])
  for (const node of others) {
    const { json: status } = await node!.cli('status')
    expect(status.members.map(({ name }: { name: string }) => name)).not.toContain('delta')
  }
  // Nothing that it wrote is lost.
  expect(others.map((node) => node!.stderr)).toEqual(['', '', ''])
})

it.runIf(IS_LONG)(
  '[M7] runs nothing for others once the staleness limit has passed without an admin, and does again with one',
  async () => {
    const machine = await machineOf('gamma')
    const start = () => onBeta.post(`/api/machines/${machine}/sessions`, { agent: 'shell', project_path: scratch.path })
    const first = await start()
    expect(first.status).toBe(201)
    await alpha!.stop()
    const refused = await eventually(async () => {
      const answer = await start()
      if (answer.status !== 201) return answer
      // A machine runs so many at a time and no more.
      await onBeta.delete(`/api/sessions/${answer.body.data.id}`)
      return undefined
    }, 60_000)
    expect(refused.body.error.message).toMatch(/no admin \(alpha\).*15 s/)
    const { json } = await gamma!.cli('status')
    expect(json.problems.join()).toContain('Refused now: beta')
    alpha = await scratch.start('alpha')
    await eventually(async () => ((await start()).status === 201 ? true : undefined), 60_000)
  },
)

it('[M7] tells a member that was away of a removal when it is back', async () => {
  await gamma!.stop()
  expect((await alpha!.cli('remove', 'beta')).code).toBe(0)
  gamma = await scratch.start('gamma')
  await eventually(async () => {
    const { json } = await gamma!.cli('status')
    return json.members.some(({ name }: { name: string }) => name === 'beta') ? undefined : true
  })
  await eventually(() => (connectionsBetween(pid(gamma), pid(beta)) === 0 ? true : undefined))
})
