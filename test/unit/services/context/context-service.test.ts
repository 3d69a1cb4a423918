import { afterEach, describe, expect, it, vi } from 'vitest'
import { addChunk, SEGMENT_BYTES_MAX } from '../../../../crdt/context-document.ts'
import { ChunkInput, ChunkRecord } from '../../../../crdt/context-chunk.ts'
import { ChunkId, contextDoc, contextPlace, TaskId, type PeerId } from '../../../../crdt/ids.ts'
import { ok } from '../../../../crdt/result.ts'
import type { Task } from '../../../../crdt/task.ts'
import { MEMORY, openChunkIndex } from '../../../../node/adapters/sqlite-chunk-index.ts'
import { IndexDamagedError, type ChunkIndex } from '../../../../node/ports/chunk-index.ts'
import { ALIAS, CONTEXT_PROJECT, createContextNode, valueOf, type ContextNode } from '../../../support/context-lab.ts'
import { createMembership, createTestReplica, sync } from '../../../support/replicas.ts'

const nodes: ContextNode[] = []
afterEach(async () => {
  for (const { context } of nodes.splice(0)) await context.stop()
})
type Options = Parameters<typeof createContextNode>[2]
async function start(count = 1, options: Options = {}): Promise<[ContextNode, ContextNode]> {
  const membership = createMembership(2)
  for (let n = 0; n < count; n++) nodes.push(await createContextNode(n, membership, options))
  const [a, b = a] = nodes
  if (!a || !b) throw new Error('no nodes')
  return [a, b]
}
/** What either has is on the other, and read there. */
async function exchange(a: ContextNode, b: ContextNode): Promise<void> {
  await sync(a.replica, b.replica)
  await sync(b.replica, a.replica)
  await a.pass(10)
  await b.pass(10)
}
const segments = ({ replica }: ContextNode) => replica.documents.list().filter((doc) => contextPlace(doc))
const codeOf = (result: { ok: boolean; error?: { code: string } }): string => result.error?.code ?? 'ok'

describe('chunks', () => {
  it('are found here at once, and on another node as soon as they got there', async () => {
    const [a, b] = await start(2)
    const added = await a.add('JWT authentication', { type: 'decision', files: ['auth.ts'] })
    expect(await a.query('authentication')).toMatchObject({
      results: [{ chunk: added, similarity: 1 }],
      method: 'lexical',
    })
    await exchange(a, b)
    expect((await b.query('authentication')).results[0]?.chunk).toEqual(added)
    await b.add('authentication, too')
    await exchange(a, b)
    expect((await a.contents()).toSorted()).toEqual((await b.contents()).toSorted())
    expect(await a.contents()).toHaveLength(2)
  })

  it('are taken out by whoever may, also those of others, everywhere and for good', async () => {
    const [a, b] = await start(2)
    const own = await a.add('of a')
    await exchange(a, b)
    expect(codeOf(await b.context.remove(b.actor, CONTEXT_PROJECT, own.id))).toBe('ok')
    expect([await b.contents(), codeOf(await b.context.remove(b.actor, CONTEXT_PROJECT, own.id))]).toEqual([
      [],
      'chunk_not_found',
    ])
    await exchange(a, b)
    expect(await a.contents()).toEqual([])
    // Its author then takes the text out of its document.
    await a.pass(60_000)
    const [segment = ''] = segments(a).filter((doc) => contextPlace(doc)?.author === a.replica.peer)
    const stored = (node: ContextNode) =>
      node.replica.documents.read(segment as never, (state) => state.getMap('chunks').size)
    expect(await stored(a)).toBe(0)
    await exchange(a, b)
    expect(await stored(b)).toBe(0)
  })

  it('are gone from all answers when they expire, and then from the documents', async () => {
    const [a, b] = await start(2)
    const at = a.replica.clock.wallMs()
    await a.add('lasting')
    await a.add('passing', { expires_at: new Date(at + 30_000).toISOString() })
    await exchange(a, b)
    expect(await b.contents()).toHaveLength(2)
    for (const node of [a, b]) await node.pass(31_000)
    expect([await a.contents(), await b.contents()]).toEqual([['lasting'], ['lasting']])
    await a.pass(60_000)
    const [segment = ''] = segments(a)
    expect(await a.replica.documents.read(segment as never, (state) => state.getMap('chunks').size)).toBe(1)
    expect(await b.replica.documents.read(segment as never, (state) => state.getMap('chunks').size)).toBe(2)
    await exchange(a, b)
    expect(await b.replica.documents.read(segment as never, (state) => state.getMap('chunks').size)).toBe(1)
    // One that has expired already is taken, and never shown.
    await a.add('late', { expires_at: '2026-03-02T00:00:00+01:00' })
    expect(await a.contents()).toEqual(['lasting'])
  })

  it('go into a new segment when one is full, and stay out of memory', async () => {
    const [a] = await start()
    const text = 'some words '.repeat(4000)
    for (let i = 0; i * text.length < 2.5 * SEGMENT_BYTES_MAX; i++) await a.add(`${i} ${text}`)
    expect(segments(a).map((doc) => contextPlace(doc)?.segment)).toEqual([0, 1, 2])
    await a.pass(360_000)
    const loaded = a.replica.documents.info().filter(({ doc, loaded: is }) => is && contextPlace(doc))
    expect(loaded).toEqual([])
    expect((await a.query('words')).results).toHaveLength(10)
    // A restart finds the one to go on with.
    await a.add('last')
    expect(segments(a)).toHaveLength(3)
  })

  it('written under another id of the project belong to it', async () => {
    const [a] = await start()
    const record = ChunkRecord.parse({
      ...ChunkInput.parse({ content: 'under the alias' }),
      created_at: '2026-01-01T00:00:00Z',
      created_by: 'x',
    })
    const id = ChunkId.parse('00000000-0000-4000-8000-000000000001')
    await a.replica.documents.write(contextDoc(ALIAS, a.replica.peer, 0), undefined, (state) =>
      addChunk(state, id, record),
    )
    await a.pass(10)
    expect((await a.query('alias')).results).toHaveLength(1)
  })

  it.each(['context:read', 'task:write'])('are not written with the ability %s', async (ability) => {
    const [a] = await start()
    const actor = { ...a.actor, abilities: [ability] }
    const { id } = await a.add('x')
    expect([
      codeOf(await a.context.add(actor, CONTEXT_PROJECT, ChunkInput.parse({ content: 'y' }))),
      codeOf(await a.context.remove(actor, CONTEXT_PROJECT, id)),
      codeOf(await a.context.summarise(actor, CONTEXT_PROJECT)),
    ]).toEqual(['forbidden', 'forbidden', 'forbidden'])
  })

  it('too large for an envelope are refused', async () => {
    const [a] = await start()
    const input = ChunkInput.parse({
      content: '界'.repeat(40_000),
      files: Array.from({ length: 100 }, (_, i) => `${i}${'x'.repeat(900)}`),
    })
    expect(codeOf(await a.context.add(a.actor, CONTEXT_PROJECT, input))).toBe('too_large')
  })

  it('of a project that is removed are not in the index any more', async () => {
    const [a] = await start()
    await a.add('x')
    a.removeProject()
    await a.pass(10)
    expect(a.index.segments().size).toBe(0)
    expect(codeOf(await a.context.get(CONTEXT_PROJECT))).toBe('project_not_found')
  })
})

describe('the index', () => {
  it('reads only what has changed since the last run', async () => {
    const membership = createMembership(2)
    const index = openChunkIndex(MEMORY)
    const first = await createContextNode(0, membership, { index: { ...bound(index), close: () => undefined } })
    await first.add('one')
    await first.context.stop()
    await first.replica.documents.close()
    const replica = await createTestReplica(0, membership, first.replica.store)
    const read = vi.spyOn(replica.documents, 'read')
    const second = await createContextNode(0, membership, { index, replica })
    nodes.push(second)
    await second.pass(10)
    expect([await second.contents(), read.mock.calls.length]).toEqual([['one'], 0])
  })

  it('is filled from the documents when it is missing', async () => {
    const membership = createMembership(2)
    const first = await createContextNode(0, membership)
    await first.add('one')
    await first.context.stop()
    const second = await createContextNode(0, membership, { replica: first.replica })
    nodes.push(second)
    await second.pass(10)
    expect(await second.contents()).toEqual(['one'])
  })

  it('is made anew when it turns out to be damaged', async () => {
    const index = openChunkIndex(MEMORY)
    let isDamaged = false
    const fragile = {
      ...bound(index),
      list(...args: Parameters<ChunkIndex['list']>) {
        if (isDamaged) throw new IndexDamagedError('damaged')
        return index.list(...args)
      },
      reset() {
        isDamaged = false
        index.reset()
      },
    }
    const [a] = await start(1, { index: fragile })
    await a.add('one')
    isDamaged = true
    await a.contents()
    await a.pass(10)
    expect(await a.contents()).toEqual(['one'])
  })
})

describe('completed tasks', () => {
  const task = (completion: Partial<Task['completion']> & object): Task => ({
    id: TaskId.parse('00000000-0000-4000-8000-000000000005'),
    projectId: CONTEXT_PROJECT,
    title: 'Fix the login',
    description: '',
    priority: 'medium',
    status: 'completed',
    files: [],
    dependencies: [],
    estimatedTokens: null,
    createdAt: '2026-01-01T00:00:00.000Z',
    createdBy: 'x',
    isBlocked: false,
    claim: null,
    completion: {
      summary: 'Tokens rotate now',
      filesModified: ['auth.ts'],
      completedAt: '2026-01-02T00:00:00.000Z',
      instanceId: 'agent-1' as never,
      ...completion,
    },
  })
  const complete = (a: ContextNode, node: PeerId | null) =>
    a.events.publish({
      type: 'task.completed',
      projectId: CONTEXT_PROJECT,
      task: task({}),
      summary: 'Tokens rotate now',
      node,
    })

  it('are in the context, once in the mesh', async () => {
    const [a, b] = await start(2)
    for (const node of [a, b]) complete(node, a.replica.peer)
    complete(b, null)
    await a.pass(10)
    await exchange(a, b)
    const { items } = valueOf(await b.context.list(CONTEXT_PROJECT, {}, { page: 1, perPage: 10 }))
    expect(items).toMatchObject([
      {
        type: 'task_completion',
        content: 'Fix the login\n\nTokens rotate now',
        files: ['auth.ts'],
        instanceId: 'agent-1',
        taskId: '00000000-0000-4000-8000-000000000005',
      },
    ])
  })

  it('of which the process ended between its two writes are added by the next, once', async () => {
    const membership = createMembership(2)
    const a = await createContextNode(1, membership)
    const noted = task({})
    const pending = { task: noted.id, project: CONTEXT_PROJECT, instance: 'agent-1' as never }
    const other = { ...pending, task: TaskId.parse('00000000-0000-4000-8000-000000000006'), instance: 'x' as never }
    await a.completions.begin(pending)
    await a.completions.begin(other)
    await a.context.stop()
    const tasks = (id: string) => ok(task(id === other.task ? { instanceId: 'somebody else' as never } : {}))
    for (let process = 0; process < 2; process++) {
      const next = await createContextNode(1, membership, { replica: a.replica, tasks })
      await next.pass(10)
      const { items } = valueOf(await next.context.list(CONTEXT_PROJECT, {}, { page: 1, perPage: 10 }))
      expect(items.map(({ taskId }) => taskId)).toEqual([noted.id])
      expect(next.completions.all()).toEqual([])
      // As if it had ended right after the second write.
      await next.completions.begin(pending)
      await next.context.stop()
    }
  })

  it('stay to be added while the disk is full', async () => {
    const [a] = await start(1)
    await a.completions.begin({ task: task({}).id, project: CONTEXT_PROJECT, instance: 'agent-1' as never })
    a.replica.store.failWith(new Error('the disk is full'))
    complete(a, a.replica.peer)
    await a.pass(10)
    expect(a.completions.all()).toHaveLength(1)
    a.replica.store.failWith(undefined)
  })
})

describe('broadcasts', () => {
  it('are kept for a day, the newest hundred', async () => {
    const [a] = await start(1)
    const broadcast = (n: number) => ({
      id: `b${n}`,
      projectId: CONTEXT_PROJECT,
      type: 'announcement',
      content: `news ${n}`,
      target: 'all',
      createdAt: '2026-01-01T00:00:00.000Z',
    })
    for (let n = 1; n <= 102; n++) {
      valueOf(await a.context.keepBroadcast(broadcast(n), 'somebody'))
      await a.pass(1)
    }
    const contents = await a.contents()
    expect([contents.length, contents[0], contents.at(-1)]).toEqual([100, 'news 102', 'news 3'])
    await a.pass(24 * 3_600_000)
    expect(await a.contents()).toEqual([])
  })
})

/** The methods of a class instance as properties. */
function bound(index: ChunkIndex): ChunkIndex {
  const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(index)).filter((name) => name !== 'constructor')
  return Object.fromEntries(
    methods.map((name) => [name, (index[name as keyof ChunkIndex] as () => unknown).bind(index)]),
  ) as unknown as ChunkIndex
}
