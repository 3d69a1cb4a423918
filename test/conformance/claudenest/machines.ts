import { expect } from 'vitest'
import { openSocket, type GatewayLab, type Json } from '../../support/gateway-lab.ts'
import { eventually } from '../../support/nodes.ts'
import { call, data, example, fresh, meets, labs, metElsewhere, refusal, refuses, self, UNKNOWN } from './harness.ts'

const register = async (name: string): Promise<Json> =>
  (await data('POST', '/api/machines', { body: { name, platform: 'darwin', capabilities: ['gpu'] } })).machine

const some = async (): Promise<{ params: { id: string } }> => ({ params: { id: (await register(fresh('some'))).id } })
const own = () => ({ params: { id: self() } })
const unknown = () => ({ params: { id: UNKNOWN } })

export function machineRequirements(): void {
  const list = 'GET /api/machines'
  example(list, () => ({}))
  meets(list, 'pages, 15 at a time', async () => {
    await register(fresh('listed'))
    const { json } = await call('GET', '/api/machines?per_page=1&page=2')
    expect(json.data.length).toBe(1)
    const { total } = json.meta.pagination
    expect(json.meta.pagination).toEqual({ current_page: 2, last_page: total, per_page: 1, total })
    expect((await call('GET', '/api/machines')).json.meta.pagination.per_page).toBe(15)
  })
  meets(list, 'filters by search and status', async () => {
    const name = fresh('searched')
    await register(name)
    expect((await data('GET', `/api/machines?search=${name}`)).map((m: Json) => m.name)).toEqual([name])
    const online = (await data('GET', '/api/machines?status=online')).map((m: Json) => m.name)
    expect(online.toSorted()).toEqual(['nest', 'second'])
    expect(await refusal('GET', '/api/machines?status=asleep')).toEqual([422, 'VAL_001'])
  })
  example('POST /api/machines', () => ({}))
  example('GET /api/machines/:id', own, (found) => expect([found.id, found.status]).toEqual([self(), 'online']))
  refuses('GET /api/machines/:id', 'MCH_001', () => ({ params: { id: '17' } }))
  example('PATCH /api/machines/:id', some)
  refuses('PATCH /api/machines/:id', 'MCH_001', unknown)
  meets('PATCH /api/machines/:id', 'keeps what it changed', async () => {
    const { id } = await register(fresh('changed'))
    const body = { name: fresh('renamed'), max_sessions: 15, capabilities: ['gpu', 'mcp'] }
    expect(await data('PATCH', `/api/machines/${id}`, { body })).toMatchObject(body)
    expect(await data('GET', `/api/machines/${id}`)).toMatchObject(body)
  })
  example('DELETE /api/machines/:id', some)
  refuses('DELETE /api/machines/:id', 'MCH_001', unknown)
  meets('DELETE /api/machines/:id', 'removes the machine', async () => {
    const { id } = await register(fresh('removed'))
    await data('DELETE', `/api/machines/${id}`)
    expect(await refusal('GET', `/api/machines/${id}`)).toEqual([404, 'MCH_001'])
  })
  regenerateRequirements()
  const environment = 'GET /api/machines/:id/environment'
  example(environment, own, (facts) => expect(facts.platform).toBe(process.platform))
  refuses(environment, 'MCH_001', unknown)
  refuses(environment, 'MCH_002', some)
  const wake = 'POST /api/machines/:id/wake'
  // That needs a machine that sleeps: the network laboratory has one.
  metElsewhere(wake, 'example', 'test/net/wake.test.ts')
  refuses(wake, 'MCH_001', unknown)
  refuses(wake, 'MCH_003', some)
  refuses(wake, 'MCH_004', own)
}

function regenerateRequirements(): void {
  const regenerate = 'POST /api/machines/:id/regenerate-token'
  example(regenerate, some)
  refuses(regenerate, 'MCH_001', unknown)
  meets(regenerate, 'ends the old token at once, at every gateway and on its sockets', async () => {
    const made = await data('POST', '/api/machines', { body: { name: fresh('rotated') } })
    const gateways = labs()
    const statusAt = async (lab: GatewayLab, token: string) =>
      (await lab.call('GET', '/api/machines?per_page=1', { token })).status
    const sockets = await Promise.all(
      gateways.map(async (lab) => {
        await eventually(async () => ((await statusAt(lab, made.token)) === 200 ? true : undefined))
        const socket = await openSocket(lab.url)
        socket.subscribe('private-mesh', { token: made.token })
        await socket.event('pusher_internal:subscription_succeeded')
        return socket
      }),
    )
    const { token } = await data('POST', `/api/machines/${made.machine.id}/regenerate-token`)
    expect(await refusal('GET', '/api/machines', { token: made.token })).toEqual([401, 'AUTH_005'])
    for (const socket of sockets) expect(await socket.closed()).toEqual({ code: 4009 })
    for (const lab of gateways) {
      expect(await statusAt(lab, made.token)).toBe(401)
      await eventually(async () => ((await statusAt(lab, token)) === 200 ? true : undefined))
    }
    expect(await refusal('POST', '/api/machines', { token, body: { name: 'x' } })).toEqual([403, 'AUTH_006'])
  })
  meets(regenerate, 'has no token for a member, which has a key', async () => {
    expect(await refusal('POST', `/api/machines/${self()}/regenerate-token`)).toEqual([403, 'AUTH_006'])
  })
}
