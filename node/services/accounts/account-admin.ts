import type { AccountIndex, UserEntry } from '../../../crdt/account-index.ts'
import { normaliseEmail, type AccountRecord } from '../../../crdt/account-records.ts'
import { can, type Actor } from '../../../crdt/actor.ts'
import { domainError, invalidField } from '../../../crdt/errors.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import type { User, UserRole } from '../../../crdt/user.ts'
import { DAY_MS, digest, isoTime, mayGrantRole, newId, publicUser, type AccountContext } from './account-context.ts'
import { emailResource, underLease } from './account-lease.ts'
import { checkPerson, firstPassword, newUser, nextPassword, userRecord, vouchedRecord } from './account-person.ts'
import { INVITE_CODE_GROUPS, newCode, normaliseCode, PASSWORD_GROUPS } from './account-secrets.ts'

/** Long enough for a person to come round to it. */
export const INVITE_DAYS = 7

export type AddUserInput = { name: string; email: string; role: UserRole; password?: string }

/** @errors forbidden, invalid_input, email_taken, rate_limited, quorum_unreachable, storage_failed */
export async function addUser(
  context: AccountContext,
  actor: Actor,
  input: AddUserInput,
): Promise<Result<{ user: User; inviteCode?: string }>> {
  const granted = mayGrantRole(actor, input.role)
  if (!granted.ok) return granted
  const person = checkPerson(input)
  if (!person.ok) return person
  const hash = input.password === undefined ? undefined : await context.hashes.hash(input.password)
  if (hash && !hash.ok) return hash
  const { email } = person.value
  return underLease(context, { actor, resources: [emailResource(context, email)] }, (index) => {
    if (index.userByEmail(email)) return err(domainError('email_taken'))
    const user = newUser(context, { ...person.value, role: input.role })
    const set = [userRecord(user), vouchedRecord(user)]
    if (hash) return ok({ set: [...set, firstPassword(user, hash.value)], value: { user: publicUser(user, index) } })
    const { code, record } = newInvite(context, { email, role: input.role, userId: user.id })
    return ok({ set: [...set, record], value: { user: publicUser(user, index), inviteCode: code } })
  })
}

/** @errors forbidden, invalid_input, email_taken, storage_failed */
export async function inviteUser(
  context: AccountContext,
  actor: Actor,
  input: { email?: string; role: UserRole },
): Promise<Result<{ inviteCode: string; expiresAt: string }>> {
  const granted = mayGrantRole(actor, input.role)
  if (!granted.ok) return granted
  const email = input.email === undefined ? null : normaliseEmail(input.email)
  if (email !== null && !checkPerson({ name: 'invited', email }).ok)
    return err(invalidField('email', 'The email must be a valid e-mail address.'))
  const invited = await context.sealed.change(actor, (index) => {
    if (email !== null && index.userByEmail(email)) return err(domainError('email_taken'))
    const { code, record, expiresAtMs } = newInvite(context, { email, role: input.role, userId: null })
    return ok({ set: [record], value: { inviteCode: code, expiresAt: isoTime(expiresAtMs) } })
  })
  return invited.ok ? ok(invited.value.value) : invited
}

/** Ends all of the user's tokens. @errors forbidden, user_not_found, storage_failed */
export async function disableUser(context: AccountContext, actor: Actor, emailOrId: string): Promise<Result<User>> {
  const disabled = await context.sealed.change(actor, (index) => {
    const user = findUser(index, emailOrId)
    if (!can(actor, 'user:admin') || (user?.role === 'owner' && !actor.abilities.includes('*')))
      return err(domainError('forbidden'))
    if (!user) return err(domainError('user_not_found'))
    const owners = [...index.users.values()].filter(({ id, role }) => role === 'owner' && !index.isDisabled(id))
    if (owners.length === 1 && owners[0]?.id === user.id)
      return err(domainError('forbidden', { message: 'The last owner cannot be disabled. Make another owner first.' }))
    const record: AccountRecord = { kind: 'disabled', id: user.id, value: { atMs: context.deps.clock.wallMs() } }
    return ok({ set: [record], value: { ...publicUser(user, index), disabled: true } })
  })
  return disabled.ok ? ok(disabled.value.value) : disabled
}

/** Ends all of the user's tokens. @errors forbidden, user_not_found, rate_limited, storage_failed */
export async function resetPassword(
  context: AccountContext,
  actor: Actor,
  emailOrId: string,
): Promise<Result<{ user: User; password: string }>> {
  const subject = findSubject(context.sealed.index, actor, emailOrId)
  if (!subject.ok) return subject
  const password = newCode(PASSWORD_GROUPS, context.deps.random)
  const hash = await context.hashes.hash(password)
  if (!hash.ok) return hash
  const reset = await context.sealed.change(actor, (index) => {
    const found = findSubject(index, actor, emailOrId)
    if (!found.ok) return found
    const { set, remove } = nextPassword(index, found.value, hash.value)
    return ok({ set, remove, value: publicUser(found.value, index) })
  })
  return reset.ok ? ok({ user: reset.value.value, password }) : reset
}

/** The user that is meant, if the actor may do to them what amounts to becoming them. */
function findSubject(index: AccountIndex, actor: Actor, emailOrId: string): Result<UserEntry> {
  const user = findUser(index, emailOrId)
  const granted = mayGrantRole(actor, user?.role ?? 'member')
  if (!granted.ok) return granted
  return user ? ok(user) : err(domainError('user_not_found'))
}

const findUser = (index: AccountIndex, emailOrId: string): UserEntry | undefined =>
  index.userByEmail(normaliseEmail(emailOrId)) ?? index.userById(emailOrId)

function newInvite(
  context: AccountContext,
  { email, role, userId }: { email: string | null; role: UserRole; userId: UserEntry['id'] | null },
): { code: string; record: AccountRecord; expiresAtMs: number } {
  const { clock, crypto, random } = context.deps
  const code = newCode(INVITE_CODE_GROUPS, random)
  const createdAtMs = clock.wallMs()
  const expiresAtMs = createdAtMs + INVITE_DAYS * DAY_MS
  const hash = new Uint8Array(digest(crypto, normaliseCode(code)))
  const value = { hash, role, email, userId, createdAtMs, expiresAtMs }
  return { code, record: { kind: 'invite', id: newId(context), value }, expiresAtMs }
}
