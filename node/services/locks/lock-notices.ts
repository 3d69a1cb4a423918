import { domainError } from '../../../crdt/errors.ts'
import { projectDoc, ProjectId } from '../../../crdt/ids.ts'
import { dropNotice, openClaims, putNotice, readNotices } from '../../../crdt/lock-notices.ts'
import { err, ok } from '../../../crdt/result.ts'
import { written } from '../written.ts'
import type * as Y from 'yjs'
import type { Actor } from '../../../crdt/actor.ts'
import type { DocId, PeerId } from '../../../crdt/ids.ts'
import type { NoticeRecord } from '../../../crdt/lock-notices.ts'
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

class Notices implements LockNotices {
  readonly #deps: LockNoticesDeps
  readonly #unpin = new Map<DocId, () => void>()
  /** Ids that have been told, by project: as many as there are. */
  readonly #told = new Map<ProjectId, ReadonlySet<string>>()
  #stopFollowing: () => void = () => undefined
  #isStopped = false

  constructor(deps: LockNoticesDeps) {
    this.#deps = deps
  }

  async start(certified: ReadonlySet<string>): Promise<void> {
    const { documents, log } = this.#deps
    this.#stopFollowing = documents.onDocument((doc) => {
      this.#follow(doc, true).catch((error: unknown) =>
        log.error({ err: error, doc }, 'the notices of a project could not be opened'),
      )
    })
    await Promise.all(
      documents.list().map(async (doc) => {
        await this.#follow(doc, false)
        await this.#endLeft(doc, certified)
      }),
    )
  }

  stop(): void {
    this.#isStopped = true
    this.#stopFollowing()
    for (const unpin of this.#unpin.values()) unpin()
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

  async #follow(doc: DocId, isNews: boolean): Promise<void> {
    const projectId = projectIdOf(doc)
    if (projectId === undefined || this.#isStopped || this.#unpin.has(doc)) return
    this.#unpin.set(doc, () => undefined)
    if (isNews) this.#told.set(projectId, new Set())
    const unpin = await this.#deps.documents.open(doc, (_change, state) => this.#look(projectId, state))
    if (this.#isStopped) return unpin()
    this.#unpin.set(doc, unpin)
    this.#deps.documents.readOpen(doc, (state) => this.#look(projectId, state))
  }

  async #endLeft(doc: DocId, certified: ReadonlySet<string>): Promise<void> {
    const projectId = projectIdOf(doc)
    if (projectId === undefined || this.#isStopped) return
    const left = this.#deps.documents.readOpen(doc, (state) => openClaims(state, this.#deps.self))
    const ended = new Date(this.#deps.clock.wallMs()).toISOString()
    for (const open of left) {
      const closed = certified.has(open.claim)
        ? await this.close(projectId, open.claim)
        : await this.put(projectId, { ...open, state: 'owner-restart', ended })
      if (!closed.ok) this.#deps.log.warn({ claim: open.claim }, 'the end of a provisional lock could not be written')
    }
  }

  /** What is there when a project is first looked at after a start is no news. */
  #look(projectId: ProjectId, state: Y.Doc): void {
    const notices = readNotices(state, projectId)
    const told = this.#told.get(projectId)
    this.#told.set(projectId, new Set(notices.map(({ id }) => id)))
    for (const notice of told ? notices : []) {
      if (!told?.has(notice.id) && notice.conflict)
        this.#deps.events.publish({ type: 'file.conflict', projectId, notice })
    }
  }
}

function projectIdOf(doc: DocId): ProjectId | undefined {
  const [kind, id] = doc.split('/')
  return kind === 'project' ? ProjectId.safeParse(id).data : undefined
}
