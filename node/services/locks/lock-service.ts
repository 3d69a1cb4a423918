import type { Actor } from '../../../crdt/actor.ts'
import type { DomainError } from '../../../crdt/errors.ts'
import type { FileLock } from '../../../crdt/lock.ts'
import type { Result } from '../../../crdt/result.ts'

export type LockInput = {
  readonly instanceId: string
  readonly reason?: string
  /** Default 30. */
  readonly durationMinutes?: number
}

export type BulkLocks = {
  readonly acquired: readonly FileLock[]
  readonly failed: readonly { readonly path: string; readonly error: DomainError }[]
}

export type LockService = {
  list(projectId: string): Promise<Result<readonly FileLock[]>>
  acquire(actor: Actor, projectId: string, input: LockInput & { path: string }): Promise<Result<FileLock>>
  /** The lock that covers the path, or null. Display only: whoever must be sure acquires. */
  check(projectId: string, path: string): Promise<Result<FileLock | null>>
  extend(
    actor: Actor,
    projectId: string,
    input: { path: string; instanceId: string; additionalMinutes: number; fencingToken?: number },
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
  ): Promise<Result<null>>
  /** Needs `lock:admin`; audited. */
  forceRelease(actor: Actor, projectId: string, path: string): Promise<Result<null>>
}
