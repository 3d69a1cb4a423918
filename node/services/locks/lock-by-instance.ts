import { err, ok } from '../../../crdt/result.ts'
import type { Actor } from '../../../crdt/actor.ts'
import type { Result } from '../../../crdt/result.ts'
import type { LiveLocks } from './lock-live.ts'
import type { LockService, ReleasedLocks } from './lock-service.ts'

/**
 * Gives back what one instance holds in a project, each lock through the node that holds it. Locks that cannot be given
 * back (another token took them, their node is offline) stay, with the reason; when that is all there is, it is an error.
 */
export async function releaseByInstance(
  locks: Pick<LockService, 'list' | 'release'> & { readonly live: Pick<LiveLocks, 'all'> },
  actor: Actor,
  { projectId, instanceId }: { projectId: string; instanceId: string },
): Promise<Result<ReleasedLocks>> {
  const listed = await locks.list(projectId)
  if (!listed.ok) return listed
  const paths = new Set([
    ...listed.value.filter((lock) => lock.instanceId === instanceId).map(({ path }) => path),
    // Also what this node is not sure of and so does not show.
    ...locks.live.all().flatMap(({ record }) => {
      const isTheirs = record.project === projectId && record.instance === instanceId
      return isTheirs ? [record.path] : []
    }),
  ])
  const released: string[] = []
  const failed: ReleasedLocks['failed'][number][] = []
  // One after the other: a lease over many paths is one turn all the same.
  for (const path of paths) {
    const result = await locks.release(actor, projectId, { path, instanceId })
    if (result.ok) released.push(path)
    else failed.push({ path, error: result.error })
  }
  const [first] = failed
  return first !== undefined && released.length === 0 ? err(first.error) : ok({ released, failed })
}
