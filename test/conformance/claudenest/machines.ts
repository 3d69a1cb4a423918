import { expect } from 'vitest'
import type { Json } from '../../support/gateway-lab.ts'
import { call, data, fresh, meets, refusal, self, UNKNOWN } from './harness.ts'

const register = (name: string) =>
  data('POST', '/api/machines', {
    body: {
      name,
      platform: 'darwin',
      hostname: `${name}.local`,
      arch: 'arm64',
      capabilities: ['gpu'],
      max_sessions: 10,
    },
  })

export function machineRequirements(): void {
  meets('GET /api/machines', 'lists machines with pagination', async () => {
    await register(fresh('listed'))
    const { json } = await call('GET', '/api/machines?per_page=1&page=2')
    expect(json.data.length).toBe(1)
    const { total } = json.meta.pagination
    expect(json.meta.pagination).toEqual({ current_page: 2, last_page: total, per_page: 1, total })
    expect((await call('GET', '/api/machines')).json.meta.pagination.per_page).toBe(15)
  })
  meets('GET /api/machines', 'filters by search and status', async () => {
    const name = fresh('searched')
    await register(name)
    expect((await data('GET', `/api/machines?search=${name}`)).map((m: Json) => m.name)).toEqual([name])
    expect((await data('GET', '/api/machines?status=online')).map((m: Json) => m.id)).toEqual([self()])
    expect(await refusal('GET', '/api/machines?status=asleep')).toEqual([422, 'VAL_001'])
  })
  meets('POST /api/machines', 'answers 201 with the machine and an mn_ token', async () => {
    const name = fresh('bridged')
    expect(await register(name)).toMatchObject({
      machine: { name, platform: 'darwin', hostname: `${name}.local`, arch: 'arm64', capabilities: ['gpu'] },
      token: expect.stringMatching(/^mn_/),
    })
  })
  meets('GET /api/machines/:id', 'answers the machine', async () => {
    const found = await data('GET', `/api/machines/${self()}`)
    expect([found.id, found.machine.id, found.status]).toEqual([self(), self(), 'online'])
  })
  meets('GET /api/machines/:id', 'answers 404 MCH_001 otherwise', async () => {
    expect(await refusal('GET', `/api/machines/${UNKNOWN}`)).toEqual([404, 'MCH_001'])
    expect(await refusal('GET', '/api/machines/17')).toEqual([404, 'MCH_001'])
  })
  meets('PATCH /api/machines/:id', 'changes name, sessions and capabilities', async () => {
    const { machine } = await register(fresh('changed'))
    const body = { name: fresh('renamed'), max_sessions: 15, capabilities: ['gpu', 'mcp'] }
    expect(await data('PATCH', `/api/machines/${machine.id}`, { body })).toMatchObject(body)
    expect(await data('GET', `/api/machines/${machine.id}`)).toMatchObject(body)
  })
  meets('DELETE /api/machines/:id', 'removes the machine', async () => {
    const { machine } = await register(fresh('removed'))
    expect(await data('DELETE', `/api/machines/${machine.id}`)).toBe(null)
    expect(await refusal('GET', `/api/machines/${machine.id}`)).toEqual([404, 'MCH_001'])
  })
  const environment = 'GET /api/machines/:id/environment'
  meets(environment, 'answers the facts of a machine that is online', async () => {
    expect(await data('GET', `/api/machines/${self()}/environment`)).toMatchObject({
      platform: 'linux',
      node_version: expect.any(String),
      agent_version: expect.any(String),
    })
  })
  meets(environment, 'answers 400 MCH_002 for one that is not', async () => {
    const { machine } = await register(fresh('away'))
    expect(await refusal('GET', `/api/machines/${machine.id}/environment`)).toEqual([400, 'MCH_002'])
  })
  // What it answers on success needs a machine that sleeps: the network laboratory has one (test/net/wake.test.ts).
  const wake = 'POST /api/machines/:id/wake'
  meets(wake, 'answers 400 MCH_004 for a machine that is online', async () => {
    expect(await refusal('POST', `/api/machines/${self()}/wake`)).toEqual([400, 'MCH_004'])
  })
  meets(wake, 'answers 400 MCH_003 for one that cannot be woken', async () => {
    const { machine } = await register(fresh('cardless'))
    expect(await refusal('POST', `/api/machines/${machine.id}/wake`)).toEqual([400, 'MCH_003'])
  })
}
