import * as Y from 'yjs'
import type { DomainEvent } from '../../../../crdt/domain-event.ts'
import { InstanceId, projectDoc, type DocId, type PeerId } from '../../../../crdt/ids.ts'
import { openClaims, putNotice, readNotices, type NoticeRecord } from '../../../../crdt/lock-notices.ts'
import type { Documents, Follower } from '../../../../node/services/feeds/documents.ts'
import { createLockNotices } from '../../../../node/services/locks/lock-notices.ts'
import { PROJECT } from '../../../support/claim-lab.ts'
import { OTHER, SELF } from '../../../support/claim-table.ts'
import { createManualClock, settle } from '../../../support/clock.ts'
import { createRecordedLog } from '../../../support/log.ts'
import type { Report, Scenario } from '../scenario.ts'

export const lockNoticeScenarios: readonly Scenario[] = [
  { id: 'notices-kept', says: 'Of each claim there is one notice, and of each author so many.', run: kept },
  { id: 'notices-told', says: 'What became of a claim is told once, and of this process only at its end.', run: told },
]

const AT = '2026-01-01T00:00:00.000Z'
const shared = (n: number) => ({
  claim: n.toString(16).padStart(32, '0'),
  paths: ['a'],
  instance: InstanceId.parse('one'),
  at: AT,
})
const open = (n: number): NoticeRecord => ({ ...shared(n), state: 'open' })
const restarted = (n: number): NoticeRecord => ({ ...shared(n), state: 'owner-restart', ended: AT })
const conflict = {
  lease: 'e'.repeat(32),
  path: 'a',
  instance: InstanceId.parse('two'),
  node: OTHER,
  since: AT,
  guarantee: 'certified' as const,
}
const gaveWay = (n: number): NoticeRecord => ({ ...shared(n), state: 'yield', ended: AT, conflict })

function kept({ must }: Report): void {
  const doc = new Y.Doc()
  const count = (author: PeerId): number => doc.getArray(`lock-notices/${author}`).length
  for (let n = 0; n < 5; n++) putNotice(doc, SELF, open(n))
  for (let n = 100; n < 400; n++) {
    putNotice(doc, SELF, open(n))
    putNotice(doc, SELF, gaveWay(n))
  }
  must('D9', count(SELF) === 105, `one author keeps ${count(SELF)} notices`)
  must('P5', openClaims(doc, SELF).length === 5, 'a claim that is open makes room for the notice of another')
  must('P5', readNotices(doc, PROJECT).length === 100, 'a claim that is open is told to have ended')
  for (let n = 0; n < 3000; n++) doc.getArray(`lock-notices/${OTHER}`).push([restarted(n)])
  must('D9', readNotices(doc, PROJECT).length <= 1100, 'one author has all others read as much as it likes')
}

/** One project, in memory or not as the test says. */
function noticeTable({ isAway = false } = {}) {
  const doc = projectDoc(PROJECT)
  const state = new Y.Doc()
  const events: DomainEvent[] = []
  const means = { reads: 0, isLoaded: !isAway }
  let follower: Follower<unknown> | undefined
  const load = (): void => {
    if (means.isLoaded) return
    means.isLoaded = true
    follower?.loaded(doc, state)
  }
  const changed = (): void => follower?.changed({ doc, author: OTHER, local: false }, state)
  const leave = (): void => {
    means.isLoaded = false
    follower?.away(doc, follower.summarize(doc, state))
  }
  const documents = {
    async follow(one: Follower<unknown>) {
      follower = one
      if (isAway) leave()
      else one.loaded(doc, state)
      return { caughtUp: Promise.resolve() }
    },
    async read<T>(_doc: DocId, project: (of: Y.Doc) => T): Promise<T> {
      means.reads++
      load()
      return project(state)
    },
    async write<T>(_doc: DocId, _actor: undefined, change: (of: Y.Doc) => T) {
      load()
      const value = state.transact(() => change(state))
      changed()
      return { value, position: { doc, author: SELF, seq: 1 } }
    },
  }
  const notices = createLockNotices({
    documents: documents as unknown as Documents,
    events: { publish: (event) => events.push(event), subscribe: () => () => undefined },
    clock: createManualClock(),
    log: createRecordedLog(),
    self: SELF,
  })
  const hear = (record: NoticeRecord): void => {
    putNotice(state, OTHER, record)
    changed()
  }
  const openOf = (author: PeerId): string =>
    openClaims(state, author)
      .map(({ claim }) => Number(`0x${claim}`))
      .join()
  const again = (): void => follower?.loaded(doc, state)
  return { state, events, means, notices, hear, openOf, leave, load, again }
}

const NOTHING: ReadonlySet<string> = new Set()

async function told({ must }: Report): Promise<void> {
  const { state, events, notices, hear, openOf, leave, load, again } = noticeTable()
  for (const record of [open(1), open(2)]) putNotice(state, SELF, record)
  for (const record of [open(3), gaveWay(4)]) putNotice(state, OTHER, record)
  await notices.start(new Set([shared(2).claim]))
  const ended = readNotices(state, PROJECT).filter(({ why }) => why === 'owner-restart')
  must('P5', openOf(SELF) === '', 'a claim of the last process stays open')
  must('P5', ended.map(({ id }) => id).join() === shared(1).claim, 'what went on is told to have ended, or the reverse')
  must('P5', openOf(OTHER) === '3', 'a node ends the claims of another')
  must('P5', events.length === 0, 'what was there before is news')
  await notices.put(PROJECT, open(5))
  hear(restarted(6))
  hear(gaveWay(7))
  hear(gaveWay(8))
  const heard = (): string =>
    events.map((event) => (event.type === 'file.conflict' ? Number(`0x${event.notice.id}`) : 'else')).join()
  must('P5', heard() === '7,8', `of two claims that gave way ${heard()} is told`)
  leave()
  load()
  await settle()
  must('P5', openOf(SELF) === '5', 'a claim ends because its project was out of memory for a while')
  putNotice(state, OTHER, gaveWay(9))
  again()
  must('P5', heard() === '7,8,9', `what came while a document was rebuilt is ${heard()}`)
  notices.stop()
  hear(gaveWay(10))
  must('P5', heard() === '7,8,9', 'a node that has stopped tells what it hears')

  const away = noticeTable({ isAway: true })
  putNotice(away.state, SELF, open(1))
  await away.notices.start(NOTHING)
  must('P5', away.openOf(SELF) === '', 'a claim stays open in a project that nobody uses')
  const idle = noticeTable({ isAway: true })
  await idle.notices.start(NOTHING)
  must('D6', idle.means.reads === 0, 'every project is loaded to see that nothing was left open')

  const stopped = noticeTable()
  putNotice(stopped.state, SELF, open(1))
  const starting = stopped.notices.start(NOTHING)
  stopped.notices.stop()
  await starting
  must('P5', stopped.openOf(SELF) === '1', 'a node that has stopped ends the claims of its last process')
}
