import { abilitiesOf, normaliseEmail, PASSWORD_CHARS } from '../../../crdt/account-records.ts'
import type { AccountIndex, UserEntry } from '../../../crdt/account-index.ts'
import { domainError } from '../../../crdt/errors.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import {
  DAY_MS,
  isGoodToken,
  isoTime,
  issueToken,
  publicUser,
  revokedRecord,
  tokenRecord,
  TOKENS_PER_USER_MAX,
  type AccountContext,
} from './account-context.ts'
import type { SignedIn } from './account-service.ts'
import { SIGN_IN_DAYS } from './account-registration.ts'
import type { AccountChanges } from './sealed-accounts.ts'

export type Credentials = { readonly email: string; readonly password: string; readonly remember: boolean }

/**
 * Signs a person in. Takes as long for an address that nobody has (`dummyHash` is verified instead).
 * @errors invalid_credentials, rate_limited, storage_failed
 */
export async function login(
  context: AccountContext,
  dummyHash: string,
  { email, password, remember }: Credentials,
): Promise<Result<SignedIn>> {
  const { index } = context.sealed
  const user = index.userByEmail(normaliseEmail(email))
  const { generation, hash } = user ? index.passwordOf(user.id) : { generation: 0, hash: undefined }
  const verified = await context.hashes.verify(hash ?? dummyHash, password.slice(0, PASSWORD_CHARS.max))
  if (!verified.ok) return verified
  if (!user || hash === undefined || !verified.value || password.length > PASSWORD_CHARS.max)
    return err(domainError('invalid_credentials'))
  const signedIn = await context.sealed.change(undefined, (now) => {
    const isStill = !now.isDisabled(user.id) && now.passwordOf(user.id).generation === generation
    return isStill ? ok(signIn(context, now, { user, generation, remember })) : err(domainError('invalid_credentials'))
  })
  return signedIn.ok ? ok(signedIn.value.value) : signedIn
}

function signIn(
  context: AccountContext,
  index: AccountIndex,
  { user, generation, remember }: { user: UserEntry; generation: number; remember: boolean },
): AccountChanges<SignedIn> {
  const nowMs = context.deps.clock.wallMs()
  const expiresAtMs = nowMs + (remember ? SIGN_IN_DAYS.long : SIGN_IN_DAYS.short) * DAY_MS
  const { text, entry } = issueToken(context, {
    owner: { kind: 'user', id: user.id },
    name: 'Sign-in',
    abilities: abilitiesOf(user.role),
    expiresAtMs,
    generation,
    signIn: true,
  })
  const crowdedOut = oldestSignIn(context, index, user)
  return {
    set: [tokenRecord(entry), ...(crowdedOut ? [revokedRecord(crowdedOut, nowMs)] : [])],
    value: { user: publicUser(user, index), token: text, expiresAt: isoTime(expiresAtMs) },
  }
}

/** A script that signs in every time must not lock its owner out: its oldest sign-in makes room. */
function oldestSignIn(context: AccountContext, index: AccountIndex, user: UserEntry) {
  const good = index.tokensOf(user.id).filter((token) => isGoodToken(context, token))
  if (good.length < TOKENS_PER_USER_MAX) return undefined
  return good.filter((token) => token.signIn).toSorted((a, b) => a.createdAtMs - b.createdAtMs)[0]
}
