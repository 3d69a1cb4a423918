import type { Actor } from '../../../crdt/actor.ts'
import type { DomainError } from '../../../crdt/errors.ts'
import type { FileLock, LockNotice } from '../../../crdt/lock.ts'
import type { Result } from '../../../crdt/result.ts'

export type LockInput = {
  readonly instanceId: string
  readonly reason?: string
  /** Default 30. */
  readonly durationMinutes?: number
  /** Only a certified lock will do: refused while no quorum can be reached, whatever the project's policy. */
  readonly exclusive?: boolean
}

export type BulkLocks = {
  readonly acquired: readonly FileLock[]
  readonly failed: readonly { readonly path: string; readonly error: DomainError }[]
}

export type ReleasedLocks = { readonly released: readonly string[]; readonly failed: BulkLocks['failed'] }

export type LockService = {
  list(projectId: string): Promise<Result<readonly FileLock[]>>
  /**
   * Answers within about 3 s. Without a quorum the lock is provisional (see its `guarantee`), or refused where the
   * project's policy or `exclusive` says so. A glob locks the directory that holds all it can match.
   */
  acquire(actor: Actor, projectId: string, input: LockInput & { path: string }): Promise<Result<FileLock>>
  /** The lock that covers the path, or null. Display only: whoever must be sure acquires. */
  check(projectId: string, path: string): Promise<Result<FileLock | null>>
  /**
   * While the holder's node is not sure of its lease (it was stalled, asleep or cut off), this waits until it is, or has
   * lost it: within 20 s. So does `release` where others of the lease are to be kept. Where `signal` aborts before,
   * nothing has changed (`cancelled`).
   */
  extend(
    actor: Actor,
    projectId: string,
    input: { path: string; instanceId: string; additionalMinutes: number; fencingToken?: number },
    signal?: AbortSignal,
  ): Promise<Result<FileLock>>
  /** All it can get in one round, with the reason for each of the rest; `allOrNothing` takes one lease over all. */
  bulk(
    actor: Actor,
    projectId: string,
    input: LockInput & { paths: readonly string[]; allOrNothing?: boolean },
  ): Promise<Result<BulkLocks>>
  release(
    actor: Actor,
    projectId: string,
    input: { path: string; instanceId: string; fencingToken?: number },
    signal?: AbortSignal,
  ): Promise<Result<null>>
  /** Gives back all that the caller's instance holds. @errors those of `release`, when nothing could be given back */
  releaseByInstance(actor: Actor, input: { projectId: string; instanceId: string }): Promise<Result<ReleasedLocks>>
  /** Needs `lock:admin`; audited. */
  forceRelease(actor: Actor, projectId: string, path: string): Promise<Result<null>>
  /** What became of locks that their holders no longer have and did not give back, oldest first. */
  notices(projectId: string): Promise<Result<readonly LockNotice[]>>
  /** For everybody. Needs `lock:write`. */
  dismissNotice(actor: Actor, projectId: string, id: string): Promise<Result<null>>
}
