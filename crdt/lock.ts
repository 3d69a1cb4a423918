import type { InstanceId, PeerId, ProjectId } from './ids.ts'

/** A file lock as every surface reads it. Times are ISO 8601 UTC. */
export type FileLock = {
  readonly projectId: ProjectId
  /** Relative to the project root, normalised; a directory lock ends in `/`. */
  readonly path: string
  readonly instanceId: InstanceId
  readonly reason: string | null
  readonly lockedAt: string
  /** When the holder gives it up by itself; the lease below is shorter and renewed until then. */
  readonly expiresAt: string
  readonly node: PeerId
  readonly tokenId: string
  readonly leaseId: string
  readonly fencingToken: number
}
