import { outranks } from '../../../crdt/lock-rank.ts'
import { domainError } from '../../../crdt/errors.ts'
import { isProvisional } from '../../../crdt/lock-record.ts'
import { OverlapIndex } from '../../../protocols/lease/overlap-index.ts'
import { overlaps } from '../../../protocols/lease/resources.ts'
import { currentKey, lockResource } from './lock-target.ts'
import type { DomainError } from '../../../crdt/errors.ts'
import type { HeldLock } from '../../../crdt/lock-board.ts'
import type { Ranked } from '../../../crdt/lock-rank.ts'
import type { LockRecord } from '../../../crdt/lock-record.ts'
import type { InstanceId, PeerId } from '../../../crdt/ids.ts'
import type { Resource } from '../../../protocols/lease/messages.ts'
import type { LeaseService } from '../leases/lease-service.ts'
import type { LockBoards } from './lock-boards.ts'
import type { LiveLocks } from './lock-live.ts'
import type { Presence } from '../sync/presence.ts'
import type { LockSpace, LockTarget } from './lock-target.ts'

/** As the voters tell owners apart: one instance and token through two nodes are two. */
export type LockOwner = { readonly node: PeerId; readonly instance: InstanceId; readonly tokenId: string }

export type RivalDeps = {
  boards: Pick<LockBoards, 'board'>
  live: Pick<LiveLocks, 'all'>
  leases: Pick<LeaseService, 'isValid'>
  self: PeerId
}

/** All locks in force that this node knows, its own as of this very moment, to be asked for what overlaps. */
export function knownLocks(deps: RivalDeps): {
  /** Other owners' locks on any of these. */
  rivals(owner: LockOwner, targets: readonly LockTarget[]): HeldLock[]
} {
  const index = new OverlapIndex<{ readonly res: readonly Resource[]; readonly lock: HeldLock }>()
  const add = (lock: HeldLock): void => index.add({ res: [lockResource(lock.record)], lock })
  for (const lock of deps.boards.board.active()) if (lock.node !== deps.self) add(lock)
  for (const { id, record } of deps.live.all()) {
    if (isProvisional(record) || deps.leases.isValid(record.lease)) add({ node: deps.self, id, record })
  }
  return {
    rivals: (owner, targets) =>
      [...index.overlapping(targets.map(lockResource))]
        .map(({ lock }) => lock)
        .filter(({ node, record }) => !isOwnedBy(owner, node, record)),
  }
}

/**
 * A lock that refuses newcomers although the voters would not: a provisional one whose holder is here and will be
 * certified in a moment, or one that was taken while the project told upper from lower case otherwise than now.
 */
export function obstacle(
  deps: RivalDeps & { presence: Pick<Presence, 'state'> },
  wanted: { readonly owner: LockOwner; readonly space: LockSpace; readonly targets: readonly LockTarget[] },
): HeldLock | undefined {
  const { owner, space, targets } = wanted
  return deps.boards.board.active().find(({ node, record }) => {
    if (!isWithin(space, record) || isOwnedBy(owner, node, record)) return false
    const isHere = node === deps.self || deps.presence.state(node) === 'online'
    const key = currentKey(space, record)
    if (isProvisional(record) ? !isHere : key === record.key) return false
    return targets.some((target) => overlaps(lockResource({ key }), lockResource(target)))
  })
}

const isWithin = ({ key }: LockSpace, record: LockRecord): boolean =>
  record.key === key || record.key.startsWith(`${key}/`)

const isOwnedBy = (owner: LockOwner, node: PeerId, { instance, tokenId }: LockRecord): boolean =>
  owner.node === node && owner.instance === instance && owner.tokenId === tokenId

/** The best of those that rank before `mine`, if any. */
export function betterRival(mine: Ranked, rivals: readonly HeldLock[]): HeldLock | undefined {
  return rivals
    .filter(({ record }) => outranks(record, mine))
    .toSorted((a, b) => (outranks(a.record, b.record) ? -1 : 1))[0]
}

/** As whom a lock that is known here refuses another. */
export function heldError({ record }: HeldLock): DomainError {
  const { reason, expiresAt } = record
  const guarantee = isProvisional(record) ? 'provisional' : 'certified'
  const holder = { instanceId: record.instance, expiresAt, guarantee, ...(reason === null ? {} : { reason }) } as const
  return domainError('lock_held', { details: { holder } })
}
