import { preferenceId } from '../../../crdt/account-index.ts'
import { PREFERENCE_CHARS_MAX, PREFERENCE_KEY, recordName, type AccountRecord } from '../../../crdt/account-records.ts'
import type { Actor } from '../../../crdt/actor.ts'
import { domainError, invalidField, type DomainError } from '../../../crdt/errors.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import type { AccountContext } from './account-context.ts'

/** With their greatest length some 130 kB per user: enough for settings of a few clients, nothing to keep data in. */
export const PREFERENCES_PER_USER_MAX = 64

/** Key → any JSON value. */
export type Preferences = Readonly<Record<string, unknown>>

/** @errors user_not_found */
export function preferences({ sealed: { index } }: AccountContext, actor: Actor): Result<Preferences> {
  const user = actor.kind === 'user' ? index.userById(actor.id) : undefined
  if (!user) return err(domainError('user_not_found'))
  const entries = [...index.preferencesOf(user.id)].map(([key, json]): [string, unknown] => [key, JSON.parse(json)])
  return ok(Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1))))
}

/**
 * Sets what is given, forgets what is null, keeps the rest. Of two gateways that set one key at the same time one wins.
 * @errors invalid_input, limit_reached, user_not_found, storage_failed
 */
export async function setPreferences(
  context: AccountContext,
  actor: Actor,
  changes: Preferences,
): Promise<Result<Preferences>> {
  const given = Object.entries(changes).map(([key, value]) => ({ key, json: JSON.stringify(value) }))
  const problem = problemOf(given)
  if (problem) return err(problem)
  const changed = await context.sealed.change(actor, (index) => {
    const user = actor.kind === 'user' ? index.userById(actor.id) : undefined
    if (!user) return err(domainError('user_not_found'))
    const kept = new Set(index.preferencesOf(user.id).keys())
    for (const { key, json } of given) {
      if (json === 'null') kept.delete(key)
      else kept.add(key)
    }
    if (kept.size > PREFERENCES_PER_USER_MAX)
      return err(
        domainError('limit_reached', { message: `A user has at most ${PREFERENCES_PER_USER_MAX} preferences.` }),
      )
    const records = given.map(({ key, json }): AccountRecord => {
      const value = { json, atMs: context.deps.clock.wallMs() }
      return { kind: 'preference', id: preferenceId(user.id, key), value }
    })
    const isKept = (record: AccountRecord): boolean => record.kind === 'preference' && record.value.json !== 'null'
    const remove = records.filter((record) => !isKept(record)).map(recordName)
    return ok({ set: records.filter(isKept), remove, value: null })
  })
  return changed.ok ? preferences(context, actor) : changed
}

function problemOf(given: readonly { key: string; json: string }[]): DomainError | undefined {
  if (given.length > PREFERENCES_PER_USER_MAX)
    return invalidField('preferences', `At most ${PREFERENCES_PER_USER_MAX} preferences.`)
  const unnamed = given.find(({ key }) => !PREFERENCE_KEY.test(key) || FORBIDDEN.has(key))
  if (unnamed) return invalidField(unnamed.key, 'A preference is named by 1 to 64 of A-Z, a-z, 0-9, dot, dash and _.')
  const long = given.find(({ json }) => json.length > PREFERENCE_CHARS_MAX)
  return long && invalidField(long.key, `A preference has at most ${PREFERENCE_CHARS_MAX} characters of JSON.`)
}

/** Names with a meaning of their own in JavaScript. */
const FORBIDDEN: ReadonlySet<string> = new Set(['constructor', 'prototype'])
