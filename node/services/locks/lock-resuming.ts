import { NOTICE_PATHS_MAX } from '../../../crdt/lock-notices.ts'
import { writtenIfMember } from '../written.ts'
import type { InstanceId } from '../../../crdt/ids.ts'
import type { KeptLock, KeptLocks } from './lock-keeping.ts'
import type { LockDeps } from './lock-deps.ts'
import type { LockNotices } from './lock-notices.ts'

export type ResumingDeps = Pick<LockDeps, 'boards' | 'clock' | 'leases' | 'live' | 'log' | 'resuming'> & {
  kept: KeptLocks
  notices: Pick<LockNotices, 'put'>
  /** Whether the agent is known to have ended; most agents cannot be asked. */
  hasEnded: (instance: InstanceId) => boolean
}

/** `over`: nobody waits for it any more. */
type Fate = 'resumed' | 'lost' | 'over'

/**
 * Goes on with the locks of an earlier process, under the same leases and fencing tokens, where their voters allow it.
 * What is lost leaves a notice, on disk before it is forgotten here. Announces what this node holds, if need be nothing.
 */
export async function resumeLocks(deps: ResumingDeps, left: readonly KeptLock[]): Promise<void> {
  const byLease = Map.groupBy(left, ({ record }) => record.lease)
  await Promise.all([...byLease.values()].map((locks) => resumeLease(deps, locks)))
  if (!deps.resuming.isStopped) await writtenIfMember(deps.live.start())
}

async function resumeLease(deps: ResumingDeps, locks: readonly KeptLock[]): Promise<void> {
  const fate = await askVoters(deps, locks)
  if (deps.resuming.isStopped) return
  if (fate === 'resumed') {
    deps.kept.settle(locks)
    const put = await deps.live.put(locks)
    if (put.ok) return deps.boards.lookAgain()
  }
  // What could not be told is kept, and told after the next start.
  if (fate === 'over' || (await isLossTold(deps, locks))) deps.kept.settle(locks)
}

async function askVoters({ clock, leases, hasEnded }: ResumingDeps, locks: readonly KeptLock[]): Promise<Fate> {
  const [first] = locks
  const certificate = first && leases.verified(first.certificate)
  if (!certificate) return 'lost'
  const untilMs = Math.max(...locks.map(({ record }) => Date.parse(record.expiresAt)))
  if (untilMs <= clock.wallMs() || hasEnded(first.record.instance)) {
    leases.discard(certificate)
    return 'over'
  }
  return (await leases.resume(certificate, untilMs)) ? 'resumed' : 'lost'
}

async function isLossTold({ clock, leases, notices, log }: ResumingDeps, locks: readonly KeptLock[]): Promise<boolean> {
  const [first] = locks
  if (!first) return true
  const { claim } = first
  const { lease, instance, lockedAt, project } = first.record
  await leases.release(lease)
  const told = await notices.put(project, {
    state: 'owner-restart',
    claim: claim ?? lease,
    paths: locks.slice(0, NOTICE_PATHS_MAX).map(({ record: { pattern, path } }) => pattern ?? path),
    instance,
    at: lockedAt,
    ended: new Date(clock.wallMs()).toISOString(),
  })
  if (!told.ok) log.warn({ lease, code: told.error.code }, 'the notice of a lost lock could not be written')
  return told.ok
}
