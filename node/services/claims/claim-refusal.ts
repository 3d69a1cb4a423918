import { DOMAIN_ERRORS, domainError } from '../../../crdt/errors.ts'
import type { DomainError } from '../../../crdt/errors.ts'
import type { PeerId } from '../../../crdt/ids.ts'
import type { LeaseRefusal } from '../leases/lease-service.ts'

/** Says why a lease was refused, in the words of what it was wanted for. */
export function refusalError(
  refusal: LeaseRefusal,
  words: { held: 'task_claimed' | 'lock_held'; nameOf: (peer: PeerId) => string },
): DomainError {
  if (refusal.why === 'held') return domainError(words.held, { details: { holder: holderOf(refusal.by) } })
  if (refusal.why === 'no_quorum') {
    const missingVoters = refusal.missing.map(words.nameOf)
    const message = `${DOMAIN_ERRORS.quorum_unreachable.message} Missing: ${missingVoters.join(', ')}.`
    return domainError('quorum_unreachable', { message, details: { missingVoters } })
  }
  if (refusal.why === 'behind') {
    const message = `The last changes of the holder before (${words.nameOf(refusal.author)}) have not arrived yet.`
    return domainError('machine_offline', { message })
  }
  return domainError('limit_reached', { message: 'This node holds as many claims and locks as it may.' })
}

function holderOf(
  by: Extract<LeaseRefusal, { why: 'held' }>['by'],
): NonNullable<NonNullable<DomainError['details']>['holder']> {
  const { instanceId, reason } = by
  const expiresAt = isoTime(by.untilMs)
  return { instanceId, ...(reason === undefined ? {} : { reason }), ...(expiresAt === undefined ? {} : { expiresAt }) }
}

/** What a stranger signed need not be a date. */
function isoTime(ms: number): string | undefined {
  const date = new Date(ms)
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString()
}
