import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createHttpEmbedder, type EmbedderSettings } from '../../node/adapters/http-embedder.ts'
import { ModelError } from '../../node/ports/model-error.ts'
import { startModelServer, type ModelServer } from '../support/model-server.ts'

let server: ModelServer
let folder: string
beforeAll(async () => {
  server = await startModelServer()
  folder = await mkdtemp(join(tmpdir(), 'rk-embedder-'))
})
afterAll(async () => {
  await server.stop()
  await rm(folder, { recursive: true })
})
beforeEach(() => {
  server.fault = undefined
  server.asked.length = 0
  server.dimensions = 8
})

const never = new AbortController().signal

describe.each(['openai', 'ollama'] as const)('an embedder over HTTP (%s)', (api) => {
  const create = (more: Partial<EmbedderSettings> = {}) =>
    createHttpEmbedder({ api, url: `${server.url}/`, model: 'small', ...more })
  const failure = async (signal = never): Promise<ModelError> => {
    const error = await create()
      .embed(['a', 'b'], signal)
      .then(
        () => undefined,
        (reason: unknown) => reason,
      )
    if (!(error instanceof ModelError)) throw new Error(`no ModelError but ${String(error)}`)
    return error
  }

  it('answers one vector per text, in their order', async () => {
    const vectors = await create().embed(['about the login', 'the database', 'about the login'], never)
    expect(vectors.map(({ length }) => length)).toEqual([8, 8, 8])
    expect([vectors[0]?.[0], vectors[1]?.[1]].map((x) => (x ?? 0) > 1)).toEqual([true, true])
    expect(vectors[2]).toEqual(vectors[0])
    expect(server.asked.map(({ body }) => body.model)).toEqual(['small'])
  })

  it('cuts what no model reads', async () => {
    await create().embed(['x'.repeat(50_000)], never)
    expect(server.asked[0]?.body.input[0]).toHaveLength(8000)
  })

  it('sends the key that its file holds at the time, and none without a file', async () => {
    const keyFile = join(folder, `key-${api}`)
    await writeFile(keyFile, 'sk-one\n', { mode: 0o600 })
    await create({ keyFile }).embed(['a'], never)
    await writeFile(keyFile, 'sk-two')
    await create({ keyFile }).embed(['a'], never)
    await create().embed(['a'], never)
    expect(server.asked.map(({ headers }) => headers['authorization'])).toEqual([
      'Bearer sk-one',
      'Bearer sk-two',
      undefined,
    ])
  })

  it('sends nothing when others may read the key, and says what to do', async () => {
    const keyFile = join(folder, `open-${api}`)
    await writeFile(keyFile, 'sk-one', { mode: 0o644 })
    await expect(create({ keyFile }).embed(['a'], never)).rejects.toThrow(`Run: chmod 600 '${keyFile}'`)
    await expect(create({ keyFile: join(folder, 'none') }).embed(['a'], never)).rejects.toThrow('cannot be read')
    expect(server.asked).toEqual([])
  })

  it.each([
    ['later', 503, undefined],
    ['later', 429, 7000],
    ['input', 400, undefined],
    ['setup', 401, undefined],
    ['setup', 404, undefined],
  ])('tells by the status whether another try can help: %s for %i', async (kind, status, retryAfterMs) => {
    const headers = retryAfterMs === undefined ? {} : { 'retry-after': '7' }
    server.fault = () => ({ status, body: '{"error":{"message":"no \\u001b[31m luck"}}', headers })
    const error = await failure()
    expect([error.kind, error.retryAfterMs]).toEqual([kind, retryAfterMs])
    expect(error.message).toBe(`${new URL(server.url).host} answered ${status} (no  [31m luck).`)
  })

  it.each([
    ['no JSON', 'nonsense'],
    ['something else', '{}'],
    ['too few', '{"data":[{"index":0,"embedding":[1,2]}],"embeddings":[[1,2]]}'],
    [
      'different lengths',
      '{"data":[{"index":0,"embedding":[1,2]},{"index":1,"embedding":[1]}],"embeddings":[[1,2],[1]]}',
    ],
    [
      'no direction',
      '{"data":[{"index":0,"embedding":[1,2]},{"index":1,"embedding":[0,0]}],"embeddings":[[1,2],[0,0]]}',
    ],
  ])('takes no vectors that cannot be compared: %s', async (_, body) => {
    server.fault = () => ({ status: 200, body })
    expect((await failure()).kind).toBe('setup')
  })

  it('follows nobody elsewhere', async () => {
    server.fault = ({ path }) =>
      path === '/elsewhere' ? undefined : { status: 307, body: '', headers: { location: `${server.url}/elsewhere` } }
    expect((await failure()).kind).toBe('later')
    expect(server.asked.map(({ path }) => path)).not.toContain('/elsewhere')
  })

  it('stops asking when told to', async () => {
    server.fault = () => 'hang'
    const ending = new AbortController()
    const asking = create().embed(['a'], ending.signal)
    ending.abort(new Error('enough'))
    await expect(asking).rejects.toThrow('enough')
  })

  it('tells models apart, so that their vectors are not mixed', () => {
    const names = [create(), create({ model: 'large' }), create({ dimensions: 4 }), create({ url: 'http://[::1]:1' })]
    expect(new Set(names.map(({ model }) => model)).size).toBe(4)
  })
})

it('fails with a reason when nobody listens', async () => {
  const gone = await startModelServer()
  await gone.stop()
  const embedder = createHttpEmbedder({ api: 'openai', url: gone.url, model: 'small' })
  await expect(embedder.embed(['a'], never)).rejects.toThrow('could not be asked')
})
