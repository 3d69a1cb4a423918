import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createHttpEmbedder } from '../../../../node/adapters/http-embedder.ts'
import { openVectraIndex } from '../../../../node/adapters/vectra-index.ts'
import type { VectorIndex } from '../../../../node/ports/vector-index.ts'
import { CONTEXT_PROJECT, createContextNode, valueOf, type ContextNode } from '../../../support/context-lab.ts'
import { createExactVectors } from '../../../support/exact-vectors.ts'
import { startModelServer, type ModelServer } from '../../../support/model-server.ts'
import { createMembership } from '../../../support/replicas.ts'

let server: ModelServer
let node: ContextNode | undefined
beforeEach(async () => {
  server = await startModelServer()
})
afterEach(async () => {
  await node?.context.stop()
  await server.stop()
})

async function start(vectors: VectorIndex | (() => Promise<VectorIndex>) = createExactVectors()): Promise<ContextNode> {
  const embedder = createHttpEmbedder({ api: 'openai', url: server.url, model: 'small' })
  const openVectors = typeof vectors === 'function' ? vectors : async () => vectors
  node = await createContextNode(0, createMembership(1), { meaning: { embedder, openVectors } })
  return node
}
/** A question, whose answer over a real socket takes real time. */
const ask = (a: ContextNode, text: string, more: Parameters<ContextNode['query']>[1] = {}) => a.query(text, more)
const state = async (a: ContextNode) => valueOf(await a.context.get(CONTEXT_PROJECT)).index
/** Until as many chunks have vectors; the embedder answers over a real socket. */
const embedded = async (a: ContextNode, count: number) =>
  await expect.poll(async () => (await state(a)).withVector, { timeout: 10_000, interval: 5 }).toBe(count)
const problem = async (a: ContextNode, matching: unknown) =>
  await expect.poll(async () => (await state(a)).problem, { timeout: 10_000, interval: 5 }).toEqual(matching)

describe('search with an embedder', () => {
  it('finds what means the same in other words, and says that it compared both', async () => {
    const a = await start()
    await a.add('We sign in with a password')
    await a.add('The theme has a new colour')
    await embedded(a, 2)
    const answer = await ask(a, 'authentication', { minSimilarity: 0.7 })
    expect([answer.method, answer.degraded, answer.results.map(({ chunk }) => chunk.content)]).toEqual([
      'hybrid',
      null,
      ['We sign in with a password'],
    ])
    expect(answer.results[0]?.similarity).toBeGreaterThan(0.7)
  })

  it('compares meanings only when the query has no words, and says so', async () => {
    const a = await start()
    await a.add('We sign in with a password')
    await embedded(a, 1)
    expect(await ask(a, '?!')).toMatchObject({ method: 'vector', degraded: null })
  })

  it('puts first what both find', async () => {
    const a = await start()
    await a.add('login with a passkey')
    await a.add('the login page')
    await a.add('jwt password')
    await embedded(a, 3)
    const { results } = await ask(a, 'login page')
    expect(results[0]?.chunk.content).toBe('the login page')
  })

  it('respects types, files and importance', async () => {
    const a = await start()
    await a.add('login one', { type: 'decision', importance_score: 0 })
    await a.add('login two', { files: ['a.ts'], importance_score: 1 })
    await embedded(a, 2)
    const contents = async (more: object) =>
      (await ask(a, 'password login', more)).results.map(({ chunk }) => chunk.content)
    expect(await contents({})).toEqual(['login two', 'login one'])
    expect(await contents({ filter: { types: ['decision'] } })).toEqual(['login one'])
    expect(await contents({ filter: { files: ['a.ts'] } })).toEqual(['login two'])
    expect(await contents({ limit: 1 })).toEqual(['login two'])
  })

  it('answers by words at once while the embedder is down, says so, and goes on when it is back', async () => {
    server.fault = () => ({ status: 503, body: '{"error":"overloaded"}' })
    const a = await start()
    await a.add('We sign in with a password')
    await problem(a, expect.stringContaining('answered 503 (overloaded)'))
    const before = server.asked.length
    expect(await ask(a, 'password')).toMatchObject({
      method: 'lexical',
      degraded: expect.stringContaining('503'),
      results: [{ similarity: 1 }],
    })
    expect(server.asked).toHaveLength(before)
    server.fault = undefined
    await a.pass(2000)
    await embedded(a, 1)
    expect(await ask(a, 'authentication')).toMatchObject({ method: 'hybrid', degraded: null })
    expect((await state(a)).problem).toBe(null)
  })

  it('tries less and less often, and at least every few minutes', async () => {
    server.fault = () => ({ status: 500, body: `{"error":"try ${server.asked.length}"}` })
    const a = await start()
    await a.add('x')
    for (let tries = 1; tries <= 12; tries++) {
      await problem(a, expect.stringContaining(`(try ${tries})`))
      const usualMs = Math.min(300_000, 1000 * 2 ** (tries - 1))
      await a.pass(0.45 * usualMs)
      expect(server.asked).toHaveLength(tries)
      const until = a.replica.clock.monoMs() + 1.1 * usualMs
      while (server.asked.length === tries && a.replica.clock.monoMs() < until) await a.pass(0.02 * usualMs)
      await expect.poll(() => server.asked.length, { interval: 2 }).toBe(tries + 1)
    }
  })

  it('does not wait for a slow embedder', async () => {
    const a = await start()
    await a.add('We sign in with a password')
    await embedded(a, 1)
    server.fault = () => 'hang'
    const before = server.asked.length
    const asking = ask(a, 'password')
    await expect.poll(() => server.asked.length, { interval: 2 }).toBe(before + 1)
    await a.pass(3000)
    expect(await asking).toMatchObject({ method: 'lexical', degraded: expect.stringContaining('in time') })
    // The next ones do not even ask, for a while.
    expect(await ask(a, 'password')).toMatchObject({ method: 'lexical' })
    expect(server.asked).toHaveLength(before + 1)
    server.fault = undefined
    await a.pass(10_000)
    expect(await ask(a, 'password')).toMatchObject({ method: 'hybrid' })
  })

  it('leaves out a text that the embedder refuses, and no other', async () => {
    server.fault = ({ body }) =>
      body.input.some((text) => text.includes('forbidden')) ? { status: 400, body: '{}' } : undefined
    const a = await start()
    for (const text of ['one', 'forbidden', 'two', 'three']) await a.add(text)
    await embedded(a, 3)
    const before = server.asked.length
    await a.add('four')
    await embedded(a, 4)
    expect(server.asked.slice(before).flatMap(({ body }) => body.input)).toEqual(['four'])
    expect((await state(a)).problem).toBe(null)
  })

  it('makes all vectors anew when the model makes them longer than before', async () => {
    const a = await start()
    for (const text of ['We sign in with a password', 'two', 'three']) await a.add(text)
    await embedded(a, 3)
    server.dimensions = 16
    expect(await ask(a, 'authentication')).toMatchObject({
      method: 'lexical',
      degraded: expect.stringContaining('other vectors'),
    })
    await a.add('four')
    await embedded(a, 4)
    const { results, method } = await ask(a, 'authentication', { minSimilarity: 0.7 })
    expect([method, results.map(({ chunk }) => chunk.content)]).toEqual(['hybrid', ['We sign in with a password']])
  })

  it('makes vectors for the most important chunks when there is no room for all', async () => {
    const vectors = createExactVectors(2)
    const a = await start(vectors)
    await a.add('low', { importance_score: 0.1 })
    const middle = await a.add('middle', { importance_score: 0.5 })
    await embedded(a, 2)
    const high = await a.add('high', { importance_score: 0.9 })
    await expect.poll(() => vectors.ids().toSorted(), { interval: 5 }).toEqual([middle.id, high.id].toSorted())
    await a.context.remove(a.actor, CONTEXT_PROJECT, middle.id)
    await expect.poll(() => vectors.ids().length, { interval: 5 }).toBe(2)
    expect(vectors.ids()).not.toContain(middle.id)
  })

  it('shows nothing of a chunk that is gone, or expired, though its vector is still there', async () => {
    const vectors = createExactVectors()
    const a = await start({ ...vectors, dimensions: 8, remove: async () => undefined })
    const at = a.replica.clock.wallMs()
    await a.add('login', { expires_at: new Date(at + 500).toISOString() })
    await expect.poll(() => vectors.ids().length, { interval: 5 }).toBe(1)
    await a.pass(500)
    expect((await ask(a, 'password')).results).toEqual([])
    expect(vectors.ids()).toHaveLength(1)
  })

  it('works with vectra, also after a restart, without asking for the same vectors again', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'rk-meaning-'))
    try {
      const first = await start(() => openVectraIndex(folder))
      await first.add('We sign in with a password')
      await embedded(first, 1)
      await first.context.stop()
      const asked = server.asked.length
      const embedder = createHttpEmbedder({ api: 'openai', url: server.url, model: 'small' })
      const meaning = { embedder, openVectors: () => openVectraIndex(folder) }
      node = await createContextNode(0, createMembership(1), { meaning, replica: first.replica })
      await node.pass(10)
      await embedded(node, 1)
      expect(server.asked).toHaveLength(asked)
      expect(await ask(node, 'authentication')).toMatchObject({ method: 'hybrid', results: [{}] })
    } finally {
      await node?.context.stop()
      node = undefined
      await rm(folder, { recursive: true })
    }
  })

  it('says what is wrong when the vectors cannot be written', async () => {
    const vectors = createExactVectors()
    let isFull = true
    const a = await start({
      ...vectors,
      dimensions: undefined,
      put: async (items) => {
        if (isFull) throw new Error('disk full')
        await vectors.put(items)
      },
    })
    await a.add('x')
    await problem(a, expect.stringContaining('cannot be written'))
    isFull = false
    await a.pass(2000)
    await embedded(a, 1)
    expect((await state(a)).problem).toBe(null)
  })
})
