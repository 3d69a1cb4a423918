import { z } from 'zod'
import { domainError } from '../../../crdt/errors.ts'
import { projectDoc, projectOfDoc } from '../../../crdt/ids.ts'
import { dropNotice, openClaims, putNotice, readNotices } from '../../../crdt/lock-notices.ts'
import { err, ok } from '../../../crdt/result.ts'
import { written } from '../written.ts'
import type * as Y from 'yjs'
import type { Actor } from '../../../crdt/actor.ts'
import type { DocId, PeerId, ProjectId } from '../../../crdt/ids.ts'
import type { NoticeRecord, OpenRecord } from '../../../crdt/lock-notices.ts'
import type { LockNotice } from '../../../crdt/lock.ts'
import type { Result } from '../../../crdt/result.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import type { Documents } from '../feeds/documents.ts'
import type { EventHub } from '../event-hub.ts'

/** What provisional locks leave behind in their project's document. */
export type LockNotices = {
  /**
   * Follows every project. Claims that an earlier run of this node left open become notices of its restart, but for
   * those that were `certified`: they ended well.
   */
  start(certified: ReadonlySet<string>): Promise<void>
  stop(): void
  list(projectId: ProjectId): Promise<readonly LockNotice[]>
  /** @errors notice_not_found */
  dismiss(actor: Actor, projectId: ProjectId, id: string): Promise<Result<null>>
  /** Durable when it resolves. */
  put(projectId: ProjectId, record: NoticeRecord): Promise<Result<null>>
  /** The claim ended well: nothing is to be told of it. */
  close(projectId: ProjectId, claim: string): Promise<Result<null>>
}

export type LockNoticesDeps = {
  documents: Documents
  events: EventHub
  clock: Clock
  log: Log
  self: PeerId
}

/** A notice that somebody else's node wrote is told here too, once, as `file.conflict`. */
export const createLockNotices = (deps: LockNoticesDeps): LockNotices => new Notices(deps)

/** Of claims that this node left open: of these there is something to be told after a restart. */
const NoticeSummary = z.object({ open: z.int().min(0) })
type NoticeSummary = z.infer<typeof NoticeSummary>

class Notices implements LockNotices {
  readonly #deps: LockNoticesDeps
  /** Ids that have been told, by project in memory: as many as there are. */
  readonly #told = new Map<DocId, ReadonlySet<string>>()
  /** Projects that have been looked at since this process began. */
  readonly #seen = new Set<DocId>()
  readonly #endings = new Set<Promise<void>>()
  #certified: ReadonlySet<string> = new Set()
  #isStopped = false

  constructor(deps: LockNoticesDeps) {
    this.#deps = deps
  }

  async start(certified: ReadonlySet<string>): Promise<void> {
    const { documents, self } = this.#deps
    this.#certified = certified
    const toLoad: DocId[] = []
    await documents.follow<NoticeSummary>({
      kind: 'project',
      part: 'notices',
      summary: NoticeSummary,
      loaded: (doc, state) => this.#enter(doc, state),
      changed: ({ doc }, state) => this.#look(doc, state),
      isNeeded: () => false,
      summarize: (_doc, state) => ({ open: openClaims(state, self).length }),
      away: (doc, { open }) => {
        this.#told.delete(doc)
        if (open > 0 && !this.#seen.has(doc)) toLoad.push(doc)
      },
    })
    for (const doc of toLoad) await documents.read(doc, () => undefined)
    await Promise.all(this.#endings)
  }

  stop(): void {
    this.#isStopped = true
  }

  async list(projectId: ProjectId): Promise<readonly LockNotice[]> {
    return await this.#deps.documents.read(projectDoc(projectId), (state) => readNotices(state, projectId))
  }

  async dismiss(actor: Actor, projectId: ProjectId, id: string): Promise<Result<null>> {
    const notice = (await this.list(projectId)).find((each) => each.id === id)
    if (!notice) return err(domainError('notice_not_found'))
    return await this.#write(projectId, actor, (state) => dropNotice(state, notice.node, id))
  }

  put(projectId: ProjectId, record: NoticeRecord): Promise<Result<null>> {
    return this.#write(projectId, undefined, (state) => putNotice(state, this.#deps.self, record))
  }

  close(projectId: ProjectId, claim: string): Promise<Result<null>> {
    return this.#write(projectId, undefined, (state) => dropNotice(state, this.#deps.self, claim))
  }

  async #write(
    projectId: ProjectId,
    actor: Actor | undefined,
    change: (state: Y.Doc) => unknown,
  ): Promise<Result<null>> {
    const result = await written(this.#deps.documents.write(projectDoc(projectId), actor, change))
    return result.ok ? ok(null) : result
  }

  /** What is there is no news, but for what the last process of this node had no time to end. */
  #enter(doc: DocId, state: Y.Doc): void {
    const projectId = projectOfDoc(doc)
    if (projectId === undefined) return
    if (this.#told.has(doc)) return this.#look(doc, state)
    this.#told.set(doc, idsOf(readNotices(state, projectId)))
    if (this.#seen.has(doc)) return
    this.#seen.add(doc)
    const left = openClaims(state, this.#deps.self)
    // Not before all have been told that the document is there.
    const ending = Promise.resolve()
      .then(() => this.#endLeft(projectId, left))
      .catch((error: unknown) =>
        this.#deps.log.error({ err: error, doc }, 'provisional locks of an earlier run could not be ended'),
      )
      .finally(() => this.#endings.delete(ending))
    this.#endings.add(ending)
  }

  async #endLeft(projectId: ProjectId, left: readonly OpenRecord[]): Promise<void> {
    const ended = new Date(this.#deps.clock.wallMs()).toISOString()
    for (const open of left) {
      if (this.#isStopped) return
      const closed = this.#certified.has(open.claim)
        ? await this.close(projectId, open.claim)
        : await this.put(projectId, { ...open, state: 'owner-restart', ended })
      if (!closed.ok) this.#deps.log.warn({ claim: open.claim }, 'the end of a provisional lock could not be written')
    }
  }

  #look(doc: DocId, state: Y.Doc): void {
    const projectId = projectOfDoc(doc)
    const told = this.#told.get(doc)
    if (projectId === undefined || !told) return
    const notices = readNotices(state, projectId)
    this.#told.set(doc, idsOf(notices))
    for (const notice of this.#isStopped ? [] : notices) {
      if (!told.has(notice.id) && notice.conflict)
        this.#deps.events.publish({ type: 'file.conflict', projectId, notice })
    }
  }
}

const idsOf = (notices: readonly LockNotice[]): ReadonlySet<string> => new Set(notices.map(({ id }) => id))
