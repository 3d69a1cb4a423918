import { z } from 'zod'
import { InstanceId, ProjectId } from './ids.ts'

/*
 * How locks lie in a `live/<peer>/<generation>` document, which only that peer writes:
 *   map `locks`         <lease id>/<n> → LockRecord, one per path of the lease
 *   map `certificates`  <lease id> → canonical bytes of the certificate
 *   map `about`         `ready` → true, once a generation holds everything that its predecessor held
 */

/** Half of an envelope; one with a single path takes about 2 kB. */
export const LOCK_CERTIFICATE_BYTES_MAX = 128 * 1024

export const LockRecord = z.object({
  lease: z.string().regex(/^[0-9a-f]{32}$/),
  project: ProjectId,
  /** Key of the lease's resource: proves, with the certificate, that this path was granted. */
  key: z.string().min(1).max(1200),
  /** Relative to the project root, normalised; a directory ends in `/`. */
  path: z.string().min(1).max(1100),
  instance: InstanceId,
  tokenId: z.string().min(1).max(128),
  reason: z.string().max(256).nullable(),
  lockedAt: z.iso.datetime(),
  expiresAt: z.iso.datetime(),
  token: z.int().min(0),
})
export type LockRecord = z.infer<typeof LockRecord>
