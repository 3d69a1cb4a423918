import { z } from 'zod'
import { GUARANTEES } from '../../../crdt/guarantee.ts'
import type { DomainError } from '../../../crdt/errors.ts'
import { ProjectId } from '../../../crdt/ids.ts'
import { REASON_CHARS_MAX } from '../../../crdt/lock-record.ts'
import type { FileLock } from '../../../crdt/lock.ts'
import { ok } from '../../../crdt/result.ts'
import type { Result } from '../../../crdt/result.ts'
import type { BulkLocks, LockInput } from '../../../node/services/locks/lock-service.ts'
import { none } from '../../http/dialect.ts'
import type { Wire } from '../../http/dialect.ts'
import { ACROSS_MESH, instanceId, invalid } from './inputs.ts'
import { route } from './deps.ts'
import { WIRE_ERRORS } from './errors.ts'
import { WireLock, wireLock } from './wire.ts'

const ofProject = {
  params: z.strictObject({ project: ProjectId }),
  missing: 'project_not_found',
  query: none.query,
} as const

const path = z.string().min(1).max(4096)
/** A lock that outlives a working day was forgotten. */
const MINUTES_MAX = 24 * 60
const minutes = z.int().min(1).max(MINUTES_MAX)
/** Nobody edits more files at once; a lease would take more. */
const PATHS_MAX = 200
/** Null as a provisional lock has it: whoever sends back what it was given proves nothing, and does no wrong. */
const fencing = z.int().min(0).nullable().exactOptional()

const lockFields = {
  instance_id: instanceId,
  reason: z.string().max(REASON_CHARS_MAX).nullable().exactOptional(),
  duration_minutes: minutes.exactOptional(),
  /** What the document's clients send instead of a duration. */
  expires_at: z.iso.datetime({ offset: true }).exactOptional(),
  /** Only a certified lock will do: refused without a quorum, whatever the project's policy. */
  exclusive: z.boolean().exactOptional(),
}
const lockAliases = { locked_by: 'instance_id' }

type LockBody = {
  readonly instance_id: string
  readonly reason?: string | null | undefined
  readonly duration_minutes?: number | undefined
  readonly expires_at?: string | undefined
  readonly exclusive?: boolean | undefined
}

function lockInput(body: LockBody, nowMs: number): Result<LockInput> {
  const asked =
    body.duration_minutes ??
    (body.expires_at === undefined ? undefined : Math.ceil((Date.parse(body.expires_at) - nowMs) / 60_000))
  if (asked !== undefined && (asked < 1 || asked > MINUTES_MAX)) {
    return invalid('expires_at', `A lock lasts at least one minute and at most ${MINUTES_MAX} minutes.`)
  }
  return ok({
    instanceId: body.instance_id,
    ...(body.reason === undefined || body.reason === null ? {} : { reason: body.reason }),
    ...(asked === undefined ? {} : { durationMinutes: asked }),
    ...(body.exclusive === undefined ? {} : { exclusive: body.exclusive }),
  })
}

const LockReply = WireLock.extend({ lock: WireLock })
const flatLock = (lock: FileLock, { nowMs }: { nowMs: number }): Wire => ({
  data: { ...wireLock(lock, nowMs), lock: wireLock(lock, nowMs) },
})

const CheckReply = z.strictObject({
  path: z.string(),
  locked: z.boolean(),
  is_locked: z.boolean(),
  locked_by: z.string().nullable(),
  reason: z.string().nullable(),
  expires_at: z.string().nullable(),
  /** Null while there is no lock. */
  guarantee: z.enum(GUARANTEES).nullable(),
  missing_voters: z.array(z.string()),
})

const failures = {
  failed: z.array(z.string()),
  failed_details: z.record(
    z.string(),
    z.strictObject({
      locked_by: z.string().nullable(),
      reason: z.string().nullable(),
      expires_at: z.string().nullable(),
      guarantee: z.enum(GUARANTEES).nullable(),
      code: z.string(),
      message: z.string(),
    }),
  ),
}

const BulkReply = z.strictObject({ acquired: z.array(z.string()), ...failures, locks: z.array(WireLock) })
const ReleasedReply = z.strictObject({ released_count: z.int().min(0), released: z.array(z.string()), ...failures })

const failedDetail = (error: DomainError) => ({
  locked_by: error.details?.holder?.instanceId ?? null,
  reason: error.details?.holder?.reason ?? null,
  expires_at: error.details?.holder?.expiresAt ?? null,
  guarantee: error.details?.holder ? (error.details.holder.guarantee ?? 'certified') : null,
  code: WIRE_ERRORS[error.code].code,
  message: error.message,
})

const wireFailures = (failed: BulkLocks['failed']) => ({
  failed: failed.map((failure) => failure.path),
  failed_details: Object.fromEntries(failed.map((failure) => [failure.path, failedDetail(failure.error)])),
})

const TAKING = ['lock_held', 'quorum_unreachable', 'superseded', 'limit_reached', ...ACROSS_MESH] as const
const GIVING = ['lock_not_held_by_caller', 'superseded', 'limit_reached', ...ACROSS_MESH] as const

const fencingOf = ({ fencing_token: token }: { fencing_token?: number | null | undefined }) =>
  typeof token === 'number' ? { fencingToken: token } : {}

export const lockRoutes = [
  route({
    doc: '9.1 List locks',
    method: 'GET',
    path: '/api/projects/:project/locks',
    policy: { ability: 'lock:read' },
    ...ofProject,
    body: none.body,
    reply: z.array(WireLock),
    run: ({ services }, { params }) => services.locks.list(params.project),
    toWire: (locks, { nowMs }) => ({ data: locks.map((lock) => wireLock(lock, nowMs)) }),
  }),
  route({
    doc: '9.2 Acquire lock',
    method: 'POST',
    path: '/api/projects/:project/locks',
    policy: { ability: 'lock:write' },
    errors: TAKING,
    status: 201,
    ...ofProject,
    body: z.strictObject({ path, ...lockFields }),
    aliases: lockAliases,
    reply: LockReply,
    run: async ({ services }, { actor, params, body, nowMs }) => {
      const input = lockInput(body, nowMs)
      if (!input.ok) return input
      return await services.locks.acquire(actor, params.project, { ...input.value, path: body.path })
    },
    toWire: flatLock,
  }),
  route({
    doc: '9.3 Check lock status',
    method: 'POST',
    path: '/api/projects/:project/locks/check',
    policy: { ability: 'lock:read' },
    ...ofProject,
    body: z.strictObject({ path }),
    reply: CheckReply,
    run: ({ services }, { params, body }) => services.locks.check(params.project, body.path),
    toWire: (lock, { body }) => ({
      data: {
        path: lock?.path ?? body.path,
        locked: lock !== null,
        is_locked: lock !== null,
        locked_by: lock?.instanceId ?? null,
        reason: lock?.reason ?? null,
        expires_at: lock?.expiresAt ?? null,
        guarantee: lock?.guarantee ?? null,
        missing_voters: [...(lock?.missingVoters ?? [])],
      },
    }),
  }),
  route({
    doc: '9.4 Extend lock',
    method: 'POST',
    path: '/api/projects/:project/locks/extend',
    policy: { ability: 'lock:write' },
    errors: GIVING,
    ...ofProject,
    body: z.strictObject({ path, instance_id: instanceId, additional_minutes: minutes, fencing_token: fencing }),
    aliases: { minutes: 'additional_minutes', locked_by: 'instance_id' },
    reply: LockReply,
    run: ({ services }, { actor, params, body, signal }) => {
      const lock = { path: body.path, instanceId: body.instance_id, additionalMinutes: body.additional_minutes }
      return services.locks.extend(actor, params.project, { ...lock, ...fencingOf(body) }, signal)
    },
    toWire: flatLock,
  }),
  route({
    doc: '9.5 Bulk lock',
    method: 'POST',
    path: '/api/projects/:project/locks/bulk',
    policy: { ability: 'lock:write' },
    errors: TAKING,
    ...ofProject,
    body: z.strictObject({
      paths: z.array(path).min(1).max(PATHS_MAX),
      ...lockFields,
      all_or_nothing: z.boolean().default(false),
    }),
    aliases: lockAliases,
    reply: BulkReply,
    run: async ({ services }, { actor, params, body, nowMs }) => {
      const input = lockInput(body, nowMs)
      if (!input.ok) return input
      return await services.locks.bulk(actor, params.project, {
        ...input.value,
        paths: body.paths,
        allOrNothing: body.all_or_nothing,
      })
    },
    toWire: ({ acquired, failed }, { nowMs }) => ({
      data: {
        acquired: acquired.map((lock) => lock.pattern ?? lock.path),
        ...wireFailures(failed),
        locks: acquired.map((lock) => wireLock(lock, nowMs)),
      },
    }),
  }),
  route({
    doc: '9.6 Release lock',
    method: 'POST',
    path: '/api/projects/:project/locks/release',
    policy: { ability: 'lock:write' },
    errors: GIVING,
    ...ofProject,
    body: z.strictObject({ path, instance_id: instanceId, fencing_token: fencing }),
    aliases: { locked_by: 'instance_id' },
    reply: z.null(),
    run: ({ services }, { actor, params, body, signal }) => {
      const lock = { path: body.path, instanceId: body.instance_id, ...fencingOf(body) }
      return services.locks.release(actor, params.project, lock, signal)
    },
    toWire: () => ({ data: null }),
  }),
  route({
    doc: '9.7 Force release (admin)',
    method: 'POST',
    path: '/api/projects/:project/locks/force-release',
    policy: { ability: 'lock:admin' },
    errors: GIVING,
    ...ofProject,
    body: z.strictObject({ path }),
    reply: z.null(),
    run: ({ services }, { actor, params, body }) => services.locks.forceRelease(actor, params.project, body.path),
    toWire: () => ({ data: null }),
  }),
  route({
    doc: '9.8 Release by instance',
    method: 'POST',
    path: '/api/projects/:project/locks/release-by-instance',
    policy: { ability: 'lock:write' },
    errors: GIVING,
    ...ofProject,
    body: z.strictObject({ instance_id: instanceId }),
    aliases: { locked_by: 'instance_id' },
    reply: ReleasedReply,
    run: ({ services }, { actor, params, body }) =>
      services.locks.releaseByInstance(actor, { projectId: params.project, instanceId: body.instance_id }),
    toWire: ({ released, failed }) => ({
      data: { released_count: released.length, released: [...released], ...wireFailures(failed) },
    }),
  }),
]
