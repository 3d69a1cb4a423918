import { chmodSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { machineDoc, SessionId } from '../../crdt/ids.ts'
import { readSessions } from '../../crdt/machine-document.ts'
import { machineIdOf } from '../../crdt/machine-id.ts'
import type { Result } from '../../crdt/result.ts'
import type { Session } from '../../crdt/session.ts'
import type { FramePipe } from '../../node/ports/session-host.ts'
import type { SessionViewer } from '../../node/services/sessions/session-service.ts'
import { encodeCanonical } from '../../protocols/codec.ts'
import { encodeViewerFrame, PTY_PROTOCOL } from '../../protocols/session-stream.ts'
import { identity } from '../support/identity.ts'
import { consume } from '../support/session-lab.ts'
import { createSessionMesh, type SessionMesh, type SessionNode } from '../support/session-mesh.ts'

let world: SessionMesh
afterEach(async () => await world.end())

const has = (text: string) => (seen: Buffer) => seen.includes(text)
const page = { page: 1, perPage: 20 }
const never = (): AbortSignal => new AbortController().signal

function value<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message}`)
  return result.value
}
const codeOf = (result: Result<unknown>): string => (result.ok ? 'ok' : result.error.code)

async function eventually(condition: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await condition())) await delay(20)
}

const shellOn = async (from: SessionNode, on: SessionNode, prompt?: string): Promise<Session> =>
  value(
    await from.sessions.create(from.actor, on.machineId, {
      mode: 'interactive',
      agent: 'shell',
      ...(prompt !== undefined && { initialPrompt: prompt }),
    }),
  )

const attach = async (from: SessionNode, id: string): Promise<SessionViewer> =>
  value(await from.sessions.attach(from.actor, id, { signal: never() }))

const eventsOf = ({ node }: SessionNode, id: string) =>
  node.told.flatMap((event) =>
    'sessionId' in event && event.sessionId === id ? [[event.type, event.session.status]] : [],
  )

test.each([
  ['on this machine', 0],
  ['on another machine', 1],
] as const)('a shell %s lives, is watched, typed into, resized and ended', async (_, target) => {
  world = await createSessionMesh()
  const [near, far] = world.nodes
  const on = world.nodes[target]
  const session = await shellOn(near, on)
  expect(session).toEqual({
    id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    machineId: on.machineId,
    node: on.node.peer,
    mode: 'interactive',
    agent: 'shell',
    projectPath: tmpdir(),
    status: 'running',
    ptySize: { cols: 120, rows: 40 },
    createdAt: new Date(world.mesh.clock.wallMs()).toISOString(),
    startedAt: expect.any(String),
    endedAt: null,
    exitCode: null,
    createdBy: near.actor.id,
    problem: null,
    usage: null,
  })
  for (const { sessions } of world.nodes) expect(await sessions.get(session.id)).toEqual({ ok: true, value: session })

  const viewer = await attach(near, session.id)
  expect(await near.sessions.resize(near.actor, session.id, { cols: 160, rows: 50 })).toEqual({ ok: true, value: null })
  expect(value(await near.sessions.get(session.id)).ptySize).toEqual({ cols: 160, rows: 50 })
  expect(await near.sessions.input(near.actor, session.id, 'stty size; echo "a""b"\n')).toEqual({
    ok: true,
    value: null,
  })
  const seen = await consume(viewer, has('ab\r\n'))
  expect(seen.text.toString()).toContain('50 160\r\n')
  viewer.close()

  const again = await attach(near, session.id)
  await again.input(Buffer.from('seq 1 200000; exit 4\n'))
  const rest = await consume(again)
  const numbers = Array.from({ length: 200_000 }, (_unused, i) => `${i + 1}\r\n`).join('')
  expect(rest.text.toString()).toContain(numbers)
  expect([rest.gaps, rest.last]).toEqual([[], { type: 'exit', exitCode: 4, signal: null }])

  await eventually(async () => value(await near.sessions.get(session.id)).endedAt !== null)
  expect(value(await far.sessions.get(session.id))).toMatchObject({ status: 'completed', exitCode: 4 })
  const logged = value(await near.sessions.logs(near.actor, session.id, { limit: 1000, type: 'input' }))
  expect(logged.map((entry) => entry.data).join('')).toBe('stty size; echo "a""b"\nseq 1 200000; exit 4\n')
  expect(
    value(await near.sessions.list(on.machineId, { status: 'completed' }, page)).items.map(({ id }) => id),
  ).toEqual([session.id])
  expect(value(await near.sessions.list(on.machineId, { status: 'running' }, page)).total).toBe(0)

  for (const result of [
    await near.sessions.input(near.actor, session.id, 'x'),
    await near.sessions.resize(near.actor, session.id, { cols: 100, rows: 30 }),
    await near.sessions.attach(near.actor, session.id, { signal: never() }),
  ])
    expect(codeOf(result)).toBe('session_ended')
  expect(codeOf(await near.sessions.remove(near.actor, session.id))).toBe('session_ended')
  expect(await near.sessions.erase(near.actor, session.id)).toEqual({ ok: true, value: null })
  for (const { sessions } of world.nodes) expect(codeOf(await sessions.get(session.id))).toBe('session_not_found')
  for (const one of world.nodes)
    expect(eventsOf(one, session.id)).toEqual([
      ['session.created', 'running'],
      ['session.updated', 'running'],
      ['session.ended', 'completed'],
    ])
})

test.each([
  ['here', 0],
  ['there', 1],
] as const)('removing a live session %s ends it and keeps its record, which can then be erased', async (_, target) => {
  world = await createSessionMesh()
  const [near] = world.nodes
  const session = await shellOn(near, world.nodes[target], 'sleep 4711 &')
  expect(codeOf(await near.sessions.erase(near.actor, session.id))).toBe('session_running')
  expect(await near.sessions.remove(near.actor, session.id)).toEqual({ ok: true, value: null })
  expect(value(await near.sessions.get(session.id))).toMatchObject({ status: 'terminated' })
  expect(codeOf(await near.sessions.logs(near.actor, session.id, { limit: 10 }))).toBe('ok')
  expect(codeOf(await near.sessions.remove(near.actor, session.id))).toBe('session_ended')
  expect(await near.sessions.erase(near.actor, session.id)).toEqual({ ok: true, value: null })
  expect(codeOf(await near.sessions.erase(near.actor, session.id))).toBe('session_not_found')
  expect(codeOf(await near.sessions.logs(near.actor, session.id, { limit: 10 }))).toBe('session_not_found')
  expect(eventsOf(near, session.id)).toEqual([
    ['session.created', 'running'],
    ['session.ended', 'terminated'],
  ])
})

test('a machine that is out of reach is told at once, and its sessions stay readable', async () => {
  world = await createSessionMesh()
  const [near, far] = world.nodes
  const session = await shellOn(near, far)
  const viewer = await attach(near, session.id)
  world.network.disconnect(near.node.peer, far.node.peer)
  const { last } = await consume(viewer)
  expect(last).toEqual({ type: 'end', reason: 'offline' })
  const { sessions, actor } = near
  expect(
    [
      await sessions.create(actor, far.machineId, { mode: 'interactive', agent: 'shell' }),
      await sessions.input(actor, session.id, 'x'),
      await sessions.resize(actor, session.id, { cols: 100, rows: 30 }),
      await sessions.logs(actor, session.id, { limit: 5 }),
      await sessions.remove(actor, session.id),
      await sessions.attach(actor, session.id, { signal: never() }),
    ].map(codeOf),
  ).toEqual(Array.from({ length: 6 }, () => 'machine_offline'))
  expect(value(await sessions.get(session.id)).status).toBe('running')
  expect(far.hosts.get(session.id)?.state.status).toBe('running')
})

test('a node that comes back finds its sessions running and writes nothing new about them', async () => {
  world = await createSessionMesh()
  const [near, far] = world.nodes
  const session = await shellOn(near, far)
  const written = world.mesh.bytes.length
  const back = await world.restart(1)
  expect(back.hosts.get(session.id)?.state.status).toBe('running')
  expect(world.mesh.bytes.length).toBe(written)
  const viewer = await attach(back, session.id)
  await viewer.input(Buffer.from('echo "st""ill"\n'))
  expect((await consume(viewer, has('still\r\n'))).text.toString()).toContain('still')
})

test('what ended while its node was away is found ended by all', async () => {
  world = await createSessionMesh()
  const [near, far] = world.nodes
  const session = await shellOn(near, far)
  const other = far.lab.open()
  far.sessions.stop()
  await far.hosts.close()
  await other.recover()
  await other.kill(session.id)
  await other.close()
  expect(value(await near.sessions.get(session.id)).status).toBe('running')
  await world.restart(1)
  await eventually(async () => value(await near.sessions.get(session.id)).status === 'terminated')
  expect(eventsOf(near, session.id).at(-1)).toEqual(['session.ended', 'terminated'])
})

test('output changes no document', async () => {
  world = await createSessionMesh()
  const [near] = world.nodes
  const session = await shellOn(near, near)
  const written = world.mesh.bytes.length
  const viewer = await attach(near, session.id)
  await viewer.input(Buffer.from('seq 1 5000; echo "do""ne"\n'))
  await consume(viewer, has('done'))
  expect(world.mesh.bytes.length).toBe(written)
})

test('dragging a window publishes the first and the last of its sizes', async () => {
  world = await createSessionMesh()
  const [near, far] = world.nodes
  const session = await shellOn(near, near)
  const viewer = await attach(near, session.id)
  await world.mesh.clock.advance(1500)
  const written = world.mesh.bytes.length
  for (let cols = 100; cols < 140; cols++) await viewer.resize({ cols, rows: 30 })
  await eventually(() => near.hosts.get(session.id)?.state.size.cols === 139)
  await world.mesh.clock.advance(1500)
  await eventually(async () => value(await far.sessions.get(session.id)).ptySize.cols === 139)
  expect(world.mesh.bytes.length - written).toBeLessThanOrEqual(2)
})

test('a machine runs as many sessions as it allows, also when asked at the same time', async () => {
  world = await createSessionMesh({ maxSessions: 2 })
  const [near, far] = world.nodes
  const create = () => near.sessions.create(near.actor, far.machineId, { mode: 'interactive', agent: 'shell' })
  const codes = (await Promise.all([create(), create(), create(), create()])).map(codeOf)
  expect(codes.toSorted()).toEqual(['ok', 'ok', 'session_limit', 'session_limit'])
  const [one] = value(await near.sessions.list(far.machineId, {}, page)).items
  await near.sessions.remove(near.actor, one!.id)
  expect(codeOf(await create())).toBe('ok')
})

test('a session that is being started counts once against the limit', async () => {
  world = await createSessionMesh({ maxSessions: 2 })
  const [near, far] = world.nodes
  const create = () => near.sessions.create(near.actor, far.machineId, { mode: 'interactive', agent: 'shell' })
  const start = far.hosts.start.bind(far.hosts)
  const second = Promise.withResolvers<string>()
  far.hosts.start = async (spec) => {
    const started = await start(spec)
    far.hosts.start = start
    second.resolve(codeOf(await create()))
    return started
  }
  expect([codeOf(await create()), await second.promise, codeOf(await create())]).toEqual(['ok', 'ok', 'session_limit'])
})

test('abilities hold on both sides: reading is not writing, and nothing is nothing', async () => {
  world = await createSessionMesh()
  const [near, far] = world.nodes
  const session = await shellOn(near, far)
  const reader = { ...near.actor, abilities: ['session:read'] }
  const nobody = { ...near.actor, abilities: [] }
  const size = { cols: 100, rows: 30 }
  for (const actor of [reader, nobody])
    expect([
      codeOf(await near.sessions.create(actor, far.machineId, { mode: 'interactive', agent: 'shell' })),
      codeOf(await near.sessions.input(actor, session.id, 'x')),
      codeOf(await near.sessions.resize(actor, session.id, size)),
      codeOf(await near.sessions.remove(actor, session.id)),
    ]).toEqual(['forbidden', 'forbidden', 'forbidden', 'forbidden'])
  expect(codeOf(await near.sessions.attach(nobody, session.id, { signal: never() }))).toBe('forbidden')
  expect(codeOf(await near.sessions.logs(nobody, session.id, { limit: 1 }))).toBe('forbidden')

  const viewer = value(await near.sessions.attach(reader, session.id, { signal: never() }))
  await viewer.input(Buffer.from('echo "typed""by a reader"\n'))
  await viewer.resize(size)
  await near.sessions.input(near.actor, session.id, 'echo "by a wri""ter"\n')
  const { text } = await consume(viewer, has('by a writer'))
  expect(text.toString()).not.toContain('reader')
  expect(far.hosts.get(session.id)?.state.size).toEqual({ cols: 120, rows: 40 })
})

test("[A-M3] the machine's own policy has the last word, and denials are audited", async () => {
  world = await createSessionMesh()
  const [near, far] = world.nodes
  const session = await shellOn(near, far)
  expect(far.audited).toEqual([
    { action: 'session.create', actor: near.actor, from: near.node.peer, outcome: 'allowed' },
  ])
  far.policy.refuses = 'Not on this machine.'
  const results = [
    await near.sessions.create(near.actor, far.machineId, { mode: 'interactive', agent: 'shell' }),
    await near.sessions.input(near.actor, session.id, 'x'),
    await near.sessions.attach(near.actor, session.id, { signal: never() }),
    await far.sessions.attach(far.actor, session.id, { signal: never() }),
  ]
  for (const result of results)
    expect(result).toEqual({ ok: false, error: { code: 'machine_refused', message: 'Not on this machine.' } })
  expect(far.audited.filter(({ outcome }) => outcome === 'denied')).toEqual([
    { action: 'session.create', actor: near.actor, from: near.node.peer, outcome: 'denied' },
    { action: 'session.input', actor: near.actor, from: near.node.peer, outcome: 'denied' },
    { action: 'session.attach', actor: near.actor, from: near.node.peer, outcome: 'denied' },
    { action: 'session.attach', actor: far.actor, from: far.node.peer, outcome: 'denied' },
  ])
})

test('a machine without `run` starts and shows nothing for others, but does for itself', async () => {
  world = await createSessionMesh({ capabilities: ['control', 'gateway', 'store'] })
  const [near, far] = world.nodes
  expect(codeOf(await near.sessions.create(near.actor, far.machineId, { mode: 'interactive', agent: 'shell' }))).toBe(
    'machine_refused',
  )
  const session = await shellOn(far, far)
  expect(codeOf(await near.sessions.attach(near.actor, session.id, { signal: never() }))).toBe('machine_refused')
  const asked = far.audited.filter(({ from }) => from === near.node.peer)
  expect(asked.map(({ action, outcome }) => [action, outcome])).toEqual([
    ['session.create', 'denied'],
    ['session.attach', 'denied'],
  ])
})

test('a node cannot attach for a user of another gateway', async () => {
  world = await createSessionMesh()
  const [near, far] = world.nodes
  const session = await shellOn(near, far)
  const stolen = { ...near.actor, gateway: identity(9).peer }
  expect(codeOf(await near.sessions.attach(stolen, session.id, { signal: never() }))).toBe('machine_refused')
})

test.each([
  ['kill', encodeViewerFrame({ type: 'kill', id: 1 })],
  ['quit', encodeViewerFrame({ type: 'quit', id: 1 })],
  ['watch', encodeViewerFrame({ type: 'watch' })],
  [
    'input without the ability',
    encodeViewerFrame({ type: 'input', id: 1, bytes: Buffer.from('exit\n') }),
    'session:read',
  ],
  ['rubbish', Uint8Array.of(9, 9, 9)],
])('[A-M3] %s from a viewer on another machine ends its channel and nothing else', async (_, frame, ability = '*') => {
  world = await createSessionMesh()
  const [near, far] = world.nodes
  const session = await shellOn(near, far)
  const channel = await near.network.open(far.node.peer, PTY_PROTOCOL, never())
  await channel.send(encodeCanonical({ v: 1, session: session.id, actor: { ...near.actor, abilities: [ability] } }))
  await channel.send(encodeViewerFrame({ type: 'attach' }))
  await channel.send(frame)
  await expect(
    (async () => {
      for await (const _frame of channel.frames);
      throw new Error('ended without an abort')
    })(),
  ).rejects.toThrow('aborted by the other side')
  expect(far.hosts.get(session.id)?.state).toMatchObject({ status: 'running', killed: false })
})

test('what cannot be right is refused with the field and the reason', async () => {
  world = await createSessionMesh()
  const [near, far] = world.nodes
  const file = join(mkdtempSync(join(tmpdir(), 'file-')), 'x')
  writeFileSync(file, '')
  const attempt = async (input: object) => {
    const result = await near.sessions.create(near.actor, far.machineId, {
      mode: 'interactive',
      agent: 'shell',
      ...input,
    })
    return result.ok ? 'ok' : (result.error.details?.fields ?? result.error.message)
  }
  expect([
    await attempt({ projectPath: '/nowhere/x' }),
    await attempt({ projectPath: file }),
    await attempt({ projectPath: 'relative' }),
    await attempt({ ptySize: { cols: 19, rows: 201 } }),
    await attempt({ mode: 'oneshot' }),
    await attempt({ agent: 'cursor; rm -rf /' }),
    await attempt({ agent: undefined }),
  ]).toEqual([
    { project_path: ['/nowhere/x does not exist on the machine.'] },
    { project_path: [`${file} is not a directory.`] },
    { project_path: ['Must be an absolute path on the machine.'] },
    { cols: ['Must be from 20 to 500.'], rows: ['Must be from 10 to 200.'] },
    { mode: ['A shell is interactive. Name an agent CLI for a headless or oneshot session.'] },
    { agent: ['The agent CLI "cursor; rm -rf /" is not installed on this machine. There is only: shell.'] },
    { agent: ['No agent CLI is installed on this machine. There is only: shell.'] },
  ])
  rmSync(file)
  const session = await shellOn(near, far)
  expect(await near.sessions.input(near.actor, session.id, 'ü'.repeat(40_000))).toMatchObject({
    error: { code: 'invalid_input', details: { fields: { data: ['At most 65536 bytes at once.'] } } },
  })
  expect(codeOf(await near.sessions.create(near.actor, 'nobody', { mode: 'interactive' }))).toBe('machine_not_found')
  expect(codeOf(await near.sessions.list('nobody', {}, page))).toBe('machine_not_found')
  expect(codeOf(await near.sessions.get('nothing'))).toBe('session_not_found')
})

test('[A-X1] an agent gets its prompt as one literal argument', async () => {
  const bin = realpathSync(mkdtempSync(join(tmpdir(), 'bin-')))
  writeFileSync(join(bin, 'claude'), '#!/bin/sh\nfor argument; do echo "<$argument>"; done\n')
  chmodSync(join(bin, 'claude'), 0o755)
  world = await createSessionMesh({ environment: { PATH: `${bin}:/usr/bin:/bin` } })
  const [near, far] = world.nodes
  const prompt = '--help; $(touch /tmp/no) `id` "quoted" > x'
  const session = value(
    await near.sessions.create(near.actor, far.machineId, { mode: 'interactive', initialPrompt: prompt }),
  )
  await eventually(async () => value(await near.sessions.get(session.id)).endedAt !== null)
  expect(value(await near.sessions.get(session.id))).toMatchObject({
    agent: 'claude',
    status: 'completed',
    exitCode: 0,
  })
  const logged = value(await near.sessions.logs(near.actor, session.id, { limit: 100 }))
  expect(logged.map((entry) => entry.data).join('')).toBe(
    `<--session-id>\r\n<${session.id}>\r\n<-->\r\n<${prompt}>\r\n`,
  )
  rmSync(bin, { recursive: true })
})

test('[M7] what a removed member started ends; what others started goes on', async () => {
  world = await createSessionMesh()
  const [near, far] = world.nodes
  const theirs = await shellOn(near, far)
  const own = await shellOn(far, far)
  world.mesh.remove(near.node)
  await eventually(async () => value(await far.sessions.get(theirs.id)).status === 'terminated')
  expect(value(await far.sessions.get(own.id)).status).toBe('running')
})

test('[M7] what was being started for a member when it was removed does not run', async () => {
  world = await createSessionMesh()
  const [near, far] = world.nodes
  const start = far.hosts.start.bind(far.hosts)
  far.hosts.start = async (spec) => {
    world.mesh.remove(near.node)
    return await start(spec)
  }
  const result = await near.sessions.create(near.actor, far.machineId, { mode: 'interactive', agent: 'shell' })
  expect([codeOf(result), far.hosts.list()]).toEqual(['forbidden', []])
})

test('a viewer that goes before it has been answered leaves no way to the session open', async () => {
  world = await createSessionMesh()
  const [near, far] = world.nodes
  const session = await shellOn(near, far)
  const opened = Promise.withResolvers<FramePipe>()
  const open = far.hosts.open.bind(far.hosts)
  far.hosts.open = async (id) => {
    const pipe = await open(id)
    world.network.disconnect(near.node.peer, far.node.peer)
    opened.resolve(pipe)
    return pipe
  }
  expect(codeOf(await near.sessions.attach(near.actor, session.id, { signal: never() }))).toBe('machine_offline')
  const { frames } = await opened.promise
  for await (const frame of frames) expect(frame).toBeUndefined()
})

test('a session that cannot be recorded does not run', async () => {
  world = await createSessionMesh()
  const [near, far] = world.nodes
  far.node.diskFails = true
  const result = await near.sessions.create(near.actor, far.machineId, { mode: 'interactive', agent: 'shell' })
  expect([codeOf(result), far.hosts.list()]).toEqual(['storage_failed', []])
})

test('a change that a full disk refused is published when there is room again', async () => {
  world = await createSessionMesh()
  const [near, far] = world.nodes
  const session = await shellOn(near, far)
  far.node.diskFails = true
  await far.hosts.kill(session.id)
  await world.mesh.clock.advance(5000)
  expect(value(await near.sessions.get(session.id)).status).toBe('running')
  far.node.diskFails = false
  await world.mesh.clock.advance(6000)
  await eventually(async () => value(await near.sessions.get(session.id)).status === 'terminated')
})

test('a record of a session whose host left no trace is taken away', async () => {
  world = await createSessionMesh()
  const [near, far] = world.nodes
  const session = await shellOn(near, far)
  await far.hosts.remove(SessionId.parse(session.id))
  await world.restart(1)
  await eventually(async () => codeOf(await near.sessions.get(session.id)) === 'session_not_found')
  const owner = { peer: far.node.peer, machineId: machineIdOf(far.node.peer) }
  expect(await far.node.documents.read(machineDoc(far.node.peer), (state) => readSessions(state, owner))).toEqual([])
})

test('a viewer can be cancelled before and while it is attached', async () => {
  world = await createSessionMesh()
  const [near, far] = world.nodes
  const session = await shellOn(near, far)
  expect(codeOf(await near.sessions.attach(near.actor, session.id, { signal: AbortSignal.abort() }))).toBe('cancelled')
  const controller = new AbortController()
  const viewer = value(await near.sessions.attach(near.actor, session.id, { signal: controller.signal }))
  controller.abort()
  const items = []
  for await (const item of viewer.output) if (item.type !== 'output') items.push(item)
  expect(items).toEqual([])
})

test('a session that begins while its node stops is refused, and does not run on unseen', async () => {
  world = await createSessionMesh()
  const [near] = world.nodes
  const input = { mode: 'interactive', agent: 'shell' } as const
  const starting = near.sessions.create(near.actor, near.machineId, input)
  near.sessions.stop()
  expect(codeOf(await starting)).toBe('machine_offline')
  expect(near.hosts.list()).toEqual([])
})
