import { lockExtent } from '../../../crdt/lock-board.ts'
import { ok } from '../../../crdt/result.ts'
import { overlaps } from '../../../protocols/lease/resources.ts'
import { currentKey, lockResource, lockSpaceOf, lockTarget } from './lock-target.ts'
import type { HeldLock } from '../../../crdt/lock-board.ts'
import type { Result } from '../../../crdt/result.ts'
import type { LockDeps } from './lock-deps.ts'

export type FoundLock = {
  /** The lock of exactly this path, in whichever spelling. */
  readonly lock: HeldLock | undefined
  /** That, or any lock that covers something of it. */
  readonly inTheWay: HeldLock | undefined
  /**
   * What this node holds of exactly this path: also leases that it is not sure of at the moment. They are not shown, and
   * come back once their voters confirm them.
   */
  readonly own: readonly HeldLock[]
}

/** Also finds a lock that was taken while the project told upper from lower case otherwise than now. */
export async function findLock(
  deps: Pick<LockDeps, 'projects' | 'crypto' | 'boards' | 'live' | 'self'>,
  projectId: string,
  path: string,
): Promise<Result<FoundLock>> {
  const project = await deps.projects.get(projectId)
  if (!project.ok) return project
  const space = lockSpaceOf(deps.crypto, project.value)
  const target = lockTarget(space, path)
  if (!target.ok) return target
  const { board } = deps.boards
  const all = board.list(space.key).map((lock) => ({ lock, key: currentKey(space, lock.record) }))
  const extent = lockExtent(target.value)
  const own = deps.live.onExtent(extent).map((entry) => ({ ...entry, node: deps.self }))
  const lock = board.get(extent) ?? all.find(({ key }) => key === target.value.key)?.lock
  const covering = all.find(({ key }) => overlaps(lockResource({ key }), lockResource(target.value)))?.lock
  return ok({ lock, inTheWay: lock ?? covering, own })
}
