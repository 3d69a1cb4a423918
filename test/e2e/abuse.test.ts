import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MeshId, type PeerId } from '../../crdt/ids.ts'
import { INTRODUCTION_PROTOCOL } from '../../node/p2p/introduction.ts'
import { JOIN_LOG_PROTOCOL, JOIN_PROTOCOL } from '../../protocols/join.ts'
import { LEASE_PROTOCOL } from '../../protocols/lease/messages.ts'
import { RPC_PROTOCOL } from '../../protocols/rpc.ts'
import { PTY_PROTOCOL } from '../../protocols/session-stream.ts'
import { SYNC_PROTOCOL } from '../../protocols/sync.ts'
import { parseTicket } from '../../protocols/ticket.ts'
import { crypto } from '../support/identity.ts'
import { createTestNode, soon } from '../support/libp2p-nodes.ts'
import {
  allTasks,
  api,
  createScratch,
  eventually,
  login,
  OWNER,
  registerOwner,
  rookery,
  seesOnline,
  type Api,
  type RunningNode,
} from '../support/nodes.ts'
import { connectionsBetween } from '../support/processes.ts'
import { filesBelow, secretsIn, storedIn, type Secrets } from '../support/secrets.ts'
import { Subscriber } from '../support/sockets.ts'

/** Everything that is ever written to a log is written here. */
const TALKATIVE = { config: { log: { level: 'debug' } } }

const GUEST = { name: 'Grace Hopper', email: 'grace@example.com', password: 'nanoseconds are this long' }

describe('two nodes that are attacked', () => {
  let scratch: Awaited<ReturnType<typeof createScratch>>
  let a: RunningNode
  let b: RunningNode
  let ownerOnA: string
  let ownerOnB: string
  let onA: Api
  let onB: Api
  let project: string
  /** Where A can be dialled. */
  let addresses: readonly string[]
  const secrets: Secrets = new Map()
  let spoken = ''

  beforeAll(async () => {
    scratch = await createScratch()
    a = await start('alpha')
    secrets.set('setup code', a.setupCode!)
    const { json } = await a.cli('invite')
    const ticket = parseTicket(crypto, json.ticket, Date.now())
    if (!ticket.ok) throw new Error(ticket.error.message)
    addresses = ticket.value.addresses
    secrets.set('ticket', json.ticket).set('seed in the ticket', ticket.value.inviteSeed)
    const joined = await rookery(['join', json.ticket, '--name', 'beta', '--json', '--data-dir', dataOf('beta')])
    expect(joined.code).toBe(0)
    b = await start('beta')
    await Promise.all([seesOnline(a, [a.peerId, b.peerId]), seesOnline(b, [a.peerId, b.peerId])])
    ownerOnA = await registerOwner(a)
    ownerOnB = await eventually(() => login(b).catch(() => undefined))
    secrets.set('password', OWNER.password).set('token of A', ownerOnA).set('token of B', ownerOnB)
    onA = api(a, ownerOnA)
    onB = api(b, ownerOnB)
    const folder = join(scratch.path, 'work')
    await mkdir(folder)
    project = (await a.cli('project', 'add', folder, '--name', 'Findable')).json.id
    await eventually(async () => ((await onB.get(`/api/projects/${project}`)).status === 200 ? true : undefined))
  })
  afterAll(() => scratch.dispose())

  const dataOf = (name: string): string => join(scratch.path, name)

  async function start(name: string): Promise<RunningNode> {
    const node = await scratch.start(name, TALKATIVE)
    // The first line, which has the setup code, is what standard output is for.
    node.process.stdout!.on('data', (text) => (spoken += String(text)))
    return node
  }

  async function mint(on: Api, name: string): Promise<{ id: string; token: string }> {
    const minted = await on.post('/api/auth/tokens', { name, abilities: ['*'] })
    expect(minted.status).toBe(201)
    secrets.set(`token ${name}`, minted.body.data.token)
    return minted.body.data
  }

  async function machineOf(node: RunningNode): Promise<string> {
    return await eventually(async () => {
      const { body } = await onA.get('/api/machines')
      return body.data.find((m: { name: string; status: string }) => m.name === node.name && m.status === 'online')?.id
    })
  }

  async function startShell(on: Api, machine: string): Promise<{ id: string; ticket: string }> {
    const created = await on.post(`/api/machines/${machine}/sessions`, { agent: 'shell', project_path: scratch.path })
    expect(created.status).toBe(201)
    return { id: created.body.data.session.id, ticket: created.body.data.websocket_token }
  }

  it('[A-T3] closes the sockets of a revoked token, on the other gateway too', async () => {
    const { id, token } = await mint(onA, 'short-lived')
    const sockets = await eventually(async () => {
      if ((await api(b, token).get('/api/auth/me')).status !== 200) return undefined
      return await Promise.all([a, b].map((node) => Subscriber.open(node, 'private-mesh', { token })))
    })
    expect((await onA.delete(`/api/auth/tokens/${id}`)).status).toBe(200)
    for (const socket of sockets) await socket.until(() => socket.closedWith !== undefined)
    expect(sockets.map(({ closedWith }) => closedWith?.code)).toEqual([4009, 4009])
    for (const node of [a, b]) expect((await api(node, token).get('/api/auth/me')).status).toBe(401)
  })

  it('[A-M1] tells a node of another mesh nothing, and no stranger anything but how to join', async () => {
    const everybody = { isMember: () => true }
    const foreign = await createTestNode(1, new Set(), { ...everybody, mesh: MeshId.parse('f'.repeat(64)) })
    await foreign.start()
    await expect(foreign.dialAddresses(a.peerId as PeerId, addresses, soon())).rejects.toThrow()
    expect(foreign.connected()).toEqual([])
    await foreign.stop()
    const stranger = await createTestNode(2, new Set(), { ...everybody, mesh: MeshId.parse(a.meshId) })
    await stranger.start()
    await stranger.dialAddresses(a.peerId as PeerId, addresses, soon())
    const protocols = [
      SYNC_PROTOCOL,
      RPC_PROTOCOL,
      LEASE_PROTOCOL,
      PTY_PROTOCOL,
      JOIN_LOG_PROTOCOL,
      INTRODUCTION_PROTOCOL,
    ]
    const opened: string[] = []
    for (const protocol of protocols)
      await stranger.open(a.peerId as PeerId, protocol, soon()).then(
        () => opened.push(protocol),
        () => undefined,
      )
    expect(opened).toEqual([])
    // What anybody may open, so that the refusals above were about the stranger.
    expect(await stranger.open(a.peerId as PeerId, JOIN_PROTOCOL, soon())).toBeDefined()
    await stranger.stop()
  })

  it('[A-T4] gives every kind of secret to whoever asked for it', async () => {
    await mint(onA, 'minted on A')
    await mint(onB, 'minted on B')
    const { json } = await a.cli('user', 'invite', GUEST.email)
    const wanted = { ...GUEST, password_confirmation: GUEST.password, invite_code: json.invite_code }
    const guest = await eventually(async () => {
      const answer = await api(b).post('/api/auth/register', wanted)
      return answer.status === 403 ? undefined : answer // the invitation is still on its way
    })
    expect(guest.status).toBe(201)
    secrets.set('invite code', json.invite_code).set('invite code, bare', json.invite_code.replaceAll('-', ''))
    secrets.set('password of a guest', GUEST.password).set('token of a guest', guest.body.data.token)
    const wrong = await api(a).post('/api/auth/login', { email: GUEST.email, password: 'a slip of the tongue' })
    expect(wrong.status).toBe(401)
    secrets.set('wrong password', 'a slip of the tongue')
    const reset = await a.cli('user', 'reset-password', GUEST.email)
    secrets.set('reset password', reset.json.password)
    const bridged = await onA.post('/api/machines', { name: 'bridged' })
    expect(bridged.status).toBe(201)
    secrets.set('token of a machine', bridged.body.data.token)
    const { id, ticket } = await startShell(onA, await machineOf(b))
    const attached = await onA.post(`/api/sessions/${id}/attach`)
    secrets.set('session ticket', ticket).set('session ticket, unused', attached.body.data.websocket_token)
    const viewer = await Subscriber.open(a, `private-session.${id}`, { token: ticket })
    viewer.type('echo se""en\n')
    await viewer.until(() => viewer.tail.includes('seen'))
    viewer.socket.close()
    expect((await onA.delete(`/api/sessions/${id}`)).status).toBe(200)
    for (const node of [a, b])
      for (const key of ['node.key', 'box.key'])
        secrets.set(`${key} of ${node.name}`, await readFile(join(dataOf(node.name), 'keys', key)))
    expect(secrets.size).toBe(22)
  })

  it('[A-M2] cuts a removed member off within 2 s: connections, sessions, sockets, tokens, documents', async () => {
    const alpha = await machineOf(a)
    const { id } = await startShell(onB, alpha)
    const { token } = await mint(onB, 'of the removed gateway')
    await eventually(async () => ((await api(a, token).get('/api/auth/me')).status === 200 ? true : undefined))
    const socket = await Subscriber.open(a, 'private-mesh', { token })
    expect(connectionsBetween(a.process.pid!, b.process.pid!)).toBeGreaterThan(0)
    const before = await allTasks(onA, project)

    const removed = await a.cli('remove', 'beta')
    expect(removed.code).toBe(0)
    await eventually(() => (connectionsBetween(a.process.pid!, b.process.pid!) === 0 ? true : undefined), 2000)
    await eventually(async () => {
      const { body } = await onA.get('/rookery/status')
      return body.data.members.length === 1 ? true : undefined
    }, 2000)
    await eventually(() => (socket.closedWith === undefined ? undefined : true), 2000)
    expect((await api(a, token).get('/api/auth/me')).status).toBe(401)
    expect((await api(a, ownerOnB).get('/api/auth/me')).status).toBe(401)
    expect((await onA.get('/api/auth/me')).status).toBe(200)
    await eventually(async () => {
      const { status, body } = await onA.get(`/api/sessions/${id}`)
      return status === 404 || body.data.status !== 'running' ? true : undefined
    }, 4000)

    const late = await onB.post(`/api/projects/${project}/tasks`, { title: 'Written by the removed' })
    expect([201, 401, 403]).toContain(late.status)
    // B dials again after 5 s at the latest.
    const tried = performance.now() + 8000
    await eventually(() => (performance.now() > tried ? true : undefined))
    expect(await allTasks(onA, project)).toEqual(before)
    expect(connectionsBetween(a.process.pid!, b.process.pid!)).toBe(0)
  })

  it('[A-T4] leaves no secret in any file or log', async () => {
    await a.cli('down', '--kill-sessions')
    await b.cli('down', '--kill-sessions')
    const found: string[] = []
    const control: Secrets = new Map([['project', 'Findable']])
    const seen = new Set<string>()
    const look = (place: string, bytes: Uint8Array): void => {
      for (const name of secretsIn(bytes, secrets)) found.push(`${name} in ${place}`)
      if (secretsIn(bytes, control).length > 0) seen.add(place)
    }
    for (const node of [a, b]) {
      expect(node.stderr).toContain('"level":20')
      look(`the log of ${node.name}`, Buffer.from(node.stderr))
      for await (const [path, bytes] of filesBelow(node.dataDir, join(node.dataDir, 'keys'))) look(path, bytes)
      for (const mesh of await readdir(join(node.dataDir, 'meshes'))) {
        const store = join(node.dataDir, 'meshes', mesh, 'store')
        for await (const bytes of storedIn(store)) look(store, bytes)
      }
    }
    look('standard output', Buffer.from(spoken))
    expect(found).toEqual([])
    // The same search finds what is no secret, in the stores of both.
    for (const node of [a, b]) expect([...seen].filter((place) => place.startsWith(node.dataDir))).not.toEqual([])
  })
})
