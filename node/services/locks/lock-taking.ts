import { domainError, invalidField } from '../../../crdt/errors.ts'
import { lockExtent, lockView } from '../../../crdt/lock-board.ts'
import { isProvisional } from '../../../crdt/lock-record.ts'
import { err, ok } from '../../../crdt/result.ts'
import { RESOURCES_PER_LEASE_MAX } from '../../../protocols/lease/messages.ts'
import { certifyNow, dropLease, takeLease, takeLeaseOrClaim } from './lock-lease.ts'
import { heldError, obstacle } from './lock-rivals.ts'
import { lockSpaceOf, lockTarget, lockWish } from './lock-target.ts'
import type { Actor } from '../../../crdt/actor.ts'
import type { DomainError } from '../../../crdt/errors.ts'
import type { HeldLock } from '../../../crdt/lock-board.ts'
import type { FileLock } from '../../../crdt/lock.ts'
import type { Project } from '../../../crdt/project.ts'
import type { Result } from '../../../crdt/result.ts'
import type { LockDeps } from './lock-deps.ts'
import type { LockEnding } from './lock-ending.ts'
import type { BulkLocks, LockService } from './lock-service.ts'
import type { LockSpace, LockTarget, LockWish } from './lock-target.ts'
import type { LockTerms } from './lock-terms.ts'

type Wanted = LockWish & { readonly actor: Actor; readonly project: Project; readonly space: LockSpace }
type TakingDeps = LockDeps & { ending: LockEnding }

/** Taking locks: the lease decides, and the live document says so before the winner is told. */
export function createLockTaking(deps: TakingDeps): Pick<LockService, 'acquire' | 'bulk'> {
  return {
    async acquire(actor, projectId, input) {
      const wanted = await wish(deps, actor, projectId, input)
      if (!wanted.ok) return wanted
      const target = lockTarget(wanted.value.space, input.path)
      return target.ok ? await takeOne(deps, wanted.value, target.value) : target
    },
    async bulk(actor, projectId, input) {
      const wanted = await wish(deps, actor, projectId, input)
      if (!wanted.ok) return wanted
      if (input.paths.length > RESOURCES_PER_LEASE_MAX) {
        return err(invalidField('paths', `At most ${RESOURCES_PER_LEASE_MAX} paths.`))
      }
      const { targets, failed } = sortOut(wanted.value.space, input.paths)
      if (!input.allOrNothing) return ok(await takeEach(deps, wanted.value, { targets, failed }))
      return ok(await takeTogether(deps, wanted.value, { targets, failed }))
    },
  }
}

async function wish(
  deps: LockDeps,
  actor: Actor,
  projectId: string,
  input: Parameters<typeof lockWish>[0],
): Promise<Result<Wanted>> {
  await deps.resuming.known()
  const project = await deps.projects.get(projectId)
  if (!project.ok) return project
  const parsed = lockWish(input, project.value)
  if (!parsed.ok) return parsed
  return ok({ ...parsed.value, actor, project: project.value, space: lockSpaceOf(deps.crypto, project.value) })
}

type Sorted = { readonly targets: readonly LockTarget[]; readonly failed: BulkLocks['failed'] }

/** Several spellings of one path count once, and are shown as a directory where one of them is. */
function sortOut(space: LockSpace, paths: readonly string[]): Sorted {
  const targets = new Map<string, LockTarget>()
  const failed: { path: string; error: DomainError }[] = []
  for (const path of paths) {
    const target = lockTarget(space, path)
    if (!target.ok) failed.push({ path, error: target.error })
    else if (!targets.get(target.value.key)?.path.endsWith('/')) targets.set(target.value.key, target.value)
  }
  return { targets: [...targets.values()], failed }
}

/** In parallel, so that the requests share the frames to the voters. */
async function takeEach(deps: TakingDeps, wanted: Wanted, { targets, failed }: Sorted): Promise<BulkLocks> {
  const results = await Promise.all(
    targets.map(async (target) => ({ target, result: await takeOne(deps, wanted, target) })),
  )
  return {
    acquired: results.flatMap(({ result }) => (result.ok ? [result.value] : [])),
    failed: [
      ...failed,
      ...results.flatMap(({ target, result }) => (result.ok ? [] : [{ path: askedFor(target), error: result.error }])),
    ],
  }
}

const askedFor = ({ pattern, path }: LockTarget): string => pattern ?? path

/** What the caller holds already stays as it is, and is prolonged only once the rest has been granted. */
async function takeTogether(deps: TakingDeps, wanted: Wanted, { targets, failed }: Sorted): Promise<BulkLocks> {
  const fail = (error: DomainError): BulkLocks => ({
    acquired: [],
    failed: [...failed, ...targets.map((target) => ({ path: askedFor(target), error }))],
  })
  const [unspelled] = failed
  if (unspelled) return fail(unspelled.error)
  const held = targets.map((target) => ({ target, lock: ownLock(deps, wanted, target) }))
  const missing = held.filter(({ lock }) => !lock).map(({ target }) => target)
  const taken: Result<readonly FileLock[]> = missing.length > 0 ? await take(deps, wanted, missing) : ok([])
  if (!taken.ok) return fail(taken.error)
  const kept = await Promise.all(held.flatMap(({ lock }) => (lock ? [holdOn(deps, wanted, lock)] : [])))
  const lost = kept.find((result) => !result.ok)
  if (!lost) return { acquired: [...kept.flatMap((k) => (k.ok ? [k.value] : [])), ...taken.value], failed: [] }
  for (const leaseId of leasesNow(deps, taken.value)) await dropLease(deps, leaseId)
  return fail(lost.error)
}

/** A provisional lock may have got its certificate since it was taken. */
function leasesNow({ live }: LockDeps, taken: readonly FileLock[]): ReadonlySet<string> {
  const ids = new Set(taken.map(({ leaseId }) => leaseId))
  const held = live.all().filter(({ record, claim = record.lease }) => ids.has(record.lease) || ids.has(claim))
  return new Set(held.map(({ record }) => record.lease))
}

/** In turn, so that two calls with the same instance id and token cannot both be given a lease of one owner. */
const takeOne = (deps: TakingDeps, wanted: Wanted, target: LockTarget): Promise<Result<FileLock>> =>
  deps.turns(target.key, async () => {
    const mine = ownLock(deps, wanted, target)
    if (mine) return await holdOn(deps, wanted, mine)
    const taken = await take(deps, wanted, [target])
    if (!taken.ok) return taken
    const [lock] = taken.value
    if (!lock) throw new Error('a lease without its lock')
    return ok(lock)
  })

async function take(
  deps: LockDeps,
  wanted: Wanted,
  targets: readonly LockTarget[],
): Promise<Result<readonly FileLock[]>> {
  const terms = termsOf(deps, wanted)
  const owner = { node: deps.self, instance: terms.instance, tokenId: terms.tokenId }
  const inTheWay = obstacle(deps, { owner, space: wanted.space, targets })
  if (inTheWay) return err(heldError(inTheWay))
  return await (wanted.isStrict ? takeLease : takeLeaseOrClaim)(deps, terms, targets)
}

/** The caller's own live lock of exactly this extent, on whichever node. */
function ownLock(deps: LockDeps, wanted: Wanted, target: { readonly key: string }): HeldLock | undefined {
  const lock = deps.boards.board.get(lockExtent(target))
  if (!lock) return undefined
  const { record, node } = lock
  const isCallers = record.instance === wanted.instance && record.tokenId === wanted.actor.tokenId
  const isHeld = node !== deps.self || deps.leases.isValid(record.lease) || deps.claims.held(record.lease)
  return isCallers && isHeld ? lock : undefined
}

/** A provisional lock is not enough for a caller who asks for certainty: then the voters are asked once more. */
async function holdOn(deps: TakingDeps, wanted: Wanted, lock: HeldLock): Promise<Result<FileLock>> {
  const { record, node } = lock
  if (!isProvisional(record) || !wanted.isStrict) return await prolong(deps, wanted, lock)
  const claim = deps.claims.held(record.lease)
  if (node !== deps.self || !claim) {
    return err(domainError('quorum_unreachable', { details: { missingVoters: record.missing } }))
  }
  const certified = await certifyNow(deps, claim)
  if (!certified.ok) return certified
  const mine = ownLock(deps, wanted, record)
  return mine ? await prolong(deps, wanted, mine) : err(domainError('superseded'))
}

async function prolong(deps: TakingDeps, wanted: Wanted, lock: HeldLock): Promise<Result<FileLock>> {
  const untilMs = Math.trunc(deps.clock.wallMs()) + wanted.durationMs
  if (untilMs <= Date.parse(lock.record.expiresAt)) return ok(lockView(lock))
  return await deps.ending.prolong(wanted.actor, lock, untilMs)
}

const termsOf = (deps: LockDeps, wanted: Wanted): LockTerms => {
  const nowMs = Math.trunc(deps.clock.wallMs())
  return {
    projectId: wanted.project.id,
    instance: wanted.instance,
    tokenId: wanted.actor.tokenId,
    reason: wanted.reason,
    lockedAtMs: nowMs,
    untilMs: nowMs + wanted.durationMs,
  }
}
