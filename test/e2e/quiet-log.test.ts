import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  api,
  createScratch,
  eventually,
  joinMesh,
  registerOwner,
  seesOnline,
  type RunningNode,
} from '../support/nodes.ts'
import { parseMetrics } from '../support/prometheus-text.ts'
import { IS_LONG } from '../support/long.ts'

/** Longer than heartbeats and rounds with neighbours take; the long run also sees sweeps of documents, and samples. */
const IDLE_SECONDS = process.env.ROOKERY_LONG === '1' ? 300 : 35
const TALKATIVE = { config: { log: { level: 'info' } } }

let scratch: Awaited<ReturnType<typeof createScratch>>
let nodes: RunningNode[]

beforeAll(async () => {
  scratch = await createScratch()
  const a = await scratch.start('alpha', TALKATIVE)
  nodes = [a, await joinMesh(scratch, a, 'beta', TALKATIVE), await joinMesh(scratch, a, 'gamma', TALKATIVE)]
  const peers = nodes.map(({ peerId }) => peerId)
  await Promise.all(nodes.map((node) => seesOnline(node, peers)))
})

afterAll(() => scratch.dispose())

const linesOf = (node: RunningNode): { level: number; msg: string; member?: string }[] =>
  node.stderr
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))

const counts = (): number[] => nodes.map((node) => linesOf(node).length)

/** When this node heard the other last, by its own clock. */
async function heardAt(node: RunningNode, other: RunningNode): Promise<number> {
  const seen = parseMetrics(await (await fetch(`${node.http}/metrics`)).text())
  return seen.value('rookery_member_last_heard_timestamp_seconds', { member: other.peerId }) ?? 0
}

it('logs nothing while nothing happens, and nothing of ordinary work', async () => {
  const [a, b] = nodes as [RunningNode, RunningNode]
  const token = await registerOwner(a)
  const folder = join(scratch.path, 'work')
  await mkdir(folder)
  const project = (await a.cli('project', 'add', folder)).json.id
  const before = counts()
  const since = await heardAt(a, b)
  const onA = api(a, token)
  for (let i = 0; i < 5; i++) {
    const { id } = (await onA.post(`/api/projects/${project}/tasks`, { title: `Task ${i}` })).body.data
    expect((await onA.post(`/api/tasks/${id}/claim`, { instance_id: 'alpha-1' })).status).toBe(200)
    expect((await onA.post(`/api/tasks/${id}/complete`, { instance_id: 'alpha-1', summary: 'x' })).status).toBe(200)
  }
  await eventually(async () => ((await heardAt(a, b)) - since > IDLE_SECONDS ? true : undefined), 300_000)
  expect([counts(), nodes.map(linesOf)]).toEqual([before, expect.anything()])
  // What was logged until then are events: who joined, and that there is a new key.
  const said = nodes.flatMap((node) => linesOf(node).map(({ msg }) => msg))
  expect(said.filter((msg) => !['admitted a node', 'made a new accounts key'].includes(msg))).toEqual([])
})

it.runIf(IS_LONG)(
  'says once that a member is away, however often it is dialled, and once that it is back',
  async () => {
    const [a, b] = nodes as [RunningNode, RunningNode]
    const about = (node: RunningNode): string[] =>
      linesOf(node).flatMap(({ msg, member }) => (member === 'beta' ? [msg] : []))
    await b.stop('SIGKILL')
    await eventually(() => (about(a).length > 0 ? true : undefined), 120_000)
    const back = await scratch.start('beta', { ...TALKATIVE, dataDir: b.dataDir })
    await eventually(() => (about(a).length > 1 ? true : undefined), 120_000)
    expect(about(a)).toEqual(['a member is not heard any more', 'a member is back'])
    await seesOnline(back, [a.peerId])
  },
)
