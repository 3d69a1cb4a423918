import { expect, it } from 'vitest'
import type { ChunkRecord } from '../../crdt/context-chunk.ts'
import { contextDoc, type ChunkId, type DocId, type ProjectId } from '../../crdt/ids.ts'
import type { ChunkIndex, ChunkScope } from '../../node/ports/chunk-index.ts'
import { identity } from '../support/identity.ts'

const [A, B] = [identity(0).peer, identity(1).peer]
export const P = '00000000-0000-4000-8000-0000000000a1' as ProjectId
const Q = '00000000-0000-4000-8000-0000000000a2' as ProjectId
export const chunkId = (n: number): ChunkId => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}` as ChunkId
export const NOW = Date.parse('2026-06-01T00:00:00Z')
export const segmentOf = (segment = 0, { project = P, author = A } = {}): DocId => contextDoc(project, author, segment)

export const record = (content: string, more: Partial<ChunkRecord> = {}): ChunkRecord => ({
  content,
  type: 'context_update',
  instance_id: null,
  task_id: null,
  files: [],
  importance_score: 0.5,
  expires_at: null,
  created_at: '2026-05-01T00:00:00Z',
  created_by: 'someone',
  ...more,
})

type Put = {
  readonly doc?: DocId
  readonly project?: ProjectId
  readonly position?: string
  readonly removed?: readonly ChunkId[]
}
export function put(index: ChunkIndex, chunks: Readonly<Record<number, ChunkRecord>>, more: Put = {}): void {
  const { doc = segmentOf(), project = P, position = '1', removed = [] } = more
  const entries = Object.entries(chunks).map(([n, chunk]) => [chunkId(Number(n)), chunk] as const)
  index.putSegment({ doc, project, position, chunks: new Map(entries), removed: new Set(removed) })
}

export const scope = (more: Partial<ChunkScope> = {}): ChunkScope => ({ projects: [P], nowMs: NOW, ...more })
const found = (index: ChunkIndex, text: string, more: Partial<ChunkScope> = {}) =>
  (index.search(scope(more), text, 10) ?? []).map(({ chunk }) => chunk.content)
const listed = (index: ChunkIndex, more: Partial<ChunkScope> = {}) =>
  index.list(scope(more), { page: 1, perPage: 10 }).items.map(({ content }) => content)

/** Acceptance tests of every index of chunks. */
export function describeChunkIndex(open: () => ChunkIndex): void {
  it('is empty at first', () => {
    const index = open()
    expect([[...index.segments()], listed(index), found(index, 'anything'), index.count(scope())]).toEqual([
      [],
      [],
      [],
      0,
    ])
  })

  it('answers a chunk as it was written', () => {
    const index = open()
    const more = {
      type: 'decision',
      instance_id: 'i-1',
      task_id: chunkId(99),
      files: ['src/a.ts', 'b "c".ts'],
      importance_score: 0.25,
      expires_at: '2026-07-01T12:00:00Z',
    } as unknown as Partial<ChunkRecord>
    put(index, { 1: record('It is “JWT”, \n👍', more) })
    expect(index.get(scope(), [chunkId(1), chunkId(2)])).toEqual([
      {
        id: chunkId(1),
        projectId: P,
        content: 'It is “JWT”, \n👍',
        type: 'decision',
        instanceId: 'i-1',
        taskId: chunkId(99),
        files: ['src/a.ts', 'b "c".ts'],
        importance: 0.25,
        expiresAt: '2026-07-01T12:00:00.000Z',
        createdAt: '2026-05-01T00:00:00.000Z',
        createdBy: 'someone',
      },
    ])
  })

  it('replaces what a document said, and forgets one that is dropped', () => {
    const index = open()
    put(index, { 1: record('one'), 2: record('two') })
    put(index, { 2: record('two'), 3: record('three') }, { position: '2' })
    expect(listed(index).toSorted()).toEqual(['three', 'two'])
    expect([found(index, 'one'), found(index, 'three')]).toEqual([[], ['three']])
    expect([...index.segments()]).toEqual([[segmentOf(), '2']])
    index.dropSegment(segmentOf())
    expect([listed(index), found(index, 'three'), [...index.segments()]]).toEqual([[], [], []])
  })

  it('finds words whatever their case, accents and endings, in contents and paths', () => {
    const index = open()
    put(index, {
      1: record('Authentication is implemented with JSON web tokens'),
      2: record('The café uses parseRequestBody', { files: ['src/UserController.php'] }),
      3: record('nothing of that'),
    })
    expect(found(index, 'how do we authenticate?')).toHaveLength(1)
    expect(found(index, 'IMPLEMENTING token')).toHaveLength(1)
    expect(
      [found(index, 'cafe'), found(index, 'request'), found(index, 'controller php')].map((f) => f.length),
    ).toEqual([1, 1, 1])
  })

  it('puts the better match first, and tells how much of the query each has', () => {
    const index = open()
    put(index, {
      1: record('a token'),
      2: record('the refresh token of the session'),
      3: record('session storage'),
      4: record('token bucket'),
    })
    const hits = index.search(scope(), 'refresh token session', 10) ?? []
    expect(hits[0]?.chunk.content).toBe('the refresh token of the session')
    const coverage = new Map(hits.map((hit) => [hit.chunk.content, hit.coverage]))
    expect(coverage.get('the refresh token of the session')).toBeCloseTo(1)
    // Of one word each the rarer one counts more.
    expect(coverage.get('session storage')).toBeGreaterThan(coverage.get('a token') ?? 1)
    expect(coverage.get('a token')).toBeGreaterThan(0)
  })

  it('takes a query for words, whatever is in it, and tells when there are none', () => {
    const index = open()
    put(index, { 1: record('where is it'), 2: record('NOT this OR that') })
    for (const query of [
      '"q',
      'e\u0301 \u0301 x',
      '\u0301',
      'a" OR text : "b',
      'NEAR(x',
      '{project} : p',
      "'; DROP TABLE chunk; --",
      'x*',
      '^where',
    ])
      expect(index.search(scope(), query, 10)).toBeDefined()
    expect([index.search(scope(), ' … !?', 10), found(index, 'where is it')]).toEqual([undefined, ['where is it']])
    expect(found(index, 'word '.repeat(5000))).toEqual([])
  })

  it('keeps projects apart, and takes several ids of one together', () => {
    const index = open()
    put(index, { 1: record('shared words') })
    put(index, { 2: record('shared words too') }, { doc: segmentOf(0, { project: Q }), project: Q })
    expect([found(index, 'shared'), found(index, 'shared', { projects: [Q] })]).toEqual([
      ['shared words'],
      ['shared words too'],
    ])
    expect(found(index, 'shared', { projects: [P, Q] })).toHaveLength(2)
    expect(index.count(scope({ projects: [P, Q] }))).toBe(2)
  })

  it('filters by type, file, instance and task everywhere', () => {
    const index = open()
    put(index, {
      1: record('word one', { type: 'decision', files: ['a.ts'] }),
      2: record('word two', { instance_id: 'i' as never, files: ['a.ts', 'b.ts'] }),
      3: record('word three', { task_id: chunkId(99) as never }),
    })
    const filters: Partial<ChunkScope>[] = [
      { types: ['decision', 'summary'] },
      { files: ['b.ts', 'c.ts'] },
      { files: ['a.ts'], instanceId: 'i' },
      { taskId: chunkId(99) },
      { types: ['summary'] },
    ]
    const expected = [['word one'], ['word two'], ['word two'], ['word three'], []]
    expect(filters.map((filter) => found(index, 'word', filter))).toEqual(expected)
    expect(filters.map((filter) => listed(index, filter))).toEqual(expected)
    expect(filters.map((filter) => index.count(scope(filter)))).toEqual([1, 1, 1, 1, 0])
  })

  it('finds what fits the filter behind many better matches that do not', () => {
    const index = open()
    const many = Object.fromEntries(Array.from({ length: 60 }, (_, n) => [n, record('word word')]))
    put(index, { ...many, 99: record(`word ${'and more '.repeat(50)}`, { type: 'decision' }) })
    const first = (more: Partial<ChunkScope>) => index.search(scope(more), 'word', 1)?.map(({ chunk }) => chunk.type)
    expect([first({}), first({ types: ['decision'] })]).toEqual([['context_update'], ['decision']])
    expect(index.search(scope(), 'word', 100)).toHaveLength(61)
  })

  it('hides what has expired from everything, and purges it', () => {
    const index = open()
    put(index, {
      1: record('word lasting'),
      2: record('word passing', { expires_at: '2026-06-01T00:00:01Z' }),
    })
    expect([listed(index).length, found(index, 'word').length]).toEqual([2, 2])
    const later = { nowMs: NOW + 1000 }
    const answers = () => [
      listed(index, later),
      found(index, 'word', later),
      index.ranked(scope(later), 9).map(({ content }) => content),
    ]
    expect(answers()).toEqual([['word lasting'], ['word lasting'], ['word lasting']])
    expect([index.count(scope(later)), index.locate(scope(later), chunkId(2))]).toEqual([1, undefined])
    const ownFirst = index.purgeExpired(NOW + 1000, A)
    const purged = [NOW, NOW + 1000, NOW + 1000].map((nowMs) => index.purgeExpired(nowMs, B))
    expect([ownFirst, ...purged]).toEqual([0, 0, 1, 0])
    expect(listed(index)).toEqual(['word lasting'])
  })

  it('hides what any document removes, for as long as it says so', () => {
    const index = open()
    put(index, { 1: record('word one'), 2: record('word two') })
    const theirs = segmentOf(0, { author: B })
    put(index, {}, { doc: theirs, removed: [chunkId(1)] })
    expect([listed(index), found(index, 'word'), index.count(scope())]).toEqual([['word two'], ['word two'], 1])
    expect(index.spent(A, NOW, 9)).toEqual([{ id: chunkId(1), doc: segmentOf() }])
    expect(index.spent(B, NOW, 9)).toEqual([])
    put(index, {}, { doc: theirs, position: '2' })
    expect([listed(index).length, index.spent(A, NOW, 9)]).toEqual([2, []])
  })

  it('lists newest first by pages, and ranks by importance, then age', () => {
    const index = open()
    const at = (day: number, importance: number) =>
      record(`day ${day}`, { created_at: `2026-05-0${day}T00:00:00Z`, importance_score: importance })
    put(index, { 1: at(1, 0.9), 2: at(2, 0.1), 3: at(3, 0.9), 4: at(4, 0.5) })
    const page = index.list(scope(), { page: 2, perPage: 3 })
    expect([listed(index), page.items.map(({ content }) => content), page.total]).toEqual([
      ['day 4', 'day 3', 'day 2', 'day 1'],
      ['day 1'],
      4,
    ])
    expect(index.ranked(scope(), 3).map(({ content }) => content)).toEqual(['day 3', 'day 1', 'day 4'])
  })

  it('names the most important chunks that have no vector, and the vectors that should go', () => {
    const index = open()
    const ranked = (importance: number) => record(`r ${importance}`, { importance_score: importance })
    put(index, { 1: ranked(0.1), 2: ranked(0.9), 3: ranked(0.5) })
    const missing = (capacity: number) => index.withoutVector(capacity, 9, NOW).map(({ content }) => content)
    expect([missing(9), missing(2)]).toEqual([
      ['r 0.9', 'r 0.5', 'r 0.1'],
      ['r 0.9', 'r 0.5'],
    ])
    index.markVectors([chunkId(1), chunkId(2)], 'yes')
    index.markVectors([chunkId(3)], 'no')
    expect([missing(9), index.vectorCount(scope()), index.surplusVectors(9, 9)]).toEqual([[], 2, []])
    // With room for two, the least important of the three has to give way.
    expect(index.surplusVectors(2, 9)).toEqual([chunkId(1)])
    put(index, { 1: ranked(0.1) }, { position: '2' })
    expect(index.surplusVectors(9, 9)).toEqual([chunkId(2)])
    index.forgetSurplus([chunkId(2)])
    expect(index.surplusVectors(9, 9)).toEqual([])
    index.markVectors([chunkId(77)], 'yes')
    expect(index.surplusVectors(9, 9)).toEqual([chunkId(77)])
  })

  it('can be told what vectors there really are', () => {
    const index = open()
    put(index, { 1: record('one'), 2: record('two') })
    index.markVectors([chunkId(1)], 'yes')
    index.resetVectors([chunkId(2), chunkId(55)])
    expect(index.withoutVector(9, 9, NOW).map(({ content }) => content)).toEqual(['one'])
    expect([index.vectorCount(scope()), index.surplusVectors(9, 9)]).toEqual([1, [chunkId(55)]])
  })

  it('is empty, and usable, after a reset', () => {
    const index = open()
    put(index, { 1: record('one') })
    index.reset()
    expect([listed(index), [...index.segments()]]).toEqual([[], []])
    put(index, { 1: record('one') })
    expect(found(index, 'one')).toEqual(['one'])
  })
}
