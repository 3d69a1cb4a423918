import { execFileSync, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, readdir, statfs, writeFile } from 'node:fs/promises'
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { domainError } from '../../crdt/errors.ts'
import { err } from '../../crdt/result.ts'
import {
  allTasks,
  api,
  createScratch,
  login,
  registerOwner,
  rookery,
  type Api,
  type RunningNode,
} from '../support/nodes.ts'

let scratch: Awaited<ReturnType<typeof createScratch>>
beforeEach(async () => {
  scratch = await createScratch()
})
afterEach(() => scratch.dispose())

const upOnce = (dataDir: string, ...args: string[]) =>
  rookery(['up', '--json', '--no-mdns', '--data-dir', dataDir, '--p2p', '/ip4/127.0.0.1/tcp/0', ...args])

async function withProject(): Promise<{ node: RunningNode; client: Api; project: string }> {
  const node = await scratch.start('alpha')
  const client = api(node, await registerOwner(node))
  const folder = join(scratch.path, 'work')
  await mkdir(folder)
  const added = await node.cli('project', 'add', folder)
  return { node, client, project: added.json.id }
}

it('says which port is in use and how to choose another', async () => {
  const server = createServer()
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : 0
  const up = await upOnce(join(scratch.path, 'a'), '--http', `127.0.0.1:${port}`)
  server.close()
  expect(up.code).toBe(1)
  expect(up.stderr).toContain(`127.0.0.1:${port}`)
  expect(up.stderr).toContain('--http')
})

it('says as JSON too that a command was mistyped, where JSON was asked for', async () => {
  const { code, json, stderr } = await rookery(['status', '--json', '--bogus'])
  expect([code, json]).toEqual([2, { error: { code: 'usage', message: "unknown option '--bogus'" } }])
  expect(stderr).toContain('--help')
})

it('refuses a data directory that others can read, and one that cannot be made', async () => {
  const open = join(scratch.path, 'open')
  await mkdir(open, { mode: 0o755 })
  await chmod(open, 0o755)
  const readable = await upOnce(open, '--http', '127.0.0.1:0')
  expect([readable.code, readable.stderr.includes(`chmod 700 '${open}'`)]).toEqual([1, true])
  await writeFile(join(scratch.path, 'file'), '')
  const impossible = await upOnce(join(scratch.path, 'file', 'data'), '--http', '127.0.0.1:0')
  expect([impossible.code, impossible.stderr.includes('--data-dir')]).toEqual([1, true])
})

it('says of a node that hangs that it runs, instead of waiting for it', async () => {
  const node = await scratch.start('alpha')
  node.process.kill('SIGSTOP')
  try {
    const { code, json } = await upOnce(node.dataDir, '--http', '127.0.0.1:0')
    expect([code, json.error.message]).toEqual([1, expect.stringContaining('does not answer')])
  } finally {
    node.process.kill('SIGCONT')
  }
})

it('refuses a second node on the same data directory and leaves the first alone', async () => {
  const node = await scratch.start('alpha')
  const second = await upOnce(node.dataDir, '--http', '127.0.0.1:0')
  expect(second.code).toBe(1)
  expect(second.stderr).toContain('already')
  expect((await node.cli('status')).code).toBe(0)
})

it('says that a node has stopped when nothing of it writes any more', async () => {
  const node = await scratch.start('alpha')
  const locks = async () =>
    (await readdir(node.dataDir, { recursive: true })).filter((name) => name.endsWith('journal.lock'))
  expect(await locks()).toHaveLength(1)
  expect((await node.cli('down')).code).toBe(0)
  expect(await locks()).toEqual([])
})

it('refuses a damaged store with a message that says what to do, and changes nothing in it', async () => {
  const node = await scratch.start('alpha')
  await node.cli('down')
  const mesh = join(node.dataDir, 'meshes', (await readdir(join(node.dataDir, 'meshes')))[0]!)
  const store = join(mesh, 'store')
  const current = join(store, 'CURRENT')
  await writeFile(current, 'nonsense')
  const up = await upOnce(node.dataDir, '--http', '127.0.0.1:0')
  expect(up.code).toBe(1)
  expect(up.stderr).toMatch(/store/i)
  expect(up.stderr).not.toContain('at async')
})

it('does not start on an old Node and says how to get the right one', () => {
  const script = resolve(import.meta.dirname, '../../scripts/rookery')
  // A clone without node_modules, on a system whose node is too old.
  const clone = join(scratch.path, 'clone')
  execFileSync('sh', ['-c', `mkdir -p ${clone}/scripts ${clone}/bin && cp ${script} ${clone}/scripts/`])
  execFileSync('sh', ['-c', `printf '#!/bin/sh\\necho 20\\n' > ${clone}/bin/node && chmod +x ${clone}/bin/node`])
  const run = spawnSync(join(clone, 'scripts/rookery'), ['up'], {
    env: { PATH: `${clone}/bin:/usr/bin:/bin` },
    encoding: 'utf8',
  })
  expect([run.status, run.stderr.includes('npm ci')]).toEqual([1, true])
})

it('answers commands on a data directory without a node with exit code 3', async () => {
  const status = await rookery(['status', '--json', '--data-dir', join(scratch.path, 'nothing')])
  expect([status.code, status.json.error.code]).toEqual([3, 'node_not_running'])
})

it('passes nothing on to the terminal that would control it, where it says why something was refused', async () => {
  const reason = 'desk\u001b]0;owned\u0007\u009b2J'
  const holder = { instanceId: 'other', reason, expiresAt: '2026-01-01T00:00:00.000Z' }
  const error = domainError('lock_held', { details: { holder } })
  const node = createHttpServer((_request, response) => response.end(JSON.stringify(err(error))))
  node.listen(join(scratch.path, 'control.sock'))
  await once(node, 'listening')
  try {
    const { code, stderr, json } = await rookery(['lock', 'list', '--json', '--data-dir', scratch.path])
    expect([code, json.error.details.holder.reason]).toEqual([4, reason])
    expect(stderr).toContain('reason: desk\uFFFD]0;owned\uFFFD\uFFFD2J')
  } finally {
    node.close()
  }
})

it.each([
  [['task', 'claim'], 'missing required argument'],
  [['frobnicate'], 'unknown command'],
  [['invite', '--expires', 'tomorrow'], '24h'],
  [['invite', '--capabilities', 'root'], 'root'],
  [['up', '--http', 'nowhere:99999'], 'host:port'],
  [['up', '--log-level', 'loud'], 'log.level'],
])('answers the misuse %j with exit code 2 and a hint', async (args, hint) => {
  const { code, stderr } = await rookery(args)
  expect([code, stderr.includes(hint) ? hint : stderr]).toEqual([2, hint])
})

it('answers malformed, oversized and foreign requests in the documented envelope and stays up', async () => {
  const { node, client, project } = await withProject()
  const token = (await client.post('/api/auth/tokens', { name: 'test', abilities: ['*'], expires_in_days: 1 })).body
    .data.token
  const raw = (body: string, headers: Record<string, string> = {}) =>
    fetch(new URL(`/api/projects/${project}/tasks`, node.http), {
      method: 'POST',
      body,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
    })
  const malformed = await raw('{"title":')
  expect([400, 422]).toContain(malformed.status)
  expect(await malformed.json()).toMatchObject({ success: false, error: { code: 'VAL_001' } })
  const unknown = await client.post(`/api/projects/${project}/tasks`, { title: 'x', colour: 'red' })
  expect(unknown.status).toBe(422)
  expect(Object.keys(unknown.body.error.errors)).toEqual(['colour'])
  const huge = await raw(JSON.stringify({ title: 'x', description: 'y'.repeat(2_000_000) }))
  expect(huge.status).toBe(413)
  expect(await huge.json()).toMatchObject({ success: false })
  const text = await raw('title=x', { 'content-type': 'text/plain' })
  expect(text.status).toBe(415)
  const stranger = await api(node, 'cn_wrong').get('/api/machines')
  expect([stranger.status, stranger.body.success]).toEqual([401, false])
  const machine = (await client.get('/api/machines')).body.data[0].id
  const otherKind = await client.get(`/api/tasks/${machine}`)
  expect([otherKind.status, otherKind.body.error.code]).toEqual([404, 'TSK_001'])
  const noId = await client.get('/api/tasks/not-an-id')
  expect([noId.status, noId.body.error.code]).toEqual([404, 'TSK_001'])
  expect((await client.get('/api/health')).body.data.status).toBe('ok')
})

it('loses nothing and stays up when the disk is full', async ({ skip }) => {
  const disk = join(scratch.path, 'disk')
  await mkdir(disk)
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=24m,mode=0700', 'tmpfs', disk]).status !== 0)
    skip('mounting a small tmpfs is not permitted here')
  try {
    const dataDir = join(disk, 'data')
    const node = await scratch.start('alpha', { dataDir })
    const client = api(node, await registerOwner(node))
    const folder = join(scratch.path, 'work')
    await mkdir(folder)
    const project = (await node.cli('project', 'add', folder)).json.id
    const kept: string[] = []
    // Not much is left, so that a few dozen tasks fill it.
    const { bavail, bsize } = await statfs(disk)
    await writeFile(join(disk, 'filler'), Buffer.alloc(Math.max(0, bavail * bsize - 3 * 1024 * 1024)))
    let refused = 0
    for (let i = 0; i < 2000 && refused < 3; i++) {
      const answer = await client.post(`/api/projects/${project}/tasks`, {
        title: `T${i}`,
        description: 'z'.repeat(40_000),
      })
      if (answer.status === 201) kept.push(answer.body.data.id)
      else {
        refused++
        expect([answer.status, answer.body.success]).toEqual([507, false])
      }
    }
    expect(refused).toBe(3)
    expect((await client.get('/api/health')).status).toBe(200)
    expect(await allTasks(client, project)).toEqual(new Set(kept))
    const claim = await client.post(`/api/tasks/${kept[0]}/claim`, { instance_id: 'alpha-1' })
    expect([409, 503, 507]).toContain(claim.status)
    expect((await client.get('/api/health')).status).toBe(200)
    await node.stop('SIGKILL')
    execFileSync('mount', ['-o', 'remount,size=128m', disk])
    const again = await scratch.start('alpha', { dataDir, args: ['--http', '127.0.0.1:0'] })
    expect(await allTasks(api(again, await login(again)), project)).toEqual(new Set(kept))
    await again.cli('down', '--kill-sessions')
  } finally {
    spawnSync('umount', ['-l', disk])
  }
})

it('ends with 0 when it is stopped while the disk is full, and says what could not be done', async ({ skip }) => {
  const disk = join(scratch.path, 'disk')
  await mkdir(disk)
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=24m,mode=0700', 'tmpfs', disk]).status !== 0)
    skip('mounting a small tmpfs is not permitted here')
  try {
    const node = await scratch.start('alpha', { dataDir: join(disk, 'data') })
    const { bavail, bsize } = await statfs(disk)
    await writeFile(join(disk, 'filler'), Buffer.alloc(bavail * bsize))
    const ended = once(node.process, 'exit')
    expect((await node.cli('down')).code).toBe(0)
    expect(await ended).toEqual([0, null])
    expect(node.stderr).toContain('did not stop cleanly')
  } finally {
    spawnSync('umount', ['-l', disk])
  }
})

it('says goodbye and ends with 0 on SIGTERM and SIGINT', async () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const node = await scratch.start(`alpha-${signal.toLowerCase()}`)
    expect(await node.stop(signal)).toBe(0)
  }
})
