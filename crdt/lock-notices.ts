import type * as Y from 'yjs'
import { z } from 'zod'
import { GUARANTEES } from './guarantee.ts'
import { InstanceId, PeerId } from './ids.ts'
import type { ProjectId } from './ids.ts'
import type { LockNotice } from './lock.ts'

/*
 * Provisional locks as a `project/<id>` document remembers them, so that a crash cannot lose the news of their end:
 *   array `lock-notices/<peer>`  NoticeRecord, written by that peer alone, one per claim
 * A claim is entered as `open` before anybody works under it and taken out when it ends well. One that lost is replaced
 * by the notice; one that is still open when its node starts again ended with the node. A certified lock is entered only
 * when its node could not go on with it after a restart. Anybody may take a notice out.
 */

const PREFIX = 'lock-notices/'

/** Notices that an author keeps; whoever has not read the oldest of so many will not. */
export const NOTICES_KEPT_MAX = 100
/** A lock over hundreds of paths is not better understood by all of them. */
export const NOTICE_PATHS_MAX = 20

const path = z.string().min(1).max(1100)

const Conflict = z.object({
  lease: z.string().regex(/^[0-9a-f]{32}$/),
  path,
  instance: InstanceId,
  node: PeerId.nullable(),
  since: z.iso.datetime(),
  guarantee: z.enum(GUARANTEES),
})

const shared = {
  claim: z.string().regex(/^[0-9a-f]{32}$/),
  paths: z.array(path).min(1).max(NOTICE_PATHS_MAX),
  instance: InstanceId,
  at: z.iso.datetime(),
}

const OpenRecord = z.object({ ...shared, state: z.literal('open') })
export type OpenRecord = z.infer<typeof OpenRecord>
const YieldRecord = z.object({ ...shared, state: z.literal('yield'), ended: z.iso.datetime(), conflict: Conflict })
const RestartRecord = z.object({ ...shared, state: z.literal('owner-restart'), ended: z.iso.datetime() })

export const NoticeRecord = z.discriminatedUnion('state', [OpenRecord, YieldRecord, RestartRecord])
export type NoticeRecord = z.infer<typeof NoticeRecord>

const notices = (doc: Y.Doc, author: PeerId): Y.Array<unknown> => doc.getArray(PREFIX + author)

/** Replaces what the author said of this claim before, and lets go of its oldest notices beyond the limit. */
export function putNotice(doc: Y.Doc, author: PeerId, record: NoticeRecord): void {
  dropNotice(doc, author, record.claim)
  const array = notices(doc, author)
  array.push([record])
  const states = array.toArray().map((value) => NoticeRecord.safeParse(value).data?.state)
  let surplus = states.filter((state) => state !== 'open').length - NOTICES_KEPT_MAX
  for (let i = 0, at = 0; i < states.length && surplus > 0; i++) {
    if (states[i] === 'open') at++
    else {
      array.delete(at)
      surplus--
    }
  }
}

/** True when there was something to take out. */
export function dropNotice(doc: Y.Doc, author: PeerId, claim: string): boolean {
  const array = notices(doc, author)
  const at = array.toArray().findIndex((value) => NoticeRecord.safeParse(value).data?.claim === claim)
  if (at !== -1) array.delete(at)
  return at !== -1
}

/** What the author left open: at its start, what its last run had no time to end. */
export const openClaims = (doc: Y.Doc, author: PeerId): OpenRecord[] =>
  read(doc, author).flatMap((record) => (record.state === 'open' ? [record] : []))

/** Everything of all authors, open claims left out, oldest first. */
export function readNotices(doc: Y.Doc, projectId: ProjectId): LockNotice[] {
  return authors(doc)
    .flatMap((node) => read(doc, node).flatMap((record) => noticeView(record, node, projectId) ?? []))
    .toSorted((a, b) => (a.endedAt === b.endedAt ? compare(a.id, b.id) : compare(a.endedAt, b.endedAt)))
}

const compare = (a: string, b: string): number => (a < b ? -1 : 1)

function authors(doc: Y.Doc): PeerId[] {
  return [...doc.share.keys()].flatMap((name) => {
    const peer = name.startsWith(PREFIX) ? PeerId.safeParse(name.slice(PREFIX.length)).data : undefined
    return peer === undefined ? [] : [peer]
  })
}

function read(doc: Y.Doc, author: PeerId): NoticeRecord[] {
  // An author can write more than it may keep; reading stays bounded all the same.
  const values = notices(doc, author).slice(-READ_MAX)
  return values.flatMap((value) => NoticeRecord.safeParse(value).data ?? [])
}

const READ_MAX = 1000

function noticeView(record: NoticeRecord, node: PeerId, projectId: ProjectId): LockNotice | undefined {
  if (record.state === 'open') return undefined
  const { claim, paths, instance, at, ended, state } = record
  const conflict = record.state === 'yield' ? record.conflict : null
  return {
    id: claim,
    projectId,
    why: state,
    paths,
    instanceId: instance,
    node,
    lockedAt: at,
    endedAt: ended,
    conflict: conflict && {
      leaseId: conflict.lease,
      path: conflict.path,
      instanceId: conflict.instance,
      node: conflict.node,
      since: conflict.since,
      guarantee: conflict.guarantee,
    },
  }
}
