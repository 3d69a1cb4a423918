import type { Guarantee } from './guarantee.ts'
import type { InstanceId, PeerId, ProjectId } from './ids.ts'

/** A file lock as every surface reads it. Times are ISO 8601 UTC. */
export type FileLock = {
  readonly projectId: ProjectId
  /**
   * What is covered, relative to the project root and as it was spelled: this file, or this directory with all that is
   * in it (`./` is the whole project).
   */
  readonly path: string
  /** The glob that was asked for, where one was; `path` is what had to be covered for it. */
  readonly pattern: string | null
  readonly instanceId: InstanceId
  readonly reason: string | null
  readonly lockedAt: string
  /** When the holder gives it up by itself; the lease below is shorter and renewed until then. */
  readonly expiresAt: string
  readonly node: PeerId
  readonly tokenId: string
  readonly guarantee: Guarantee
  /** Names of the voters that could not be asked; empty for a certified lock. */
  readonly missingVoters: readonly string[]
  /** Id of the lease, or of the provisional claim. */
  readonly leaseId: string
  /** Null while the lock is provisional: there is nothing to fence with. */
  readonly fencingToken: number | null
}

/** Tells a holder what became of a lock that it no longer has. Durable until somebody dismisses it. */
export type LockNotice = {
  /** Of the provisional claim that ended; of the lease where there never was one. */
  readonly id: string
  readonly projectId: ProjectId
  /**
   * `yield`: provisional, and another holds a better lock. `owner-restart`: the node that held it was restarted, and it was
   * provisional or could not be resumed.
   */
  readonly why: 'yield' | 'owner-restart'
  /** What was locked; of very many only the first. */
  readonly paths: readonly string[]
  readonly instanceId: InstanceId
  readonly node: PeerId
  readonly lockedAt: string
  readonly endedAt: string
  /** The lock that won; null after a restart. */
  readonly conflict: LockConflict | null
}

export type LockConflict = {
  /** Of the winning lease or claim. */
  readonly leaseId: string
  readonly path: string
  readonly instanceId: InstanceId
  /** Null when only the voters told of it. */
  readonly node: PeerId | null
  readonly since: string
  readonly guarantee: Guarantee
}
