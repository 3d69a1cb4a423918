import type { AccountIndex } from '../../../crdt/account-index.ts'
import type { Actor } from '../../../crdt/actor.ts'
import { domainError, type DomainError } from '../../../crdt/errors.ts'
import type { PeerId } from '../../../crdt/ids.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import { toHex } from '../../../protocols/codec.ts'
import type { Resource } from '../../../protocols/lease/messages.ts'
import { digest, type AccountContext } from './account-context.ts'
import type { FeedPosition } from '../feeds/documents.ts'
import type { LeaseRefusal } from '../leases/lease-service.ts'
import type { AccountChanges } from './sealed-accounts.ts'

/** Checking and writing take milliseconds; if they take longer than this the lease is gone and nothing is written. */
const LEASE_HOLD_MS = 30_000
/** Another registration for the same address, invitation or first place is over long before. */
const LEASE_WAIT_MS = 5000

/** Runs `decide` on the newest state while nobody else in the mesh can decide about the same names. */
export async function underLease<T>(
  context: AccountContext,
  { actor, resources }: { actor: Actor | undefined; resources: readonly Resource[] },
  decide: (index: AccountIndex) => Result<AccountChanges<T>>,
): Promise<Result<T>> {
  const { leases, clock, random } = context.deps
  const untilMs = clock.wallMs() + LEASE_HOLD_MS
  const lease = await leases.acquire({
    resources,
    owner: `accounts/${toHex(random.bytes(16))}`,
    info: { instanceId: 'accounts', untilMs },
    holdUntilMs: untilMs,
    waitMs: LEASE_WAIT_MS,
  })
  if (!lease.ok) return err(leaseError(context, lease.error))
  let position: FeedPosition | undefined
  try {
    const written = await context.sealed.change(actor, (index) =>
      leases.isValid(lease.value.leaseId) ? decide(index) : err(domainError('superseded')),
    )
    if (!written.ok) return written
    position = written.value.position
    return ok(written.value.value)
  } finally {
    await leases.release(lease.value.leaseId, position)
  }
}

export const nameResource = (key: string): Resource => ({ kind: 'name', key, mode: 'exact' })

/** Voters see a hash of the address, never the address. */
export const emailResource = ({ deps }: AccountContext, email: string): Resource =>
  nameResource(`accounts/email/${toHex(digest(deps.crypto, email))}`)

function leaseError({ deps }: AccountContext, refusal: LeaseRefusal): DomainError {
  const nameOf = (peer: PeerId): string => deps.membership.current().members.get(peer)?.name ?? peer
  if (refusal.why === 'no_quorum')
    return domainError('quorum_unreachable', { details: { missingVoters: refusal.missing.map(nameOf) } })
  if (refusal.why === 'behind')
    return domainError('quorum_unreachable', {
      message: 'The latest change of the accounts has not arrived here yet.',
      details: { missingVoters: [nameOf(refusal.author)] },
    })
  if (refusal.why === 'limit') return domainError('limit_reached')
  return domainError('rate_limited', { message: 'Another registration is being made right now. Try again.' })
}
