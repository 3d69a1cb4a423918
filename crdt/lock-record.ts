import { z } from 'zod'
import { Hlc } from './hlc.ts'
import { InstanceId, ProjectId } from './ids.ts'

/*
 * How locks lie in a `live/<peer>/<generation>` document, which only that peer writes:
 *   map `locks`         <lease or claim id>/<n> → LockRecord, one per path
 *   map `certificates`  <lease id> → canonical bytes of the certificate; a provisional claim has none
 *   map `about`         `ready` → true, once a generation holds everything that its predecessor held
 * Taking a record out is the end of the lock: nobody but the peer can.
 */

/** Half of an envelope; one with a single path takes about 2 kB. */
export const LOCK_CERTIFICATE_BYTES_MAX = 128 * 1024
/** As many as an epoch can have. */
const VOTERS_MAX = 63
export const VOTER_NAME_CHARS_MAX = 128
export const REASON_CHARS_MAX = 256

const shared = {
  /** Of the lease; while there is none, of the provisional claim. */
  lease: z.string().regex(/^[0-9a-f]{32}$/),
  project: ProjectId,
  /** Key of the lease's resource: proves, with the certificate, that this path was granted. */
  key: z.string().min(1).max(1200),
  /** Relative to the project root, normalised, in the spelling of whoever locked; a directory ends in `/`. */
  path: z.string().min(1).max(1100),
  /** The glob that `path` covers; absent where a plain path was asked for. */
  pattern: z.string().min(1).max(1100).exactOptional(),
  instance: InstanceId,
  tokenId: z.string().min(1).max(128),
  reason: z.string().max(REASON_CHARS_MAX).nullable(),
  lockedAt: z.iso.datetime(),
  expiresAt: z.iso.datetime(),
}

export const CertifiedRecord = z.object({
  ...shared,
  token: z.int().min(0),
  /** When the lease was granted: later than `lockedAt` where the lock was provisional, or had another lease, before. */
  grantedAt: z.iso.datetime(),
})
export type CertifiedRecord = z.infer<typeof CertifiedRecord>

export const ProvisionalRecord = z.object({
  ...shared,
  token: z.null(),
  hlc: Hlc,
  /** False while it waits for objections; it is not held before. */
  settled: z.boolean(),
  /** Names of the voters that could not be asked. */
  missing: z.array(z.string().max(VOTER_NAME_CHARS_MAX)).max(VOTERS_MAX),
})
export type ProvisionalRecord = z.infer<typeof ProvisionalRecord>

export const LockRecord = z.union([CertifiedRecord, ProvisionalRecord])
export type LockRecord = z.infer<typeof LockRecord>

export const isProvisional = (record: LockRecord): record is ProvisionalRecord => record.token === null
