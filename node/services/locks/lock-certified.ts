import { certificateBytes } from '../claims/claim-certificate.ts'
import { sharedRecord } from './lock-terms.ts'
import type { HeldLease } from '../leases/lease-service.ts'
import type { LiveEntry } from './lock-live.ts'
import type { LockTarget } from './lock-target.ts'
import type { LockTerms } from './lock-terms.ts'

/** What the live document says of locks that a quorum has just granted. */
export function certifiedEntries(
  terms: LockTerms,
  { lease, targets, nowMs }: { lease: HeldLease; targets: readonly LockTarget[]; nowMs: number },
): LiveEntry[] {
  const certificate = certificateBytes(lease.certificate)
  const grantedAt = new Date(nowMs).toISOString()
  return targets.map((target, i) => ({
    id: `${lease.leaseId}/${i}`,
    certificate,
    record: { ...sharedRecord(terms, target), lease: lease.leaseId, token: lease.fencingToken, grantedAt },
  }))
}
