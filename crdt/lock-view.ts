import { z } from 'zod'
import { GUARANTEES } from './guarantee.ts'
import { InstanceId, PeerId, ProjectId } from './ids.ts'
import type { FileLock } from './lock.ts'

/** A lock as one node tells it to another. */
export const LockView: z.ZodType<FileLock> = z.object({
  projectId: ProjectId,
  path: z.string(),
  pattern: z.string().nullable(),
  instanceId: InstanceId,
  reason: z.string().nullable(),
  lockedAt: z.string(),
  expiresAt: z.string(),
  node: PeerId,
  tokenId: z.string(),
  guarantee: z.enum(GUARANTEES),
  missingVoters: z.array(z.string()),
  leaseId: z.string(),
  fencingToken: z.number().nullable(),
})
