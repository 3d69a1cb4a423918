import type { AccountIndex, UserEntry } from '../../../crdt/account-index.ts'
import { NAME_CHARS_MAX, normaliseEmail, type AccountRecord } from '../../../crdt/account-records.ts'
import { domainError } from '../../../crdt/errors.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import { toHex } from '../../../protocols/codec.ts'
import type { ProvenIdentity } from '../../ports/identity-provider.ts'
import { digest, newId, type AccountContext } from './account-context.ts'
import { emailResource, nameResource, underLease } from './account-lease.ts'
import { checkPerson, newUser, userRecord } from './account-person.ts'
import { SIGN_IN_DAYS, signIn, type SignedIn, type SignInTerms } from './account-sign-in.ts'
import { ACCOUNTS_KEY_MISSING, type AccountChanges } from './sealed-accounts.ts'

/**
 * Signs in whom a provider vouches for. An account at a provider is linked to a user once, and only to one who is surely
 * the same person: both sides have proved the same address, or nobody has ever been able to sign in as that user.
 * @errors invalid_credentials (disabled), identity_unproved, setup_code_required, registration_closed, rate_limited,
 * quorum_unreachable, storage_failed
 */
export async function signInAs(context: AccountContext, identity: ProvenIdentity): Promise<Result<SignedIn>> {
  if (!context.sealed.isOpen()) return err(ACCOUNTS_KEY_MISSING)
  const { provider, subject } = identity
  if (context.sealed.index.userByIdentity(provider, subject)) {
    const signedIn = await context.sealed.change(undefined, (index) => admitLinked(context, index, identity))
    return signedIn.ok ? ok(signedIn.value.value) : signedIn
  }
  const email = checkedEmail(identity)
  if (email === undefined) return err(domainError('identity_unproved'))
  const account = `accounts/identity/${toHex(digest(context.deps.crypto, `${provider} ${subject}`))}`
  const resources = [emailResource(context, email), nameResource(account)]
  return underLease(context, { actor: undefined, resources }, (index) =>
    index.userByIdentity(provider, subject)
      ? admitLinked(context, index, identity)
      : admitNew(context, index, { identity, email }),
  )
}

function checkedEmail({ verifiedEmail }: ProvenIdentity): string | undefined {
  const person = checkPerson({ name: 'somebody', email: verifiedEmail ?? '' })
  return person.ok ? person.value.email : undefined
}

const DISABLED = domainError('invalid_credentials', { message: 'This account is disabled. Ask the owner of the mesh.' })

function admitLinked(
  context: AccountContext,
  index: AccountIndex,
  { provider, subject }: ProvenIdentity,
): Result<AccountChanges<SignedIn>> {
  const user = index.userByIdentity(provider, subject)
  if (!user || index.isDisabled(user.id)) return err(DISABLED)
  return ok(signIn(context, index, termsOf(index, user)))
}

function admitNew(
  context: AccountContext,
  index: AccountIndex,
  { identity, email }: { identity: ProvenIdentity; email: string },
): Result<AccountChanges<SignedIn>> {
  const found = index.userByEmail(email)
  if (found && index.isDisabled(found.id)) return err(DISABLED)
  if (found && !isSurelyTheSame(index, found)) return err(UNCONFIRMED)
  if (!found && index.users.size === 0) return err(domainError('setup_code_required'))
  if (!found && context.deps.registration !== 'open') return err(domainError('registration_closed'))
  const atMs = context.deps.clock.wallMs()
  const base = found ?? newUser(context, { name: nameOf(identity, email), email, role: 'member' })
  const user: UserEntry = {
    ...base,
    emailVerifiedAtMs: base.emailVerifiedAtMs ?? atMs,
    avatarUrl: base.avatarUrl ?? identity.avatarUrl ?? null,
  }
  const { provider, subject } = identity
  const link: AccountRecord = {
    kind: 'identity',
    id: newId(context),
    value: { userId: user.id, provider, subject, atMs },
  }
  const { set = [], value } = signIn(context, index, termsOf(index, user))
  return ok({ set: [userRecord(user), link, ...set], value })
}

const UNCONFIRMED = domainError('identity_unproved', {
  message:
    'A user with this e-mail address exists, but nobody has shown yet that it is theirs. Have a sign-in link sent to it once; then this works too.',
})

/** Whoever else knows a way into the account could otherwise wait in it for the owner of the address. */
const isSurelyTheSame = (index: AccountIndex, user: UserEntry): boolean =>
  user.emailVerifiedAtMs !== null || index.passwordOf(user.id).generation === 0

const termsOf = (index: AccountIndex, user: UserEntry): SignInTerms => ({
  user,
  generation: index.passwordOf(user.id).generation,
  days: SIGN_IN_DAYS.short,
})

const nameOf = ({ name = '' }: ProvenIdentity, email: string): string =>
  name.trim().slice(0, NAME_CHARS_MAX).trim() || normaliseEmail(email).slice(0, email.indexOf('@'))
