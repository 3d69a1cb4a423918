import { expect } from 'vitest'
import type { Json } from '../../support/gateway-lab.ts'
import { call, data, example, meets, newProject, newTask, refusal, refuses, UNKNOWN } from './harness.ts'

const at = (project: string): string => `/api/projects/${project}/context`
const unknown = () => ({ params: { project: UNKNOWN } })
const some = async () => ({ params: { project: await newProject() } })
const add = (project: string, content: string, more: object = {}): Promise<Json> =>
  data('POST', `${at(project)}/chunks`, { body: { content, ...more } })
const contents = (chunks: Json): string[] => chunks.map((chunk: Json) => chunk.content)

export function contextRequirements(): void {
  readRequirements()
  queryRequirements()
  summaryRequirements()
  listRequirements()
  addRequirements()
  const remove = 'DELETE /api/projects/:project/context/chunks/:chunkId'
  const one = async () => {
    const project = await newProject()
    return { project, chunkId: (await add(project, 'one')).id }
  }
  example(remove, async () => ({ params: await one() }))
  refuses(remove, 'PRJ_001', async () => ({ params: { ...(await one()), project: UNKNOWN } }))
  refuses(remove, 'CTX_001', async () => ({ params: { ...(await one()), chunkId: UNKNOWN } }))
  meets(remove, 'removes the chunk on every gateway', async () => {
    const { project, chunkId } = await one()
    const stays = await add(project, 'two')
    expect(await data('DELETE', `${at(project)}/chunks/${chunkId}`)).toBe(null)
    expect(await data('GET', `${at(project)}/chunks`)).toEqual([stays.chunk])
    expect(await refusal('DELETE', `${at(project)}/chunks/${chunkId}`)).toEqual([404, 'CTX_001'])
    // A chunk of another project is not found in this one.
    expect(await refusal('DELETE', `${at(await newProject())}/chunks/${stays.id}`)).toEqual([404, 'CTX_001'])
  })
}

function readRequirements(): void {
  const read = 'GET /api/projects/:project/context'
  example(read, some)
  refuses(read, 'PRJ_001', unknown)
  meets(read, 'compiles the brief and the chunks, most important first', async () => {
    const project = await newProject()
    await data('PATCH', at(project), { body: { summary: 'A shop', architecture: 'MVC' } })
    await add(project, 'of some use', { importance_score: 0.3 })
    await add(project, 'must be known', { type: 'decision', importance_score: 0.9 })
    const { compiled_context: compiled, token_usage: usage } = await data('GET', at(project))
    expect(compiled.split('\n\n---\n\n')).toEqual([
      '# Project Summary\nA shop',
      '# Architecture\nMVC',
      '# Decision\nmust be known',
      '# Context Update\nof some use',
    ])
    expect(usage).toEqual({ total: expect.any(Number), max: 8000, percent: expect.any(Number), is_estimate: true })
    expect(usage.percent).toBeCloseTo((100 * usage.total) / usage.max, 1)
  })
  meets(read, 'never takes more than maxContextTokens', async () => {
    const project = await newProject()
    await data('PATCH', `/api/projects/${project}`, { body: { settings: { maxContextTokens: 256 } } })
    for (let i = 0; i < 6; i++) await add(project, `${i} ${'many words '.repeat(40)}`)
    const { token_usage: usage, compiled_context: compiled } = await data('GET', at(project))
    expect([usage.max, usage.total <= 256, usage.total > 150, compiled.length > 0]).toEqual([256, true, true, true])
  })
  meets(read, 'has the completed tasks', async () => {
    const project = await newProject()
    const { id } = await newTask(project, { title: 'Fix the login' })
    await data('POST', `/api/tasks/${id}/claim`, { body: { instance_id: 'instance_1' } })
    const done = { instance_id: 'instance_1', summary: 'Tokens rotate', files_modified: ['auth.php'] }
    await data('POST', `/api/tasks/${id}/complete`, { body: done })
    await expect
      .poll(() => data('GET', `${at(project)}/chunks?type=task_completion`))
      .toMatchObject([
        {
          content: 'Fix the login\n\nTokens rotate',
          task_id: id,
          instance_id: 'instance_1',
          files: ['auth.php'],
        },
      ])
    expect((await data('GET', at(project))).compiled_context).toContain('Tokens rotate')
  })
  const update = 'PATCH /api/projects/:project/context'
  example(update, some)
  refuses(update, 'PRJ_001', unknown)
  meets(update, 'changes what is given and keeps the rest', async () => {
    const project = await newProject()
    await data('PATCH', at(project), { body: { summary: 'one', conventions: 'two' } })
    const changed = { summary: 'three', conventions: 'two', architecture: '' }
    expect(await data('PATCH', at(project), { body: { summary: 'three' } })).toMatchObject(changed)
    expect(await data('GET', at(project))).toMatchObject(changed)
    expect(await data('GET', `/api/projects/${project}`)).toMatchObject(changed)
  })
}

function queryRequirements(): void {
  const query = 'POST /api/projects/:project/context/query'
  example(
    query,
    async () => {
      const project = await newProject()
      await add(project, 'JWT authentication is implemented using refresh tokens', { files: ['auth.php'] })
      return { params: { project } }
    },
    ({ results, total_results: total, search_method: method }) =>
      expect([results.length, total, method]).toEqual([1, 1, 'lexical']),
  )
  refuses(query, 'PRJ_001', unknown)
  const ask = (project: string, text: string, more: object = {}): Promise<Json> =>
    data('POST', `${at(project)}/query`, { body: { query: text, ...more } })
  meets(query, 'finds by words, and says so', async () => {
    const project = await newProject()
    const chunk = await add(project, 'The sessions live in Redis')
    await add(project, 'Colours are in the theme')
    expect(await ask(project, 'where does a session live?')).toEqual({
      query: 'where does a session live?',
      results: [{ ...chunk.chunk, similarity: 1 }],
      total_results: 1,
      search_method: 'lexical',
      degraded: null,
    })
    expect(await ask(project, 'kubernetes')).toMatchObject({ results: [], total_results: 0 })
  })
  meets(query, 'respects min_similarity and limit', async () => {
    const project = await newProject()
    for (const content of ['login', 'login form', 'login form button']) await add(project, content)
    const found = async (more: object) => contents((await ask(project, 'login form button', more)).results)
    expect(await found({})).toEqual(['login form button', 'login form', 'login'])
    expect(await found({ min_similarity: 0.9 })).toEqual(['login form button'])
    expect(await found({ limit: 2 })).toHaveLength(2)
    const beyond = { query: 'x', limit: 101, min_similarity: 1.5 }
    const { json } = await call('POST', `${at(project)}/query`, { body: beyond })
    expect(Object.keys(json.error.errors).toSorted()).toEqual(['limit', 'min_similarity'])
  })
  meets(query, 'filters by types and files', async () => {
    const project = await newProject()
    await add(project, 'login one', { type: 'decision' })
    await add(project, 'login two', { files: ['a.php'] })
    expect(contents((await ask(project, 'login', { types: ['decision', 'summary'] })).results)).toEqual(['login one'])
    expect(contents((await ask(project, 'login', { files: ['a.php'] })).results)).toEqual(['login two'])
  })
  meets(query, 'refuses a query without words', async () => {
    const project = await newProject()
    expect(await refusal('POST', `${at(project)}/query`, { body: { query: '  ' } })).toEqual([422, 'VAL_001'])
    expect(await refusal('POST', `${at(project)}/query`, { body: {} })).toEqual([422, 'VAL_001'])
  })
}

function summaryRequirements(): void {
  const summarise = 'POST /api/projects/:project/context/summarize'
  const noted = async () => {
    const project = await newProject()
    await add(project, 'We use JWT')
    return project
  }
  example(
    summarise,
    async () => ({ params: { project: await noted() } }),
    (made) =>
      expect(made).toMatchObject({
        summary: 'AI-generated summary',
        chunks_processed: 1,
        tokens_used: 1500,
        tokens_estimated: false,
      }),
  )
  refuses(summarise, 'PRJ_001', unknown)
  meets(summarise, 'keeps the summary as a chunk', async () => {
    const project = await noted()
    const { chunk } = await data('POST', `${at(project)}/summarize`)
    expect(await data('GET', `${at(project)}/chunks?type=summary`)).toEqual([chunk])
  })
}

function listRequirements(): void {
  const list = 'GET /api/projects/:project/context/chunks'
  example(list, async () => {
    const project = await newProject()
    await add(project, 'one')
    return { params: { project } }
  })
  refuses(list, 'PRJ_001', unknown)
  meets(list, 'filters by type and instance_id', async () => {
    const project = await newProject()
    await add(project, 'one', { type: 'file_change', instance_id: 'instance_1' })
    await add(project, 'two', { type: 'file_change', instance_id: 'instance_2' })
    await add(project, 'three', { type: 'broadcast', instance_id: 'instance_1' })
    const listed = async (filter: string) => contents(await data('GET', `${at(project)}/chunks?${filter}`)).toSorted()
    expect(await listed('type=file_change')).toEqual(['one', 'two'])
    expect(await listed('instance_id=instance_1')).toEqual(['one', 'three'])
    expect(await listed('type=broadcast&instance_id=instance_2')).toEqual([])
    expect(await refusal('GET', `${at(project)}/chunks?type=gossip`)).toEqual([422, 'VAL_001'])
  })
  meets(list, 'lists newest first, in pages', async () => {
    const project = await newProject()
    for (const content of ['one', 'two', 'three']) await add(project, content)
    const page = async (n: number) => await call('GET', `${at(project)}/chunks?per_page=2&page=${n}`)
    const [first, second] = [await page(1), await page(2)]
    const times = [...first.json.data, ...second.json.data].map((chunk: Json) => chunk.created_at)
    expect(times).toEqual(times.toSorted((x: string, y: string) => (x < y ? 1 : -1)))
    expect([first.json.data.length, second.json.data.length]).toEqual([2, 1])
    expect(second.json.meta.pagination).toEqual({ current_page: 2, last_page: 2, per_page: 2, total: 3 })
  })
  meets(list, 'leaves out what has expired', async () => {
    const project = await newProject()
    await add(project, 'over', { expires_at: '2020-01-01T00:00:00Z' })
    await add(project, 'good', { expires_at: '2999-01-01T00:00:00Z' })
    expect(contents(await data('GET', `${at(project)}/chunks`))).toEqual(['good'])
  })
}

function addRequirements(): void {
  const create = 'POST /api/projects/:project/context/chunks'
  example(create, async () => {
    const project = await newProject()
    return { params: { project }, body: { task_id: (await newTask(project)).id } }
  })
  refuses(create, 'PRJ_001', () => ({ ...unknown(), body: { task_id: UNKNOWN } }))
  meets(create, 'keeps all it was given', async () => {
    const project = await newProject()
    const body = {
      content: 'Important decision: Using JWT for auth',
      type: 'decision',
      instance_id: 'instance_1',
      task_id: (await newTask(project)).id,
      files: ['auth.php'],
      importance_score: 0.9,
      expires_at: '2999-03-02T00:00:00.000Z',
    }
    const made = await data('POST', `${at(project)}/chunks`, { body })
    expect(made).toMatchObject({ ...body, project_id: project, chunk: body })
    expect(await data('GET', `${at(project)}/chunks`)).toEqual([made.chunk])
  })
  meets(create, 'takes a content alone', async () => {
    expect(await add(await newProject(), 'just this')).toMatchObject({
      type: 'context_update',
      instance_id: null,
      task_id: null,
      files: [],
      importance_score: 0.5,
      expires_at: null,
    })
  })
  meets(create, 'refuses unknown types and an importance beyond 1', async () => {
    const body = { content: ' ', type: 'gossip', importance_score: 2, expires_at: 'soon' }
    const { status, json } = await call('POST', `${at(await newProject())}/chunks`, { body })
    expect([status, Object.keys(json.error.errors).toSorted()]).toEqual([
      422,
      ['content', 'expires_at', 'importance_score', 'type'],
    ])
  })
}
