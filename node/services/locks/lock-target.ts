import { invalidField } from '../../../crdt/errors.ts'
import { InstanceId } from '../../../crdt/ids.ts'
import { REASON_CHARS_MAX } from '../../../crdt/lock-record.ts'
import { err, ok } from '../../../crdt/result.ts'
import { encodeCanonical, toHex } from '../../../protocols/codec.ts'
import { RESOURCE_KEY_CHARS_MAX } from '../../../protocols/lease/messages.ts'
import { isPattern, patternCover } from '../../../protocols/lease/path-patterns.ts'
import { foldCase, normalisePath } from '../../../protocols/lease/resources.ts'
import type { Project } from '../../../crdt/project.ts'
import type { Result } from '../../../crdt/result.ts'
import type { Crypto } from '../../../protocols/crypto.ts'
import type { Resource } from '../../../protocols/lease/messages.ts'
import type { LockInput } from './lock-service.ts'

/** What is locked: `path` for people, `key` for the voters, `pattern` when `path` covers a glob that was asked for. */
export type LockTarget = { readonly path: string; readonly key: string; readonly pattern?: string }

/** Where a project's locks lie: its key, and how its paths are told apart. */
export type LockSpace = { readonly key: string; readonly caseFold: boolean }

export type LockWish = {
  readonly instance: InstanceId
  readonly reason: string | null
  readonly durationMs: number
  /** Only a certified lock will do. */
  readonly isStrict: boolean
}

export const LOCK_MINUTES_DEFAULT = 30
/** A lock is work in progress; whoever needs a day asks again. */
export const LOCK_MINUTES_MAX = 24 * 60

/** One repository is one set of locks, whatever project ids it was added under. */
export function lockSpaceOf(crypto: Pick<Crypto, 'sha256'>, { id, repository, settings }: Project): LockSpace {
  const { caseFold } = settings
  if (!repository) return { key: id, caseFold }
  const hash = toHex(crypto.sha256(encodeCanonical([repository.rootCommit, repository.remote])))
  return { key: hash.slice(0, 40), caseFold }
}

/**
 * Different spellings of one path are one target. A trailing `/` says that a directory is meant; it changes nothing,
 * since a path is always locked with all that is below it. A glob becomes the directory that holds all it can match.
 */
export function lockTarget(space: LockSpace, path: string): Result<LockTarget> {
  const normal = normalisePath(path)
  if (path === '' || !normal.ok) return err(invalidField('path', normal.ok ? 'A path is needed.' : normal.error))
  const cover = isPattern(path) ? patternCover(path) : normal
  if (!cover.ok) return err(invalidField('path', cover.error))
  const key = keyOf(space, cover.value)
  if (key.length > RESOURCE_KEY_CHARS_MAX) return err(invalidField('path', 'The path is too long.'))
  if (isPattern(path)) return ok({ path: directory(cover.value), key, pattern: normal.value })
  return ok({ path: normal.value === '' || /\/\.?$/.test(path) ? directory(normal.value) : normal.value, key })
}

const directory = (path: string): string => (path === '' ? './' : `${path}/`)

function keyOf({ key, caseFold }: LockSpace, path: string): string {
  if (path === '') return key
  return `${key}/${caseFold ? foldCase(path) : path}`
}

/** The key that the path of a lock has by what the project's settings say now; they may have changed since. */
export const currentKey = (space: LockSpace, { path }: { readonly path: string }): string =>
  keyOf(space, path === './' ? '' : path.replace(/\/$/, ''))

/** A path as a lease's resource. A file has nothing below it, so that it need not be told from a directory. */
export const lockResource = ({ key }: { readonly key: string }): Resource => ({ kind: 'path', key, mode: 'subtree' })

export function lockWish(input: LockInput, { settings }: Project): Result<LockWish> {
  const instance = InstanceId.safeParse(input.instanceId)
  if (!instance.success) return err(invalidField('instance_id', 'Must have 1 to 128 characters.'))
  const { reason = null, durationMinutes = LOCK_MINUTES_DEFAULT } = input
  if (reason !== null && reason.length > REASON_CHARS_MAX) {
    return err(invalidField('reason', `Must have at most ${REASON_CHARS_MAX} characters.`))
  }
  const minutes = lockMinutes('duration_minutes', durationMinutes)
  if (!minutes.ok) return minutes
  const isStrict = input.exclusive === true || settings.lockPolicy === 'strict'
  return ok({ instance: instance.data, reason, durationMs: minutes.value * 60_000, isStrict })
}

export function lockMinutes(field: string, minutes: number): Result<number> {
  const isFine = Number.isSafeInteger(minutes) && minutes >= 1 && minutes <= LOCK_MINUTES_MAX
  return isFine ? ok(minutes) : err(invalidField(field, `Must be a whole number from 1 to ${LOCK_MINUTES_MAX}.`))
}
