import { isReady, LockReader } from './live-document.ts'
import type * as Y from 'yjs'
import type { DomainEvent } from './domain-event.ts'
import type { PeerId } from './ids.ts'
import type { LockRecord } from './lock-record.ts'
import type { FileLock } from './lock.ts'

export type LockTransition = { readonly before: FileLock | undefined; readonly after: FileLock | undefined }

export type LockBoardRules = {
  /** Was this lock granted to this node by the voters? Asked once per record. */
  readonly verify: (node: PeerId, record: LockRecord, certificate: Uint8Array) => boolean
  /** Does its holder still renew it, as far as this node knows? When the answer changes, tell `refreshLease`. */
  readonly isLive: (node: PeerId, record: LockRecord) => boolean
}

/** One lock that somebody says to hold: `id` is its place in the holder's live document. */
export type HeldLock = { readonly node: PeerId; readonly id: string; readonly record: LockRecord }

/** All locks of the mesh as they are read: what each member's newest live document says, merged. */
export class LockBoard {
  readonly #rules: LockBoardRules
  readonly #reader = new LockReader()
  readonly #verified = new WeakMap<LockRecord, boolean>()
  readonly #peers = new Map<PeerId, { generation: number; locks: ReadonlyMap<string, LockRecord> }>()
  /** By extent. */
  #shown = new Map<string, HeldLock>()

  constructor(rules: LockBoardRules) {
    this.#rules = rules
  }

  /** Takes in what the document says now. An older generation than the one known, or a half-filled one, is ignored. */
  sync(node: PeerId, generation: number, doc: Y.Doc): LockTransition[] {
    if (!isReady(doc) || generation < (this.#peers.get(node)?.generation ?? 0)) return []
    const locks = new Map<string, LockRecord>()
    for (const [id, { record, certificate }] of this.#reader.read(doc)) {
      const isValid = this.#verified.get(record) ?? this.#rules.verify(node, record, certificate)
      if (isValid) this.#verified.set(record, true)
      if (isValid) locks.set(id, record)
    }
    this.#peers.set(node, { generation, locks })
    return this.refresh()
  }

  /** Looks again at who is live. */
  refresh(): LockTransition[] {
    const shown = new Map<string, HeldLock>()
    for (const [node, { locks }] of this.#peers) {
      for (const [id, record] of locks) {
        const extent = lockExtent(record)
        const isNewer = record.token > (shown.get(extent)?.record.token ?? -1)
        if (isNewer && this.#rules.isLive(node, record)) shown.set(extent, { node, id, record })
      }
    }
    const before = this.#shown
    this.#shown = shown
    return [...new Set([...before.keys(), ...shown.keys()])]
      .filter((key) => before.get(key)?.record !== shown.get(key)?.record)
      .map((key) => ({ before: viewOf(before.get(key)), after: viewOf(shown.get(key)) }))
      .filter(({ before: was, after: is }) => JSON.stringify(was) !== JSON.stringify(is))
  }

  get(extent: string): HeldLock | undefined {
    return this.#shown.get(extent)
  }

  /** Every lock under a project's key, by path. */
  list(projectKey: string): HeldLock[] {
    return [...this.#shown.values()]
      .filter(({ record }) => record.key === projectKey || record.key.startsWith(`${projectKey}/`))
      .toSorted((a, b) => (a.record.path < b.record.path ? -1 : 1))
  }
}

/**
 * Names what a lock covers: a path, or with a `/` behind it a directory with all that is in it. Starts with the
 * project's key, which is the same for every project that is the same repository.
 */
export const lockExtent = ({ key, path }: { readonly key: string; readonly path: string }): string =>
  path.endsWith('/') ? `${key}/` : key

export function lockView({ node, record }: HeldLock): FileLock {
  return {
    projectId: record.project,
    path: record.path,
    instanceId: record.instance,
    reason: record.reason,
    lockedAt: record.lockedAt,
    expiresAt: record.expiresAt,
    node,
    tokenId: record.tokenId,
    leaseId: record.lease,
    fencingToken: record.token,
  }
}

const viewOf = (lock: HeldLock | undefined): FileLock | undefined => lock && lockView(lock)

/** A lock that only lasts longer now, or moved to another lease of its holder, is no event. */
export function lockEvent({ before, after }: LockTransition): DomainEvent | undefined {
  if (before && !after) return { type: 'file.unlocked', projectId: before.projectId, path: before.path }
  if (!after || (before && holding(before) === holding(after))) return undefined
  return { type: 'file.locked', projectId: after.projectId, lock: after }
}

const holding = ({ instanceId, tokenId, lockedAt }: FileLock): string => JSON.stringify([instanceId, tokenId, lockedAt])
