import { normaliseEmail, PASSWORD_CHARS } from '../../../crdt/account-records.ts'
import { domainError } from '../../../crdt/errors.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import type { AccountContext } from './account-context.ts'
import { SIGN_IN_DAYS, signIn, type SignedIn } from './account-sign-in.ts'

export type Credentials = { readonly email: string; readonly password: string; readonly remember: boolean }

/**
 * Signs a person in. Takes as long for an address that nobody has (`nobodysHash` is verified instead).
 * @errors invalid_credentials, rate_limited, storage_failed
 */
export async function login(
  context: AccountContext,
  { email, password, remember }: Credentials,
): Promise<Result<SignedIn>> {
  const { index } = context.sealed
  const user = index.userByEmail(normaliseEmail(email))
  const { generation, hash } = user ? index.passwordOf(user.id) : { generation: 0, hash: undefined }
  const verified = await context.hashes.verify(hash ?? context.nobodysHash, password.slice(0, PASSWORD_CHARS.max))
  if (!verified.ok) return verified
  if (!user || hash === undefined || !verified.value || password.length > PASSWORD_CHARS.max)
    return err(domainError('invalid_credentials'))
  const days = remember ? SIGN_IN_DAYS.long : SIGN_IN_DAYS.short
  const signedIn = await context.sealed.change(undefined, (now) => {
    const isStill = !now.isDisabled(user.id) && now.passwordOf(user.id).generation === generation
    return isStill ? ok(signIn(context, now, { user, generation, days })) : err(domainError('invalid_credentials'))
  })
  return signedIn.ok ? ok(signedIn.value.value) : signedIn
}
