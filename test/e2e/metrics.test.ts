import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { METRICS } from '../../node/ports/metric-catalogue.ts'
import {
  api,
  createScratch,
  eventually,
  joinMesh,
  login,
  registerOwner,
  seesOnline,
  type RunningNode,
} from '../support/nodes.ts'
import { parseMetrics, type Scraped } from '../support/prometheus-text.ts'

let scratch: Awaited<ReturnType<typeof createScratch>>
let mesh: Awaited<ReturnType<typeof pair>>

beforeAll(async () => {
  scratch = await createScratch()
  mesh = await pair()
})

afterAll(() => scratch.dispose())

async function scrape(node: RunningNode): Promise<Scraped> {
  const response = await fetch(`${node.http}/metrics`)
  expect([response.status, response.headers.get('content-type')]).toEqual([
    200,
    expect.stringContaining('text/plain; version=0.0.4'),
  ])
  return parseMetrics(await response.text())
}

/** Alpha votes; both see each other; a project that both have. */
async function pair() {
  const a = await scratch.start('alpha')
  const b = await joinMesh(scratch, a, 'beta')
  const onA = api(a, await registerOwner(a))
  const folder = join(scratch.path, 'work')
  await mkdir(folder)
  const project = (await a.cli('project', 'add', folder)).json.id
  await seesOnline(a, [a.peerId, b.peerId])
  await seesOnline(b, [a.peerId, b.peerId])
  const onB = api(b, await eventually(() => login(b).catch(() => undefined)))
  await eventually(async () => ((await onB.get(`/api/projects/${project}/tasks`)).status === 200 ? true : undefined))
  return { a, b, onA, onB, project }
}

it('shows every metric of the catalogue and no other, with the type and help it has there', async () => {
  const { a } = mesh
  const { families } = await scrape(a)
  const listed = Object.entries(METRICS).map(([name, { type, help }]) => [name, { type, help }])
  expect(Object.fromEntries(families)).toEqual(Object.fromEntries(listed))
})

it('counts envelopes on both sides, and shows who is reached how', async () => {
  const { a, b, onA, onB, project } = mesh
  const [sentBefore, appliedBefore] = [
    (await scrape(a)).value('rookery_envelopes_sent_total', { why: 'push' }) ?? 0,
    (await scrape(b)).value('rookery_envelopes_received_total', { outcome: 'applied' }) ?? 0,
  ]
  for (let i = 0; i < 5; i++) await onA.post(`/api/projects/${project}/tasks`, { title: `Task ${i}` })
  await eventually(async () =>
    (await onB.get(`/api/projects/${project}/tasks`)).body.data.length === 5 ? true : undefined,
  )
  const [onSender, onReceiver] = [await scrape(a), await scrape(b)]
  expect(onSender.value('rookery_envelopes_sent_total', { why: 'push' })).toBeGreaterThanOrEqual(sentBefore + 5)
  const applied = onReceiver.value('rookery_envelopes_received_total', { outcome: 'applied' })
  expect(applied).toBeGreaterThanOrEqual(appliedBefore + 5)
  expect(onSender.value('rookery_envelopes_written_total')).toBeGreaterThan(5)
  expect(onSender.by('rookery_member_online', 'member')).toEqual({ [a.peerId]: 1, [b.peerId]: 1 })
  expect(onSender.value('rookery_member_info', { member: b.peerId, name: 'beta' })).toBe(1)
  expect(onSender.by('rookery_peers_connected', 'reached')).toEqual({ loopback: 1, lan: 0, wan: 0, relay: 0 })
  expect(Math.abs(onSender.value('rookery_member_clock_skew_seconds', { member: b.peerId }) ?? 99)).toBeLessThan(5)
  for (const store of ['documents', 'leases']) {
    expect([store, onSender.value('rookery_store_bytes', { store }) ?? 0]).toEqual([store, expect.any(Number)])
    expect(onSender.value('rookery_store_bytes', { store })).toBeGreaterThan(0)
  }
  // Both have said since that they lack nothing.
  await eventually(async () => {
    const { [b.peerId]: lag } = (await scrape(a)).by('rookery_member_lag_envelopes', 'member')
    return lag === 0 ? true : undefined
  }, 90_000)
  expect((await scrape(b)).by('rookery_document_lag_envelopes', 'document')).toEqual({})
})

it('counts what becomes of leases, by what they were wanted for', async () => {
  const { a, b, onA, onB, project } = mesh
  const tasks: string[] = []
  for (const title of ['One', 'Two'])
    tasks.push((await onA.post(`/api/projects/${project}/tasks`, { title })).body.data.id)
  await eventually(async () => ((await onB.get(`/api/tasks/${tasks[1]}`)).status === 200 ? true : undefined))
  expect((await onB.post(`/api/tasks/${tasks[0]}/claim`, { instance_id: 'beta-1' })).status).toBe(200)
  expect((await onB.post(`/api/projects/${project}/locks`, { path: 'a.ts', instance_id: 'beta-1' })).status).toBe(201)
  const calm = await scrape(b)
  expect(calm.value('rookery_leases_total', { purpose: 'task', outcome: 'certified' })).toBe(1)
  expect(calm.value('rookery_leases_total', { purpose: 'lock', outcome: 'certified' })).toBe(1)
  expect(calm.value('rookery_lease_request_duration_seconds_count', { purpose: 'task' })).toBe(1)
  expect(calm.value('rookery_leases_held')).toBe(2)
  expect(calm.by('rookery_voters', 'state')).toEqual({ online: 1, offline: 0 })
  a.process.kill('SIGSTOP')
  try {
    expect((await onB.post(`/api/tasks/${tasks[1]}/claim`, { instance_id: 'beta-1' })).status).toBe(503)
    const locked = await onB.post(`/api/projects/${project}/locks`, { path: 'b.ts', instance_id: 'beta-1' })
    expect(locked.body.data.guarantee).toBe('provisional')
    const alone = await scrape(b)
    expect(alone.value('rookery_leases_total', { purpose: 'task', outcome: 'no_quorum' })).toBe(1)
    expect(alone.value('rookery_leases_total', { purpose: 'lock', outcome: 'provisional' })).toBe(1)
    const isSilent = async (): Promise<true | undefined> =>
      (await scrape(b)).by('rookery_voters', 'state').offline === 1 ? true : undefined
    await eventually(isSilent, 60_000)
  } finally {
    a.process.kill('SIGCONT')
  }
})

it('shows the metrics of a node without a gateway on the command line', async () => {
  const alone = await scratch.start('alone', { args: ['--no-gateway', '--p2p', '/ip4/127.0.0.1/tcp/0'] })
  const { code, json } = await alone.cli('metrics')
  expect([code, json.content_type]).toEqual([0, expect.stringContaining('text/plain')])
  const shown = parseMetrics(json.text)
  expect(shown.value('rookery_members')).toBe(1)
  expect(shown.value('rookery_event_loop_delay_seconds', { quantile: '0.99' })).toBeGreaterThanOrEqual(0)
  expect(shown.value('rookery_process_open_fds')).toBeGreaterThan(5)
  expect(shown.value('rookery_process_cpu_seconds_total')).toBeGreaterThan(0)
})
