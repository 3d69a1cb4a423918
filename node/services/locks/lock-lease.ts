import { domainError } from '../../../crdt/errors.ts'
import { lockView } from '../../../crdt/lock-board.ts'
import { err, ok } from '../../../crdt/result.ts'
import { sortResources } from '../../../protocols/lease/resources.ts'
import { certificateBytes } from '../claims/claim-certificate.ts'
import { leaseOwner } from '../claims/claim-owner.ts'
import { refusalError } from '../claims/claim-refusal.ts'
import { lockResource } from './lock-boards.ts'
import type { InstanceId, ProjectId } from '../../../crdt/ids.ts'
import type { FileLock } from '../../../crdt/lock.ts'
import type { Result } from '../../../crdt/result.ts'
import type { FeedPosition } from '../feeds/documents.ts'
import type { HeldLease } from '../leases/lease-service.ts'
import type { LockDeps } from './lock-deps.ts'
import type { LockTarget } from './lock-target.ts'

/** All paths of one lease travel in each of its messages and in its certificate. */
const KEYS_PER_LEASE_CHARS_MAX = 64 * 1024

/** Who holds the locks of a lease, why, and until when. */
export type LeaseTerms = {
  readonly projectId: ProjectId
  readonly instance: InstanceId
  readonly tokenId: string
  readonly reason: string | null
  readonly lockedAtMs: number
  readonly untilMs: number
}

/** One lease over all targets, or none; in the live document before it is returned. */
export async function takeLease(
  deps: LockDeps,
  terms: LeaseTerms,
  targets: readonly LockTarget[],
): Promise<Result<readonly FileLock[]>> {
  if (targets.reduce((sum, { key }) => sum + key.length, 0) > KEYS_PER_LEASE_CHARS_MAX) {
    return err(domainError('too_large'))
  }
  const { instance: instanceId, reason, untilMs } = terms
  const lease = await deps.leases.acquire({
    resources: sortResources(targets.map(lockResource)),
    owner: leaseOwner(deps.crypto, terms.tokenId, instanceId),
    info: { instanceId, untilMs, ...(reason === null ? {} : { reason }) },
    holdUntilMs: untilMs,
    waitMs: 0,
  })
  if (!lease.ok) return err(refusalError(lease.error, { held: 'lock_held', nameOf: deps.nameOf }))
  let published: Result<readonly FileLock[]> | undefined
  try {
    published = await publish(deps, terms, { lease: lease.value, targets })
  } finally {
    if (!published?.ok) await deps.leases.release(lease.value.leaseId)
  }
  return published
}

async function publish(
  deps: LockDeps,
  terms: LeaseTerms,
  { lease, targets }: { lease: HeldLease; targets: readonly LockTarget[] },
): Promise<Result<readonly FileLock[]>> {
  const certificate = certificateBytes(lease.certificate)
  const entries = targets.map(({ path, key }, i) => ({
    id: `${lease.leaseId}/${i}`,
    certificate,
    record: {
      lease: lease.leaseId,
      project: terms.projectId,
      key,
      path,
      instance: terms.instance,
      tokenId: terms.tokenId,
      reason: terms.reason,
      lockedAt: new Date(terms.lockedAtMs).toISOString(),
      expiresAt: new Date(terms.untilMs).toISOString(),
      token: lease.fencingToken,
    },
  }))
  const put = await deps.live.put(entries)
  return put.ok ? ok(entries.map(({ id, record }) => lockView({ node: deps.self, id, record }))) : put
}

/** Gives all locks of a lease back. */
export async function dropLease(deps: LockDeps, leaseId: string): Promise<FeedPosition> {
  await deps.leases.release(leaseId)
  return await deps.live.drop(deps.live.ofLease(leaseId).map(({ id }) => id))
}

/**
 * Gives one lock of this node back. When its lease covers other paths too, these get a lease of their own first (one
 * owner's leases do not exclude each other), so that they are held all the time.
 * @errors what a lease can be refused for; then nothing has changed
 */
export async function dropPath(deps: LockDeps, leaseId: string, extentId: string): Promise<Result<FeedPosition>> {
  const rest = deps.live.ofLease(leaseId).filter(({ id }) => id !== extentId)
  const [first] = rest
  if (first && deps.leases.isValid(leaseId)) {
    const { record } = first
    const terms = {
      projectId: record.project,
      instance: record.instance,
      tokenId: record.tokenId,
      reason: record.reason,
      lockedAtMs: Date.parse(record.lockedAt),
      untilMs: Date.parse(record.expiresAt),
    }
    const kept = await takeLease(
      deps,
      terms,
      rest.map(({ record: { path, key } }) => ({ path, key })),
    )
    if (!kept.ok) return kept
  }
  return ok(await dropLease(deps, leaseId))
}
