import { abilitiesOf, type AccountRecord } from '../../../crdt/account-records.ts'
import type { AccountIndex, TokenEntry, UserEntry } from '../../../crdt/account-index.ts'
import type { User } from '../../../crdt/user.ts'
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
import type { AccountChanges } from './sealed-accounts.ts'

export const SIGN_IN_DAYS = { short: 30, long: 90 } as const

/** A token's text is in the answer that creates it and nowhere else. */
export type SignedIn = { readonly user: User; readonly token: string; readonly expiresAt: string | null }

export type SignInTerms = { readonly user: UserEntry; readonly generation: number; readonly days: number }

/** A token for somebody who has shown who they are. */
export function signIn(context: AccountContext, index: AccountIndex, terms: SignInTerms): AccountChanges<SignedIn> {
  const { value, ...changes } = signInToken(context, index, terms)
  return { ...changes, value: value.signedIn }
}

/** The same with the token's record, for who has to remember it. */
export function signInToken(
  context: AccountContext,
  index: AccountIndex,
  { user, generation, days }: SignInTerms,
): AccountChanges<{ signedIn: SignedIn; entry: TokenEntry }> & { set: readonly AccountRecord[] } {
  const nowMs = context.deps.clock.wallMs()
  const expiresAtMs = nowMs + days * DAY_MS
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
    value: { signedIn: { user: publicUser(user, index), token: text, expiresAt: isoTime(expiresAtMs) }, entry },
  }
}

/** A script that signs in every time must not lock its owner out: its oldest sign-in makes room. */
function oldestSignIn(context: AccountContext, index: AccountIndex, user: UserEntry) {
  const good = index.tokensOf(user.id).filter((token) => isGoodToken(context, token))
  if (good.length < TOKENS_PER_USER_MAX) return undefined
  return good.filter((token) => token.signIn).toSorted((a, b) => a.createdAtMs - b.createdAtMs)[0]
}
