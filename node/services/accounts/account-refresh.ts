import nacl from 'tweetnacl'
import { recordName, type AccountRecord } from '../../../crdt/account-records.ts'
import type { AccountIndex } from '../../../crdt/account-index.ts'
import { domainError } from '../../../crdt/errors.ts'
import type { RefreshEntry } from '../../../crdt/refresh-families.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import { DAY_MS, digest, newId, revocation, type AccountContext } from './account-context.ts'
import { newToken } from './account-secrets.ts'
import { SIGN_IN_DAYS, signInToken, type SignedIn, type SignInTerms } from './account-sign-in.ts'
import type { AccountChanges } from './sealed-accounts.ts'

/** A copy of an older one is refused as unknown; a copy of one of these also ends the family. */
const REPLACED_KEPT_MAX = 10

export type RefreshableSignIn = SignedIn & { readonly refreshToken: string }

/** A token and another one to renew it with. `replaces` is what the new pair takes the place of. */
export function signInRefreshably(
  context: AccountContext,
  index: AccountIndex,
  terms: Omit<SignInTerms, 'days'> & { replaces?: RefreshEntry },
): AccountChanges<RefreshableSignIn> & { set: readonly AccountRecord[] } {
  const { deps } = context
  const { set, value } = signInToken(context, index, { ...terms, days: SIGN_IN_DAYS.short })
  const refreshToken = newToken('cn_rt', deps.random)
  // The clocks of two gateways may differ; the order of a family must not.
  const createdAtMs = Math.max(deps.clock.wallMs(), (terms.replaces?.createdAtMs ?? 0) + 1)
  const id = newId(context)
  const refresh: AccountRecord = {
    kind: 'refresh',
    id,
    value: {
      userId: terms.user.id,
      family: terms.replaces?.family ?? id,
      parent: terms.replaces?.id ?? null,
      hash: new Uint8Array(digest(deps.crypto, refreshToken)),
      access: value.entry.id,
      createdAtMs,
      expiresAtMs: createdAtMs + SIGN_IN_DAYS.long * DAY_MS,
      generation: terms.generation,
      gateway: deps.self,
    },
  }
  return { set: [...set, refresh], value: { ...value.signedIn, refreshToken } }
}

/**
 * A new pair for a refresh token, which ends with that, as does the access token it came with. One that is shown again
 * ends everything that was ever made from it: somebody has a copy.
 * @errors unauthenticated, storage_failed
 */
export async function refreshSignIn(context: AccountContext, text: string): Promise<Result<RefreshableSignIn>> {
  const hash = digest(context.deps.crypto, text)
  const refreshed = await context.sealed.change(undefined, (index) => {
    const entry = index.families.find(hash)
    if (!entry || !nacl.verify(entry.hash, hash) || !isGood(context, index, entry)) return ok({ value: undefined })
    if (index.families.isReplaced(entry))
      return ok({ set: [endedFamily(context, index, entry.family)], value: undefined })
    const user = index.users.get(entry.userId)
    return ok(user ? replace(context, index, { user, entry }) : { value: undefined })
  })
  if (!refreshed.ok) return refreshed
  const { value } = refreshed.value
  return value ? ok(value) : err(REFUSED)
}

const REFUSED = domainError('unauthenticated', {
  message: 'This refresh token is unknown, used or expired. Sign in again.',
})

function replace(
  context: AccountContext,
  index: AccountIndex,
  { user, entry }: { user: SignInTerms['user']; entry: RefreshEntry },
): AccountChanges<RefreshableSignIn> {
  const terms = { user, generation: entry.generation, replaces: entry }
  const { set, value } = signInRefreshably(context, index, terms)
  const before = revocation(
    context,
    index.tokensOf(user.id).filter(({ id }) => id === entry.access),
  )
  const forgotten = index.families.members(entry.family).slice(0, -REPLACED_KEPT_MAX)
  return {
    set: [...set, ...before.set],
    remove: [...before.remove, ...forgotten.map(({ id }) => recordName({ kind: 'refresh', id }))],
    value,
  }
}

/** Nothing that was issued in this family is good from now on. */
export function endedFamily(context: AccountContext, index: AccountIndex, family: string): AccountRecord {
  const untilMs = Math.max(...index.families.members(family).map(({ expiresAtMs }) => expiresAtMs))
  return { kind: 'ended', id: family, value: { atMs: context.deps.clock.wallMs(), untilMs } }
}

function isGood({ deps }: AccountContext, index: AccountIndex, entry: RefreshEntry): boolean {
  const { removed } = deps.membership.current()
  return index.isGoodRefresh(entry, deps.clock.wallMs(), (gateway) => removed.has(gateway))
}
