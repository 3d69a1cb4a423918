import { sortResources } from '../../../protocols/lease/resources.ts'
import { leaseOwner } from '../claims/claim-owner.ts'
import { lockResource } from './lock-target.ts'
import type { Crypto } from '../../../protocols/crypto.ts'
import type { AcquireRequest } from '../leases/lease-service.ts'
import type { LockTarget } from './lock-target.ts'
import type { LockTerms } from './lock-terms.ts'

/** One lease over all targets, asked for once. */
export function leaseRequest(
  crypto: Pick<Crypto, 'sha256'>,
  terms: LockTerms,
  targets: readonly LockTarget[],
): AcquireRequest {
  const { instance: instanceId, reason, untilMs } = terms
  return {
    resources: sortResources(targets.map(lockResource)),
    owner: leaseOwner(crypto, terms.tokenId, instanceId),
    info: { instanceId, untilMs, ...(reason === null ? {} : { reason }) },
    holdUntilMs: untilMs,
    waitMs: 0,
  }
}
