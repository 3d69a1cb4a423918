import * as Y from 'yjs'
import type { DomainEvent } from '../../../../crdt/domain-event.ts'
import { liveDoc, type DocId } from '../../../../crdt/ids.ts'
import { isReady, LockReader, markReady, putLock, type ReadLock } from '../../../../crdt/live-document.ts'
import type { LockRecord } from '../../../../crdt/lock-record.ts'
import { StorageError, type Documents } from '../../../../node/services/feeds/documents.ts'
import { LIVE_BYTES_MAX } from '../../../../node/services/feeds/generations.ts'
import { createLockBoards } from '../../../../node/services/locks/lock-boards.ts'
import { createLiveLocks, type LiveEntry } from '../../../../node/services/locks/lock-live.ts'
import { codeOf } from '../../../support/claim-lab.ts'
import { OTHER, rivalRecord, SELF } from '../../../support/claim-table.ts'
import { createManualClock, settle } from '../../../support/clock.ts'
import { createRecordedLog } from '../../../support/log.ts'
import type { Report, Scenario } from '../scenario.ts'

export const lockDocumentScenarios: readonly Scenario[] = [
  { id: 'live-followed', says: 'Of each member the newest live document is followed, and no other.', run: followed },
  { id: 'live-read', says: 'A lock is shown under its own key, as long as it is in force.', run: read },
  { id: 'live-kept', says: 'A lock is on disk before it is told, or it is not held.', run: kept },
  {
    id: 'live-sizes',
    says: 'A live document stays small enough for others, and is read whole or not at all.',
    run: sizes,
  },
]

/** The board of one node, and live documents that it opens when the test says so. */
function boardTable() {
  const clock = createManualClock()
  const means = { timers: 0, opened: 0, isGranted: true, isMember: true, looks: 0 }
  const docs = new Map<DocId, Y.Doc>()
  const slow = new Map<DocId, Promise<void>>()
  const pins = new Set<{ doc: DocId; tell: (state: Y.Doc) => void }>()
  const told: DomainEvent[] = []
  const documents = {
    list: () => [],
    onDocument: () => () => undefined,
    async open(doc: DocId, onChange: (change: undefined, state: Y.Doc) => void) {
      means.opened++
      await slow.get(doc)
      const pin = { doc, tell: (state: Y.Doc) => onChange(undefined, state) }
      pins.add(pin)
      return () => void pins.delete(pin)
    },
    readOpen: <T>(doc: DocId, project: (state: Y.Doc) => T): T => project(docs.get(doc) ?? new Y.Doc()),
  }
  const boards = createLockBoards({
    documents: documents as unknown as Documents,
    leases: { isValid: () => true },
    presence: { lastRenewedMonoMs: () => clock.monoMs() },
    events: { publish: (event) => told.push(event), subscribe: () => () => undefined },
    clock: {
      ...clock,
      after(ms, task) {
        means.timers++
        return clock.after(ms, task)
      },
    },
    log: createRecordedLog(),
    self: SELF,
    isMember: () => means.isMember,
    certifies: () => means.isGranted,
  })
  boards.onLook(() => means.looks++)
  const say = (generation: number, ...records: LockRecord[]): DocId => {
    const doc = liveDoc(OTHER, generation)
    const state = docs.get(doc) ?? new Y.Doc()
    docs.set(doc, state)
    for (const [i, record] of records.entries()) {
      putLock(state, `${record.lease}/${i}`, record, record.token === null ? undefined : new Uint8Array(1))
    }
    markReady(state)
    return doc
  }
  const shown = (): string =>
    boards.board
      .list('p')
      .map(({ record }) => record.path)
      .join()
  return { boards, clock, means, pins, slow, told, docs, say, shown }
}

async function followed({ must }: Report): Promise<void> {
  const { boards, means, pins, slow, docs, say, shown } = boardTable()
  const opening = Promise.withResolvers<void>()
  const [first, second] = [say(1, rivalRecord('a', {})), say(2, rivalRecord('b', {}))]
  slow.set(first, opening.promise)
  const late = boards.catchUp(first)
  await boards.catchUp(second)
  opening.resolve()
  await late
  const pinned = (): string => [...pins].map(({ doc }) => doc).join()
  must('D6', pinned() === second, 'the generation that was opened last is followed, not the newest')
  say(2, rivalRecord('b', {}), rivalRecord('c', {}))
  for (const { doc, tell } of pins) tell(docs.get(doc)!)
  must('M17', shown() === 'b,c', 'what changes in the newest generation is not heard')
  means.opened = 0
  await boards.catchUp(first)
  must('D6', means.opened === 0, 'an old generation is loaded again')
  await boards.catchUp(say(3, rivalRecord('d', {})))
  must('D6', pinned() === liveDoc(OTHER, 3) && shown() === 'd', 'an old generation stays in memory')

  const closing = Promise.withResolvers<void>()
  const last = say(4)
  slow.set(last, closing.promise)
  const opened = boards.catchUp(last)
  boards.stop()
  closing.resolve()
  await opened
  means.opened = 0
  await boards.catchUp(say(5))
  must('D6', pins.size === 0 && means.opened === 0, 'a node that has stopped opens documents')
}

async function read({ must }: Report): Promise<void> {
  const shownAs = async (record: LockRecord, means: { isGranted?: boolean } = {}): Promise<string> => {
    const table = boardTable()
    Object.assign(table.means, means)
    await table.boards.catchUp(table.say(1, record))
    return table.shown()
  }
  const plain = rivalRecord('a', {})
  must('L2.9', (await shownAs(plain)) === 'a', 'a lock is not shown')
  must('L2.9', (await shownAs({ ...plain, path: 'A' })) === 'A', 'a lock of a project that folds case is not shown')
  must('M13', (await shownAs({ ...plain, key: 'p/b' })) === '', 'a lock of one path is shown on another')
  must('M13', (await shownAs({ ...plain, path: './a' })) === '', 'a lock is shown in a spelling that no node writes')
  const pattern = { ...plain, key: 'p/src', path: 'src/', pattern: 'src/*.ts' }
  must('L2.9', (await shownAs(pattern)) === 'src/', 'a lock of a pattern is not shown')
  must('M13', (await shownAs({ ...pattern, pattern: 'x/*' })) === '', 'a lock of one pattern is shown on another')
  const granted = rivalRecord('a', { token: 1 })
  must('L2.10', (await shownAs(granted, { isGranted: false })) === '', 'a lock that nobody granted is shown')

  const table = boardTable()
  const { boards, clock, means, told, shown } = table
  const until = (ms: number): string => new Date(clock.wallMs() + ms).toISOString()
  const [soon, later] = [rivalRecord('a', {}), { ...rivalRecord('b', {}), lease: 'd'.repeat(32) }]
  const doc = table.say(1, { ...soon, expiresAt: until(30_000) }, { ...later, expiresAt: until(600_000) })
  await boards.catchUp(doc)
  await clock.advance(29_000)
  must('P1', shown() === 'a,b', 'a provisional lock is hidden before its end')
  await clock.advance(2000)
  const isTold = told.some((event) => event.type === 'file.unlocked' && event.path === 'a')
  must('P1', shown() === 'b' && isTold, 'a provisional lock outlives its time on the boards of others')
  means.isMember = false
  boards.reverify()
  must('P1', shown() === '', 'a provisional lock outlives the membership of its node')
  means.isMember = true
  boards.reverify()
  for (let i = 0; i < 20; i++) boards.reverify()
  means.looks = 0
  await clock.advance(61_000)
  must('P1', means.looks < 3, `${means.looks} looks at one lock in a minute`)
  clock.suspend(500_000)
  await clock.advance(61_000)
  must('P1', shown() === '', 'a provisional lock outlives the sleep of who looks at it')
  const over = boardTable()
  await over.boards.catchUp(over.say(1, rivalRecord('a', {})))
  over.boards.stop()
  over.means.timers = 0
  over.boards.reverify()
  must('P1', over.means.timers === 0, 'a node that has stopped looks again')
}

const entry = (n: number, bytes = 2000, more: Partial<LiveEntry['record']> = {}): LiveEntry => {
  const lease = n.toString(16).padStart(32, '0')
  const record = { ...rivalRecord(`${n}`, { token: 1 }), lease, ...more } as LiveEntry['record']
  return { id: `${lease}/0`, record, certificate: new Uint8Array(bytes) }
}

/** Of one lease over many paths. */
const together = (count: number, bytes = 2000): LiveEntry[] =>
  Array.from({ length: count }, (_, i) => {
    const path = `${i}/`.padEnd(120, 'x')
    const record = { ...rivalRecord(path, { token: 1 }), lease: 'c'.repeat(32), reason: 'r'.repeat(256) }
    return { id: `${record.lease}/${i}`, record, certificate: new Uint8Array(bytes) }
  })

/** What one node says, to documents that are written when the test says so. */
function liveTable(boot = 1) {
  const docs = new Map<DocId, Y.Doc>()
  const updates: { doc: DocId; bytes: number }[] = []
  const nothing = async (): Promise<undefined> => undefined
  const means = { atOnce: 0, atOnceMax: 0, write: nothing, save: nothing, onWarning: () => undefined as unknown }
  const documents = {
    async write(doc: DocId, _actor: undefined, change: (state: Y.Doc) => void) {
      means.atOnceMax = Math.max(means.atOnceMax, ++means.atOnce)
      try {
        await Promise.resolve()
        await means.write()
        const state = docs.get(doc) ?? new Y.Doc()
        docs.set(doc, state)
        let bytes = 0
        const weigh = (update: Uint8Array): void => void (bytes += update.byteLength)
        state.on('update', weigh)
        state.transact(() => change(state))
        state.off('update', weigh)
        updates.push({ doc, bytes })
        return { value: undefined, position: { doc, author: SELF, seq: updates.length } }
      } finally {
        means.atOnce--
      }
    },
  }
  const live = createLiveLocks({
    documents: documents as unknown as Documents,
    self: SELF,
    boot,
    onWritten: async () => undefined,
    kept: {
      save: async () => await means.save(),
    },
    log: { ...createRecordedLog(), warn: () => void means.onWarning() },
  })
  /** What others read: of the newest generation that is whole. */
  const read = (): Map<string, LockRecord> => {
    const ready = [...docs.values()].filter(isReady).at(-1)
    const locks = ready ? new LockReader().read(ready) : new Map<string, ReadLock>()
    return new Map([...locks].map(([id, { record }]) => [id, record]))
  }
  const isRead = (): boolean => {
    const locks = read()
    const held = live.all()
    return locks.size === held.length && held.every(({ id, record }) => locks.get(id)?.expiresAt === record.expiresAt)
  }
  return { live, docs, updates, means, read, isRead }
}

const refuse = (): Promise<never> => Promise.reject(new StorageError('the disk is full'))
const codesOf = async (puts: readonly ReturnType<ReturnType<typeof createLiveLocks>['put']>[]): Promise<string> =>
  (await Promise.all(puts)).map(codeOf).join()

async function kept({ must }: Report): Promise<void> {
  const { live, docs, means, isRead } = liveTable(3)
  const saving = Promise.withResolvers<undefined>()
  means.save = () => saving.promise
  let isTold = false
  const put = live.put([entry(1)]).then((answer) => ((isTold = true), answer))
  await settle()
  must('L2.11', !isTold && docs.size === 0, 'a holder is told of a lock that its node would not find after a restart')
  must('P1', live.all().length === 1, 'what is about to be said is not known yet')
  saving.resolve(undefined)
  must('L2.11', codeOf(await put) === 'ok' && isRead(), 'a lock is not written')
  const generations = [...docs.keys()].map((doc) => Number(doc.split('/')[2]))
  must(
    'L2.11',
    generations.every((n) => n >= 3_000_000),
    'what an earlier process said is newer than what this one says',
  )

  const many = liveTable()
  await many.live.start()
  many.updates.length = 0
  await Promise.all(Array.from({ length: 10 }, (_, n) => many.live.put([entry(n)])))
  must('D9', many.updates.length === 1, `${many.updates.length} writes for what is said in one moment`)
  const writing = Promise.withResolvers<undefined>()
  many.means.write = () => writing.promise
  const both = [many.live.put([entry(11)])]
  await settle()
  both.push(many.live.put([entry(12)]))
  await settle()
  writing.resolve(undefined)
  await Promise.all(both)
  must('D9', many.means.atOnceMax === 1, 'two writes are under way at once')

  const full = liveTable()
  await full.live.put([entry(1)])
  const [old] = full.live.all()
  for (const disk of ['save', 'write'] as const) {
    full.means[disk] = refuse
    const longer = entry(1, 2000, { expiresAt: '2037-01-01T00:00:00.000Z' })
    const code = codeOf(await full.live.put([longer]))
    must('D7', code === 'storage_failed', `a lock is told to be held that is on no disk (${disk}): ${code}`)
    must('D7', full.live.all()[0] === old, `a lock lasts longer than its disk says (${disk})`)
    await full.live.put([entry(2)])
    must('D7', full.live.all().length === 1, `a lock is held that was refused (${disk})`)
    full.means[disk] = async () => undefined
  }
  full.means.save = refuse
  let isDropped = false
  full.live.drop([entry(1).id]).then(
    () => (isDropped = true),
    () => undefined,
  )
  await settle()
  must('D7', isDropped && full.read().size === 0, 'a disk that refuses keeps a lock')

  await refusedInParts({ must })
}

/** A lease over so many paths that its locks are written one part after the other. */
async function refusedInParts({ must }: Report): Promise<void> {
  for (const [disk, refusals] of [
    ['save', [1]],
    ['save', [2]],
    ['write', [1]],
    ['write', [2]],
  ] as const) {
    const { live, means, isRead } = liveTable()
    await live.start()
    await live.put([entry(1)])
    let count = 0
    means[disk] = async () => (refusals.includes(++count as never) ? await refuse() : undefined)
    const code = codeOf(await live.put(together(150)))
    await settle()
    const isNothing = code === 'storage_failed' && live.all().length === 1
    must('D7', isNothing, `a lease is held of which a part was refused (${disk} ${refusals.join()}): ${code}`)
    must('D7', isRead(), `others read what was refused (${disk} ${refusals.join()})`)
  }
  // Somebody asks between the refusal and the moment in which whoever was refused hears of it.
  const { live, means, isRead } = liveTable()
  means.save = refuse
  let again: ReturnType<typeof live.put> | undefined
  means.onWarning = () => {
    means.save = async () => undefined
    queueMicrotask(() => void (again = live.put([entry(1)])))
  }
  const first = codeOf(await live.put([entry(1)]))
  const answers = `${first},${again && codeOf(await again)}`
  must('D7', answers === 'storage_failed,ok' && isRead(), `what is asked for again goes with the first try: ${answers}`)
  must('D7', live.all().length === 1, 'what is asked for again goes with the first try')
}

async function sizes({ must }: Report): Promise<void> {
  const { live, docs, updates, means, read, isRead } = liveTable()
  const bytesOf = (doc: Y.Doc | undefined): number => (doc ? Y.encodeStateAsUpdate(doc).byteLength : 0)
  await live.start()
  await codesOf(Array.from({ length: 40 }, (_, n) => live.put([entry(n, 10_000)])))
  must(
    'L2.4',
    codeOf(await live.put(together(512, 200))) === 'ok',
    'a lease over as many paths as it may have is refused',
  )
  const largest = (): number => Math.max(...updates.map(({ bytes }) => bytes))
  must('M10', largest() < 200_000, `one write of ${largest()} bytes`)
  must('D9', isRead(), 'what is held is not what is read')
  await live.drop(live.all().map(({ id }) => id))

  await live.put([entry(1)])
  const before = docs.size
  for (let i = 0; i < 100; i++) await live.put([entry(1)])
  const newest = Math.max(...[...docs.values()].map(bytesOf).slice(before))
  must('D9', docs.size > before && newest < 300_000, `a document of ${newest} bytes for one lock`)
  await codesOf(Array.from({ length: 30 }, (_, n) => live.put([entry(n, 10_000)])))
  const held = docs.size
  for (let i = 0; i < 40; i++) await live.put([entry(1)])
  const isSteady = docs.size < held + 3
  must('D9', isSteady, `${docs.size - held} new generations for 40 small changes`)
  if (!isSteady) return

  // The second write fails of whatever takes more than one: then a generation is being filled.
  let writes = 0
  let isWhole = true
  means.write = async () => {
    if (++writes !== 2) return undefined
    isWhole &&= read().size === live.all().length
    return await refuse()
  }
  for (const isGivenBack of [false, true]) {
    for (let i = 0; i < 220 && isWhole; i++) {
      writes = 0
      await live.put([entry(1, 2000, { expiresAt: new Date(i * 1000).toISOString() })])
      writes = 0
      if (isGivenBack) await live.drop([]).catch(() => undefined)
      isWhole &&= isRead()
    }
  }
  means.write = async () => undefined
  must('D9', largest() < 200_000, `one write of ${largest()} bytes`)
  must('D6', isWhole, 'a generation that was filled by half is taken for the whole')

  const codes = new Set<string>()
  for (let n = 100; n < 140; n++) codes.add(codeOf(await live.put([entry(n, 50_000)])))
  const total = Math.max(...[...docs.values()].map(bytesOf))
  must('D9', codes.has('limit_reached') && total < LIVE_BYTES_MAX, `a live document of ${total} bytes`)
  must('D9', isRead(), 'what was refused is held')
}
