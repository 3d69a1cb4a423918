import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  api,
  createScratch,
  eventually,
  registerOwner,
  rookery,
  type Api,
  type Json,
  type RunningNode,
} from '../support/nodes.ts'

let scratch: Awaited<ReturnType<typeof createScratch>>
let node: RunningNode
let client: Api
let project: string
beforeAll(async () => {
  scratch = await createScratch()
  node = await scratch.start('alpha')
  client = api(node, await registerOwner(node))
  const folder = join(scratch.path, 'work')
  await mkdir(folder)
  project = (await node.cli('project', 'add', folder)).json.id
})
afterAll(() => scratch.dispose())

const run = async (...args: string[]): Promise<Json> => (await node.cli(...args)).json
const answer = async (path: string): Promise<Json> => (await client.get(path)).body.data
/** Without what counts seconds: the two are asked one after the other. */
const still = (answered: Json): Json => ({
  ...answered,
  duration: null,
  formatted_duration: null,
  remaining_seconds: null,
})

it('prints tasks, before, during and after a claim, as the API answers them', async () => {
  const { id } = await run('task', 'add', 'Fix the login', '--project', project)
  expect(await run('task', 'list', '--project', project)).toEqual(await answer(`/api/projects/${project}/tasks`))
  expect(await run('task', 'next', '--claim', '--project', project)).toMatchObject({ id, is_claimed: true })
  const task = async (): Promise<Json> => (await answer(`/api/tasks/${id}`)).task
  expect((await run('task', 'list', '--project', project))[0]).toEqual(await task())
  expect(await run('task', 'complete', id, '--summary', 'done')).toEqual(await task())
})

it('prints locks, and who holds one that is refused, as the API answers them', async () => {
  await run('lock', 'acquire', 'src/a.ts', '--project', project, '--instance', 'one', '--reason', 'refactoring')
  const locks = await run('lock', 'list', '--project', project)
  expect(locks.map(still)).toEqual((await answer(`/api/projects/${project}/locks`)).map(still))
  const refused = await node.cli('lock', 'acquire', 'src/a.ts', '--project', project, '--instance', 'two')
  const over = await client.post(`/api/projects/${project}/locks`, { path: 'src/a.ts', instance_id: 'two' })
  expect([refused.code, refused.json.error.details]).toEqual([4, over.body.error.details])
})

it('prints sessions as the API answers them, and finds a machine by its peer id', async () => {
  const started = await run('session', 'start', '--machine', node.peerId, '--agent', 'shell')
  const [machine] = await answer('/api/machines')
  const sessions = await run('session', 'list')
  expect(sessions.map(still)).toEqual((await answer(`/api/machines/${machine.id}/sessions`)).map(still))
  expect([sessions[0].id, started.machine_id]).toEqual([started.id, machine.id])
})

it("prints a project's own fields under the names of the API", async () => {
  const [printed] = await run('project', 'list')
  const { project: answered } = await answer(`/api/projects/${project}`)
  const { repository, ...shared } = printed
  expect([repository, answered]).toEqual([null, expect.objectContaining(shared)])
})

it('prints the configuration the node was started with, flags included, and what would be another at its next start', async () => {
  const before = await run('config')
  expect(before).toMatchObject({
    is_running: true,
    config: { name: 'alpha', http: { port: 0, rateLimits: { api: 1_000_000 } }, registration: 'closed' },
    sources: { name: 'flag', 'http.port': 'flag', 'http.rateLimits.api': 'file' },
  })
  expect(before.next_start).toEqual({
    name: { value: null, source: 'default' },
    'http.port': { value: 8000, source: 'default' },
    'p2p.listen': { value: [], source: 'default' },
    'p2p.mdns': { value: true, source: 'default' },
  })
  const file = { ...before.config, registration: 'open', log: {} }
  await writeFile(join(node.dataDir, 'config.json'), JSON.stringify(file), { mode: 0o600 })
  const after = await run('config')
  expect([after.config, after.sources]).toEqual([before.config, before.sources])
  expect(after.next_start).toEqual({ registration: { value: 'open', source: 'file' } })
  const { stdout } = await rookery(['config', '--data-dir', node.dataDir])
  expect(stdout).toMatch(/^registration +"closed" +default +"open" \(file\)$/m)
})

it('prints the configuration that a node would start with where none runs', async () => {
  const { json } = await rookery(['config', '--json', '--data-dir', join(scratch.path, 'none')])
  expect(json).toMatchObject({ is_running: false, config: { http: { port: 8000 } }, sources: {}, next_start: {} })
})

it('adds, finds, shows and takes out chunks of the context as the API answers them', async () => {
  const of = ['--project', project]
  const flags = ['--type', 'decision', '--file', 'auth.ts', '--importance', '0.9', '--expires-in', '30d']
  const added = await run('context', 'add', 'Sessions are kept in Redis', ...flags, ...of, '--instance', 'one')
  const at = `/api/projects/${project}/context`
  expect([added]).toEqual(await answer(`${at}/chunks?type=decision`))
  expect(added).toMatchObject({ type: 'decision', instance_id: 'one', importance_score: 0.9, files: ['auth.ts'] })
  const query = { query: 'where are sessions', limit: 10 }
  expect(await run('context', 'search', 'where', 'are', 'sessions', ...of)).toEqual(
    (await client.post(`${at}/query`, query)).body.data,
  )
  expect((await run('context', 'search', 'sessions', '--type', 'summary', ...of)).results).toEqual([])
  expect(await run('context', 'show', ...of)).toEqual(await answer(at))
  const shown = await node.cli('context', 'show', ...of)
  expect(shown.stdout).toContain('Sessions are kept in Redis')
  expect(await run('context', 'rm', added.id, ...of)).toBe(null)
  const gone = await node.cli('context', 'rm', added.id, ...of)
  expect([gone.code, gone.json.error.code]).toEqual([1, 'chunk_not_found'])
  expect((await node.cli('context', 'search', 'x', '--min-similarity', '2', ...of)).code).toBe(2)
})

it('takes secrets from standard input alone, and tells of them only whether they are set', async () => {
  const secret = (input: string, ...args: string[]) =>
    rookery(['secret', ...args, '--json', '--data-dir', node.dataDir], { input })
  const set = await secret('open sesame\n', 'set', 'oauth-google')
  expect([set.code, set.json]).toEqual([0, { name: 'oauth-google', is_set: true }])
  const list = await secret('', 'list')
  expect(list.json.filter((one: Json) => one.is_set)).toEqual([set.json])
  expect(list.stdout + set.stdout).not.toContain('sesame')
  expect((await secret('', 'set', 'smtp', 'in-the-arguments')).code).toBe(2)
  expect((await secret('', 'set', 'smtp')).code).toBe(2)
  expect((await secret('two\nlines', 'set', 'smtp')).code).toBe(2)
  expect((await secret('x', 'set', 'node.key')).code).toBe(2)
  expect((await secret('', 'remove', 'oauth-google')).code).toBe(0)
  expect((await secret('', 'remove', 'oauth-google')).code).toBe(1)
})

it('hands links that cannot be mailed to whoever runs the node, and to no log', async () => {
  const { status } = await client.post('/api/auth/magic-link', { email: 'ada@example.com' })
  expect(status).toBe(200)
  const [held] = await eventually(async () =>
    (await run('user', 'links')).length > 0 ? run('user', 'links') : undefined,
  )
  expect(held).toMatchObject({ to: 'ada@example.com', subject: 'Sign in to Rookery', at: expect.any(String) })
  const [, token = 'none'] = /#sign-in=([\w-]{43})/.exec(held.text) ?? []
  expect(held.text).toContain(`${node.http}/#sign-in=`)
  expect((await client.post('/api/auth/magic-link/verify', { token })).body.data.user.email).toBe('ada@example.com')
  expect(node.stderr).not.toContain(token)
})

it('writes, lists, shows, switches and removes skills as the API answers them, on a named machine', async () => {
  const on = ['--machine', 'alpha', '--project', project]
  const file = join(scratch.path, 'skill.md')
  await writeFile(file, '# Deploy\n')
  const flags = ['--file', file, '--description', 'Ships it', '--tag', 'ops', '--priority', '3']
  const added = await run('skills', 'add', 'deploy', ...flags, ...on)
  const [machine] = await answer('/api/machines')
  const at = `/api/machines/${machine.id}/skills`
  const { skill } = await answer(`${at}/${project}/deploy`)
  expect([added, await run('skills', 'show', 'deploy', ...on)]).toEqual([skill, skill])
  expect(skill).toMatchObject({
    path: `${project}/deploy`,
    description: 'Ships it',
    priority: 3,
    metadata: { tags: ['ops'] },
  })
  expect(await run('skills', 'list', '--project', project)).toEqual(await answer(`${at}?project_id=${project}`))
  expect((await run('skills', 'disable', 'deploy', 'none', ...on)).failed).toMatchObject([{ code: 'SKL_001' }])
  expect(await run('skills', 'list', '--disabled', '--project', project)).toMatchObject([{ enabled: false }])
  expect((await run('skills', 'enable', 'deploy', ...on)).updated_count).toBe(1)
  expect((await run('skills', 'remove', 'deploy', ...on)).kept_at).toContain(
    '/work/.claude/skills/.rookery-removed/deploy.',
  )
  const gone = await node.cli('skills', 'show', 'deploy', ...on)
  expect([gone.code, gone.json.error.code]).toEqual([1, 'skill_not_found'])
  expect((await node.cli('skills', 'add', '../x', '--file', file)).code).toBe(2)
})
