import { isReady, LockReader } from './live-document.ts'
import { outranks } from './lock-rank.ts'
import { isProvisional } from './lock-record.ts'
import type * as Y from 'yjs'
import type { DomainEvent } from './domain-event.ts'
import type { PeerId } from './ids.ts'
import type { ReadLock } from './live-document.ts'
import type { LockRecord } from './lock-record.ts'
import type { FileLock } from './lock.ts'

export type LockTransition = { readonly before: FileLock | undefined; readonly after: FileLock | undefined }

export type LockBoardRules = {
  /**
   * Does the record make sense, and was the lock, if it is no provisional one, granted to this node by the voters?
   * Asked once per record, and again after `reverify`.
   */
  readonly verify: (node: PeerId, record: LockRecord, certificate: Uint8Array | undefined) => boolean
  /** Is it still in force, as far as this node knows? When the answer changes, `refresh`. */
  readonly isLive: (node: PeerId, record: LockRecord) => boolean
}

/** One lock that somebody says to hold: `id` is its place in the holder's live document. */
export type HeldLock = { readonly node: PeerId; readonly id: string; readonly record: LockRecord }

/** All locks of the mesh as they are read: what each member's newest live document says, merged. */
export class LockBoard {
  readonly #rules: LockBoardRules
  readonly #reader = new LockReader()
  #verified = new WeakMap<LockRecord, boolean>()
  readonly #peers = new Map<PeerId, { generation: number; locks: ReadonlyMap<string, ReadLock> }>()
  #active: readonly HeldLock[] = []
  /** By extent. */
  #shown = new Map<string, HeldLock>()

  constructor(rules: LockBoardRules) {
    this.#rules = rules
  }

  /** Takes in what the document says now. An older generation than the one known, or a half-filled one, is ignored. */
  sync(node: PeerId, generation: number, doc: Y.Doc): LockTransition[] {
    if (!isReady(doc) || generation < (this.#peers.get(node)?.generation ?? 0)) return []
    this.#peers.set(node, { generation, locks: this.#reader.read(doc) })
    return this.refresh()
  }

  /** Looks again at locks that nothing proved: the voters that granted them may be known by now. */
  reverify(): LockTransition[] {
    this.#verified = new WeakMap()
    return this.refresh()
  }

  /** Looks again at who is live. */
  refresh(): LockTransition[] {
    const active: HeldLock[] = []
    for (const [node, { locks }] of this.#peers) {
      for (const [id, lock] of locks) {
        const { record } = lock
        if (this.#isValid(node, lock) && this.#rules.isLive(node, record)) active.push({ node, id, record })
      }
    }
    const shown = new Map<string, HeldLock>()
    for (const lock of active) {
      const extent = lockExtent(lock.record)
      const other = shown.get(extent)
      if (isHeld(lock.record) && (!other || outranks(lock.record, other.record))) shown.set(extent, lock)
    }
    const before = this.#shown
    this.#active = active
    this.#shown = shown
    return [...new Set([...before.keys(), ...shown.keys()])]
      .filter((key) => before.get(key)?.record !== shown.get(key)?.record)
      .map((key) => ({ before: viewOf(before.get(key)), after: viewOf(shown.get(key)) }))
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

  /** Everything in force, also what is not shown because it has not settled or another on its path is better. */
  active(): readonly HeldLock[] {
    return this.#active
  }

  #isValid(node: PeerId, { record, certificate }: ReadLock): boolean {
    const isValid = this.#verified.get(record) ?? this.#rules.verify(node, record, certificate)
    this.#verified.set(record, isValid)
    return isValid
  }
}

/** A claim that waits for objections is no lock yet. */
const isHeld = (record: LockRecord): boolean => !isProvisional(record) || record.settled

/**
 * Names what a lock covers: a path with all that is below it. It is the key, which starts with the project's, the same
 * for every project that is the same repository.
 */
export const lockExtent = ({ key }: { readonly key: string }): string => key

export function lockView({ node, record }: HeldLock): FileLock {
  return {
    projectId: record.project,
    path: record.path,
    pattern: record.pattern ?? null,
    instanceId: record.instance,
    reason: record.reason,
    lockedAt: record.lockedAt,
    expiresAt: record.expiresAt,
    node,
    tokenId: record.tokenId,
    guarantee: isProvisional(record) ? 'provisional' : 'certified',
    missingVoters: isProvisional(record) ? record.missing : [],
    leaseId: record.lease,
    fencingToken: record.token,
  }
}

const viewOf = (lock: HeldLock | undefined): FileLock | undefined => lock && lockView(lock)

/**
 * A lock that only lasts longer now, or moved to another lease of its holder, is no event. One whose guarantee changed
 * is told again; a provisional one that gave way to another holder's is told to be gone first.
 */
export function lockEvents({ before, after }: LockTransition): DomainEvent[] {
  const gone = (lock: FileLock): DomainEvent => ({
    type: 'file.unlocked',
    projectId: lock.projectId,
    path: lock.path,
  })
  if (!after) return before ? [gone(before)] : []
  const locked: DomainEvent = { type: 'file.locked', projectId: after.projectId, lock: after }
  if (!before) return [locked]
  if (holding(before) !== holding(after)) return before.guarantee === 'provisional' ? [gone(before), locked] : [locked]
  return before.guarantee === after.guarantee ? [] : [locked]
}

const holding = ({ instanceId, tokenId, lockedAt }: FileLock): string => JSON.stringify([instanceId, tokenId, lockedAt])
