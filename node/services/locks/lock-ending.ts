import { z } from 'zod'
import { can } from '../../../crdt/actor.ts'
import { domainError } from '../../../crdt/errors.ts'
import { lockExtent, lockView } from '../../../crdt/lock-board.ts'
import { LockView } from '../../../crdt/lock-view.ts'
import { err, ok } from '../../../crdt/result.ts'
import { Position } from '../../../protocols/lease/messages.ts'
import { UNSURE_CALL_MS, untilCertain } from '../claims/claim-certainty.ts'
import { mayActFor } from '../claims/claim-owner.ts'
import { reachedWithin } from '../claims/claim-reached.ts'
import { dropLease, dropPath } from './lock-lease.ts'
import { findLock } from './lock-finding.ts'
import { LOCK_MINUTES_MAX, lockMinutes } from './lock-target.ts'
import type { Actor } from '../../../crdt/actor.ts'
import type { DomainError } from '../../../crdt/errors.ts'
import type { HeldLock } from '../../../crdt/lock-board.ts'
import type { LockRecord } from '../../../crdt/lock-record.ts'
import type { FileLock } from '../../../crdt/lock.ts'
import type { Result } from '../../../crdt/result.ts'
import type { FeedPosition } from '../feeds/documents.ts'
import type { HeldLease } from '../leases/lease-service.ts'
import type { LockDeps } from './lock-deps.ts'
import type { LockService } from './lock-service.ts'

export type LockEnding = Pick<LockService, 'extend' | 'release' | 'forceRelease'> & {
  /** Has the caller's lock last until then, through its node. */
  prolong(actor: Actor, lock: HeldLock, untilMs: number): Promise<Result<FileLock>>
  /** Lets other members end and prolong locks that this node holds for their callers. */
  serve(): void
  /** A lease ended by itself: takes its locks off the board. */
  leaseEnded(lease: HeldLease): Promise<void>
}

const place = { projectId: z.string(), path: z.string() }
const proof = { instanceId: z.string().max(128), fencingToken: z.int().optional() }
const ReleaseInput = z.object({ ...place, ...proof })
const ExtendInput = z.object({ ...place, ...proof, untilMs: z.int().min(0) })
const ForceInput = z.object(place)
const Released = z.object({ position: Position })
const Extended = z.object({ lock: LockView, position: Position })

type Place = z.infer<typeof ForceInput>
type Release = z.infer<typeof ReleaseInput>
type Extend = z.infer<typeof ExtendInput>

/** Giving back and prolonging: always on the node that holds the lease. */
export function createLockEnding(deps: LockDeps): LockEnding {
  return {
    async release(actor, projectId, input, signal) {
      const lock = await ownLock(deps, { ...input, projectId }, (held) => refuse(actor, held, input))
      if (!lock.ok) return lock
      const call = { lock: lock.value, method: 'lock.release', input: { ...input, projectId } } as const
      return await atHolder(deps, actor, call, signal)
    },
    async extend(actor, projectId, input, signal) {
      const minutes = lockMinutes('additional_minutes', input.additionalMinutes)
      if (!minutes.ok) return minutes
      const lock = await ownLock(deps, { ...input, projectId }, (held) => refuse(actor, held, input))
      if (!lock.ok) return lock
      const untilMs = Date.parse(lock.value.record.expiresAt) + minutes.value * 60_000
      const wish = { lock: lock.value, untilMs, fencingToken: input.fencingToken }
      return await prolong(deps, actor, wish, { timeoutMs: UNSURE_CALL_MS, ...(signal && { signal }) })
    },
    async forceRelease(actor, projectId, path) {
      if (!can(actor, 'lock:admin')) return err(domainError('forbidden'))
      const lock = await ownLock(deps, { projectId, path }, () => undefined)
      if (!lock.ok) return lock
      const call = { lock: lock.value, method: 'lock.forceRelease', input: { projectId, path } } as const
      return await atHolder(deps, actor, call, undefined)
    },
    prolong: (actor, lock, untilMs) => prolong(deps, actor, { lock, untilMs, fencingToken: undefined }, {}),
    serve: () => serve(deps),
    async leaseEnded({ leaseId }) {
      if (deps.live.ofLease(leaseId).length > 0) await dropLease(deps, leaseId)
    },
  }
}

function serve(deps: LockDeps): void {
  // Nothing runs on this machine: it holds the lease because its gateway was asked, so it also gives it back.
  const needsRun = false
  deps.rpc.serve({
    name: 'lock.release',
    input: ReleaseInput,
    needsRun,
    run: (actor, input, _from, signal) => releaseHere(deps, actor, input, signal),
  })
  deps.rpc.serve({
    name: 'lock.extend',
    input: ExtendInput,
    needsRun,
    run: (actor, input, _from, signal) => extendHere(deps, actor, input, signal),
  })
  deps.rpc.serve({
    name: 'lock.forceRelease',
    input: ForceInput,
    needsRun,
    run: async (actor, input, _from, signal) =>
      can(actor, 'lock:admin') ? await forceHere(deps, actor, input, signal) : err(domainError('forbidden')),
  })
}

/**
 * The lock that is to be ended or prolonged. Where the one that is shown may not be, or none is, it can be one that this
 * node is not sure of at the moment: who gives that back must not find it held again later.
 */
async function ownLock(
  deps: LockDeps,
  { projectId, path }: Place,
  refusal: (lock: HeldLock) => DomainError | undefined,
): Promise<Result<HeldLock>> {
  await deps.resuming.known()
  const found = await findLock(deps, projectId, path)
  if (!found.ok) return found
  const { lock, own } = found.value
  const candidates = lock ? [lock, ...own] : own
  const allowed = candidates.find((one) => refusal(one) === undefined)
  if (allowed) return ok(allowed)
  const [first] = candidates
  return err((first && refusal(first)) ?? noLock())
}

const noLock = (): DomainError => domainError('lock_not_held_by_caller', { message: 'There is no lock on this path.' })

function refuse(actor: Actor, { record }: HeldLock, input: Omit<Release, 'projectId'>): DomainError | undefined {
  const held = { instanceId: record.instance, tokenId: record.tokenId, fencingToken: record.token }
  const { instanceId, fencingToken } = input
  if (mayActFor(held, { actor, instanceId, fencingToken, ability: 'lock:write' })) return undefined
  const { reason, expiresAt } = record
  const holder = { instanceId: record.instance, expiresAt, ...(reason === null ? {} : { reason }) }
  return domainError('lock_not_held_by_caller', { details: { holder } })
}

/** `Rpc` calls ourselves without the network: one path for both. */
async function atHolder(
  deps: LockDeps,
  actor: Actor,
  call: { lock: HeldLock; method: 'lock.release' | 'lock.forceRelease'; input: Place },
  signal: AbortSignal | undefined,
): Promise<Result<null>> {
  const { lock, method, input } = call
  const patience = { timeoutMs: UNSURE_CALL_MS, ...(signal && { signal }) }
  const reply = await deps.rpc.call(lock.node, method, { actor, input, reply: Released, ...patience })
  if (!reply.ok) return err(holderError(deps, lock, reply.error))
  await reachedWithin(deps, reply.value.position)
  return ok(null)
}

async function prolong(
  deps: LockDeps,
  actor: Actor,
  { lock, untilMs, fencingToken }: { lock: HeldLock; untilMs: number; fencingToken: number | undefined },
  patience: { readonly timeoutMs?: number; readonly signal?: AbortSignal },
): Promise<Result<FileLock>> {
  const { node, record } = lock
  const input = { projectId: record.project, path: record.path, instanceId: record.instance, fencingToken, untilMs }
  const reply = await deps.rpc.call(node, 'lock.extend', { actor, input, reply: Extended, ...patience })
  if (!reply.ok) return err(holderError(deps, lock, reply.error))
  await reachedWithin(deps, reply.value.position)
  return ok(reply.value.lock)
}

function holderError(deps: LockDeps, { node, record }: HeldLock, error: DomainError): DomainError {
  if (error.code !== 'machine_offline') return error
  const retryAfterMs = Math.ceil(deps.boards.remainingMs(record) / 1000) * 1000
  const message = `The lock is held through ${deps.nameOf(node)}, which is offline. It ends by itself in ${retryAfterMs / 1000} s.`
  return domainError('machine_offline', { message, details: { retryAfterMs } })
}

async function releaseHere(
  deps: LockDeps,
  actor: Actor,
  input: Release,
  signal: AbortSignal,
): Promise<Result<z.infer<typeof Released>>> {
  const lock = await ownLock(deps, input, (held) => refuseHere(deps, actor, { held, input }))
  return lock.ok ? await dropAll(deps, lock.value, signal) : lock
}

/** As `refuse`, of locks that this node holds. */
const refuseHere = (
  deps: LockDeps,
  actor: Actor,
  { held, input }: { held: HeldLock; input: Omit<Release, 'projectId'> },
): DomainError | undefined => (held.node === deps.self ? refuse(actor, held, input) : domainError('superseded'))

async function forceHere(
  deps: LockDeps,
  actor: Actor,
  input: Place,
  signal: AbortSignal,
): Promise<Result<z.infer<typeof Released>>> {
  const isOwn = ({ node }: HeldLock): boolean => node === deps.self
  const lock = await ownLock(deps, input, (held) => (isOwn(held) ? undefined : domainError('superseded')))
  if (!lock.ok) return lock
  const { record } = lock.value
  deps.log.info(
    { actor: actor.id, gateway: actor.gateway, path: record.path, instance: record.instance },
    'a lock was taken away',
  )
  return await dropAll(deps, lock.value, signal)
}

/**
 * Two calls at once may each have taken a lease on the path for one holder, and a provisional lock may just be getting
 * its certificate: all of them are given back.
 */
async function dropAll(
  deps: LockDeps,
  { id, record }: HeldLock,
  signal: AbortSignal,
): Promise<Result<z.infer<typeof Released>>> {
  // What else the lease covers can be kept only while it is valid.
  const isAlone = deps.live.ofLease(record.lease).length <= 1
  const known = isAlone ? ok(null) : await untilCertain(deps, record.lease, signal)
  if (!known.ok) return known
  let dropped = await drop(deps, { id, record })
  for (const { id: twin, record: other } of deps.live.onExtent(lockExtent(record))) {
    if (!dropped.ok) return dropped
    if (isTwin(other, record)) dropped = await drop(deps, { id: twin, record: other })
  }
  return dropped
}

const isTwin = (a: LockRecord, b: LockRecord): boolean => a.instance === b.instance && a.tokenId === b.tokenId

/** In turn with other changes of the lease. */
async function drop(
  deps: LockDeps,
  { id, record }: Pick<HeldLock, 'id' | 'record'>,
): Promise<Result<z.infer<typeof Released>>> {
  const dropped = await deps.turns(record.lease, () => dropPath(deps, record.lease, id))
  return dropped.ok ? ok({ position: dropped.value }) : dropped
}

async function extendHere(
  deps: LockDeps,
  actor: Actor,
  input: Extend,
  signal: AbortSignal,
): Promise<Result<z.infer<typeof Extended>>> {
  const lock = await ownLock(deps, input, (held) => refuseHere(deps, actor, { held, input }))
  if (!lock.ok) return lock
  const { record } = lock.value
  const known = await untilCertain(deps, record.lease, signal)
  if (!known.ok) return known
  const untilMs = Math.min(input.untilMs, Math.trunc(deps.clock.wallMs()) + LOCK_MINUTES_MAX * 60_000)
  return await deps.turns(record.lease, async () => {
    // A provisional lock may have got its certificate meanwhile: it is the same lock all the same.
    const held = deps.live.onExtent(lockExtent(record)).filter((entry) => isTwin(entry.record, record))
    const current = held.find((entry) => entry.record.lease === record.lease) ?? held[0]
    if (!current) return err(domainError('superseded'))
    const prolonged = await prolongLease(deps, current.record.lease, untilMs)
    if (!prolonged.ok) return prolonged
    const { position, endMs } = prolonged.value
    const expiresAt = new Date(endMs).toISOString()
    const lasting = { id: current.id, node: deps.self, record: { ...current.record, expiresAt } }
    return ok({ lock: lockView(lasting), position })
  })
}

/** The locks of one lease last equally long, and none gets shorter. What the disk refuses changes nothing. */
async function prolongLease(
  deps: LockDeps,
  leaseId: string,
  untilMs: number,
): Promise<Result<{ position: FeedPosition; endMs: number }>> {
  const entries = deps.live.ofLease(leaseId)
  const beforeMs = Math.max(...entries.map(({ record }) => Date.parse(record.expiresAt)))
  const endMs = Math.max(untilMs, beforeMs)
  const claim = deps.claims.held(leaseId)
  if (claim) {
    const put = await deps.claims.extend(claim, endMs)
    return put.ok ? ok({ position: put.value, endMs }) : put
  }
  if (!deps.leases.extend(leaseId, endMs)) return err(domainError('superseded'))
  const expiresAt = new Date(endMs).toISOString()
  let put: Result<FeedPosition> | undefined
  try {
    put = await deps.live.put(entries.map((entry) => ({ ...entry, record: { ...entry.record, expiresAt } })))
  } finally {
    if (!put?.ok) deps.leases.extend(leaseId, beforeMs)
  }
  return put.ok ? ok({ position: put.value, endMs }) : put
}
