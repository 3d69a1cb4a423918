import { passwordId, type AccountIndex, type UserEntry } from '../../../crdt/account-index.ts'
import {
  EMAIL_CHARS_MAX,
  NAME_CHARS_MAX,
  normaliseEmail,
  PASSWORD_CHARS,
  recordName,
  type AccountRecord,
  type RecordName,
} from '../../../crdt/account-records.ts'
import { domainError } from '../../../crdt/errors.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import type { UserRole } from '../../../crdt/user.ts'
import { newUserId, type AccountContext } from './account-context.ts'

/** One address, lower-case, one `@`, a dot in the domain; what else is an address only its mail server knows. */
const EMAIL = /^[^\s@]{1,64}@[^\s@]+\.[^\s@]{2,}$/

/** Somebody to be: validated, normalised. */
export type NewUser = { readonly name: string; readonly email: string; readonly role: UserRole }

/** Names, addresses and passwords that cannot be, with every field that is wrong. */
export function checkPerson(input: { name: string; email: string; password?: string }): Result<{
  name: string
  email: string
}> {
  const name = input.name.trim()
  const email = normaliseEmail(input.email)
  const fields: Record<string, readonly string[]> = {}
  if (name.length === 0) fields['name'] = ['The name field is required.']
  else if (name.length > NAME_CHARS_MAX) fields['name'] = [`The name must be at most ${NAME_CHARS_MAX} characters.`]
  if (email.length > EMAIL_CHARS_MAX || !EMAIL.test(email))
    fields['email'] = ['The email must be a valid e-mail address.']
  const password = input.password === undefined ? undefined : passwordProblem(input.password)
  if (password !== undefined) fields['password'] = [password]
  return Object.keys(fields).length === 0
    ? ok({ name, email })
    : err(domainError('invalid_input', { details: { fields } }))
}

export function passwordProblem({ length }: string): string | undefined {
  if (length < PASSWORD_CHARS.min) return `The password must be at least ${PASSWORD_CHARS.min} characters.`
  if (length > PASSWORD_CHARS.max) return `The password must be at most ${PASSWORD_CHARS.max} characters.`
  return undefined
}

export function newUser(context: AccountContext, { name, email, role }: NewUser): UserEntry {
  const createdAtMs = context.deps.clock.wallMs()
  return { id: newUserId(context), name, email, role, avatarUrl: null, emailVerifiedAtMs: null, createdAtMs }
}

export function userRecord({ id, ...value }: UserEntry): AccountRecord {
  return { kind: 'user', id, value }
}

export const firstPassword = (user: UserEntry, hash: string): AccountRecord => ({
  kind: 'password',
  id: passwordId(user.id, 1),
  value: { hash },
})

/**
 * The new password is a newer generation: every token of an older one ends with it, also those that another gateway
 * hands out at this moment.
 */
export function nextPassword(
  index: AccountIndex,
  user: UserEntry,
  hash: string,
): { set: AccountRecord[]; remove: RecordName[]; generation: number } {
  const generation = index.passwordOf(user.id).generation + 1
  const older = index
    .generationsOf(user.id)
    .map((older) => ({ kind: 'password' as const, id: passwordId(user.id, older) }))
  const tokens = index.tokensOf(user.id).map(({ id }) => ({ kind: 'token' as const, id }))
  return {
    set: [{ kind: 'password', id: passwordId(user.id, generation), value: { hash } }],
    remove: [...older, ...tokens].map(recordName),
    generation,
  }
}

export const vouchedRecord = ({ id, createdAtMs }: UserEntry): AccountRecord => ({
  kind: 'vouched',
  id,
  value: { atMs: createdAtMs },
})
