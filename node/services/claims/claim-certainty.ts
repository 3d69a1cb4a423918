import { domainError } from '../../../crdt/errors.ts'
import { err, ok } from '../../../crdt/result.ts'
import type { Result } from '../../../crdt/result.ts'
import type { LeaseService } from '../leases/lease-service.ts'
import type { Resuming } from './claim-resuming.ts'

/**
 * For calls that may wait at another node until a lease there is confirmed or lost: as long as that takes, and as long
 * as other calls may take.
 */
export const UNSURE_CALL_MS = 30_000

/**
 * A lease whose voters were silent for a while (the node was stalled, or asleep) may be confirmed a moment later, or turn
 * out to be lost: waits until that is known. At once for a lease that is valid, or not held.
 * @errors cancelled: whoever asked has gone away, or the node stops
 */
export async function untilCertain(
  { leases, resuming }: { leases: Pick<LeaseService, 'isValid' | 'settled'>; resuming: Pick<Resuming, 'isStopped'> },
  leaseId: string,
  signal: AbortSignal | undefined,
): Promise<Result<null>> {
  if (leases.isValid(leaseId)) return ok(null)
  await leases.settled(leaseId, signal)
  return signal?.aborted === true || resuming.isStopped ? err(domainError('cancelled')) : ok(null)
}
