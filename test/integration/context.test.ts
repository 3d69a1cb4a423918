import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ChunkInput } from '../../crdt/context-chunk.ts'
import type { Result } from '../../crdt/result.ts'
import { Config } from '../../node/cli/config.ts'
import { localActor } from '../../node/cli/control-method.ts'
import { runNode, type RunningNode } from '../../node/cli/run-node.ts'
import { createRecordedLog } from '../support/log.ts'
import { startModelServer, type ModelServer } from '../support/model-server.ts'

let scratch: string
let server: ModelServer
let a: RunningNode
let b: RunningNode
let project: string
const log = createRecordedLog()

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'rk-context-'))
  server = await startModelServer()
  const keyFile = join(scratch, 'key')
  await writeFile(keyFile, 'sk-very-secret', { mode: 0o600 })
  const endpoint = { url: server.url, keyFile }
  a = await start('alpha', {
    embedder: { api: 'ollama', model: 'small', ...endpoint },
    model: { api: 'anthropic', model: 'large', ...endpoint },
  })
  b = await start('beta', { agentCli: false })
  valueOf(await b.join(valueOf(await a.mesh().services.mesh.invite({})).ticket))
  const { services } = a.mesh()
  const made = valueOf(await services.projects.create(actor(a), services.machines.self, { projectPath: scratch }))
  project = made.id
})
afterAll(async () => {
  await Promise.all([a.stop(), b.stop()])
  await server.stop()
  await rm(scratch, { recursive: true, force: true })
})

const start = (name: string, context: object): Promise<RunningNode> =>
  runNode(
    join(scratch, name),
    Config.parse({ name, gateway: false, p2p: { listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false }, context }),
    log,
  )
const actor = (node: RunningNode) => localActor(node.mesh().core.self)
const context = (node: RunningNode) => node.mesh().services.context
function valueOf<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message}`)
  return result.value
}
const add = async (node: RunningNode, content: string) =>
  valueOf(await context(node).add(actor(node), project, ChunkInput.parse({ content })))
async function query(node: RunningNode, text: string) {
  const asked = { query: text, limit: 10, minSimilarity: 0.5, filter: {} }
  const answer = await context(node).query(project, asked)
  // A node that has just joined does not know the project yet.
  return answer.ok ? answer.value : { results: [], method: 'lexical', degraded: null }
}
const found = async (node: RunningNode, text: string) =>
  (await query(node, text)).results.map(({ chunk }) => chunk.content)
const soon = { timeout: 30_000, interval: 20 }

it('is found on every node, by words on one without an embedder, by meaning on one with', async () => {
  await add(a, 'We sign in with a password')
  await expect.poll(() => found(b, 'password'), soon).toEqual(['We sign in with a password'])
  await expect.poll(() => found(a, 'authentication'), soon).toEqual(['We sign in with a password'])
  expect(await query(a, 'authentication')).toMatchObject({ method: 'hybrid', degraded: null })
  expect(await query(b, 'authentication')).toMatchObject({ method: 'lexical', degraded: null, results: [] })
  expect(server.asked.map(({ headers }) => headers['authorization'])).toContain('Bearer sk-very-secret')
})

it('is taken out everywhere by a node that did not write it', async () => {
  const { id } = await add(a, 'Deploy to production by hand')
  await expect.poll(() => found(b, 'production'), soon).toHaveLength(1)
  valueOf(await context(b).remove(actor(b), project, id))
  expect(await found(b, 'production')).toEqual([])
  await expect.poll(() => found(a, 'production'), soon).toEqual([])
})

it('is indexed again by a node that has lost its index', async () => {
  await b.stop()
  const [mesh = ''] = await readdir(join(scratch, 'beta/meshes'))
  await rm(join(scratch, 'beta/meshes', mesh, 'context'), { recursive: true })
  b = await start('beta', { agentCli: false })
  await expect.poll(() => found(b, 'password'), soon).toEqual(['We sign in with a password'])
})

it('is summarised where there is a model, and a node without one says what to do', async () => {
  const made = valueOf(await context(a).summarise(actor(a), project))
  expect(made).toMatchObject({ summary: 'The team chose JWT.', tokensUsed: 321, isEstimate: false })
  await expect.poll(() => found(b, 'team chose jwt'), soon).toEqual(['The team chose JWT.'])
  expect(await context(b).summarise(actor(b), project)).toMatchObject({ error: { code: 'model_missing' } })
})

it('says in the status what keeps an embedder from finding by meaning', async () => {
  const problems = async (node: RunningNode) => (await node.mesh().services.mesh.status()).problems
  expect([await problems(a), await problems(b)]).toEqual([[], []])
  server.fault = () => ({ status: 401, body: '{}' })
  await add(a, 'Logs are kept for a week')
  await expect
    .poll(() => problems(a), soon)
    .toEqual([expect.stringMatching(/^The context is searched by words only: .*401/)])
  expect(await problems(b)).toEqual([])
  server.fault = undefined
})

it('[A-T4] leaves the key of a model nowhere', async () => {
  const files = await readdir(scratch, { recursive: true, withFileTypes: true })
  for (const file of files) {
    if (!file.isFile() || file.name === 'key') continue
    expect((await readFile(join(file.parentPath, file.name))).includes('sk-very-secret')).toBe(false)
  }
  expect(JSON.stringify(log.lines)).not.toContain('sk-very-secret')
})
