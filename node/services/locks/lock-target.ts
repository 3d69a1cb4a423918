import { invalidField } from '../../../crdt/errors.ts'
import { InstanceId } from '../../../crdt/ids.ts'
import { err, ok } from '../../../crdt/result.ts'
import { encodeCanonical, toHex } from '../../../protocols/codec.ts'
import { normalisePath } from '../../../protocols/lease/resources.ts'
import type { Project } from '../../../crdt/project.ts'
import type { Result } from '../../../crdt/result.ts'
import type { Crypto } from '../../../protocols/crypto.ts'
import type { LockInput } from './lock-service.ts'

/** A path as it is locked: `path` for people, `key` for the voters. */
export type LockTarget = { readonly path: string; readonly key: string }

export type LockWish = { readonly instance: InstanceId; readonly reason: string | null; readonly durationMs: number }

export const LOCK_MINUTES_DEFAULT = 30
/** A lock is work in progress; whoever needs a day asks again. */
export const LOCK_MINUTES_MAX = 24 * 60
const REASON_CHARS_MAX = 256

/** One repository is one set of locks, whatever project ids it was added under. */
export function lockKeyOf(crypto: Pick<Crypto, 'sha256'>, { id, repository }: Project): string {
  if (!repository) return id
  return toHex(crypto.sha256(encodeCanonical([repository.rootCommit, repository.remote]))).slice(0, 40)
}

/** Different spellings of one path are one target. A trailing `/` means the directory with all that is in it. */
export function lockTarget(projectKey: string, path: string): Result<LockTarget> {
  const normal = normalisePath(path)
  if (path === '' || !normal.ok) return err(invalidField('path', normal.ok ? 'A path is needed.' : normal.error))
  if (normal.value === '') return ok({ path: './', key: projectKey })
  const isDirectory = /\/\.?$/.test(path)
  return ok({ path: isDirectory ? `${normal.value}/` : normal.value, key: `${projectKey}/${normal.value}` })
}

export function lockWish(input: LockInput): Result<LockWish> {
  const instance = InstanceId.safeParse(input.instanceId)
  if (!instance.success) return err(invalidField('instance_id', 'Must have 1 to 128 characters.'))
  const { reason = null, durationMinutes = LOCK_MINUTES_DEFAULT } = input
  if (reason !== null && reason.length > REASON_CHARS_MAX) {
    return err(invalidField('reason', `Must have at most ${REASON_CHARS_MAX} characters.`))
  }
  const minutes = lockMinutes('duration_minutes', durationMinutes)
  return minutes.ok ? ok({ instance: instance.data, reason, durationMs: minutes.value * 60_000 }) : minutes
}

export function lockMinutes(field: string, minutes: number): Result<number> {
  const isFine = Number.isSafeInteger(minutes) && minutes >= 1 && minutes <= LOCK_MINUTES_MAX
  return isFine ? ok(minutes) : err(invalidField(field, `Must be a whole number from 1 to ${LOCK_MINUTES_MAX}.`))
}
