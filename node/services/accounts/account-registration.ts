import nacl from 'tweetnacl'
import type { AccountIndex, InviteEntry, UserEntry } from '../../../crdt/account-index.ts'
import type { AccountRecord } from '../../../crdt/account-records.ts'
import { domainError } from '../../../crdt/errors.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import type { UserRole } from '../../../crdt/user.ts'
import type { Resource } from '../../../protocols/lease/messages.ts'
import { digest, findInvite, type AccountContext } from './account-context.ts'
import { emailResource, nameResource, underLease } from './account-lease.ts'
import { checkPerson, firstPassword, newUser, userRecord, vouchedRecord } from './account-person.ts'
import { normaliseCode } from './account-secrets.ts'
import type { Registration } from './account-service.ts'
import { SIGN_IN_DAYS, signIn, type SignedIn } from './account-sign-in.ts'
import { ACCOUNTS_KEY_MISSING, type AccountChanges } from './sealed-accounts.ts'

/** How a registration is let in; decided before the lease is asked for, and again while it is held. */
type Admission = {
  readonly role: UserRole
  readonly isFirst: boolean
  readonly invite: InviteEntry | undefined
}

/** The setup code opens the door once, for the mesh's very first user. It exists in this process's memory only. */
export type SetupCode = { readonly text: string; readonly hash: Uint8Array }

/**
 * @errors invalid_input, setup_code_required, registration_closed, email_taken, rate_limited, quorum_unreachable,
 * storage_failed
 */
export async function register(
  context: AccountContext,
  setup: SetupCode,
  input: Registration,
): Promise<Result<SignedIn>> {
  const checked = checkRegistration(input)
  if (!checked.ok) return checked
  const request = checked.value
  if (!context.sealed.isOpen()) return err(ACCOUNTS_KEY_MISSING)
  const admission = admit(context, setup, request, context.sealed.index)
  if (!admission.ok) return admission
  const hash = await context.hashes.hash(request.password)
  if (!hash.ok) return hash
  const resources = resourcesOf(context, request.email, admission.value)
  return underLease(context, { actor: undefined, resources }, (index) => {
    const admitted = admit(context, setup, request, index)
    return admitted.ok ? ok(newAccount(context, request, { ...admitted.value, hash: hash.value }, index)) : admitted
  })
}

function checkRegistration(input: Registration): Result<Registration> {
  const person = checkPerson(input)
  return person.ok ? ok({ ...input, ...person.value }) : person
}

function admit(
  context: AccountContext,
  setup: SetupCode,
  { email, setupCode, inviteCode }: Registration,
  index: AccountIndex,
): Result<Admission> {
  if (index.users.size === 0) {
    const given = digest(context.deps.crypto, normaliseCode(setupCode ?? ''))
    if (!nacl.verify(given, setup.hash)) return err(domainError('setup_code_required'))
    return ok({ role: 'owner', isFirst: true, invite: undefined })
  }
  const invite = inviteCode === undefined ? undefined : findInvite(context, index, { code: inviteCode, email })
  if (inviteCode !== undefined && !invite) return err(INVITE_INVALID)
  if (!invite && context.deps.registration !== 'open') return err(domainError('registration_closed'))
  const holder = index.userByEmail(email)
  if (invite && invite.userId !== null) return admitInvitedUser(invite, holder, index)
  if (holder) return err(domainError('email_taken'))
  return ok({ role: invite?.role ?? 'member', isFirst: false, invite })
}

/** The invitation of a user who was added without a password, who sets the first one with it. */
function admitInvitedUser(invite: InviteEntry, user: UserEntry | undefined, index: AccountIndex): Result<Admission> {
  const isWaiting =
    user?.id === invite.userId &&
    !index.isDisabled(user.id) &&
    user.emailVerifiedAtMs === null && // else they are in already, by another way
    index.passwordOf(user.id).generation === 0
  return isWaiting ? ok({ role: user.role, isFirst: false, invite }) : err(INVITE_INVALID)
}

const INVITE_INVALID = domainError('registration_closed', {
  message: 'This invitation is unknown, used, expired or made for another address. Ask for a new one.',
})

function resourcesOf(context: AccountContext, email: string, { isFirst, invite }: Admission): Resource[] {
  return [
    emailResource(context, email),
    ...(isFirst ? [nameResource('accounts/first-user')] : []),
    ...(invite ? [nameResource(`accounts/invite/${invite.id}`)] : []),
  ]
}

function newAccount(
  context: AccountContext,
  { name, email }: Registration,
  { role, isFirst, invite, hash }: Admission & { hash: string },
  index: AccountIndex,
): AccountChanges<SignedIn> {
  const nowMs = context.deps.clock.wallMs()
  const existing = index.userById(invite?.userId ?? '')
  const user = existing ? { ...existing, name } : newUser(context, { name, email, role })
  const { set = [], value } = signIn(context, index, { user, generation: 1, days: SIGN_IN_DAYS.short })
  const redeemed: AccountRecord[] = invite
    ? [{ kind: 'redeemed', id: invite.id, value: { atMs: nowMs, untilMs: invite.expiresAtMs, userId: user.id } }]
    : []
  const isVouched = isFirst || (invite !== undefined && invite.email !== null)
  return {
    set: [
      userRecord(user),
      firstPassword(user, hash),
      ...(isVouched ? [vouchedRecord(user)] : []),
      ...set,
      ...redeemed,
    ],
    value,
  }
}
