import { lockView } from '../../../crdt/lock-board.ts'
import { NOTICE_PATHS_MAX } from '../../../crdt/lock-notices.ts'
import { isProvisional } from '../../../crdt/lock-record.ts'
import { sharedRecord } from './lock-terms.ts'
import type { Hlc } from '../../../crdt/hlc.ts'
import type { HeldLock } from '../../../crdt/lock-board.ts'
import type { FileLock, LockConflict } from '../../../crdt/lock.ts'
import type { PeerId } from '../../../crdt/ids.ts'
import type { Cancel } from '../../ports/clock.ts'
import type { LiveEntry } from './lock-live.ts'
import type { LockTarget } from './lock-target.ts'
import type { LockTerms } from './lock-terms.ts'

/** What this node holds without a certificate. Only this node ends it, once, in memory, before anything is written. */
export type Claim = {
  readonly id: string
  readonly hlc: Hlc
  readonly settledAtMs: number
  terms: LockTerms
  /** Replaced when one of them is given back. */
  targets: readonly PlacedTarget[]
  missing: readonly string[]
  /** `certifying`: a quorum has granted it; from now on it gives way to nobody. */
  state: 'settling' | 'held' | 'certifying' | 'ended'
  lostTo: HeldLock | undefined
  cancelExpiry: Cancel
}

type PlacedTarget = LockTarget & { readonly entry: string }

/** It may still give way, and may still get a certificate. */
export const stands = ({ state }: Claim): boolean => state === 'settling' || state === 'held'

export const entryIds = ({ targets }: Claim): string[] => targets.map(({ entry }) => entry)

export const entriesOf = ({ id, terms, targets, hlc, missing, state }: Claim): LiveEntry[] =>
  targets.map((target) => ({
    id: target.entry,
    certificate: undefined,
    record: {
      ...sharedRecord(terms, target),
      lease: id,
      token: null,
      hlc,
      settled: state !== 'settling',
      missing: [...missing],
    },
  }))

export const viewsOf = (node: PeerId, entries: readonly LiveEntry[]): FileLock[] =>
  entries.map(({ id, record }) => lockView({ node, id, record }))

/** What a notice says of it, however it ended. */
export const noticeOf = ({ id, terms, targets }: Claim) => ({
  claim: id,
  paths: targets.slice(0, NOTICE_PATHS_MAX).map(({ pattern, path }) => pattern ?? path),
  instance: terms.instance,
  at: new Date(terms.lockedAtMs).toISOString(),
})

export const conflictWith = ({ node, record }: HeldLock): LockConflict => ({
  leaseId: record.lease,
  path: record.pattern ?? record.path,
  instanceId: record.instance,
  node,
  since: record.lockedAt,
  guarantee: isProvisional(record) ? 'provisional' : 'certified',
})
