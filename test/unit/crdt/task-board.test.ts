import { describe, expect, it, vi } from 'vitest'
import * as Y from 'yjs'
import { InstanceId, ProjectId, TaskId } from '../../../crdt/ids.ts'
import { TaskBoard, type TaskBoardRules } from '../../../crdt/task-board.ts'
import { addTask, completeTask, deleteTask, editTask, putClaim, taskClaims } from '../../../crdt/task-document.ts'
import { taskEvent } from '../../../crdt/task-events.ts'
import type { ClaimedRecord, Completion, TaskBody } from '../../../crdt/task-record.ts'
import { PRIORITIES, type Priority } from '../../../crdt/task.ts'
import { identity } from '../../support/identity.ts'

const PROJECT = ProjectId.parse('00000000-0000-4000-8000-000000000001')
const A = identity(1).peer
const B = identity(2).peer
const PAGE = { page: 1, perPage: 20 }

const id = (n: number): TaskId => TaskId.parse(`00000000-0000-4000-8000-${String(n).padStart(12, '0')}`)
const iso = (second: number): string => new Date(1_800_000_000_000 + second * 1000).toISOString()
const lease = (n: number): string => n.toString(16).padStart(32, '0')

const body = (n: number, change: Partial<TaskBody> = {}): TaskBody => ({
  title: `task ${n}`,
  description: '',
  priority: 'medium',
  files: [],
  dependencies: [],
  estimated_tokens: null,
  created_at: iso(n),
  created_by: 'somebody',
  ...change,
})

const claimed = (n: number, token: number): ClaimedRecord => ({
  state: 'claimed',
  task: id(n),
  token,
  lease: lease(token),
  instance: InstanceId.parse(`agent-${token}`),
  tokenId: `token-${token}`,
  at: iso(0),
  certificate: new Uint8Array([token % 256]),
})

const completion = (token: number): Completion => ({
  token,
  lease: lease(token),
  instance: InstanceId.parse(`agent-${token}`),
  at: iso(token),
  summary: `by ${token}`,
  files_modified: [],
})

/** Of an end, where one is needed. */
const PROOF = new Uint8Array([7])

const released = (n: number, token: number, reason = 'no reason') => {
  const { task, lease, instance, at } = claimed(n, token)
  return { task, lease, instance, at, token, state: 'released' as const, reason }
}

const board = (rules: Partial<TaskBoardRules> = {}): TaskBoard =>
  new TaskBoard(PROJECT, { isWriter: () => true, verify: () => true, isLive: () => true, ...rules })

function withTasks(count: number, change: (n: number) => Partial<TaskBody> = () => ({})): Y.Doc {
  const doc = new Y.Doc()
  doc.transact(() => {
    for (let n = 1; n <= count; n++) addTask(doc, id(n), body(n, change(n)))
  })
  return doc
}

const titles = (of: TaskBoard, filter = {}): string[] => of.list(filter, PAGE).items.map(({ title }) => title)
const summaryOf = (of: TaskBoard, n = 1): unknown => {
  const task = of.get(id(n))
  return [task?.status, task?.claim?.instanceId, task?.completion?.summary]
}

describe('which claim counts', () => {
  it('[L2.6] the one with the highest token, in whatever order they arrive', () => {
    for (const order of [
      [A, B],
      [B, A],
    ]) {
      const doc = withTasks(1)
      const shown = board()
      for (const peer of order) {
        putClaim(doc, peer, claimed(1, peer === A ? 9 : 5))
        shown.sync(doc)
      }
      expect(summaryOf(shown)).toEqual(['in_progress', 'agent-9', undefined])
    }
  })

  it('[L2.6] a late completion of a lower token changes nothing while a higher claim is in force', () => {
    const doc = withTasks(1)
    const shown = board()
    putClaim(doc, B, claimed(1, 9))
    completeTask(doc, A, id(1), completion(5))
    shown.sync(doc)
    expect(summaryOf(shown)).toEqual(['in_progress', 'agent-9', undefined])
    completeTask(doc, B, id(1), completion(9))
    shown.sync(doc)
    expect(summaryOf(shown)).toEqual(['completed', undefined, 'by 9'])
  })

  it('a late completion counts after all when the higher claim is given back or falls silent', () => {
    const live = new Set([lease(9)])
    const doc = withTasks(1)
    const shown = board({ isLive: ({ record }) => live.has(record.lease) })
    putClaim(doc, B, claimed(1, 9))
    completeTask(doc, A, id(1), completion(5))
    shown.sync(doc)
    live.clear()
    shown.refreshLease(lease(9))
    expect(summaryOf(shown)).toEqual(['completed', undefined, 'by 5'])
    live.add(lease(9))
    shown.refreshLease(lease(9))
    expect(summaryOf(shown)).toEqual(['in_progress', 'agent-9', undefined])
    putClaim(doc, B, released(1, 9))
    shown.sync(doc)
    expect(summaryOf(shown)).toEqual(['completed', undefined, 'by 5'])
  })

  it('a claim below a completion or a release of a higher token is over, if that token is proven', () => {
    const doc = withTasks(2)
    putClaim(doc, A, claimed(1, 5))
    completeTask(doc, B, id(1), completion(9))
    putClaim(doc, A, claimed(2, 6))
    putClaim(doc, B, released(2, 10))
    const bare = board()
    bare.sync(doc)
    expect([summaryOf(bare, 1), summaryOf(bare, 2)]).toEqual([
      ['in_progress', 'agent-5', undefined],
      ['in_progress', 'agent-6', undefined],
    ])
    completeTask(doc, B, id(1), { ...completion(9), certificate: PROOF })
    putClaim(doc, B, { ...released(2, 10), certificate: PROOF })
    const forged = board({ verify: (_node, { certificate }) => certificate !== PROOF })
    forged.sync(doc)
    expect([summaryOf(forged, 1), summaryOf(forged, 2)]).toEqual([summaryOf(bare, 1), summaryOf(bare, 2)])
    const shown = board()
    shown.sync(doc)
    expect([summaryOf(shown, 1), summaryOf(shown, 2)]).toEqual([
      ['completed', undefined, 'by 9'],
      ['pending', undefined, undefined],
    ])
  })

  it('[L2.6] of two completions the one that proves its token goes first, whatever the other says', () => {
    const doc = withTasks(1)
    completeTask(doc, A, id(1), { ...completion(5), certificate: PROOF })
    completeTask(doc, B, id(1), completion(9))
    const shown = board()
    shown.sync(doc)
    expect(summaryOf(shown)).toEqual(['completed', undefined, 'by 5'])
  })

  it('[M13] nothing that another has written in the place of the holder', () => {
    const doc = withTasks(1)
    const other = new Y.Doc()
    Y.applyUpdate(other, Y.encodeStateAsUpdate(doc))
    putClaim(other, A, claimed(1, 5))
    completeTask(other, A, id(1), completion(5))
    putClaim(other, B, claimed(1, 3))
    Y.applyUpdate(doc, Y.encodeStateAsUpdate(other))
    const shown = board({ isWriter: (node) => node === B })
    shown.sync(doc)
    expect(summaryOf(shown)).toEqual(['in_progress', 'agent-3', undefined])
  })

  it('asks for the proofs of ends only where a claim of another stands against them', () => {
    const doc = withTasks(100)
    for (let n = 1; n <= 100; n++) completeTask(doc, A, id(n), { ...completion(n), certificate: PROOF })
    putClaim(doc, B, claimed(7, 1))
    const asked: number[] = []
    const verify: TaskBoardRules['verify'] = (_node, { token, certificate }) => {
      if (certificate === PROOF) asked.push(token)
      return true
    }
    const shown = board({ verify })
    shown.sync(doc)
    for (let n = 1; n <= 100; n++) shown.get(id(n))
    shown.claimed()
    expect(asked).toEqual([7])
  })

  it('[M13] none that was not granted to its author', () => {
    const doc = withTasks(1)
    putClaim(doc, A, claimed(1, 9))
    putClaim(doc, B, claimed(1, 5))
    const shown = board({ verify: (node, { token }) => node === B && token === 5 })
    shown.sync(doc)
    expect(summaryOf(shown)).toEqual(['in_progress', 'agent-5', undefined])
  })

  it('is asked for again when the voters become known', () => {
    let isKnown = false
    const doc = withTasks(1)
    putClaim(doc, A, claimed(1, 9))
    const shown = board({ verify: () => isKnown })
    shown.sync(doc)
    expect(summaryOf(shown)).toEqual(['pending', undefined, undefined])
    isKnown = true
    expect(shown.reverify()).toHaveLength(1)
    expect(summaryOf(shown)).toEqual(['in_progress', 'agent-9', undefined])
  })

  it('verifies each record once, whatever else changes', () => {
    let asked = 0
    const doc = withTasks(3)
    const shown = board({ verify: () => ++asked > 0 })
    for (const n of [1, 2, 3]) {
      putClaim(doc, A, claimed(n, n))
      shown.sync(doc)
    }
    expect(asked).toBe(3)
  })
})

describe('the order of work', () => {
  it('is by priority, then age, and follows every change', () => {
    const priority = (n: number): Priority => PRIORITIES[n % 4]!
    const doc = withTasks(8, (n) => ({ priority: priority(n) }))
    const shown = board()
    shown.sync(doc)
    expect(titles(shown)).toEqual([3, 7, 2, 6, 1, 5, 4, 8].map((n) => `task ${n}`))
    expect(titles(shown, { priority: 'low' })).toEqual(['task 4', 'task 8'])
    expect(shown.next()?.title).toBe('task 3')
    putClaim(doc, A, claimed(3, 1))
    editTask(doc, id(8), { priority: 'critical' })
    deleteTask(doc, id(2), iso(0))
    completeTask(doc, A, id(6), completion(2))
    shown.sync(doc)
    expect(titles(shown)).toEqual([3, 7, 8, 6, 1, 5, 4].map((n) => `task ${n}`))
    expect(titles(shown, { status: 'in_progress' })).toEqual(['task 3'])
    expect(titles(shown, { status: 'completed' })).toEqual(['task 6'])
    expect(shown.next()?.title).toBe('task 7')
    expect(shown.next((task) => task === id(7))?.title).toBe('task 8')
  })

  it('leaves out what waits for others, until they are completed or deleted', () => {
    const doc = withTasks(4, (n) => (n === 1 ? { dependencies: [id(2), id(3), id(99)], priority: 'critical' } : {}))
    const shown = board()
    shown.sync(doc)
    const blocked = () => shown.get(id(1))?.isBlocked
    expect([blocked(), shown.next()?.title]).toEqual([true, 'task 2'])
    completeTask(doc, A, id(2), completion(1))
    shown.sync(doc)
    expect(blocked()).toBe(true)
    deleteTask(doc, id(3), iso(0))
    shown.sync(doc)
    expect([blocked(), shown.next()?.title]).toEqual([false, 'task 1'])
    editTask(doc, id(1), { dependencies: [id(4)] })
    shown.sync(doc)
    expect(blocked()).toBe(true)
  })

  it('blocks again what waits for a task whose late completion was overtaken', () => {
    const doc = withTasks(2, (n) => (n === 1 ? { dependencies: [id(2)] } : {}))
    const shown = board()
    completeTask(doc, A, id(2), completion(5))
    shown.sync(doc)
    expect(shown.get(id(1))?.isBlocked).toBe(false)
    putClaim(doc, B, claimed(2, 9))
    shown.sync(doc)
    expect(shown.get(id(1))?.isBlocked).toBe(true)
  })

  it('pages ten thousand tasks', () => {
    const doc = withTasks(10_000)
    const shown = board()
    shown.sync(doc)
    const page = shown.list({}, { page: 500, perPage: 20 })
    expect([page.total, page.items.map(({ title }) => title).at(-1)]).toEqual([10_000, 'task 10000'])
    const one = withTasks(1)
    Y.applyUpdate(one, Y.encodeStateAsUpdate(doc))
    expect(shown.list({ status: 'completed' }, PAGE)).toEqual({ items: [], total: 0, page: 1, perPage: 20 })
  })
})

/** Looks at elements of lists, and reads of fields of these tasks, counted. */
class Work {
  count = 0

  constructor(doc: Y.Doc) {
    for (const stored of doc.getMap('tasks').values()) {
      for (const [name, value] of Object.entries(stored as object))
        Object.defineProperty(stored, name, { get: () => (this.count++, value), enumerable: true })
    }
  }

  in(run: () => void): number {
    const count = (): void => void this.count++
    const spies = (['filter', 'find', 'flatMap', 'map', 'some', 'forEach'] as const).map((method) => {
      const original = Array.prototype[method] as (...args: unknown[]) => unknown
      return vi.spyOn(Array.prototype, method).mockImplementation(function (
        this: unknown[],
        visit: unknown,
        ...rest: unknown[]
      ) {
        const counted = (...args: unknown[]): unknown => (count(), (visit as typeof original)(...args))
        return original.call(this, counted, ...rest) as never
      })
    })
    this.count = 0
    try {
      run()
    } finally {
      for (const spy of spies) spy.mockRestore()
    }
    return this.count
  }
}

describe('ten thousand tasks', () => {
  const FIELDS = Object.keys(body(1)).length
  const doc = withTasks(10_000, (n) => ({ priority: PRIORITIES[n % 4]! }))
  for (let n = 1; n <= 100; n++) putClaim(doc, A, claimed(50 * n, n))
  for (let n = 1; n <= 100; n++) completeTask(doc, B, id(77 * n), { ...completion(1000 + n), certificate: PROOF })
  const shown = board()
  shown.sync(doc)
  const work = new Work(doc)

  it.each([
    [{}, 10_000],
    [{ priority: 'low' }, 2500],
    [{ status: 'pending' }, 9801],
    [{ status: 'pending', priority: 'high' }, 2426],
    [{ status: 'in_progress' }, 99],
    [{ status: 'completed', priority: 'critical' }, 25],
  ] as const)('a page of %o costs what is on it', (filter, total) => {
    let listed: ReturnType<TaskBoard['list']> | undefined
    const done = work.in(() => (listed = shown.list(filter, { page: Math.ceil(total / 40), perPage: 20 })))
    expect([listed?.total, listed?.items.length]).toEqual([total, 20])
    expect(done).toBeLessThan(20 * (FIELDS + 3) + 20)
  })

  it('the next task is found without looking at the others', () => {
    expect(work.in(() => expect(shown.next()?.status).toBe('pending'))).toBeLessThan(FIELDS + 20)
  })

  it.each([
    ['an edit', () => editTask(doc, id(5000), { title: 'Changed' })],
    ['a change of priority', () => editTask(doc, id(5001), { priority: 'critical' })],
    ['a claim', () => putClaim(doc, A, claimed(5002, 7000))],
    ['a new task', () => addTask(doc, id(10_001), body(10_001))],
    ['a deleted task', () => deleteTask(doc, id(5003), iso(0))],
  ])('%s is taken in without looking at the others', (_what, change) => {
    doc.transact(change)
    const done = work.in(() => expect(shown.sync(doc)).toHaveLength(1))
    // A place in a sorted list of ten thousand is found in fourteen steps, in up to three lists, before and after.
    expect(done).toBeLessThan(600)
  })
})

describe('garbage', () => {
  it('[M13] is not shown and hurts nothing else', () => {
    const doc = withTasks(2)
    doc.transact(() => {
      const [tasks, edits, deleted, completions] = ['tasks', 'edits', 'deleted', 'completions'].map((n) =>
        doc.getMap(n),
      )
      tasks!.set('no id', body(3))
      tasks!.set(id(3), { ...body(3), priority: 'urgent' })
      tasks!.set(id(4), 'text')
      edits!.set(`${id(1)}/priority`, 'urgent')
      edits!.set(`${id(1)}/title`, 'New title')
      edits!.set(`${id(1)}/created_by`, 'me')
      edits!.set('x', 1)
      deleted!.set('x', 1)
      completions!.set(`${id(1)}/nobody`, completion(1))
      completions!.set(`${id(1)}/${A}`, { ...completion(1), token: -1 })
      doc.getArray('claims/nobody').push([claimed(1, 9)])
      doc.getArray(`claims/${A}`).push([null, 'x', { ...claimed(1, 9), certificate: 'x' }, claimed(2, 3)])
    })
    const shown = board()
    shown.sync(doc)
    expect(titles(shown)).toEqual(['New title', 'task 2'])
    expect(summaryOf(shown, 1)).toEqual(['pending', undefined, undefined])
    expect(shown.get(id(1))).toMatchObject({ priority: 'medium', createdBy: 'somebody' })
    expect(summaryOf(shown, 2)).toEqual(['in_progress', 'agent-3', undefined])
  })

  it('does not bring a deleted task back', () => {
    const doc = withTasks(1)
    const shown = board()
    shown.sync(doc)
    deleteTask(doc, id(1), iso(0))
    addTask(doc, id(1), body(1))
    editTask(doc, id(1), { title: 'Back' })
    putClaim(doc, A, claimed(1, 1))
    shown.sync(doc)
    expect([shown.size, shown.next()]).toEqual([0, undefined])
  })

  it('takes a task of a newer release, without what it does not know', () => {
    const doc = new Y.Doc()
    doc.getMap('tasks').set(id(1), { ...body(1), colour: 'red' })
    const shown = board()
    shown.sync(doc)
    expect(Object.keys(shown.get(id(1)) ?? {})).not.toContain('colour')
    expect(titles(shown)).toEqual(['task 1'])
  })
})

describe('following', () => {
  it('[D3] reads another Y.Doc anew and tells only what differs', () => {
    const doc = withTasks(3)
    putClaim(doc, A, claimed(1, 5))
    const shown = board()
    shown.sync(doc)
    const rebuilt = new Y.Doc()
    Y.applyUpdate(rebuilt, Y.encodeStateAsUpdate(doc))
    expect(shown.sync(rebuilt)).toEqual([])
    const other = withTasks(2)
    putClaim(other, A, claimed(1, 5))
    editTask(other, id(2), { title: 'Changed' })
    expect(new Set(shown.sync(other).map((change) => taskEvent(change)?.type))).toEqual(
      new Set(['task.deleted', 'task.updated']),
    )
    addTask(doc, id(7), body(7)) // the one before is followed no more
    expect([shown.sync(other), titles(shown)]).toEqual([[], ['task 1', 'Changed']])
  })

  it('tells each step of a task once', () => {
    const doc = new Y.Doc()
    const shown = board()
    const told: unknown[] = []
    const step = (change: () => void): void => {
      doc.transact(change)
      for (const transition of shown.sync(doc)) {
        const event = taskEvent(transition)
        told.push([event?.type, event && 'reason' in event ? event.reason : undefined])
      }
    }
    step(() => addTask(doc, id(1), body(1)))
    step(() => editTask(doc, id(1), { title: 'Changed' }))
    step(() => editTask(doc, id(1), { title: 'Changed' }))
    step(() => putClaim(doc, A, claimed(1, 1)))
    step(() => putClaim(doc, A, released(1, 1, 'stuck')))
    step(() => putClaim(doc, B, claimed(1, 2)))
    step(() => completeTask(doc, B, id(1), completion(2)))
    step(() => deleteTask(doc, id(1), iso(0)))
    expect(told).toEqual([
      ['task.created', undefined],
      ['task.updated', undefined],
      ['task.claimed', undefined],
      ['task.released', 'stuck'],
      ['task.claimed', undefined],
      ['task.completed', undefined],
      ['task.deleted', undefined],
    ])
  })
})

describe('growth', () => {
  const structs = (doc: Y.Doc): number =>
    [...doc.store.clients.values()].reduce((count, client) => count + client.length, 0)

  it('[D9] stays bounded over twenty thousand claims and releases of a hundred tasks', () => {
    const doc = withTasks(100)
    const before = [structs(doc), Y.encodeStateAsUpdate(doc).byteLength] as const
    for (let i = 0; i < 20_000; i++) {
      const n = (i % 100) + 1
      doc.transact(() => putClaim(doc, A, i % 200 < 100 ? claimed(n, i) : released(n, i)))
    }
    expect(structs(doc) - before[0]).toBeLessThan(300)
    expect(Y.encodeStateAsUpdate(doc).byteLength - before[1]).toBeLessThan(100 * 400)
  })

  it('keeps two hundred releases of an author, the newest', () => {
    const doc = new Y.Doc()
    for (let n = 1; n <= 250; n++) putClaim(doc, A, released(n, n))
    const kept = taskClaims(doc, A).toArray() as { token: number }[]
    expect([kept.length, kept[0]?.token, kept.at(-1)?.token]).toEqual([200, 51, 250])
  })
})
